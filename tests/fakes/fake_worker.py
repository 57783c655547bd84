"""python -m tests.fakes.fake_worker RUN_FOLDER LOCK_FD: a worker without TensorFlow.

Takes the spec, the lock and the line of a real one, reports the same events and leaves the same files
(tests/test_fake_worker.py); its figures are invented and the same for the same spec. Its TFLite files answer by the
mean colour of a photo (tests/fakes/exported_files.py); its graphs and SavedModels are names without content.

FAKE_WORKER (words separated by commas) or the seed of the spec tells it to misbehave:

    word      seed   what happens
    fail      901    fails half way through Bottlenecks; a comparison of networks, half way through Training
    hang      902    stops reporting in the middle of Training and ignores the cancel flag
    diverge   903    the lane with the highest learning rate diverges
    skip      904    the first two photos cannot be read
    slow      905    trains for a minute; usually everything together takes FAKE_SECONDS (default 0.6)
    warn      906    says a warning
    die       907    is killed in the middle of Training, without a word

All kinds of run are told here; diverge and skip mean nothing to a comparison, diverge nothing to many pictures, which
have no seed.
"""

import functools
import hashlib
import math
import os
import random
import signal
import sys
import time
import zlib
from collections.abc import Callable

import numpy as np

from engine.contract import catalog, choices, events, hardware, layers, signatures, specs, tickets
from engine.contract import dataset as datasets
from engine.contract import models as keys
from engine.contract.kinds.batch_classification import (
    BatchClassificationResult,
    BatchClassificationSpec,
    Classified,
    ModelLoaded,
)
from engine.contract.kinds.batch_size import BatchSizeResult, BatchSizeSpec, BatchTried
from engine.contract.kinds.fine_tuning import FineTuned, FineTuningResult, FineTuningSpec
from engine.contract.kinds.learning_curve import ALL_PHOTOS, LearningCurvePoint, LearningCurveResult, LearningCurveSpec
from engine.contract.kinds.mnist import MnistResult, MnistSpec, NetworkExported, NetworkResult
from engine.contract.kinds.race import LaneResult, RaceResult, RaceSpec
from engine.contract.run_folder import RunFolder, try_lock, write_json
from tests.fakes import exported_files

BEHAVIOUR_OF_SEED = {901: "fail", 902: "hang", 903: "diverge", 904: "skip", 905: "slow", 906: "warn", 907: "die"}
SHARES = {events.SCANNING: 0.05, events.BOTTLENECKS: 0.25, events.TRAINING: 0.6, events.EVALUATING: 0.05}
BLOCKS = 20  # a stage reports this often
TEST_IMAGES = 200
DIGITS = 60_000  # training images, where the set of digits is not on the machine
EXPORT_DIFFERENCE = 2.1e-7  # of a probability, 8 bits left out
CALIBRATED = 1.2  # temperature
LARGER = 20_000  # bytes by which a TFLite file is larger than the one with 8 bits


class Cancelled(Exception):
    pass


