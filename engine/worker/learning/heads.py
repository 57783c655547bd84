"""The learning-rate race: one new last layer per learning rate, all trained in one pass over shared batches.

The lanes' weights stand in one matrix, (rows, width), so that a step is one gather and two matrix products however
many lanes there are. Row `class * lanes + lane`, so that a softmax adds up long rows and not five numbers at a time;
behind them rows of zeros up to a multiple of 16, so that BLAS adds every lane's numbers in the same order whether it
races or is alone: at large rates a lane amplifies a rounding error of 1e-7 to another result within 4,000 steps.

Head, sampling, evaluation and defaults are those of TensorFlow for Poets' retrain.py: one dense layer, weights
truncated normal with deviation 0.001, bias 0, mean softmax cross-entropy, plain gradient descent. numpy alone;
Python 3.6.
"""

import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

# Seconds of evaluations that are held back before they are reported, so that a page sees the curves move and a
# cancel never waits long.
BLOCK_SECONDS = 0.25

# The end of a race is judged over this many steps.
LAST_STEPS = 500

# The matrices' rows are filled up to a multiple of this: BLAS kernels work on tiles of at most so many rows.
ROWS = 16


class Split(NamedTuple):
    features: Any  # (photos, width) float32: the bottlenecks
    labels: Any  # (photos,) int: index of the class


class Settings(NamedTuple):
    learning_rates: Tuple[float, ...]
    classes: int
    steps: int
    train_batch_size: int  # -1: every photo once
    validation_batch_size: int  # -1: every photo once
    eval_step_interval: int
    seed: int


class Evaluation(NamedTuple):
    step: int  # counted from 1
    seconds: float  # since training began
    training_accuracy: Any  # (lanes,) 0..1, on the batch just learned from, after the update
    training_cross_entropy: Any  # (lanes,) nats
    validation_accuracy: Any  # (lanes,) 0..1
    validation_cross_entropy: Any  # (lanes,) nats


class Heads(NamedTuple):
    weights: Any  # (lanes, width, classes) float32
    bias: Any  # (lanes, classes) float32
    diverged: Dict[int, int]  # lane -> the first evaluated step whose cross-entropy was no number
    steps: int  # how many were trained; fewer than asked for where it was stopped


class Drawn:
    """The features of a batch that is larger than what may be in memory at once; a slice of them is gathered anew."""

    def __init__(self, features: np.ndarray, photos: np.ndarray) -> None:
        self._features, self._photos = features, photos  # (N, width), (batch,)

    def __getitem__(self, part: slice) -> np.ndarray:
        return self._features[self._photos[part]]


def batches(training: Split, settings: Settings, at_once: int = 0) -> Iterator[Tuple[Any, np.ndarray]]:
    """What a race learns from, for ever: (batch, width) and (batch,); a batch is overwritten by the next one.

    Where a batch has more than `at_once` photos (0: any number), Drawn stands for its features.
    """
    random = np.random.RandomState([settings.seed, 1])
    return _sampler(training, settings.train_batch_size, settings.classes, random, at_once)


