"""python -m tests.fakes.fake_worker RUN_FOLDER LOCK_FD: a worker without TensorFlow.

Takes the spec, the lock and the line of a real one, reports the same events and leaves the same small files; its
figures are invented and the same for the same spec. There is no exported model: `Run.can_classify` stays False.

FAKE_WORKER (words separated by commas) or the seed of the spec tells it to misbehave:

    word      seed   what happens
    fail      901    fails in Bottlenecks, after half of the photos
    hang      902    stops reporting in the middle of Training and ignores the cancel flag
    diverge   903    the lane with the highest learning rate diverges
    skip      904    the first two photos cannot be read
    slow      905    trains for a minute; usually everything together takes FAKE_SECONDS (default 0.6)
    warn      906    says a warning
    die       907    is killed in the middle of Training, without a word
"""

import math
import os
import random
import signal
import sys
import time

import numpy as np

from engine.contract import catalog, events, specs, tickets
from engine.contract import dataset as datasets
from engine.contract.run_folder import RunFolder, try_lock, write_json

BEHAVIOUR_OF_SEED = {901: "fail", 902: "hang", 903: "diverge", 904: "skip", 905: "slow", 906: "warn", 907: "die"}
SHARES = {events.SCANNING: 0.05, events.BOTTLENECKS: 0.25, events.TRAINING: 0.6, events.EVALUATING: 0.05}
BLOCKS = 20  # a stage reports this often


class Cancelled(Exception):
    pass