class Fake:
    """What a worker of any kind of run does around its story."""

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.spec = specs.read(folder.spec)
        self.lanes = self.spec.lane_names()
        words = set(os.environ.get("FAKE_WORKER", "").split(","))
        self.behaviour = words | {BEHAVIOUR_OF_SEED.get(getattr(self.spec, "seed", 0), "")}
        self.seconds = float(os.environ.get("FAKE_SECONDS", "0.6"))

    def say(self, *new) -> None:
        events.append(self.folder.events, *new)

    def run(self) -> None:
        ticket = next(e.ticket for e in events.Reader(self.folder.events).read() if isinstance(e, events.State))
        device = -1
        try:
            device = self._wait(ticket)
            self.say(events.State(time.time(), events.RUNNING, 0), hardware.here())
            self._story()
            signatures.sign(self.folder)
            self.say(events.State(time.time(), events.DONE, 0))
        except Cancelled:
            self.say(events.State(time.time(), events.CANCELLED, 0))
        finally:
            tickets.leave(self.folder.home, self.spec.device, ticket)
            if device >= 0:
                os.close(device)

    def _wait(self, ticket: int) -> int:
        """The descriptor of the device's lock, once it is this run's turn."""
        while True:
            self._stop_if_asked()
            if not any(tickets.ahead_of(self.folder.home, device, ticket) for device in specs.lines(self.spec)):
                lock = try_lock(tickets.device_lock(self.folder.home, self.spec.device))
                if lock >= 0:
                    return lock
            time.sleep(0.05)

    def _story(self) -> None:
        raise NotImplementedError

    def _stage(self, name: str, total: int) -> None:
        self.say(events.Stage(time.time(), name, total))
        for block in range(1, BLOCKS + 1):
            self._stop_if_asked()
            time.sleep(self.seconds * SHARES.get(name, 0.05) / BLOCKS)
            if total:
                self.say(events.Progress(time.time(), total * block // BLOCKS))
            if name == events.BOTTLENECKS and block == BLOCKS // 2:
                self._fail_if_told("Out of memory while computing bottlenecks.")

    def _counted_stage(self, name: str, *steps: Callable[[], None]) -> None:
        """A stage that is done once each of the steps is."""
        self.say(events.Stage(time.time(), name, len(steps)))
        for done, step in enumerate(steps, 1):
            self._stop_if_asked()
            time.sleep(self.seconds * SHARES.get(name, 0.05) / len(steps))
            step()
            self.say(events.Progress(time.time(), done))

    def _rest(self) -> None:
        """The time of one block of Training, or less where the run is to stop."""
        seconds = 60.0 if "slow" in self.behaviour else self.seconds * SHARES[events.TRAINING]
        until = time.monotonic() + seconds / BLOCKS
        while (left := until - time.monotonic()) > 0 and not os.path.exists(self.folder.cancel):
            time.sleep(min(left, 0.1))

    def _misbehave(self) -> None:
        """In the middle of Training."""
        if "die" in self.behaviour:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in self.behaviour:
            print("It hangs.", flush=True)  # in the run's log: from here on nothing ends it but a signal
            while True:
                time.sleep(1)

    def _fail_if_told(self, message: str) -> None:
        if "fail" not in self.behaviour:
            return
        hint = "Close other programs, or choose something smaller."
        self.say(events.Error(time.time(), "out_of_memory", message, hint), events.State(time.time(), events.FAILED, 0))
        print("Traceback: ResourceExhaustedError: OOM when allocating tensor", flush=True)
        sys.exit(1)

    def _stop_if_asked(self) -> None:
        if os.path.exists(self.folder.cancel):
            raise Cancelled

    def _write_labels(self, labels) -> None:
        with open(self.folder.labels, "w", encoding="utf-8") as file:
            file.write("".join(label + "\n" for label in labels))

    def _write_summaries(self, other: str = "") -> None:
        for place in [self.folder.summaries, *([os.path.join(other, self.folder.id)] if other else [])]:
            for lane in self.lanes:
                exported_files.write_summaries(os.path.join(place, lane))


class FakeOfPhotos(Fake):
    """What learns from photos and is exported."""

    def __init__(self, folder: RunFolder):
        super().__init__(folder)
        self.dataset = datasets.read(folder.dataset)
        self.photos = self.dataset.photos[2 if "skip" in self.behaviour else 0 :]
        self.splits = [photo.split for photo in self.photos]
        self.backbone = catalog.backbone(self.spec.backbone, folder.home)

    def _write_photos(self) -> None:
        value = {
            "files": [photo.file for photo in self.photos],
            "sha256": [_sha256(os.path.join(self.dataset.root, photo.file)) for photo in self.photos],
            "label_of_file": [photo.label for photo in self.photos],
            "split_of_file": self.splits,
        }
        write_json(self.folder.photos, value)

    def _write_head(self, lane: str) -> None:
        """The last layer of a lane, which answers nothing in particular."""
        os.makedirs(self.folder.lanes, exist_ok=True)
        classes, noise = len(self.dataset.labels), np.random.default_rng(self.lanes.index(lane))
        weights = noise.normal(0, 0.001, (self.backbone.width, classes)).astype(np.float32)
        np.savez(keys.lane_file(self.folder, lane), weights=weights, bias=np.zeros(classes, np.float32))

    def _write_contract(self, kept: dict) -> None:
        """`kept`: what names the lane, see engine/contract/models.py."""
        row = self.backbone
        pillow = row.preprocessing == catalog.PILLOW
        weights = os.path.normpath(os.path.join(self.folder.home.assets, row.weights))
        contract = {
            "input": {"height": row.size, "width": row.size, "channels": "RGB", "range": [0, 255]},
            "mean": list(row.mean),
            "std": list(row.std),
            "normalised_inside_the_model": True,
            "preprocessing": row.preprocessing,
            "resize": "pillow bilinear" if pillow else "tensorflow bilinear",
            "decoder": "pillow" if pillow else "tensorflow",
            "exif_orientation": "applied" if pillow else "ignored",
            "labels": self.dataset.labels,
            "backbone": row.name,
            "backbone_source": row.source,
            "backbone_licence": row.licence,
            "weights_sha256": _sha256(weights),
        }
        write_json(self.folder.contract, contract | kept)

    def _write_tflite(self, path: str, padding: int = LARGER) -> None:
        with open(path, "wb") as file:
            file.write(exported_files.photo_model(self.dataset.labels, self.backbone.size, padding))

    def _write_graph(self, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(f"a graph for {getattr(self.spec, 'final_tensor_name', 'final_result')}".encode() * 1700)

    def _say_exported(self, *paths: str, accuracy: float) -> None:
        """Of files that were loaded again; a file with 8 bits is a little worse and quicker."""
        tested = self.splits.count("testing")
        for number, path in enumerate(paths, 1):
            small = path == self.folder.tflite_8bit
            self.say(
                events.Exported(
                    t=time.time(),
                    file=os.path.basename(path),
                    bytes=_size(path),
                    accuracy=accuracy - (1 / tested if small and accuracy else 0),
                    photos=tested,
                    difference=0.013 if small else EXPORT_DIFFERENCE / number,
                    seconds=0.009 if small else 0.013 * number,
                )
            )


def _sha256(path: str) -> str:
    """Of the file's bytes; of its name where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return hashlib.sha256(path.encode()).hexdigest()


def _size(path: str) -> int:
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(where, name)) for where, _, names in os.walk(path) for name in names)


def _calibrated(predictions: dict, lane: str, validation: int, distorted: bool) -> dict:
    """What calibration.json says of a lane whose scores are as they should be."""
    scores = predictions["lanes"][lane]["score"]
    right = [
        said == true for said, true in zip(predictions["lanes"][lane]["predicted"], predictions["truth"], strict=True)
    ]
    bins: dict[str, list] = {"low": [], "high": [], "photos": [], "confidence": [], "right": []}
    error = 0.0
    for tenth in range(10):
        inside = [at for at, score in enumerate(scores) if max(0, math.ceil(score * 10) - 1) == tenth]
        mean = sum(scores[at] for at in inside) / len(inside) if inside else None
        share = sum(right[at] for at in inside) / len(inside) if inside else None
        values = (tenth / 10, (tenth + 1) / 10, len(inside), mean, share)
        for name, value in zip(bins, values, strict=True):
            bins[name].append(value)
        if inside:
            error += abs(mean - share) * len(inside) / len(scores)
    return {
        "temperature": CALIBRATED,
        "validation_photos": validation,
        "photos": len(scores),
        "bins": bins,
        "expected_calibration_error": error,
        "uncalibrated_error": 2 * error,
        "none_of_these": {
            "score": 0.4,
            "distance": None if distorted else 0.21,
            "validation_alarms": 0,
            "validation_photos": validation,
            "false_alarms": 1,
            "photos": len(scores),
        },
    }


class FakeRetraining(FakeOfPhotos):
    def __init__(self, folder: RunFolder):
        super().__init__(folder)
        self.distorted = choices.is_distorted(self.spec)
        self.final_validation: dict[str, float] = {}

    def _story(self) -> None:
        every = len(self.dataset.photos)
        self._stage(events.SCANNING, every)
        if "warn" in self.behaviour:
            self.say(events.Warning(time.time(), "The cache was damaged and has been rebuilt."))
        self._stage(events.BOTTLENECKS, every)
        for photo in self.dataset.photos[: every - len(self.photos)]:
            self.say(events.Skipped(time.time(), photo.file, "The file is empty."))
        began = time.time()
        self._train(began)
        race_seconds = time.time() - began
        self._write_lanes()
        if "diverge" in self.behaviour:
            lane = self._diverging()
            why = f"The loss at {lane} left the numbers at step {self.spec.steps // 2}."
            self.say(events.Diverged(time.time(), lane, self.spec.steps // 2, why))
        self._evaluate()
        kept = max(self.lanes, key=lambda lane: self.final_validation[lane])
        self.say(events.Kept(time.time(), kept))
        self._export(kept)
        training, validation, testing = (self.splits.count(name) for name in datasets.SPLITS)
        self.say(
            RaceResult(
                t=time.time(),
                kept=kept,
                images=len(self.photos),
                training=training,
                validation=validation,
                testing=testing,
                cached=0,
                computed=len(self.photos) - (training if self.distorted else 0),
                decode_seconds=0.2,
                backbone_seconds=0.8,
                race_seconds=race_seconds,
                export_difference=EXPORT_DIFFERENCE,
                export_photos=testing,
                runtime="fake worker",
                peak_memory_bytes=200_000_000,
                cache_seconds=0.1 if self.spec.use_cache else 0.0,
                import_seconds=1.5,
            )
        )

    def _train(self, began: float) -> None:
        steps = self.spec.steps
        a_step = 1  # what is counted in one: of distorted photos each, as a step takes seconds
        if self.distorted:
            batch = self.spec.train_batch_size
            a_step = self.splits.count("training") if batch == -1 else batch
        self.say(events.Stage(time.time(), events.TRAINING, steps * a_step))
        self._write_summaries(self.spec.summaries_dir)
        interval = self.spec.eval_step_interval
        evaluated = [*range(interval, steps, interval), steps]
        size = max(1, math.ceil(len(evaluated) / BLOCKS))
        for start in range(0, len(evaluated), size):
            if os.path.exists(self.folder.cancel):
                self._write_lanes()  # what was learned so far is kept
                raise Cancelled
            self._rest()
            block = evaluated[start : start + size]
            if start >= len(evaluated) // 2:
                self._misbehave()
            seconds = time.time() - began
            for lane in self.lanes:
                for split in ("training", "validation"):
                    accuracy, entropy = zip(*[self._figures(lane, split, step) for step in block], strict=True)
                    when = [round(seconds * step / block[-1], 4) for step in block]
                    metric = events.Metric(time.time(), lane, split, block, when, list(accuracy), list(entropy))
                    self.say(metric)
            self.say(events.Progress(time.time(), block[-1] * a_step))

    def _figures(self, lane: str, split: str, step: int) -> tuple[float, float | None]:
        """Accuracy 0..1 and cross-entropy, invented: high rates learn fast, end lower and wobble."""
        rate, classes = float(lane), len(self.dataset.labels)
        if "diverge" in self.behaviour and lane == self._diverging() and step >= self.spec.steps // 2:
            return 1 / classes, None
        chance = random.Random(f"{self.spec.seed} {lane} {split} {step}").gauss(0, 1)
        top = 0.93 - 0.012 * max(0.0, math.log10(rate / 0.02)) + (0.04 if split == "training" else 0.0)
        learnt = 1 - math.exp(-step * (0.0005 + 0.02 * rate))
        accuracy = 1 / classes + (top - 1 / classes) * learnt + chance * (0.004 + 0.008 * min(rate, 1))
        entropy = math.log(classes) * (1 - learnt) + 0.9 * (1 - top) * 2.5 + abs(chance) * 0.02
        return round(min(1.0, max(0.0, accuracy)), 4), round(entropy, 5)

    def _diverging(self) -> str:
        return max(self.lanes, key=float)

    def _evaluate(self) -> None:
        photos = [photo for photo in self.photos if photo.split == "testing"]
        if self.spec.test_batch_size != -1:  # drawn with replacement
            photos = random.Random(self.spec.seed).choices(photos, k=self.spec.test_batch_size)
        classes = len(self.dataset.labels)
        self.predictions: dict = {
            "files": [photo.file for photo in photos],
            "truth": [photo.label for photo in photos],
            "lanes": {},
        }

        def lane_is_tested(lane: str) -> None:
            accuracy, entropy = self._figures(lane, "validation", self.spec.steps)
            chance = random.Random(f"{self.spec.seed} {lane} testing")
            predicted = [photo.label if chance.random() < accuracy else chance.randrange(classes) for photo in photos]
            score = [round(chance.uniform(0.5, 1.0), 4) for _ in photos]
            self.predictions["lanes"][lane] = {"predicted": predicted, "score": score}
            interval = self.spec.eval_step_interval
            evaluated = [*range(interval, self.spec.steps, interval), self.spec.steps]
            best = max(evaluated, key=lambda step: self._figures(lane, "validation", step)[0])
            self.final_validation[lane] = accuracy
            self.say(
                LaneResult(
                    t=time.time(),
                    lane=lane,
                    test_accuracy=self._test_accuracy(lane),
                    test_n=len(photos),
                    final_validation_accuracy=accuracy,
                    final_validation_cross_entropy=entropy,
                    best_validation_accuracy=self._figures(lane, "validation", best)[0],
                    best_step=best,
                    diverged="diverge" in self.behaviour and lane == self._diverging(),
                )
            )

        self._counted_stage(events.EVALUATING, *[functools.partial(lane_is_tested, lane) for lane in self.lanes])
        write_json(self.folder.predictions, self.predictions)
        validation, diverged = self.splits.count("validation"), self._diverging() if "diverge" in self.behaviour else ""
        measured = {
            lane: None if lane == diverged else _calibrated(self.predictions, lane, validation, self.distorted)
            for lane in self.lanes
        }
        write_json(self.folder.calibration, {"lanes": measured})
        self._write_photos()

    def _test_accuracy(self, lane: str) -> float:
        predicted, truth = self.predictions["lanes"][lane]["predicted"], self.predictions["truth"]
        return sum(said == true for said, true in zip(predicted, truth, strict=True)) / max(1, len(truth))

    def _write_lanes(self) -> None:
        for lane in self.lanes:
            self._write_head(lane)
        self._write_labels(self.dataset.labels)

    def _export(self, kept: str) -> None:
        folder = self.folder

        def write_model() -> None:
            exported_files.write_saved_model(folder.saved_model)
            self._write_contract({"learning_rate": float(kept)})

        def write_eight_bits() -> None:
            self._write_tflite(folder.tflite_8bit, padding=0)
            if every := self.spec.intermediate_store_frequency:
                for step in range(every, self.spec.steps + 1, every):
                    self._write_graph(os.path.join(folder.intermediate, f"intermediate_{step}.pb"))

        def load_again() -> None:
            paths = (folder.saved_model, folder.graph, folder.tflite, folder.tflite_8bit)
            self._say_exported(*paths, accuracy=self._test_accuracy(kept))

        self._counted_stage(
            events.EXPORTING,
            write_model,
            lambda: self._write_graph(folder.graph),
            lambda: self._write_tflite(folder.tflite),
            write_eight_bits,
            load_again,
        )


class FakeMnist(Fake):
    """Networks further down the list learn more slowly and end higher."""

    def _story(self) -> None:
        self._stage(events.LOADING, 0)
        if "warn" in self.behaviour:
            self.say(events.Warning(time.time(), "The cache was damaged and has been rebuilt."))
        self.started = {}
        self._load()
        for network in self.spec.networks:
            held_out = min(network.validation_images, self.digits // 10)
            training = min(self.digits - held_out, self.spec.training_images or self.digits)
            batch = min(network.batch_size, training)
            an_epoch = math.ceil(training / batch)
            self.started[network.name] = events.LaneStarted(
                time.time(), network.name, training, held_out, batch, an_epoch, an_epoch * self.spec.epochs
            )
        self.say(*self.started.values())
        self.learned = dict.fromkeys(self.lanes, 0)  # steps
        self.stopped: set[str] = set()
        try:
            self._train()
        except Cancelled:
            self._write_weights()  # what was learned so far is kept
            raise
        self._evaluate()
        self._write_weights()
        writes = [functools.partial(self._write_network, lane) for lane in self.lanes]
        self._counted_stage(events.EXPORTING, *writes, self._load_again)
        self.say(MnistResult(time.time(), "fake worker", 200_000_000))

    def _load(self) -> None:
        """How many training images there are, and labels and pixels of the test images; invented without the set."""
        chance = np.random.default_rng(self.spec.seed)
        try:
            row = catalog.digit_set(self.spec.data)
            with np.load(os.path.normpath(os.path.join(self.folder.home.assets, row.file))) as file:
                self.digits, self.truth, self.pixels = len(file["y_train"]), file["y_test"].astype(int), file["x_test"]
        except (OSError, ValueError):
            self.digits, self.truth = DIGITS, chance.integers(0, 10, TEST_IMAGES)
            self.pixels = chance.integers(0, 256, (TEST_IMAGES, 28, 28)).astype(np.uint8)

    def _write_network(self, lane: str) -> None:
        exported_files.write_saved_model(self.folder.network_saved_model(lane))
        with open(self.folder.network_tflite(lane), "wb") as file:
            file.write(exported_files.digit_model())

    def _load_again(self) -> None:
        contract = {
            "input": {"height": 28, "width": 28, "channels": "gray, 0 paper, 255 ink", "range": [0, 255]},
            "normalised_inside_the_model": True,
            "centring": "fitted into 20 x 20, then the centre of mass moved to the middle of 28 x 28",
            "labels": list(catalog.digit_set(self.spec.data).labels),
            "networks": [network._asdict() for network in self.spec.networks],
        }
        write_json(self.folder.contract, contract)
        compared = min(64, len(self.truth))
        for number, lane in enumerate(self.lanes, 1):
            self.say(NetworkExported(time.time(), lane, 1.2e-7, compared, 0.0002 * number))

    def _train(self) -> None:
        self.say(events.Stage(time.time(), events.TRAINING, sum(each.steps for each in self.started.values())))
        self._write_summaries()
        for block in range(1, BLOCKS + 1):
            self._stop_if_asked()
            self._rest()
            if block > BLOCKS // 2:
                self._misbehave()
                self._fail_if_told("Out of memory while training Strong.")
            for number, lane in enumerate(self.lanes):
                started = self.started[lane]
                if lane in self.stopped or self.learned[lane] == started.steps:
                    continue
                if os.path.exists(self.folder.stop(lane)):
                    self.stopped.add(lane)
                else:
                    # the first network is through after three quarters of the time
                    ahead = 1 + (len(self.lanes) - 1 - number) / (3 * max(1, len(self.lanes) - 1))
                    until = min(started.steps, round(started.steps * ahead * block / BLOCKS))
                    self._tell(lane, range(self.learned[lane] + 1, until + 1))
                    self.learned[lane] = until
                if lane in self.stopped or self.learned[lane] == started.steps:
                    self.say(events.LaneEnded(time.time(), lane, lane in self.stopped))
            self.say(events.Progress(time.time(), sum(self.learned.values())))

    def _tell(self, lane: str, steps: range) -> None:
        if not steps:
            return
        said = self._figures(lane, "training", list(steps))
        self.say(events.Metric(time.time(), lane, "training", list(steps), *said))
        started = self.started[lane]
        ends = [step for step in steps if step % started.steps_an_epoch == 0] if started.validation else []
        if ends:
            said = self._figures(lane, "validation", ends)
            self.say(events.Metric(time.time(), lane, "validation", ends, *said))

    def _figures(self, lane: str, split: str, steps: list[int]) -> tuple[list[float], list[float], list[float]]:
        """Seconds spent on the network, accuracy 0..1 and cross-entropy, invented: the same for the same step."""
        number = self.lanes.index(lane)
        chance = np.random.default_rng(zlib.crc32(f"{self.spec.seed} {lane} {split}".encode()))
        noise = chance.normal(0, 0.02 if split == "training" else 0.001, steps[-1])[np.array(steps) - 1]
        epochs = np.array(steps) / self.started[lane].steps_an_epoch
        top = self._top(lane)
        accuracy = np.clip(0.1 + (top - 0.1) * (1 - np.exp(-6 * epochs)) + noise, 0, 1)
        entropy = 2.3 * np.exp(-6 * epochs) + 3 * (1 - top) + np.abs(noise)
        seconds = 0.4 * (number + 1) * epochs
        return seconds.round(3).tolist(), accuracy.round(5).tolist(), entropy.round(5).tolist()

    def _top(self, lane: str) -> float:
        return min(0.996, 0.94 + 0.015 * self.lanes.index(lane))

    def _evaluate(self) -> None:
        chance = np.random.default_rng(self.spec.seed)
        truth, count = self.truth, len(self.truth)
        said, wrong = {}, np.zeros(count, bool)

        def network_is_tested(network: catalog.Network) -> None:
            lane, started = network.name, self.started[network.name]
            rows = layers.costs(layers.read(network.layers))
            answers = np.where(chance.random(count) < self._top(lane), truth, (truth + 1) % 10)
            np.logical_or(wrong, answers != truth, out=wrong)
            score = chance.uniform(0.5, 1.0, count).round(4)
            said[lane] = {"predicted": answers.tolist(), "score": score.tolist()}
            ends = range(started.steps_an_epoch, self.learned[lane] + 1, started.steps_an_epoch)
            validation = self._figures(lane, "validation", list(ends))[1] if ends and started.validation else []
            epochs = self.learned[lane] / started.steps_an_epoch
            seconds = 0.4 * (self.lanes.index(lane) + 1) * epochs
            self.say(
                NetworkResult(
                    t=time.time(),
                    lane=lane,
                    parameters=layers.parameters(rows),
                    multiply_adds=layers.multiply_adds(rows),
                    epochs=round(epochs, 3),
                    train_seconds=seconds,
                    images_per_second=epochs * started.training / seconds if seconds else 0.0,
                    test_accuracy=float((answers == truth).mean()),
                    test_n=count,
                    validation_accuracy=validation[-1] if validation else None,
                    best_epoch=1 + validation.index(max(validation)) if validation else 0,
                    stopped=lane in self.stopped,
                )
            )

        tests = [functools.partial(network_is_tested, network) for network in self.spec.networks]
        self._counted_stage(events.EVALUATING, *tests)
        index = np.flatnonzero(wrong)
        write_json(self.folder.predictions, {"files": [], "truth": truth.tolist(), "lanes": said})
        means = chance.integers(0, 256, (10, 28, 28)).astype(np.uint8)
        pixels = self.pixels[index]
        np.savez(self.folder.digits, index=index.astype(np.int32), pixels=pixels, mean=means[0], class_means=means)

    def _write_weights(self) -> None:
        os.makedirs(self.folder.lanes, exist_ok=True)
        for lane in self.lanes:
            np.savez(os.path.join(self.folder.lanes, lane + ".npz"), **{"0 kernel": np.zeros((4, 10), np.float32)})
        self._write_labels(catalog.digit_set(self.spec.data).labels)


class FakeClassify(Fake):
    """Its model knows the pictures' folders and one label more, and takes every fifth picture for that one."""

    def _story(self) -> None:
        dataset = datasets.read(self.folder.dataset)
        labels = [label.lower() for label in dataset.labels] + ["lamp post"]
        self._stage(events.LOADING, 0)
        self._write_labels(labels)
        self.say(ModelLoaded(time.time(), "fake worker", "CPU", 224, 224, 0.03))
        if "warn" in self.behaviour:
            self.say(events.Warning(time.time(), "The cache was damaged and has been rebuilt."))
        number = len(dataset.photos)
        self.say(events.Stage(time.time(), events.CLASSIFYING, number))
        size = max(1, math.ceil(number / BLOCKS))
        skipped = 2 if "skip" in self.behaviour else 0
        for start in range(0, number, size):
            self._stop_if_asked()
            self._rest()
            if start >= number // 2:
                self._misbehave()
                self._fail_if_told("Out of memory while classifying.")
            block = range(start, min(number, start + size))
            used = [place for place in block if place >= skipped]
            for place in block[: len(block) - len(used)]:
                self.say(events.Skipped(time.time(), dataset.photos[place].file, "the file is empty"))
            says = [len(labels) - 1 if place % 5 == 0 else max(0, dataset.photos[place].label) for place in used]
            top = min(self.spec.top, len(labels))
            listed = [(first + further) % len(labels) for first in says for further in range(top)]
            scores = []
            for place in used:
                first = round(0.95 - place % 7 / 20, 2)
                scores += [first, *[round(0.04 / further, 4) for further in range(1, top)]]
            learned = [place % 10 == 9 for place in used]
            self.say(Classified(time.time(), used, listed, scores, learned))
            self.say(events.Progress(time.time(), block[-1] + 1))
        self.say(BatchClassificationResult(time.time(), number - skipped, 0.2, 0.4, 0.008, 200_000_000))


class FakeFineTuning(FakeOfPhotos):
    """Every depth is surer than the one before it; with `warn` the last one had to halve its batch."""

    def _story(self) -> None:
        photos, splits = self.photos, self.splits
        training, validation, testing = (splits.count(name) for name in datasets.SPLITS)
        for stage in (events.SCANNING, events.BOTTLENECKS, events.LOADING):
            self._stage(stage, len(photos))
        self._write_labels(self.dataset.labels)
        self._write_photos()
        self.say(events.Stage(time.time(), events.TRAINING, len(self.lanes) * self.spec.epochs * training))
        self._write_summaries()
        self.batch_size = min(self.spec.batch_size, training)
        said: dict[str, dict] = {}
        tested = [photo for photo in photos if photo.split == "testing"]
        for number, lane in enumerate(self.lanes):
            at_once = self.batch_size
            if "warn" in self.behaviour and number == len(self.lanes) - 1:
                self._lane_begins(lane, training, validation)
                at_once //= 2
                message = f"{self.spec.lane_titles()[number]} ran out of memory."
                self.say(events.Warning(time.time(), message), events.BatchHalved(time.time(), lane, at_once))
            self._lane_begins(lane, training, validation)
            self._learn(number, lane, training)
            self._write_head(lane)
            wrong = max(1, 4 - number)  # of the testing photos
            classes = len(self.dataset.labels)
            predicted = [(p.label + (at < wrong)) % classes for at, p in enumerate(tested)]
            said[lane] = {"predicted": predicted, "score": [0.9] * len(tested)}
            truth = [photo.label for photo in tested]
            value = {"files": [photo.file for photo in tested], "truth": truth, "lanes": said}
            write_json(self.folder.predictions, value)
            self._tell_figures(number, lane, at_once, splits, 1 - wrong / len(tested))
        self.say(events.Kept(time.time(), self.lanes[-1]))
        self._export(1 - wrong / len(tested))
        self.say(FineTuningResult(time.time(), training, validation, testing, "fake worker"))

    def _export(self, accuracy: float) -> None:
        folder, kept = self.folder, self.lanes[-1]

        def write_others() -> None:
            self._write_graph(folder.graph)
            self._write_contract({"blocks": self.spec.blocks[-1]})

        paths = [folder.tflite if lane == kept else keys.lane_tflite(folder, lane) for lane in self.lanes]
        self._counted_stage(
            events.EXPORTING,
            *[functools.partial(self._write_tflite, path) for path in paths],
            lambda: exported_files.write_saved_model(folder.saved_model),
            write_others,
            lambda: self._say_exported(folder.saved_model, folder.graph, folder.tflite, accuracy=accuracy),
        )

    def _lane_begins(self, lane: str, training: int, validation: int) -> None:
        steps = math.ceil(training / self.spec.batch_size)
        started = (lane, training, validation, self.batch_size, steps, steps * self.spec.epochs)
        self.say(events.LaneStarted(time.time(), *started))

    def _learn(self, number: int, lane: str, training: int) -> None:
        self.say(events.Metric(time.time(), lane, "validation", [0], [0.0], [0.8], [0.5]))
        for epoch in range(1, self.spec.epochs + 1):
            self._stop_if_asked()
            self._rest()
            if number == len(self.lanes) // 2:
                self._misbehave()
                self._fail_if_told("Out of memory while training.")
            for split in ("training", "validation"):
                accuracy = 0.8 + 0.15 * (1 - math.exp(-epoch)) + 0.01 * number
                seconds = 0.2 * (number + 1) * epoch
                metric = (lane, split, [epoch], [seconds], [round(accuracy, 4)], [round(1 - accuracy, 4)])
                self.say(events.Metric(time.time(), *metric))
            done = (number * self.spec.epochs + epoch) * training
            self.say(events.Progress(time.time(), done))

    def _tell_figures(self, number: int, lane: str, at_once: int, splits: list[str], accuracy: float) -> None:
        blocks = self.spec.blocks[number]
        self.say(
            FineTuned(
                t=time.time(),
                lane=lane,
                blocks=19 if blocks == choices.ALL_BLOCKS else blocks,
                of_blocks=19,
                parameters=3843 + 400_000 * number,
                peak_memory_bytes=700_000_000 + 200_000_000 * number,
                epoch_seconds=0.2 * (number + 1),
                epochs=self.spec.epochs,
                batch_size=self.batch_size,
                at_once=at_once,
                features_kept=True,
                validation_accuracy=0.95,
                validation_cross_entropy=0.2,
                validation_n=splits.count("validation"),
                test_accuracy=accuracy,
                test_n=splits.count("testing"),
            )
        )


class FakeBatchSize(Fake):
    """Everything up to 16 fits; each picture more takes 40 MB."""

    def _story(self) -> None:
        self.say(events.Stage(time.time(), events.TRYING, 0))
        if "fail" in self.behaviour:
            self._fail_if_told("Not even one picture at a time fits into 700 MB.")
        for size in self._sizes():
            self._stop_if_asked()
            self._rest()
            if size > 1:
                self._misbehave()
            fits = size <= 16
            why = "" if fits else "TensorFlow was refused the memory (ResourceExhausted)"
            figures = (700_000_000 + 40_000_000 * size, 10 * min(size, 4) / 2) if fits else (0, 0.0)
            self.say(BatchTried(time.time(), size, fits, why, *figures))
        largest = min(16, self.spec.largest)
        limit = 1_000_000 * (self.spec.memory_limit or 2000)
        self.say(
            BatchSizeResult(time.time(), largest, self.spec.largest > 16, limit, 700_000_000, 2_213_221, "fake worker")
        )

    def _sizes(self) -> list[int]:
        """Doubled until one does not fit, then halved between."""
        sizes = [size for size in (1, 2, 4, 8, 16, 32) if size <= self.spec.largest]
        if sizes[-1] < min(32, self.spec.largest):
            sizes.append(self.spec.largest)
        low, high = 16, sizes[-1]
        while high > low + 1:
            high = (low + high) // 2
            sizes.append(high)
        return sizes


class FakeLearningCurve(Fake):
    """More photos help until 10 a class; every seed has its own luck. With `diverge` no training learns anything."""

    def _story(self) -> None:
        photos = datasets.read(self.folder.dataset).photos
        splits = [photo.split for photo in photos]
        for stage in (events.SCANNING, events.BOTTLENECKS):
            self._stage(stage, len(photos))
        if "skip" in self.behaviour:
            self.say(events.Skipped(time.time(), photos[0].file, "the file is empty"))
        counts = np.bincount([photo.label for photo in photos if photo.split == "training"])
        sizes = [size for size in sorted(self.spec.sizes) if size < counts.max()] + [ALL_PHOTOS]
        beyond = [str(size) for size in sorted(self.spec.sizes) if size >= counts.max()]
        if beyond or "warn" in self.behaviour:
            self.say(events.Warning(time.time(), f"{' and '.join(beyond) or 'None'} left out: too few photos."))
        steps, tested = self.spec.steps, splits.count("testing")
        self.say(events.Stage(time.time(), events.TRAINING, len(sizes) * self.spec.seeds * steps))
        done = 0
        for number, size in enumerate(sizes):
            for seed in range(self.spec.seed, self.spec.seed + self.spec.seeds):
                self._stop_if_asked()
                self._rest()
                if number == len(sizes) // 2:
                    self._misbehave()
                used = np.minimum(counts, size or counts.max())
                right = tested - round(0.4 * tested / min(4, used.min() / 2.5)) + (seed % 3 == 0)
                diverged = "diverge" in self.behaviour
                done += steps
                self.say(events.Progress(time.time(), done))
                self.say(
                    LearningCurvePoint(
                        time.time(), size, seed, int(used.sum()), 1 if diverged else min(tested, right), tested,
                        diverged, 0.1,
                    )
                )  # fmt: skip
        said = (splits.count("training"), splits.count("validation"), tested, len(photos), 0, "", 90_000_000)
        self.say(LearningCurveResult(time.time(), *said))


STORIES = {
    MnistSpec: FakeMnist,
    BatchClassificationSpec: FakeClassify,
    RaceSpec: FakeRetraining,
    FineTuningSpec: FakeFineTuning,
    BatchSizeSpec: FakeBatchSize,
    LearningCurveSpec: FakeLearningCurve,
}


def main(folder: RunFolder) -> None:
    STORIES[type(specs.read(folder.spec))](folder).run()


if __name__ == "__main__":
    os.ftruncate(int(sys.argv[2]), 0)
    os.write(int(sys.argv[2]), str(os.getpid()).encode())
    main(RunFolder(sys.argv[1]))
