"""The story of a comparison: pictures -> networks that learn side by side -> figures -> files.

As a program, `python -m engine.worker.mnist.comparison RUN_FOLDER`, it tells the story for the run's own process
(engine/worker/__main__.py), which waits and can let another one try again with a smaller batch. Python 3.6.
"""

import os
import sys
import zipfile
from collections import OrderedDict
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from engine.contract import catalog, events, layers, specs
from engine.contract.kinds.mnist import MnistResult, MnistSpec, NetworkExported, NetworkResult
from engine.contract.run_folder import RunFolder, write_json
from engine.worker import children, export
from engine.worker.formats.summaries import Summaries
from engine.worker.machine import choose_device, cores, peak_memory
from engine.worker.mnist import batches, network_files
from engine.worker.mnist.fitting import Block, Fitting
from engine.worker.reporter import AGAIN, CANCELLED, DONE, FAILED, Reporter, RunCancelled, RunFailed

# Points of a training curve that are written down, at most; beyond, each is the mean of equally many batches.
CURVE_LIMIT = 20000

# Test pictures on which the exported files are compared with what was trained.
EXPORT_PICTURES = 64


class Pictures(NamedTuple):
    x_train: Any  # (N, 28, 28) uint8
    y_train: Any  # (N,) uint8
    x_test: Any  # (M, 28, 28) uint8
    y_test: Any  # (M,) uint8


