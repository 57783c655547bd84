"""Speaks to the resident classifier: a process that keeps models loaded, so that TensorFlow stays out of the server."""

import contextlib
import io
import math
import os
import queue
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

from engine import photos
from engine.contract import choices, layers, protocol, tickets
from engine.contract import models as keys
from engine.contract.kinds.race import RaceSpec
from engine.contract.protocol import Heat, Neighbour, Outlier, Resident, Skew
from engine.contract.run_folder import LabHome, is_locked
from engine.digits import digits
from engine.errors import ClassifierError, DigitsError, PhotosError, SpecError, WorkerStartError
from engine.machine import device as machine
from engine.machine import devices
from engine.settings import APP_ROOT
from engine.worker_programs import started, worker_environment

# Seconds for one answer: the first one of a pretrained backbone loads TensorFlow and converts the network.
PATIENCE = 120.0
DEATHS = 2  # over one question: the process would die over it again
TRIES = 6  # of one question, where the process made way for a run each time

SIZE_LIMIT = 2048  # pixels

__all__ = ["Answer", "Classifier", "DigitAnswer", "GraphFile", "Heat", "Neighbour", "Outlier", "Resident", "Skew"]

Reply = TypeVar("Reply", bound=protocol.Answer)


@dataclass(frozen=True)
class GraphFile:
    """A frozen graph of TensorFlow and how a picture goes into it. What is None is found in the graph."""

    graph: Path
    labels: Path | None = None  # a file with one label a line; None: outputs are called by their numbers
    input_layer: str | None = None
    output_layer: str | None = None
    input_height: int | None = None  # pixels
    input_width: int | None = None
    input_mean: float | None = None  # subtracted from RGB 0..255
    input_std: float | None = None  # then divided by

    def faults(self) -> list[str]:
        """Sentences about what cannot be; empty if nothing."""
        found = []
        for name in ("input_height", "input_width"):
            size = getattr(self, name)
            if size is not None and not 1 <= size <= SIZE_LIMIT:
                found.append(f"{name} is {size:,}; choose 1 to {SIZE_LIMIT:,} pixels.")
        if self.input_mean is not None and not math.isfinite(self.input_mean):
            found.append(f"input_mean is {self.input_mean}; give a number, like 127.5 or 0.")
        if self.input_std is not None and not (math.isfinite(self.input_std) and self.input_std > 0):
            found.append(f"input_std is {self.input_std:g}, and pixels are divided by it; give a number above 0.")
        return found


@dataclass(frozen=True)
class Answer:
    """What a model says of one picture, and what that took."""

    top: list[protocol.Scored]  # label, probability 0..1; most probable first
    runtime: str  # "LiteRT"
    device: str  # "CPU"
    load_seconds: float  # reading the model's file, once
    first_seconds: float  # the model's first call, slower than the others
    decode_seconds: float
    resize_seconds: float
    seconds: float  # this call of the network
    width: int  # of the picture, pixels, upright
    height: int
    seen_png: bytes  # the picture exactly as the model sees it
    p50_seconds: float | None = None  # a call of the network, the median of the repeats; None without
    classes: int = 0  # how many outputs the model has
    input_layer: str = ""
    output_layer: str = ""
    input_height: int = 0  # pixels
    input_width: int = 0
    input_mean: float = 0.0  # subtracted from RGB 0..255; 0 and 1 where the model normalises by itself
    input_std: float = 1.0
    found: str = ""  # of a graph file: why these and no others, a sentence for people
    p95_seconds: float | None = None  # 95 of 100 calls take no longer; None without repeats
    score_calibrated: float | None = None  # 0..1, of the most probable label; None where it was never measured
    note: str = ""  # "On the CPU, because a run uses the GPU." A sentence for people
    was_restarted: bool = False  # the process had died, came back and answered
    repeat_seconds: Sequence[float] = ()  # each of the repeats, in their order


@dataclass(frozen=True)
class DigitAnswer:
    """What one network of a comparison says of a digit."""

    lane: str
    probabilities: list[float]  # of the ten classes, sum 1; NaN of a network that diverged
    seconds: float  # this call of the network
    runtime: str  # "LiteRT"
    device: str  # "CPU"


