"""WORKER_PYTHON -m engine.worker.classify.classifier LAB_HOME: answers pictures until its stdin closes.

    --device gpu     answers through TensorFlow, on the GPU, which it holds as a run does
    --tensorflow     the same way on the CPU
    --memory BYTES   how much the models may take together; by default see engine/worker/classify/models.py
    --room BYTES     how much must be left for a run while one works or waits

A request a line on stdin, an answer a line on stdout; engine/contract/protocol.py has a record for each.

Which kinds of models there are and how they are loaded: models.py beside this. The process is as nice as the server,
so a run, which is nicer by 10, gives way for the few milliseconds of an answer and has the cores for the rest of the
time; an answer takes four threads at most. It ends by itself, with exit code 75, between two answers: on the GPU as
soon as a run works or waits there; elsewhere once a run works or waits, memory is short, and nobody has asked for a
while. The next question starts it again. Python 3.6.
"""

import argparse
import io
import os
import sys
import threading
import time
from typing import Any, List, Optional, Union

import numpy as np
from PIL import Image

from engine.contract import catalog, choices, memory, protocol, tickets
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, read_json, try_lock
from engine.worker import images
from engine.worker.classify import explain
from engine.worker.classify.models import Model, Models, Refused
from engine.worker.features import distortions
from engine.worker.formats import tflite

# Seconds without a question, after which a run that needs the memory gets it: somebody who goes from picture to picture
# need not wait for the models each time.
QUIET = 5.0


class Classifier:
    def __init__(self, home: LabHome, models: Optional[Models] = None) -> None:
        self.home, self.models = home, models or Models(home)

    def answer(self, request: protocol.Request) -> protocol.Answer:
        """Raises Refused."""
        if isinstance(request, protocol.Classify):
            return self._classified(self.models.get(request.model), request.model, request)
        if isinstance(request, protocol.ClassifyGraph):
            return self._classified(self.models.get_graph(request), "", request)
        if isinstance(request, protocol.ClassifyDigit):
            return self._networks(request.model, request.pixels)
        if isinstance(request, protocol.Distort):
            return protocol.Distorted(self._distorted(request))
        if isinstance(request, protocol.ReportMemory):
            return self.models.memory()
        if isinstance(request, protocol.Prepare):
            model = self.models.get(request.model)
            return protocol.Prepared(model.load_seconds, model.first_seconds)
        return explain.answer(self.models, request)

    def _classified(
        self, model: Model, key: str, request: Union[protocol.Classify, protocol.ClassifyGraph]
    ) -> protocol.Classified:
        """`key`: of the model; "" for a graph file. Raises Refused."""
        began = time.perf_counter()
        image = decoded(request.image, model.preprocessing)
        ready = time.perf_counter()
        pixels = resized(image, model)
        small = time.perf_counter()
        value = normalised(pixels, model)
        seconds = []
        for _ in range(1 + request.repeats):
            asked = time.perf_counter()
            answer = model.run(value)
            seconds.append(time.perf_counter() - asked)
        probabilities = answer[0]  # (classes,)
        if not np.isfinite(probabilities).all():
            raise Refused("The model answers with values that are no numbers. Check the input's mean and std.")
        order = np.argsort(-probabilities, kind="stable")[: request.top]
        return protocol.Classified(
            top=[protocol.Scored(model.labels[at], float(probabilities[at])) for at in order],
            runtime=model.runtime,
            device=model.device,
            load_seconds=model.load_seconds,
            first_seconds=model.first_seconds,
            decode_seconds=ready - began,
            resize_seconds=small - ready,
            seconds=seconds[0],
            width=image.width,
            height=image.height,
            seen_png=png(pixels),
            p50_seconds=float(np.median(seconds[1:])) if seconds[1:] else None,
            classes=len(model.labels),
            input_layer=model.input_layer,
            output_layer=model.output_layer,
            input_height=model.input_height,
            input_width=model.input_width,
            input_mean=model.input_mean,
            input_std=model.input_std,
            found=model.found,
            p95_seconds=float(np.percentile(seconds[1:], 95)) if seconds[1:] else None,
            score_calibrated=explain.calibrated_score(self.home, key, probabilities),
            repeat_seconds=tuple(seconds[1:]),
        )

    def _distorted(self, request: protocol.Distort) -> List[bytes]:
        """JPEGs. Raises Refused."""
        try:
            row = catalog.backbone(request.backbone, self.home)
        except KeyError:
            raise Refused(f"There is no backbone {request.backbone!r} on this machine.") from None
        # Pillow's decoder for every backbone: the difference cannot be seen, and TensorFlow need not be loaded.
        image = decoded(request.image, catalog.PILLOW)
        spec = RaceSpec(**{name: getattr(request, name) for name in choices.DISTORTIONS})
        samples = []
        for number in range(request.samples):
            random = np.random.RandomState([request.seed, number])
            pixels = distortions.distort(image, row.size, spec, random, row.preprocessing)
            file = io.BytesIO()
            Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
            samples.append(file.getvalue())
        return samples

    def _networks(self, name: str, gray: bytes) -> protocol.DigitClassified:
        folder = self.home.run(name)
        if name != folder.id or not (os.path.isdir(folder.networks) and os.path.isfile(folder.contract)):
            raise Refused(f"There are no trained networks of {name!r}. The run may have been deleted.")
        pixels = np.frombuffer(gray, np.uint8).reshape(1, 28, 28, 1).astype(np.float32)
        rgb = np.repeat(pixels, 3, axis=3)
        answers: List[protocol.NetworkScores] = []
        model: Optional[Model] = None
        for network in read_json(folder.contract)["networks"]:
            model = self.models.get("{}:{}".format(name, network["name"]))
            began = time.perf_counter()
            probabilities = model.run(rgb)[0]
            seconds = time.perf_counter() - began
            # NaN is no JSON, and a network that diverged must not hide what the others say.
            numbers = [value if np.isfinite(value) else None for value in probabilities.tolist()]
            answers.append(protocol.NetworkScores(network["name"], numbers, seconds))
        runtime = model.runtime if model else tflite.interpreter()[1]
        return protocol.DigitClassified(answers, runtime, model.device if model else "CPU")