class Fake:
    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.spec = specs.read(folder.spec)
        self.dataset = datasets.read(folder.dataset)
        words = set(os.environ.get("FAKE_WORKER", "").split(","))
        self.behaviour = words | {BEHAVIOUR_OF_SEED.get(self.spec.seed, "")}
        self.seconds = float(os.environ.get("FAKE_SECONDS", "0.6"))
        self.lanes = [specs.lane_name(rate) for rate in self.spec.learning_rates]
        self.final_validation: dict[str, float] = {}

    def say(self, *new) -> None:
        events.append(self.folder.events, *new)

    def run(self) -> None:
        ticket = next(e.ticket for e in events.Reader(self.folder.events).read() if isinstance(e, events.State))
        device = -1
        try:
            device = self._wait(ticket)
            self.say(events.State(time.time(), events.RUNNING, 0))
            self._story()
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
            if not tickets.ahead_of(self.folder.home, self.spec.device, ticket):
                lock = try_lock(tickets.device_lock(self.folder.home, self.spec.device))
                if lock >= 0:
                    return lock
            time.sleep(0.05)

    def _story(self) -> None:
        photos = self.dataset.photos
        self._stage(events.SCANNING, len(photos))
        if "warn" in self.behaviour:
            self.say(events.Warning(time.time(), "The cache was damaged and has been rebuilt."))
        if "skip" in self.behaviour:
            self.say(*[events.Skipped(time.time(), photo.file, "The file is empty.") for photo in photos[:2]])
        self._stage(events.BOTTLENECKS, len(photos))
        began = time.time()
        self._train(began)
        race_seconds = time.time() - began
        if "diverge" in self.behaviour:
            lane = self._diverging()
            why = f"The loss at {lane} left the numbers at step {self.spec.steps // 2}."
            self.say(events.Diverged(time.time(), lane, self.spec.steps // 2, why))
        self._stage(events.EVALUATING, 0)
        self._evaluate()
        kept = max(self.lanes, key=lambda lane: self.final_validation[lane])
        self.say(events.Kept(time.time(), kept))
        self._stage(events.EXPORTING, 0)
        self._export()
        splits = [photo.split for photo in photos]
        self.say(
            events.Result(
                t=time.time(),
                kept=kept,
                images=len(photos),
                training=splits.count("training"),
                validation=splits.count("validation"),
                testing=splits.count("testing"),
                cached=0,
                computed=len(photos),
                decode_seconds=0.2,
                backbone_seconds=0.8,
                race_seconds=race_seconds,
                export_difference=2.1e-7,
                export_photos=min(16, len(photos)),
                runtime="fake worker",
                peak_memory_bytes=200_000_000,
            )
        )

    def _stage(self, name: str, total: int) -> None:
        self.say(events.Stage(time.time(), name, total))
        for block in range(1, BLOCKS + 1):
            self._stop_if_asked()
            time.sleep(self.seconds * SHARES.get(name, 0.05) / BLOCKS)
            if total:
                self.say(events.Progress(time.time(), total * block // BLOCKS))
            if name == events.BOTTLENECKS and block == BLOCKS // 2 and "fail" in self.behaviour:
                message = "Out of memory while computing bottlenecks."
                hint = "Close other programs, or choose the smaller backbone."
                self.say(
                    events.Error(time.time(), "out_of_memory", message, hint),
                    events.State(time.time(), events.FAILED, 0),
                )
                print("Traceback: ResourceExhaustedError: OOM when allocating tensor", flush=True)
                sys.exit(1)

    def _train(self, began: float) -> None:
        steps = self.spec.steps
        self.say(events.Stage(time.time(), events.TRAINING, steps))
        interval = self.spec.eval_step_interval
        evaluated = [*range(interval, steps, interval), steps]
        size = max(1, math.ceil(len(evaluated) / BLOCKS))
        for start in range(0, len(evaluated), size):
            if os.path.exists(self.folder.cancel):
                self._write_lanes()  # what was learned so far is kept
                raise Cancelled
            time.sleep((60.0 if "slow" in self.behaviour else self.seconds * SHARES[events.TRAINING]) / BLOCKS)
            block = evaluated[start : start + size]
            if start >= len(evaluated) // 2:
                if "die" in self.behaviour:
                    os.kill(os.getpid(), signal.SIGKILL)
                while "hang" in self.behaviour:
                    time.sleep(1)
            seconds = time.time() - began
            for lane in self.lanes:
                for split in ("training", "validation"):
                    accuracy, entropy = zip(*[self._figures(lane, split, step) for step in block], strict=True)
                    when = [round(seconds * step / block[-1], 4) for step in block]
                    metric = events.Metric(time.time(), lane, split, block, when, list(accuracy), list(entropy))
                    self.say(metric)
            self.say(events.Progress(time.time(), block[-1]))

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
        photos = [photo for photo in self.dataset.photos if photo.split == "testing"]
        classes = len(self.dataset.labels)
        lanes = {}
        for lane in self.lanes:
            accuracy, entropy = self._figures(lane, "validation", self.spec.steps)
            chance = random.Random(f"{self.spec.seed} {lane} testing")
            predicted = [photo.label if chance.random() < accuracy else chance.randrange(classes) for photo in photos]
            score = [round(chance.uniform(0.5, 1.0), 4) for _ in photos]
            lanes[lane] = {"predicted": predicted, "score": score}
            right = sum(given == photo.label for given, photo in zip(predicted, photos, strict=True))
            interval = self.spec.eval_step_interval
            evaluated = [*range(interval, self.spec.steps, interval), self.spec.steps]
            best = max(evaluated, key=lambda step: self._figures(lane, "validation", step)[0])
            self.final_validation[lane] = accuracy
            self.say(
                events.LaneResult(
                    t=time.time(),
                    lane=lane,
                    test_accuracy=right / max(1, len(photos)),
                    test_n=len(photos),
                    final_validation_accuracy=accuracy,
                    final_validation_cross_entropy=entropy,
                    best_validation_accuracy=self._figures(lane, "validation", best)[0],
                    best_step=best,
                    diverged="diverge" in self.behaviour and lane == self._diverging(),
                )
            )
        files, truth = [photo.file for photo in photos], [photo.label for photo in photos]
        write_json(self.folder.predictions, {"files": files, "truth": truth, "lanes": lanes})

    def _write_lanes(self) -> None:
        backbone = catalog.backbone(self.spec.backbone)
        os.makedirs(self.folder.lanes, exist_ok=True)
        for number, lane in enumerate(self.lanes):
            noise = np.random.default_rng(number)
            weights = noise.normal(0, 0.001, (backbone.width, len(self.dataset.labels))).astype(np.float32)
            bias = np.zeros(len(self.dataset.labels), np.float32)
            np.savez(os.path.join(self.folder.lanes, lane + ".npz"), weights=weights, bias=bias)
        with open(self.folder.labels, "w", encoding="utf-8") as file:
            file.write("".join(label + "\n" for label in self.dataset.labels))

    def _export(self) -> None:
        self._write_lanes()
        backbone = catalog.backbone(self.spec.backbone)
        contract = {"input_size": backbone.size, "mean": backbone.mean, "std": backbone.std}
        write_json(self.folder.contract, contract | {"labels": self.dataset.labels})

    def _stop_if_asked(self) -> None:
        if os.path.exists(self.folder.cancel):
            raise Cancelled


if __name__ == "__main__":
    os.ftruncate(int(sys.argv[2]), 0)
    os.write(int(sys.argv[2]), str(os.getpid()).encode())
    Fake(RunFolder(sys.argv[1])).run()
