"""The learning-rate race: one new last layer per learning rate, all trained in one pass over shared batches.

The lanes' weights stand side by side in one matrix, (width, lanes * classes), so that a step is one gather and two
matrix products however many lanes there are. Head, sampling, evaluation and defaults are those of TensorFlow for
Poets' retrain.py: one dense layer, weights truncated normal with deviation 0.001, bias 0, mean softmax cross-entropy,
plain gradient descent. A lane's result is, to float tolerance, that of the lane trained alone with the same seed.
numpy alone; Python 3.6.
"""

import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

# Seconds of evaluations that are held back before they are reported, so that a page sees the curves move and a
# cancel never waits long.
BLOCK_SECONDS = 0.25

# The end of a race is judged over this many steps.
LAST_STEPS = 500

Split = NamedTuple(
    "Split",
    [
        ("features", Any),  # (photos, width) float32: the bottlenecks
        ("labels", Any),  # (photos,) int: index of the class
    ],
)
Settings = NamedTuple(
    "Settings",
    [
        ("learning_rates", Tuple[float, ...]),
        ("classes", int),
        ("steps", int),
        ("train_batch_size", int),  # -1: every photo once
        ("validation_batch_size", int),  # -1: every photo once
        ("eval_step_interval", int),
        ("seed", int),
    ],
)
Evaluation = NamedTuple(
    "Evaluation",
    [
        ("step", int),  # counted from 1
        ("seconds", float),  # since training began
        ("training_accuracy", Any),  # (lanes,) 0..1, on the batch just learned from, after the update
        ("training_cross_entropy", Any),  # (lanes,) nats
        ("validation_accuracy", Any),  # (lanes,) 0..1
        ("validation_cross_entropy", Any),  # (lanes,) nats
    ],
)
Heads = NamedTuple(
    "Heads",
    [
        ("weights", Any),  # (lanes, width, classes) float32
        ("bias", Any),  # (lanes, classes) float32
        ("diverged", Dict[int, int]),  # lane -> the first evaluated step whose cross-entropy was no number
        ("steps", int),  # how many were trained; fewer than asked for where it was stopped
    ],
)


def race(training, validation, settings, report, stop=lambda: False, clock=time.perf_counter):
    # type: (Split, Split, Settings, Callable[[List[Evaluation]], None], Callable[[], bool], Callable[[], float]) -> Heads
    """Train every lane and return the last weights.

    `report` gets the evaluations in blocks of at most 0.25 s; `stop` is asked as often and ends the race early.
    """
    lanes, classes = len(settings.learning_rates), settings.classes
    width = training.features.shape[1]
    # Three independent streams: another validation batch size must not change what is learned. RandomState's
    # numbers are the same in every version of numpy.
    start = np.random.RandomState([settings.seed, 0])
    batches = _sampler(training, settings.train_batch_size, classes, np.random.RandomState([settings.seed, 1]))
    checks = _sampler(validation, settings.validation_batch_size, classes, np.random.RandomState([settings.seed, 2]))

    weights = np.tile(_truncated_normal(start, (width, classes), 0.001), (1, lanes))  # (width, lanes * classes)
    bias = np.zeros(lanes * classes, np.float32)
    rates = np.repeat(np.asarray(settings.learning_rates, np.float32), classes)  # (lanes * classes,)

    diverged = {}  # type: Dict[int, int]
    block = []  # type: List[Evaluation]
    began = reported = clock()
    step = 0
    for step in range(1, settings.steps + 1):
        x, truth = next(batches)  # (batch, width), (batch,)
        # A diverged lane's numbers overflow; that is judged below and must not warn at every step.
        with np.errstate(over="ignore", invalid="ignore"):
            error = _softmax(x.dot(weights) + bias, lanes)  # (batch, lanes, classes) probabilities
            error[np.arange(len(truth)), :, truth] -= 1.0
            error = error.reshape(len(truth), -1) / np.float32(len(truth))
            weights -= rates * x.T.dot(error)
            bias -= rates * error.sum(axis=0)
        if step % settings.eval_step_interval and step != settings.steps:
            continue
        evaluation = Evaluation(
            step,
            clock() - began,
            *(_measure(x, truth, weights, bias, lanes) + _measure(*next(checks), weights, bias, lanes)),
        )
        block.append(evaluation)
        for lane in np.flatnonzero(~np.isfinite(evaluation.training_cross_entropy)):
            diverged.setdefault(int(lane), step)
        if clock() - reported >= BLOCK_SECONDS:
            report(block)
            block, reported = [], clock()
            if stop():
                break
    if block:
        report(block)
    return Heads(
        weights.reshape(width, lanes, classes).transpose(1, 0, 2).copy(), bias.reshape(lanes, classes), diverged, step
    )