class Lane:
    """One network of the comparison: how it learns, what it is checked on, what it has reported."""

    def __init__(self, network: catalog.Network, fitting: Fitting, held_out: Any, truth: np.ndarray) -> None:
        self.name, self.network, self.fitting = network.name, network, fitting
        self.held_out, self.truth = held_out, truth  # (n, 28, 28, 1) float32 tensor, (n,); none where it has no split
        self.stopped = False
        self.validation: Dict[int, float] = OrderedDict()  # epoch -> accuracy
        self._each = -(-fitting.steps // CURVE_LIMIT)  # batches in one point of the curve
        self._waiting: List[Tuple[int, float, float, float]] = []  # step, seconds, cross-entropy, accuracy

    @property
    def learns(self) -> bool:
        return not (self.stopped or self.fitting.is_done)

    def points(self, block: Block) -> List[Tuple[int, float, float, float]]:
        """What is to be written down of the training curve now."""
        self._waiting += zip(block.step, block.seconds, block.cross_entropy.tolist(), block.accuracy.tolist())
        ready = len(self._waiting) // self._each * self._each
        groups = [self._waiting[at : at + self._each] for at in range(0, ready, self._each)]
        self._waiting = self._waiting[ready:]
        return [group[-1][:2] + tuple(np.mean([row[2:] for row in group], axis=0)) for group in groups]


def compare(spec: MnistSpec, folder: RunFolder, report: Reporter) -> None:
    """Raises batches.OutOfMemory, with the network that needed too much, RunFailed and RunCancelled."""
    report.stage(events.LOADING, 0)
    pictures = _load(spec, folder)
    lanes = _prepare(spec, pictures, folder, report)
    try:
        _train(lanes, folder, report)
        probabilities = _evaluate(lanes, pictures, folder, report)
    except RunCancelled:  # what was learned so far is kept
        _keep_weights(spec, lanes, folder)
        raise
    _keep_weights(spec, lanes, folder)
    _keep_pictures(pictures, lanes, probabilities, folder)
    _export(lanes, pictures, probabilities, folder, report)
    import tensorflow as tf

    runtime = f"TensorFlow {tf.__version__} on the {spec.device.upper()}, {cores()} cores"
    report.tell(MnistResult, runtime=runtime, peak_memory_bytes=peak_memory())


def _load(spec: MnistSpec, folder: RunFolder) -> Pictures:
    row = catalog.digit_set(spec.data)
    path = os.path.normpath(os.path.join(folder.home.assets, row.file))
    hint = f"Run `python -m engine assets {row.name}`."
    if row not in catalog.DIGIT_SETS:
        hint = "Upload it again, or choose another set."
    try:
        with np.load(path, allow_pickle=False) as file:
            found = Pictures(*[file[name] for name in Pictures._fields])
    except FileNotFoundError:
        raise RunFailed("missing_digits", f"The pictures of {row.title} are not on this machine.", hint) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunFailed("bad_digits", f"The pictures of {row.title} cannot be read: {error}.", hint) from error
    for x, y in ((found.x_train, found.y_train), (found.x_test, found.y_test)):
        whole = x.ndim == 3 and x.shape[1:] == (28, 28) and y.shape == x.shape[:1] and len(y)
        if not (whole and x.dtype == np.uint8 and y.dtype == np.uint8 and y.max() < layers.CLASSES):
            message = f"{path} does not hold 28 x 28 pictures with labels 0 to 9."
            raise RunFailed("bad_digits", message, hint)
    return found


def _prepare(spec: MnistSpec, pictures: Pictures, folder: RunFolder, report: Reporter) -> List[Lane]:
    """The lanes before their first step; the pictures are in memory once for all of them."""
    import tensorflow as tf

    x, y = to_floats(pictures.x_train), tf.constant(pictures.y_train.astype(np.int32))
    lanes = []
    for network in batches.as_halved(spec, folder):
        rows = layers.costs(layers.read(network.layers))
        # Of a small set no more than a tenth is held out.
        held_out = min(network.validation_images, len(pictures.x_train) // 10)
        rest = len(pictures.x_train) - held_out
        learned = min(rest, spec.training_images) if spec.training_images else rest
        network = network._replace(batch_size=min(network.batch_size, learned))
        with batches.memory_of(network):
            fitting = Fitting(network, rows, x[:learned], y[:learned], spec.epochs, spec.seed)
        lanes.append(Lane(network, fitting, x[rest:], pictures.y_train[rest:]))
        report.tell(
            events.LaneStarted,
            lane=network.name,
            training=learned,
            validation=held_out,
            batch_size=fitting.batch_size,
            steps_an_epoch=fitting.steps_an_epoch,
            steps=fitting.steps,
        )
    return lanes


def to_floats(pixels: np.ndarray) -> Any:
    """(N, 28, 28) uint8 -> tensor (N, 28, 28, 1) float32, 0..1."""
    import tensorflow as tf

    return tf.constant(pixels[..., None].astype(np.float32) / np.float32(255))


def _train(lanes: List[Lane], folder: RunFolder, report: Reporter) -> None:
    """In turns of a quarter of a second each, so that all curves move at once and the quick ones end early."""
    report.stage(events.TRAINING, sum(lane.fitting.steps for lane in lanes))
    summaries = Summaries(folder, [lane.name for lane in lanes], report)
    try:
        while any(lane.learns for lane in lanes):
            for lane in [lane for lane in lanes if lane.learns]:
                if os.path.exists(folder.stop(lane.name)):
                    lane.stopped = True
                else:
                    with batches.memory_of(lane.network):
                        _learn(lane, report, summaries)
                _go_on(report)
                if not lane.learns:
                    report.tell(events.LaneEnded, lane=lane.name, stopped=lane.stopped)
            report.progress(sum(lane.fitting.step for lane in lanes))
            summaries.flush()
    finally:
        summaries.close()


def _go_on(report: Reporter) -> None:
    if report.stop():
        raise RunCancelled()


def _learn(lane: Lane, report: Reporter, summaries: Summaries) -> None:
    before = lane.fitting.epoch
    points = lane.points(lane.fitting.train())
    _tell(report, lane, "training", points)
    if points:  # one point for the whole turn: a batch each would be thousands
        cross_entropy, accuracy = np.mean([row[2:] for row in points], axis=0)
        summaries.scalars(lane.name, "training", [(points[-1][0], accuracy, cross_entropy)])
    if lane.fitting.epoch == before or not len(lane.truth):
        return
    probabilities = lane.fitting.probabilities(lane.held_out, lambda: _go_on(report))
    right = probabilities.argmax(axis=1) == lane.truth
    of_truth = probabilities[np.arange(len(lane.truth)), lane.truth]
    cross_entropy = -np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean()
    lane.validation[lane.fitting.epoch] = float(right.mean())
    _tell(report, lane, "validation", [(lane.fitting.step, lane.fitting.seconds, cross_entropy, right.mean())])
    summaries.scalars(lane.name, "validation", [(lane.fitting.step, right.mean(), cross_entropy)])


def _tell(report: Reporter, lane: Lane, split: str, points: List[Tuple[int, float, float, float]]) -> None:
    if points:
        report.tell(
            events.Metric,
            lane=lane.name,
            split=split,
            step=[step for step, _, _, _ in points],
            seconds=[round(seconds, 3) for _, seconds, _, _ in points],
            accuracy=[round(float(accuracy), 5) for _, _, _, accuracy in points],
            cross_entropy=[round(float(value), 5) if np.isfinite(value) else None for _, _, value, _ in points],
        )


def _evaluate(lanes: List[Lane], pictures: Pictures, folder: RunFolder, report: Reporter) -> Dict[str, np.ndarray]:
    """Every network's probabilities (M, 10) of the test pictures, which it meets here for the first and only time."""
    report.stage(events.EVALUATING, len(lanes))
    x_test: Any = to_floats(pictures.x_test)
    found: Dict[str, np.ndarray] = OrderedDict()
    said: Dict[str, Any] = OrderedDict()
    for number, lane in enumerate(lanes, 1):
        fitting = lane.fitting
        with batches.memory_of(lane.network):
            found[lane.name] = fitting.probabilities(x_test, lambda: _go_on(report))
        predicted = found[lane.name].argmax(axis=1)
        said[lane.name] = {
            "predicted": predicted.tolist(),
            "score": [round(float(score), 4) for score in found[lane.name].max(axis=1)],
        }
        report.tell(
            NetworkResult,
            lane=lane.name,
            parameters=layers.parameters(fitting.rows),
            multiply_adds=layers.multiply_adds(fitting.rows),
            epochs=round(fitting.step / float(fitting.steps_an_epoch), 3),
            train_seconds=fitting.seconds,
            images_per_second=fitting.learned / fitting.seconds if fitting.seconds else 0.0,
            test_accuracy=float((predicted == pictures.y_test).mean()),
            test_n=len(pictures.y_test),
            validation_accuracy=list(lane.validation.values())[-1] if lane.validation else None,
            best_epoch=max(lane.validation, key=lambda epoch: lane.validation[epoch], default=0),
            stopped=lane.stopped,
        )
        report.progress(number)
    write_json(folder.predictions, {"files": [], "truth": pictures.y_test.tolist(), "lanes": said})
    return found


def _keep_weights(spec: MnistSpec, lanes: List[Lane], folder: RunFolder) -> None:
    for lane in lanes:
        network_files.write_weights(folder, lane.name, lane.fitting.arrays())
    export.write_labels(folder, list(catalog.digit_set(spec.data).labels))


def _keep_pictures(
    pictures: Pictures, lanes: List[Lane], probabilities: Dict[str, np.ndarray], folder: RunFolder
) -> None:
    """digits.npz: what a page shows of the pictures, so that it never has to open the whole set.

    index (n,) int32 and pixels (n, 28, 28) uint8: the test pictures that a network got wrong; mean (28, 28) uint8 and
    class_means (10, 28, 28) uint8 of the training pictures.
    """
    wrong = np.zeros(len(pictures.y_test), bool)
    for lane in lanes:
        wrong |= probabilities[lane.name].argmax(axis=1) != pictures.y_test
    index = np.flatnonzero(wrong)
    nothing = np.zeros((1, 28, 28))
    class_means = [
        (pictures.x_train[pictures.y_train == label] if (pictures.y_train == label).any() else nothing).mean(axis=0)
        for label in range(layers.CLASSES)
    ]
    np.savez(
        folder.digits,
        index=index.astype(np.int32),
        pixels=pictures.x_test[index],
        mean=np.rint(pictures.x_train.mean(axis=0)).astype(np.uint8),
        class_means=np.rint(class_means).astype(np.uint8),
    )


def _export(
    lanes: List[Lane], pictures: Pictures, probabilities: Dict[str, np.ndarray], folder: RunFolder, report: Reporter
) -> None:
    """Write every network's files, then let a fresh process load them and compare their answers."""
    report.stage(events.EXPORTING, len(lanes) + 1)
    some = np.linspace(0, len(pictures.y_test) - 1, min(EXPORT_PICTURES, len(pictures.y_test))).astype(int)
    reader = export.FreshProcess("engine.worker.mnist.network_files", folder)
    try:
        for number, lane in enumerate(lanes, 1):
            network_files.write(folder, lane.network, lane.fitting.rows, lane.fitting.arrays())
            report.progress(number)
            _go_on(report)
        network_files.write_contract(folder, [lane.network for lane in lanes])
        expected = {lane.name: probabilities[lane.name][some].tolist() for lane in lanes}
        answers = reader.ask({"pixels": pictures.x_test[some].tolist(), "expected": expected})
    finally:
        reader.close()
    for lane in lanes:
        found = answers[lane.name]
        report.tell(
            NetworkExported,
            lane=lane.name,
            difference=found["difference"],
            images=len(some),
            image_seconds=found["image_seconds"],
        )
        if found["difference"] > export.TOLERANCE:
            message = "The exported files of {} answer differently from what was trained, by up to {:.4f}.".format(
                lane.network.title, found["difference"]
            )
            report.tell(events.Warning, message=message)
    report.progress(len(lanes) + 1)


def main(folder: RunFolder) -> int:
    """Returns the exit code: 0 done, 1 failed and said why, 3 to be told again with a smaller batch, 130 cancelled."""
    children.end_with_parent()
    report, spec = Reporter(folder), specs.read(folder.spec)
    try:
        choose_device(spec.device)
        compare(spec, folder, report)
        return DONE
    except RunCancelled:
        return CANCELLED
    except batches.OutOfMemory as error:
        if error.batch_size > 1:
            batches.halve(error, report)
            return AGAIN
        report.fail(error.reason)
    except Exception as error:
        report.fail(error)
    return FAILED


if __name__ == "__main__":
    sys.exit(main(RunFolder(sys.argv[1])))