class Classifier:
    """One per server, one question at a time. Its process starts with the first one and comes back after a death.

    Questions are answered on the CPU, next to whatever run works; engine/worker/classify/classifier.py says why that
    does not starve it. Only where somebody asks for the GPU, there is one and no run works or waits on it, another
    process answers there, which holds the GPU as a run does, and ends by itself as soon as a run wants it. Where memory
    is short, the one on the CPU too makes way for a run, and comes back with the next question. `memory_limit`: bytes
    for all models of a process together; None: an eighth of the machine's memory, 256 MB at least. `room`: bytes that
    must be left for a run; None: what a usual one takes. `has_gpu`: None where the machine shall tell.
    """

    def __init__(
        self,
        home: LabHome,
        worker_python: str,
        memory_limit: int | None = None,
        has_gpu: bool | None = None,
        room: int | None = None,
    ):
        self.home = home
        self._worker_python, self._has_gpu = worker_python, has_gpu
        more = [] if memory_limit is None else ["--memory", str(memory_limit)]
        more += [] if room is None else ["--room", str(room)]
        command = [worker_python, "-m", "engine.worker.classify.classifier", home.path, *more]
        self._turn = threading.Lock()
        self._processes = {device: _Process([*command, "--device", device]) for device in choices.DEVICES}

    def classify(self, model: str, image: bytes, top: int = 5, repeats: int = 0, device: str = choices.CPU) -> Answer:
        """The `top` most probable labels of an encoded picture; `repeats` more calls tell the usual time of one.

        `model` is a key of engine/models/models.py: a run or one of its lanes, a backbone with ImageNet's labels,
        an uploaded model. Networks for digits get the picture centred as MNIST's are, unless it has 28 x 28 pixels. The
        answer's `note` says why it did not come from the `device` that was asked for. Raises ClassifierError with a
        sentence: no such model, no picture, or a process that cannot run.
        """
        return self._classify(protocol.Classify(model, self._picture(model, image), top, repeats), device)

    def classify_with(self, graph: GraphFile, image: bytes, top: int = 5, repeats: int = 0) -> Answer:
        """The same of a graph file. Raises SpecError for values that cannot be, and ClassifierError."""
        if faults := graph.faults():
            raise SpecError(" ".join(faults))
        # Absolute, because the process has another current folder.
        request = protocol.ClassifyGraph(
            graph=os.path.abspath(graph.graph),
            image=image,
            top=top,
            repeats=repeats,
            labels=os.path.abspath(graph.labels) if graph.labels else None,
            input_layer=graph.input_layer,
            output_layer=graph.output_layer,
            input_height=graph.input_height,
            input_width=graph.input_width,
            input_mean=graph.input_mean,
            input_std=graph.input_std,
        )
        return self._classify(request, choices.CPU)

    def _classify(self, request: protocol.Request, device: str) -> Answer:
        told = self._tell(request, protocol.Classified, device)
        note = told.note
        if device == choices.GPU and not note and told.answer.device != "GPU":
            note = "On the CPU: TensorFlow finds no GPU, or the model is a TFLite file, which runs on the CPU alone."
        # The fields that an Answer shares with the record; others of a newer worker are not in it.
        return Answer(note=note, was_restarted=told.was_restarted, **told.answer._asdict())

    def _picture(self, model: str, image: bytes) -> bytes:
        """The picture as the model's kind takes it. Raises ClassifierError."""
        try:
            place = keys.place(self.home, model)
        except KeyError:
            return image
        if not place.lane or not os.path.isdir(self.home.run(place.name).networks):
            return image
        try:
            with photos.opened(image) as picture:
                if picture.size == (layers.SIZE, layers.SIZE):
                    return image
            pixels = digits.centre(digits.ink_of(image)).pixels
        except PhotosError as error:
            raise ClassifierError(f"This picture cannot be used: {error}.") from error
        except DigitsError as error:
            raise ClassifierError(str(error)) from error
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    def prepare(self, model: str) -> None:
        """Load a model, so that its first answer is quick; with the first one the process starts. Raises
        ClassifierError."""
        self._answer(protocol.Prepare(model), protocol.Prepared)

    def memory(self) -> Resident:
        """What is in memory now; no process is started for it."""
        with self._turn:
            process = self._processes[choices.CPU]
            said = process.ask(protocol.encode(protocol.ReportMemory())) if process.lives else ""
        return _understood(said, Resident) if said else Resident(0, 0, [])

    def digit(self, run_id: str, pixels: np.ndarray) -> list[DigitAnswer]:
        """What every network of a comparison says of a digit, in the order of its lanes.

        `pixels`: (28, 28) uint8, 0 paper, 255 ink, centred as engine/digits/digits.py does. Raises ClassifierError with
        a sentence: no such run, one that has no networks yet, or a process that cannot run.
        """
        gray = np.ascontiguousarray(pixels, np.uint8).tobytes()
        answer = self._answer(protocol.ClassifyDigit(run_id, gray), protocol.DigitClassified)
        return [
            DigitAnswer(network.lane, _numbers(network.probabilities), network.seconds, answer.runtime, answer.device)
            for network in answer.networks
        ]

    def distorted(self, photo: bytes, spec: RaceSpec, seed: int, count: int = 8) -> list[bytes]:
        """JPEGs of an encoded photo, each distorted anew, as the spec's backbone would learn from it.

        The same seed gives the same ones. Raises ClassifierError with a sentence: no photo, no such backbone, or a
        process that cannot run.
        """
        request = protocol.Distort(
            image=photo,
            backbone=spec.backbone,
            seed=seed,
            samples=count,
            **{name: getattr(spec, name) for name in choices.DISTORTIONS},
        )
        return self._answer(request, protocol.Distorted).samples

    def skew(self, model: str, image: bytes) -> list[Skew]:
        """A picture through the model's own setting, which comes first, and through each plausible wrong one.

        Raises ClassifierError with a sentence, as all questions do.
        """
        request = protocol.CheckPreprocessing(model, self._picture(model, image))
        return self._answer(request, protocol.PreprocessingChecked).settings

    def occlusion(self, model: str, image: bytes, label: str | None = None) -> Heat:
        """By how much a label's score falls when a gray square covers a part of the picture; any model.

        `label`: the most probable one where none is given.
        """
        return self._answer(protocol.MapOcclusion(model, self._picture(model, image), label), Heat)

    def grad_cam(self, model: str, image: bytes, label: str | None = None) -> Heat:
        """Where the last convolutions find what speaks for a label (Selvaraju et al. 2017). Loads TensorFlow.

        Raises ClassifierError with the reason where the model has no gradients.
        """
        return self._answer(protocol.MapGradients(model, self._picture(model, image), label), Heat)

    def neighbours(self, model: str, image: bytes, count: int = 8) -> list[Neighbour]:
        """The training photos of a run whose bottlenecks lie nearest, nearest first.

        Raises ClassifierError with the reason: no run, or one whose bottlenecks are no longer kept.
        """
        request = protocol.FindNeighbours(model, self._picture(model, image), count)
        return self._answer(request, protocol.NeighboursFound).photos

    def outlier(self, model: str, image: bytes) -> Outlier:
        """Whether the picture is none of what a run has learned. Raises ClassifierError where it was never measured."""
        return self._answer(protocol.JudgeOutlier(model, self._picture(model, image)), Outlier)

    def _answer(self, request: protocol.Request, kind: type[Reply]) -> Reply:
        """Raises ClassifierError."""
        return self._tell(request, kind, choices.CPU).answer

    def _tell(self, request: protocol.Request, kind: type[Reply], device: str) -> "_Told[Reply]":
        """The answer, a record of that kind. Raises ClassifierError."""
        line = protocol.encode(request)
        said, tries, deaths, was_restarted = "", 0, 0, False
        with self._turn:
            while not said and deaths < DEATHS and tries < TRIES:
                why_not = self._why_no_gpu() if device == choices.GPU else ""
                process = self._processes[choices.CPU if why_not else device]
                was_restarted = was_restarted or process.has_died
                said, tries = process.ask(line), tries + 1
                deaths += not said and process.has_died  # otherwise it has made way for a run
        if not said:
            if fault := devices.look_at(self._worker_python).fault:
                raise ClassifierError(f"{fault} {devices.NEEDED}")
            raise ClassifierError("The classifier stopped twice while it worked on this picture. Try another picture.")
        return _Told(_understood(said, kind), why_not, was_restarted)

    def _why_no_gpu(self) -> str:
        """A sentence; "" where the GPU may be used. A process that is still on it then ends by itself."""
        if not (machine.has_gpu() if self._has_gpu is None else self._has_gpu):
            return "On the CPU, because this machine has no GPU."
        is_held = is_locked(tickets.device_lock(self.home, choices.GPU)) and not self._processes[choices.GPU].lives
        if is_held or tickets.line(self.home, choices.GPU):
            return "On the CPU, because a run works or waits on the GPU."
        return ""

    def close(self) -> None:
        """End the processes, if there are any."""
        with self._turn:
            for process in self._processes.values():
                process.stop()