def decoded(image: bytes, preprocessing: str) -> Image.Image:
    """Raises Refused."""
    try:
        return images.decode(image, preprocessing)
    except images.ImageError as error:
        raise Refused(f"This picture cannot be used: {error}.") from error


def resized(image: Image.Image, model: Model) -> np.ndarray:
    """(height, width, 3), 0..255; uint8 or float32."""
    return images.resize_to(image, model.input_height, model.input_width, model.preprocessing)


def normalised(pixels: np.ndarray, model: Model) -> np.ndarray:
    """(height, width, 3) -> (1, height, width, 3) float32, as the model's `run` takes it."""
    mean, std = np.float32(model.input_mean), np.float32(model.input_std)
    return ((pixels[None].astype(np.float32) - mean) / std).astype(np.float32)


def png(pixels: np.ndarray) -> bytes:
    """(height, width, 3) uint8 or float32, 0..255 -> a PNG file."""
    if pixels.dtype != np.uint8:
        pixels = np.clip(pixels + 0.5, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


class Turn:
    """Held while a question is answered; `asked`: when the last one was, monotonic seconds."""

    def __init__(self) -> None:
        self.lock, self.asked = threading.Lock(), time.monotonic()


def must_go(home: LabHome, device: str, room: int, quiet: float) -> bool:
    """Whether a run needs what this process holds; `quiet`: seconds since the last question."""
    if device == choices.GPU:
        return bool(tickets.line(home, choices.GPU))
    if quiet < QUIET or not any(tickets.line(home, each) for each in choices.DEVICES):
        return False
    left = memory.available()
    return left is not None and left < room


def _leave_to_runs(home: LabHome, device: str, room: int, turn: Turn) -> None:
    """End the process between two answers where a run needs what it holds."""
    while True:
        time.sleep(0.5)
        with turn.lock:
            if must_go(home, device, room, time.monotonic() - turn.asked):
                os._exit(tickets.MADE_WAY)


def _answered(classifier: Classifier, line: str) -> protocol.Answer:
    try:
        return classifier.answer(protocol.decode(line, protocol.REQUESTS))
    except Refused as error:
        return protocol.Refusal(str(error))
    except Exception as error:  # the next request must still be answered
        return protocol.Refusal(f"The classifier failed: {type(error).__name__}: {error}")


def main(options: Any) -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    home, turn = LabHome(options.home), Turn()
    if options.device == choices.GPU:
        os.makedirs(home.queue, exist_ok=True)
        if try_lock(tickets.device_lock(home, choices.GPU)) < 0:  # dropped with the process
            os._exit(tickets.MADE_WAY)  # a run was quicker
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # TFLite answers on the CPU; a run may be using the GPU
    threading.Thread(target=_leave_to_runs, args=(home, options.device, options.room, turn), daemon=True).start()
    through_tensorflow = options.tensorflow or options.device == choices.GPU
    classifier = Classifier(home, Models(home, through_tensorflow, options.memory))
    for line in sys.stdin:
        with turn.lock:
            answers.write(protocol.encode(_answered(classifier, line)) + "\n")
            answers.flush()
            turn.asked = time.monotonic()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("home")
    parser.add_argument("--device", choices=choices.DEVICES, default=choices.CPU)
    parser.add_argument("--tensorflow", action="store_true")
    parser.add_argument("--memory", type=int)
    parser.add_argument("--room", type=int, default=memory.RUN)
    main(parser.parse_args())