def probabilities(features, weights, bias):
    # type: (np.ndarray, np.ndarray, np.ndarray) -> np.ndarray
    """(photos, width), (width, classes), (classes,) -> (photos, classes) float32, rows sum to 1."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _softmax(features.dot(weights) + bias, 1)[:, 0]


def sample(split, count, seed):
    # type: (Split, int, int) -> np.ndarray
    """Indices of `count` photos drawn as retrain.py draws them: a class, then a photo of it, with replacement."""
    numbered = Split(np.arange(len(split.labels)), split.labels)
    chosen, _ = next(_sampler(numbered, count, int(split.labels.max()) + 1, np.random.RandomState([seed, 3])))
    return chosen


def measure(split, weights, bias):
    # type: (Split, np.ndarray, np.ndarray) -> Tuple[float, float]
    """Accuracy (0..1) and mean cross-entropy (nats, may be nan) of one head over a whole split."""
    accuracy, cross_entropy = _measure(split.features, split.labels, weights, bias, 1)
    return float(accuracy[0]), float(cross_entropy[0])


def _measure(x, truth, weights, bias, lanes):
    # type: (np.ndarray, np.ndarray, np.ndarray, np.ndarray, int) -> Tuple[np.ndarray, np.ndarray]
    with np.errstate(over="ignore", invalid="ignore"):
        logits = (x.dot(weights) + bias).reshape(len(x), lanes, -1)
        right = logits.argmax(axis=2) == truth[:, None]
        logits -= logits.max(axis=2, keepdims=True)
        of_truth = logits[np.arange(len(x)), :, truth]
        cross_entropy = np.log(np.exp(logits).sum(axis=2)) - of_truth
        return right.mean(axis=0), cross_entropy.mean(axis=0)


def _softmax(logits, lanes):
    # type: (np.ndarray, int) -> np.ndarray
    """(photos, lanes * classes) -> (photos, lanes, classes), each class row sums to 1."""
    logits = logits.reshape(len(logits), lanes, -1)
    logits = np.exp(logits - logits.max(axis=2, keepdims=True))
    logits /= logits.sum(axis=2, keepdims=True)
    return logits


def _sampler(split, batch_size, classes, random):
    # type: (Split, int, int, np.random.RandomState) -> Iterator[Tuple[np.ndarray, np.ndarray]]
    """Batches for ever: a class uniformly, then a photo of that class uniformly, with replacement; -1: all photos."""
    if batch_size == -1:
        while True:
            yield split.features, split.labels
    by_class = np.argsort(split.labels, kind="mergesort")  # photos of class 0, then of class 1, ...
    counts = np.bincount(split.labels, minlength=classes)
    first = np.cumsum(counts) - counts
    present = np.flatnonzero(counts)  # a class may have lost every photo of this split
    while True:
        # Drawn for 64 steps at once: a call for every step would cost as much as the step.
        truth = present[random.randint(0, len(present), (64, batch_size))]
        chosen = by_class[first[truth] + (random.random_sample((64, batch_size)) * counts[truth]).astype(np.int64)]
        for photos, labels in zip(chosen, truth):
            yield split.features[photos], labels


def _truncated_normal(random, shape, deviation):
    # type: (np.random.RandomState, Tuple[int, int], float) -> np.ndarray
    """Normal, redrawn beyond two deviations, as TensorFlow's truncated_normal; float32."""
    values = random.standard_normal(shape)
    while True:
        outside = np.abs(values) > 2
        if not outside.any():
            return (values * deviation).astype(np.float32)
        values[outside] = random.standard_normal(int(outside.sum()))


def last_cross_entropy(history):
    # type: (List[Evaluation]) -> np.ndarray
    """(lanes,) nats: the validation cross-entropy at the end, mean of the evaluations in the last 500 steps."""
    tail = [e.validation_cross_entropy for e in history if e.step > history[-1].step - LAST_STEPS]
    return np.mean(tail, axis=0)