@dataclass(frozen=True)
class _Told(Generic[Reply]):
    answer: Reply
    note: str
    was_restarted: bool


class _Process:
    """A process that answers lines with lines, started when it is needed."""

    def __init__(self, command: list[str]):
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def has_died(self) -> bool:
        """Whether it was ended by somebody else, until it is started again; to make way for a run is no death."""
        if self._process is None or self._process.poll() is None:
            return False
        return self._process.returncode != tickets.MADE_WAY

    def ask(self, question: str) -> str:
        """The answer's line; empty where the process died over it. Raises ClassifierError."""
        process = self._living()
        assert process.stdin
        try:
            process.stdin.write(question + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            process.wait()
            return ""
        try:
            line = self._answers.get(timeout=PATIENCE)
        except queue.Empty:
            self.stop()
            raise ClassifierError(f"No answer came within {PATIENCE:.0f} seconds. Try again.") from None
        if not line:
            process.wait()
        return line

    def _living(self) -> subprocess.Popen[str]:
        if not self.lives:
            self.stop()
            try:
                with started(self._command[0]):
                    process = subprocess.Popen(
                        self._command,
                        cwd=APP_ROOT,
                        env=worker_environment(os.environ, self._command[0]),
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL,  # a pipe nobody reads would block it
                        text=True,
                        encoding="utf-8",
                    )
            except WorkerStartError as error:
                raise ClassifierError(str(error)) from error
            answers: queue.SimpleQueue[str] = queue.SimpleQueue()
            threading.Thread(target=_pump, args=(process, answers), daemon=True).start()
            self._process, self._answers = process, answers
        assert self._process
        return self._process

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            with contextlib.suppress(OSError):
                if self._process.stdin:
                    self._process.stdin.close()
            self._process = None


def _numbers(values: list[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _understood(line: str, kind: type[Reply]) -> Reply:
    """The record of an answer's line. Raises ClassifierError where the classifier refused, or said something else."""
    try:
        answer = protocol.decode(line, protocol.ANSWERS)
    except protocol.Malformed as error:
        raise ClassifierError(f"The classifier's answer cannot be understood: {error}. Restart the lab.") from error
    if isinstance(answer, protocol.Refusal):
        raise ClassifierError(answer.error)
    if not isinstance(answer, kind):
        text = f"{type(answer).__name__} came instead of {kind.__name__}"
        raise ClassifierError(f"The classifier's answer cannot be understood: {text}. Restart the lab.")
    return answer


def _pump(process: subprocess.Popen[str], answers: queue.SimpleQueue[str]) -> None:
    """Hands on every line, and an empty one at the process's end, so that nobody waits for the dead."""
    assert process.stdout
    with process.stdout:
        for line in process.stdout:
            answers.put(line)
    answers.put("")