def race(
    learned_from: Iterator[Tuple[Any, np.ndarray]],
    validation: Split,
    settings: Settings,
    report: Callable[[List[Evaluation]], None],
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
    look: Optional[Callable[[Heads], None]] = None,
    store: Optional[Tuple[int, Callable[[Heads], None]]] = None,
    at_once: int = 0,
) -> Heads:
    """Train every lane on the same batches, one for each step, and return the last weights.

    `report` gets the evaluations in blocks of at most 0.25 s; `look` is then shown the weights, which go on changing
    afterwards; `store`, (steps, function), gets a copy of them whenever so many more steps are done. `stop` is asked
    after each block and ends the race early, and so does the end of the batches. `at_once`: so many photos of a batch
    are computed with at a time (0: all), and what they teach is added up: the step is the same but for rounding.
    """
    lanes, classes = len(settings.learning_rates), settings.classes
    width = validation.features.shape[1]
    # Independent streams, with that of the batches: another validation batch size must not change what is learned.
    # RandomState's numbers are the same in every version of numpy.
    start = np.random.RandomState([settings.seed, 0])
    checks = _sampler(validation, settings.validation_batch_size, classes, np.random.RandomState([settings.seed, 2]))

    first = _truncated_normal(start, (classes, 1, width), 0.001)
    used = classes * lanes
    rows = -(-used // ROWS) * ROWS
    weights = np.zeros((rows, width), np.float32)
    weights[:used] = np.repeat(first, lanes, axis=1).reshape(used, width)
    bias = np.zeros((used, 1), np.float32)
    by_lane = weights[:used].reshape(classes, lanes, width).transpose(1, 2, 0)  # views, as Heads has them
    bias_by_lane = bias.reshape(classes, lanes).T
    rates = np.tile(np.asarray(settings.learning_rates, np.float32), classes)[:, None]  # (used, 1)

    diverged: Dict[int, int] = {}
    block: List[Evaluation] = []
    began = reported = clock()
    step = 0
    for step, (x, truth) in zip(range(1, settings.steps + 1), learned_from):  # (batch, width), (batch,)
        # A diverged lane's numbers overflow; that is judged below and must not warn at every step.
        with np.errstate(over="ignore", invalid="ignore"):
            taught: Any = None  # by how much weights and bias change
            for part, labels in _parts(x, truth, at_once):
                error = weights.dot(part.T)  # (rows, photos), first the logits
                _softmax(_add_bias(error, bias, lanes))[labels, :, np.arange(len(labels))] -= 1.0
                error[:used] *= rates / np.float32(len(truth))
                more = error.dot(part), error[:used].sum(axis=1, keepdims=True)
                taught = (taught[0] + more[0], taught[1] + more[1]) if taught else more
            weights -= taught[0]
            bias -= taught[1]
        if store and not step % store[0]:
            store[1](Heads(by_lane.copy(), bias_by_lane.copy(), diverged, step))
        if step % settings.eval_step_interval and step != settings.steps:
            continue
        learned = _together(
            [(len(labels), _measure(part, labels, weights, bias, lanes)) for part, labels in _parts(x, truth, at_once)]
        )
        checked = _measure(*next(checks), weights, bias, lanes)
        evaluation = Evaluation(step, clock() - began, *(learned + checked))
        block.append(evaluation)
        for lane in np.flatnonzero(~np.isfinite(evaluation.training_cross_entropy)):
            diverged.setdefault(int(lane), step)
        if clock() - reported >= BLOCK_SECONDS:
            report(block)
            if look:
                look(Heads(by_lane, bias_by_lane, diverged, step))
            block, reported = [], clock()
            if stop():
                break
    if block:
        report(block)
        if look:
            look(Heads(by_lane, bias_by_lane, diverged, step))
    return Heads(by_lane.copy(), bias_by_lane.copy(), diverged, step)


def probabilities(features: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(photos, width), (width, classes), (classes,) -> (photos, classes) float32, rows sum to 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _softmax(_add_bias(weights.T.dot(features.T), bias[:, None], 1))[:, 0].T


def sample(split: Split, count: int, seed: int) -> np.ndarray:
    """Indices of `count` photos drawn as retrain.py draws them: a class, then a photo of it, with replacement."""
    numbered = Split(np.arange(len(split.labels)), split.labels)
    chosen, _ = next(_sampler(numbered, count, int(split.labels.max()) + 1, np.random.RandomState([seed, 3])))
    return chosen


def measure(split: Split, weights: np.ndarray, bias: np.ndarray) -> Tuple[float, float]:
    """Accuracy (0..1) and mean cross-entropy (nats, may be nan) of one head over a whole split."""
    accuracy, cross_entropy = _measure(split.features, split.labels, weights.T, bias[:, None], 1)
    return float(accuracy[0]), float(cross_entropy[0])


def _add_bias(products: np.ndarray, bias: np.ndarray, lanes: int) -> np.ndarray:
    """(rows, photos), (classes * lanes, 1) -> the logits (classes, lanes, photos), a view of the products."""
    logits = products[: len(bias)]
    logits += bias
    return logits.reshape(-1, lanes, products.shape[1])


def _softmax(logits: np.ndarray) -> np.ndarray:
    """(classes, lanes, photos) -> the same, in place; sums over the classes are 1."""
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def _measure(
    x: np.ndarray, truth: np.ndarray, weights: np.ndarray, bias: np.ndarray, lanes: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Accuracy (lanes,), 0..1, and mean cross-entropy (lanes,), nats."""
    with np.errstate(over="ignore", invalid="ignore"):
        logits = _add_bias(weights.dot(x.T), bias, lanes)
        right = logits.argmax(axis=0) == truth  # (lanes, photos)
        logits -= logits.max(axis=0)
        of_truth = logits[truth, :, np.arange(len(x))]  # (photos, lanes)
        cross_entropy = np.log(np.exp(logits).sum(axis=0)).mean(axis=1) - of_truth.mean(axis=0)
        return right.mean(axis=1), cross_entropy


def _together(measured: List[Tuple[int, Tuple[np.ndarray, np.ndarray]]]) -> Tuple[np.ndarray, np.ndarray]:
    """The means over a batch of what was measured of its parts, each so many photos."""
    if len(measured) == 1:
        return measured[0][1]
    photos = [count for count, _ in measured]
    accuracy, cross_entropy = [np.average(each, axis=0, weights=photos) for each in zip(*[f for _, f in measured])]
    return accuracy, cross_entropy


def _parts(x: Any, truth: np.ndarray, at_once: int) -> Iterator[Tuple[Any, np.ndarray]]:
    """A batch, at most so many photos at a time; 0: all of it."""
    if not 0 < at_once < len(truth):
        yield x, truth
        return
    for start in range(0, len(truth), at_once):
        yield x[start : start + at_once], truth[start : start + at_once]


def _sampler(
    split: Split, batch_size: int, classes: int, random: np.random.RandomState, at_once: int = 0
) -> Iterator[Tuple[Any, np.ndarray]]:
    """Batches for ever: a class uniformly, then a photo of that class uniformly, with replacement; -1: all photos.

    A batch is overwritten by the next one.
    """
    if batch_size == -1:
        while True:
            yield split.features, split.labels
    by_class = np.argsort(split.labels, kind="mergesort")  # photos of class 0, then of class 1, ...
    counts = np.bincount(split.labels, minlength=classes)
    first = np.cumsum(counts) - counts
    present = np.flatnonzero(counts)  # a class may have lost every photo of this split
    in_parts = 0 < at_once < batch_size
    batch = np.empty((0 if in_parts else batch_size,) + split.features.shape[1:], split.features.dtype)
    while True:
        # Drawn for 64 steps at once: a call for every step would cost as much as the step.
        truth = present[random.randint(0, len(present), (64, batch_size))]
        chosen = by_class[first[truth] + (random.random_sample((64, batch_size)) * counts[truth]).astype(np.int64)]
        for photos, labels in zip(chosen, truth):
            if in_parts:
                yield Drawn(split.features, photos), labels
                continue
            # Into the same memory each time: fresh pages cost four times as much as the copy. ("clip" spares a second
            # buffer; no index is out of range.)
            yield np.take(split.features, photos, axis=0, out=batch, mode="clip"), labels


def _truncated_normal(random: np.random.RandomState, shape: Tuple[int, ...], deviation: float) -> np.ndarray:
    """Normal, redrawn beyond two deviations, as TensorFlow's truncated_normal; float32."""
    values = random.standard_normal(shape)
    while True:
        outside = np.abs(values) > 2
        if not outside.any():
            return (values * deviation).astype(np.float32)
        values[outside] = random.standard_normal(int(outside.sum()))


def last_cross_entropy(history: List[Evaluation]) -> np.ndarray:
    """(lanes,) nats: the validation cross-entropy at the end, mean of the evaluations in the last 500 steps."""
    tail = [e.validation_cross_entropy for e in history if e.step > history[-1].step - LAST_STEPS]
    return np.mean(tail, axis=0)
