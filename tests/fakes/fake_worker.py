"""python -m tests.fakes.fake_worker RUN_FOLDER LOCK_FD: a worker without TensorFlow.

Takes the spec, the lock and the line of a real one, reports the same events and leaves the same small files; its
figures are invented and the same for the same spec. There is no exported model: `Run.can_classify` stays False, and
its graphs are no graphs.

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

import math
import os
import random
import signal
import sys
import time
import zlib

import numpy as np

from engine.contract import catalog, events, hardware, layers, signatures, specs, tickets
from engine.contract import dataset as datasets
from engine.contract.run_folder import RunFolder, try_lock, write_json

BEHAVIOUR_OF_SEED = {901: "fail", 902: "hang", 903: "diverge", 904: "skip", 905: "slow", 906: "warn", 907: "die"}
SHARES = {events.SCANNING: 0.05, events.BOTTLENECKS: 0.25, events.TRAINING: 0.6, events.EVALUATING: 0.05}
BLOCKS = 20  # a stage reports this often
TEST_IMAGES = 200
DIGITS = 60_000  # training images, as far as a comparison is told


class Cancelled(Exception):
    pass


class Fake:
    """What a worker of any kind of run does around its story."""

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.spec = specs.read(folder.spec)
        self.lanes = specs.lanes(self.spec)
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

    def _rest(self) -> None:
        """The time of one block of Training."""
        time.sleep((60.0 if "slow" in self.behaviour else self.seconds * SHARES[events.TRAINING]) / BLOCKS)

    def _misbehave(self) -> None:
        """In the middle of Training."""
        if "die" in self.behaviour:
            os.kill(os.getpid(), signal.SIGKILL)
        while "hang" in self.behaviour:
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


class FakeRetraining(Fake):
    def __init__(self, folder: RunFolder):
        super().__init__(folder)
        self.dataset = datasets.read(folder.dataset)
        self.final_validation: dict[str, float] = {}

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
                cache_seconds=0.1 if self.spec.use_cache else 0.0,
                import_seconds=1.5,
            )
        )

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
        backbone = catalog.backbone(self.spec.backbone, self.folder.home)
        os.makedirs(self.folder.lanes, exist_ok=True)
        for number, lane in enumerate(self.lanes):
            noise = np.random.default_rng(number)
            weights = noise.normal(0, 0.001, (backbone.width, len(self.dataset.labels))).astype(np.float32)
            bias = np.zeros(len(self.dataset.labels), np.float32)
            np.savez(os.path.join(self.folder.lanes, lane + ".npz"), weights=weights, bias=bias)
        self._write_labels(self.dataset.labels)

    def _export(self) -> None:
        self._write_lanes()
        backbone = catalog.backbone(self.spec.backbone, self.folder.home)
        contract = {"input_size": backbone.size, "mean": backbone.mean, "std": backbone.std}
        write_json(self.folder.contract, contract | {"labels": self.dataset.labels})
        graphs = [self.folder.graph]
        if every := self.spec.intermediate_store_frequency:
            os.makedirs(self.folder.intermediate)
            for step in range(every, self.spec.steps, every):
                graphs.append(os.path.join(self.folder.intermediate, f"intermediate_{step}.pb"))
        for path in graphs:
            with open(path, "wb") as file:
                file.write(f"a graph for {self.spec.final_tensor_name}".encode())


class FakeMnist(Fake):
    """Networks further down the list learn more slowly and end higher."""

    def _story(self) -> None:
        self._stage(events.LOADING, 0)
        if "warn" in self.behaviour:
            self.say(events.Warning(time.time(), "The cache was damaged and has been rebuilt."))
        self.started = {}
        for network in self.spec.networks:
            held_out = network.validation_images
            training = min(DIGITS - held_out, self.spec.training_images or DIGITS)
            an_epoch = math.ceil(training / network.batch_size)
            self.started[network.name] = events.LaneStarted(
                time.time(), network.name, training, held_out, network.batch_size, an_epoch, an_epoch * self.spec.epochs
            )
        self.say(*self.started.values())
        self.learned = dict.fromkeys(self.lanes, 0)  # steps
        self.stopped: set[str] = set()
        try:
            self._train()
        except Cancelled:
            self._write_weights()  # what was learned so far is kept
            raise
        self._stage(events.EVALUATING, len(self.lanes))
        self._evaluate()
        self._stage(events.EXPORTING, len(self.lanes) + 1)
        self._write_weights()
        for number, lane in enumerate(self.lanes, 1):
            self.say(events.NetworkExported(time.time(), lane, 1.2e-7, 64, 0.0002 * number))
        self.say(events.MnistResult(time.time(), "fake worker", 200_000_000))

    def _train(self) -> None:
        self.say(events.Stage(time.time(), events.TRAINING, sum(each.steps for each in self.started.values())))
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
        truth = chance.integers(0, 10, TEST_IMAGES)
        said, wrong = {}, np.zeros(TEST_IMAGES, bool)
        for network in self.spec.networks:
            lane, started = network.name, self.started[network.name]
            rows = layers.costs(layers.read(network.layers))
            answers = np.where(chance.random(TEST_IMAGES) < self._top(lane), truth, (truth + 1) % 10)
            wrong |= answers != truth
            score = chance.uniform(0.5, 1.0, TEST_IMAGES).round(4)
            said[lane] = {"predicted": answers.tolist(), "score": score.tolist()}
            ends = range(started.steps_an_epoch, self.learned[lane] + 1, started.steps_an_epoch)
            validation = self._figures(lane, "validation", list(ends))[1] if ends and started.validation else []
            epochs = self.learned[lane] / started.steps_an_epoch
            seconds = 0.4 * (self.lanes.index(lane) + 1) * epochs
            self.say(
                events.NetworkResult(
                    t=time.time(),
                    lane=lane,
                    parameters=layers.parameters(rows),
                    multiply_adds=layers.multiply_adds(rows),
                    epochs=round(epochs, 3),
                    train_seconds=seconds,
                    images_per_second=epochs * started.training / seconds if seconds else 0.0,
                    test_accuracy=float((answers == truth).mean()),
                    test_n=TEST_IMAGES,
                    validation_accuracy=validation[-1] if validation else None,
                    best_epoch=1 + validation.index(max(validation)) if validation else 0,
                    stopped=lane in self.stopped,
                )
            )
        index = np.flatnonzero(wrong)
        write_json(self.folder.predictions, {"files": [], "truth": truth.tolist(), "lanes": said})
        pixels = chance.integers(0, 256, (len(index), 28, 28)).astype(np.uint8)
        means = chance.integers(0, 256, (10, 28, 28)).astype(np.uint8)
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
        self.say(events.ModelLoaded(time.time(), "fake worker", "CPU", 224, 224, 0.03))
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
            both = [label for first in says for label in (first, (first + 1) % len(labels))]
            scores = [score for place in used for score in (round(0.95 - place % 7 / 20, 2), 0.04)]
            learned = [place % 10 == 9 for place in used]
            self.say(events.Classified(time.time(), used, both, scores, learned))
            self.say(events.Progress(time.time(), block[-1] + 1))
        self.say(events.ClassifyResult(time.time(), number - skipped, 0.2, 0.4, 0.008, 200_000_000))


class FakeFineTuning(Fake):
    """Every depth is surer than the one before it; with `warn` the last one had to halve its batch."""

    def _story(self) -> None:
        self.dataset = datasets.read(self.folder.dataset)
        photos = self.dataset.photos
        splits = [photo.split for photo in photos]
        training = splits.count("training")
        for stage in (events.SCANNING, events.BOTTLENECKS, events.LOADING):
            self._stage(stage, len(photos))
        self._write_labels(self.dataset.labels)
        self.say(events.Stage(time.time(), events.TRAINING, len(self.lanes) * self.spec.epochs * training))
        said: dict[str, dict] = {}
        tested = [photo for photo in photos if photo.split == "testing"]
        for number, lane in enumerate(self.lanes):
            at_once = self.spec.batch_size
            if "warn" in self.behaviour and number == len(self.lanes) - 1:
                self._lane_begins(lane, training, splits.count("validation"))
                at_once //= 2
                message = f"{specs.lane_titles(self.spec)[number]} ran out of memory."
                self.say(events.Warning(time.time(), message), events.BatchHalved(time.time(), lane, at_once))
            self._lane_begins(lane, training, splits.count("validation"))
            self._learn(number, lane, training)
            wrong = max(1, 4 - number)  # of the testing photos
            classes = len(self.dataset.labels)
            predicted = [(p.label + (at < wrong)) % classes for at, p in enumerate(tested)]
            said[lane] = {"predicted": predicted, "score": [0.9] * len(tested)}
            truth = [photo.label for photo in tested]
            value = {"files": [photo.file for photo in tested], "truth": truth, "lanes": said}
            write_json(self.folder.predictions, value)
            self._tell_figures(number, lane, at_once, splits, 1 - wrong / len(tested))
        self.say(events.Kept(time.time(), self.lanes[-1]))
        self._stage(events.EXPORTING, 0)
        self.say(events.FineTuneResult(time.time(), training, splits.count("validation"), len(tested), "fake worker"))

    def _lane_begins(self, lane: str, training: int, validation: int) -> None:
        steps = math.ceil(training / self.spec.batch_size)
        started = (lane, training, validation, self.spec.batch_size, steps, steps * self.spec.epochs)
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
            events.FineTuned(
                t=time.time(),
                lane=lane,
                blocks=19 if blocks == specs.ALL_BLOCKS else blocks,
                of_blocks=19,
                parameters=3843 + 400_000 * number,
                peak_memory_bytes=700_000_000 + 200_000_000 * number,
                epoch_seconds=0.2 * (number + 1),
                epochs=self.spec.epochs,
                batch_size=self.spec.batch_size,
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
        size = 1
        while size <= self.spec.largest:
            self._stop_if_asked()
            self._rest()
            fits = size <= 16
            why = "" if fits else "TensorFlow was refused the memory (ResourceExhausted)"
            figures = (700_000_000 + 40_000_000 * size, 10 * min(size, 4) / 2) if fits else (0, 0.0)
            self.say(events.BatchTried(time.time(), size, fits, why, *figures))
            if not fits:
                break
            size *= 2
        largest = min(16, self.spec.largest)
        limit = 1_000_000 * (self.spec.memory_limit or 2000)
        self.say(
            events.BatchSizeResult(
                time.time(), largest, self.spec.largest > 16, limit, 700_000_000, 2_213_221, "fake worker"
            )
        )


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
        sizes = [size for size in sorted(self.spec.sizes) if size < counts.max()] + [specs.ALL_PHOTOS]
        if "warn" in self.behaviour:
            self.say(events.Warning(time.time(), "100 photos per class is left out."))
        steps, tested = self.spec.steps, splits.count("testing")
        self.say(events.Stage(time.time(), events.TRAINING, len(sizes) * self.spec.seeds * steps))
        for number, size in enumerate(sizes):
            for seed in range(self.spec.seed, self.spec.seed + self.spec.seeds):
                self._stop_if_asked()
                self._rest()
                if number == len(sizes) // 2:
                    self._misbehave()
                used = np.minimum(counts, size or counts.max())
                right = tested - round(0.4 * tested / min(4, used.min() / 2.5)) + (seed % 3 == 0)
                diverged = "diverge" in self.behaviour
                self.say(
                    events.LearningCurvePoint(
                        time.time(), size, seed, int(used.sum()), 1 if diverged else min(tested, right), tested,
                        diverged, 0.1,
                    )
                )  # fmt: skip
            self.say(events.Progress(time.time(), (number + 1) * self.spec.seeds * steps))
        said = (splits.count("training"), splits.count("validation"), tested, len(photos), 0, "", 90_000_000)
        self.say(events.LearningCurveResult(time.time(), *said))


STORIES = {
    specs.MnistSpec: FakeMnist,
    specs.ClassifySpec: FakeClassify,
    specs.RetrainSpec: FakeRetraining,
    specs.FineTuneSpec: FakeFineTuning,
    specs.BatchSizeSpec: FakeBatchSize,
    specs.LearningCurveSpec: FakeLearningCurve,
}


def main(folder: RunFolder) -> None:
    STORIES[type(specs.read(folder.spec))](folder).run()


if __name__ == "__main__":
    os.ftruncate(int(sys.argv[2]), 0)
    os.write(int(sys.argv[2]), str(os.getpid()).encode())
    main(RunFolder(sys.argv[1]))
