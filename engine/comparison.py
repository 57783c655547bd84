"""What a comparison of networks for digits means: its table, its verdict, its mistakes, and why it came out so.

Tables, sentences and charts all read the rows made here, so that no number is said in two ways. Every network meets the
test pictures once, at its end, and nothing is chosen by them: epochs are judged by the validation split alone.
"""

import itertools
import math
import os
import statistics
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from engine.contract import catalog, layers
from engine.contract.run_folder import read_json
from engine.curves import CHANCE, Verdict, chance_in_words, percent
from engine.metrics import Difference, mcnemar, wilson
from engine.runs import Curve, Run

SHOWN = 12  # mistakes, where nobody asks for more or fewer

# A validation loss that ended this much above its lowest, while the training loss fell on, is overfitting; less is
# the wobble from one epoch to the next.
LOSS_RISE = 1.1


@dataclass(frozen=True)
class NetworkRow:
    """One tested network, as tables, sentences and charts show it."""

    lane: str
    title: str
    number: int  # in the order of creation, from 0: its colour
    parameters: int
    multiply_adds: int  # for one picture
    epochs: float  # learned; no whole number where it was stopped
    train_seconds: float  # spent on this network alone
    images_per_second: float  # learned from
    image_seconds: float | None  # for one picture, TFLite with one thread; None before it was exported
    test_accuracy: float  # 0..1
    test_low: float  # 95 % Wilson interval of it
    test_high: float
    test_n: int  # pictures
    wrong: int  # of them
    validation_accuracy: float | None  # 0..1, at the last evaluation; None without a validation split
    best_epoch: int  # by validation; 0 without
    stopped: bool
    difference: float | None  # of a probability, the largest between trained and exported; None before the export


def network_rows(run: Run) -> list[NetworkRow]:
    """The networks that have been tested, the best on the test pictures first; of equals the smaller one.

    The order is a report and no choice: each was tested once, when it learned no more.
    """
    rows = []
    for number, (lane, title) in enumerate(zip(run.lanes, run.lane_titles, strict=True)):
        result = run.story.network_results.get(lane)
        if result is None:
            continue
        exported = run.story.networks_exported.get(lane)
        right = round(result.test_accuracy * result.test_n)
        low, high = wilson(right, result.test_n)
        rows.append(
            NetworkRow(
                lane=lane,
                title=title,
                number=number,
                parameters=result.parameters,
                multiply_adds=result.multiply_adds,
                epochs=result.epochs,
                train_seconds=result.train_seconds,
                images_per_second=result.images_per_second,
                image_seconds=exported.image_seconds if exported else None,
                test_accuracy=result.test_accuracy,
                test_low=low,
                test_high=high,
                test_n=result.test_n,
                wrong=result.test_n - right,
                validation_accuracy=result.validation_accuracy,
                best_epoch=result.best_epoch,
                stopped=result.stopped,
                difference=exported.difference if exported else None,
            )
        )
    return sorted(rows, key=lambda row: (-row.test_accuracy, row.parameters, row.number))


def frontier(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which (cost, accuracy) no other point beats, being as cheap and more accurate or as accurate and cheaper.

    Indices, the cheapest first; the Pareto frontier. Of equal points all are on it.
    """
    found: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        best = points[found[-1]] if found else (math.nan, -math.inf)
        if points[i][1] > best[1] or points[i] == best:
            found.append(i)
    return found


# --- the verdict -----------------------------------------------------------------------------------------------------


def verdict(run: Run) -> Verdict:
    """Which network is best, whether by more than chance, and what the lead costs."""
    rows, answers = network_rows(run), _answers(run)
    if not rows:
        return Verdict("No network has been tested yet.", "")
    best = rows[0]
    share = f"{percent(best.test_accuracy)} of the {best.test_n:,} test {pictures(run)} right"
    if len(rows) == 1:
        return Verdict(f"{best.title} gets {share}.", " ".join([_alone(best), *_stopped(rows)]))
    second = rows[1]
    reasons = [f"Next comes {second.title} with {percent(second.test_accuracy)}."]
    found = _difference(answers, best.lane, second.lane)
    if found:
        reasons.append(chance_in_words(found, best.test_n, f"test {pictures(run)}"))
    reasons.append(_price(best, second))
    if answers:
        reasons.append(_cheapest(rows, answers))
    conclusion = f"{best.title} is best: {share}."
    if best.wrong == second.wrong:
        conclusion = f"{best.title} and {second.title} are level: {share}."
    return Verdict(conclusion, " ".join([*reasons, *_stopped(rows)]))


def pictures(run: Run) -> str:
    """What people call the pictures of this run."""
    return "digits" if run.spec.data == "mnist" else "images"


def _alone(row: NetworkRow) -> str:
    return (
        f"It is wrong on {row.wrong:,}; a test of another {row.test_n:,} would likely find between "
        f"{percent(row.test_low)} and {percent(row.test_high)} right. It learned for {_duration(row.train_seconds)} "
        f"and has {row.parameters:,} parameters; an image takes it {_many(row.multiply_adds)} multiply-adds."
    )


def _price(best: NetworkRow, second: NetworkRow) -> str:
    return (
        f"It took {_duration(best.train_seconds)} of training against {_duration(second.train_seconds)}, and has "
        f"{best.parameters:,} parameters against {second.parameters:,} and {_many(best.multiply_adds)} multiply-adds "
        f"an image against {_many(second.multiply_adds)}."
    )


def _cheapest(rows: Sequence[NetworkRow], answers: "Answers") -> str:
    best = rows[0]
    level = [row for row in rows if _is_level(answers, best.lane, row.lane) and row.multiply_adds < best.multiply_adds]
    if not level:
        return "No network that takes fewer multiply-adds comes within chance of it."
    cheap = min(level, key=lambda row: row.multiply_adds)
    return (
        f"The cheapest within chance of it is {cheap.title}: {percent(cheap.test_accuracy)} with "
        f"{_many(cheap.multiply_adds)} multiply-adds an image and {cheap.parameters:,} parameters."
    )


def _difference(answers: "Answers | None", first: str, second: str) -> Difference | None:
    """None where one of the two has not answered."""
    if answers is None or not {first, second} <= set(answers.predicted):
        return None
    return mcnemar(answers.truth, answers.predicted[first], answers.predicted[second])


def _is_level(answers: "Answers | None", first: str, second: str) -> bool:
    """Whether the two are known to differ by no more than chance."""
    found = _difference(answers, first, second)
    return found is not None and found.p >= CHANCE


def _stopped(rows: Sequence[NetworkRow]) -> list[str]:
    return [f"{row.title} was stopped after {_epochs(row.epochs)}." for row in rows if row.stopped]


# --- single pictures -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """What each network said of the test pictures; every array has one place per picture."""

    truth: np.ndarray  # int
    predicted: dict[str, np.ndarray]  # by lane: int
    score: dict[str, np.ndarray]  # by lane: the probability of what it predicted


@dataclass(frozen=True)
class Mistake:
    """One test picture, and what each network made of it."""

    index: int  # of the test pictures, from 0
    truth: int  # its class
    pixels: np.ndarray | None  # (28, 28) uint8, None where the run kept no picture
    guesses: dict[str, tuple[int, float]]  # by lane: the predicted class and its probability


@dataclass(frozen=True)
class Disagreement:
    sentence: str  # how often only one of the two is right, and whether by more than chance
    only_first: list[Mistake]  # pictures that only the first got right, the surest errors of the second first
    only_second: list[Mistake]


def hardest(run: Run, limit: int = SHOWN) -> list[Mistake]:
    """The test pictures that most networks get wrong; of as many, those on which they are surest of their errors."""
    answers = _answers(run)
    if answers is None or not answers.predicted:
        return []
    wrong = np.stack([predicted != answers.truth for predicted in answers.predicted.values()])  # (lanes, pictures)
    count = wrong.sum(axis=0)
    sure = np.where(wrong, np.stack(list(answers.score.values())), 0).sum(axis=0) / np.maximum(count, 1)
    order = np.lexsort((-sure, -count))
    return _mistakes(run, answers, order[: int((count > 0).sum())][:limit])


def mistakes(run: Run, lane: str, limit: int = SHOWN) -> list[Mistake]:
    """The test pictures that this network gets wrong, the surest errors first."""
    answers = _answers(run)
    if answers is None or lane not in answers.predicted:
        return []
    return _mistakes(run, answers, _surest(answers, lane, answers.predicted[lane] != answers.truth)[:limit])


def disagreement(run: Run, first: str, second: str, limit: int = SHOWN) -> Disagreement:
    """Where two networks differ; the lists hold at most `limit` pictures each, the sentence counts all."""
    answers = _answers(run)
    found = _difference(answers, first, second)
    if answers is None or found is None:
        return Disagreement("Where two networks differ is known once both are tested.", [], [])
    first_wrong = answers.predicted[first] != answers.truth
    second_wrong = answers.predicted[second] != answers.truth
    n, title = len(answers.truth), dict(zip(run.lanes, run.lane_titles, strict=True))
    both = int((first_wrong & second_wrong).sum())
    return Disagreement(
        f"{title[first]} against {title[second]}: both are right on {n - both - found.only_first - found.only_second:,}"
        f" test {pictures(run)} and both wrong on {both:,}. {chance_in_words(found, n, f'test {pictures(run)}')}",
        _mistakes(run, answers, _surest(answers, second, second_wrong & ~first_wrong)[:limit]),
        _mistakes(run, answers, _surest(answers, first, first_wrong & ~second_wrong)[:limit]),
    )


def _surest(answers: Answers, lane: str, among: np.ndarray) -> np.ndarray:
    """Indices of the pictures of `among` (a mask), those first on which this lane is surest."""
    places = np.flatnonzero(among)
    return places[np.argsort(-answers.score[lane][places], kind="stable")]


def _mistakes(run: Run, answers: Answers, places: Iterable[int]) -> list[Mistake]:
    wanted = [int(place) for place in places]
    pixels = _pixels(run, wanted)
    return [
        Mistake(
            index=place,
            truth=int(answers.truth[place]),
            pixels=pixels.get(place),
            guesses={
                lane: (int(answers.predicted[lane][place]), float(answers.score[lane][place]))
                for lane in answers.predicted
            },
        )
        for place in wanted
    ]


def _pixels(run: Run, places: Sequence[int]) -> dict[int, np.ndarray]:
    """The pictures at these places that the run kept; none where it kept no pictures or they cannot be read."""
    try:
        with open(run.folder.digits, "rb") as file, np.load(file, allow_pickle=False) as kept:
            index = {int(place): row for row, place in enumerate(kept["index"])}
            rows = [(place, index[place]) for place in places if place in index]
            if not rows:
                return {}
            pixels = kept["pixels"]
            return {place: pixels[row].copy() for place, row in rows}  # a view would keep them all in memory
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        return {}


def _answers(run: Run) -> Answers | None:
    """None before the run has tested its networks."""
    try:
        stamp = os.stat(run.folder.predictions)
    except OSError:
        return None
    return _read_answers(run.folder.predictions, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=8)
def _read_answers(path: str, changed: int, size: int) -> Answers | None:
    """Read once for all sentences and pictures of a page. None for a file of another shape."""
    try:
        value = read_json(path)
        truth = np.array(value["truth"], np.int16)
        predicted = {lane: np.array(said["predicted"], np.int16) for lane, said in value["lanes"].items()}
        score = {lane: np.array(said["score"], np.float32) for lane, said in value["lanes"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    said: list[np.ndarray] = [*predicted.values(), *score.values()]
    whole = truth.ndim == 1 and all(each.shape == truth.shape for each in said)
    return Answers(truth, predicted, score) if whole else None


# --- why it came out so ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Explanation:
    title: str
    text: str  # Markdown, two to four sentences


def explanations(run: Run) -> list[Explanation]:
    """What can be learned from this run, with its own numbers; only what applies to its networks."""
    found = [_wide_kernels(run), _dropout(run), _overfitting(run), *_training_aids(run), _next_tenth(run)]
    return [each for each in found if each]


@dataclass(frozen=True)
class Ending:
    """How a network did when it learned no more; None where there is nothing to say it by."""

    training_accuracy: float | None  # 0..1, mean over the last epoch's batches
    training_loss: float | None  # nats, likewise
    validation_accuracy: float | None  # 0..1, after the last epoch
    validation_loss: float | None  # nats, likewise


def ending(run: Run, lane: str) -> Ending:
    """The last epoch of a network so far."""
    training, validation = run.story.curves.get((lane, "training")), run.story.curves.get((lane, "validation"))
    accuracy = loss = None
    if training and training.step:
        accuracy, loss = _epoch_means(training, training.step[-1] - _steps_an_epoch(run, lane), training.step[-1])
    return Ending(
        accuracy,
        loss,
        validation.accuracy[-1] if validation and validation.step else None,
        validation.cross_entropy[-1] if validation and validation.step else None,
    )


def _steps_an_epoch(run: Run, lane: str) -> int:
    started = run.story.lanes_started.get(lane)
    return started.steps_an_epoch if started else 1


def _epoch_means(curve: Curve, after: int, last: int) -> tuple[float | None, float | None]:
    """Mean accuracy and cross-entropy of the steps after `after` up to `last`; None where there is no number."""
    places = [i for i, step in enumerate(curve.step) if after < step <= last]
    losses = [loss for i in places if (loss := curve.cross_entropy[i]) is not None]
    accuracy = statistics.fmean(curve.accuracy[i] for i in places) if places else None
    return accuracy, statistics.fmean(losses) if losses else None


def _wide_kernels(run: Run) -> Explanation | None:
    """Of a network whose kernels are larger than their input, as the coursework's was handed in."""
    for network in run.spec.networks:
        rows = layers.costs(layers.read(network.layers))
        wide = [row for row in rows if row.layer.kind == layers.CONV and row.layer.kernel > row.given[0]]
        if not wide:
            continue
        first, work, padding = wide[0], layers.multiply_adds(wide), sum(row.on_padding for row in wide)
        filters, kernel, side = first.layer.filters, first.layer.kernel, first.given[0]
        contrast = f", not for {kernel:,} filters of {filters} × {filters}" if filters < kernel else ""
        which = "this layer" if len(wide) == 1 else f"the {len(wide)} layers of this kind"
        have, take = ("has", "takes") if len(wide) == 1 else ("have", "take")
        sentences = [
            f"`Conv2D({filters}, {kernel})` asks for {filters:,} filters of {kernel} × {kernel}{contrast}: the number "
            "of filters comes first.",
            f"{network.title}: {which} {have} {layers.parameters(wide):,} parameters and {take} {_many(work)} "
            f"multiply-adds an image, of which {percent(padding / work)} meet nothing but the zeros around it, because "
            f"a filter of {kernel} × {kernel} reaches beyond {side} × {side}.",
        ]
        if all(map(layers.is_one_product, wide)):
            sentences.append(
                "A kernel larger than its input joins every place with every place, as a dense layer whose weights "
                "repeat, so the lab computes it as one matrix product and leaves the padding out."
            )
        sentences += _against_as_meant(run, network)
        return Explanation(f"What Conv2D({filters}, {kernel}) asks for", " ".join(sentences))
    return None


def _against_as_meant(run: Run, network: catalog.Network) -> list[str]:
    """The same network with the two numbers of its convolutions the other way round, where it is in the run too."""
    turned = layers.write(
        [
            each._replace(filters=each.kernel, kernel=each.filters) if each.kind == layers.CONV else each
            for each in layers.read(network.layers)
        ]
    )
    other = next((each for each in run.spec.networks if each.layers == turned), None)
    results = run.story.network_results
    if other is None or not {network.name, other.name} <= set(results):
        return []
    given, meant = results[network.name], results[other.name]
    return [
        f"{network.title}: {percent(given.test_accuracy)} after {_duration(given.train_seconds)} of training; "
        f"{other.title}, with {meant.parameters:,} parameters: {percent(meant.test_accuracy)} after "
        f"{_duration(meant.train_seconds)}."
    ]


def _dropout(run: Run) -> Explanation | None:
    rates = {network.name: _dropout_rates(network) for network in run.spec.networks}
    dropping = [network for network in run.spec.networks if rates[network.name]]
    if not dropping:
        return None
    named = _join([f"{each.title} {_join([percent0(rate) for rate in rates[each.name]])}" for each in dropping])
    sentences = [
        f"Dropout sets a share of the values to zero at every training step ({named}), so that no unit can rely on "
        "another one; when the network is asked, it is off.",
        "Training accuracy is measured with it on, so validation can lie above training.",
    ]
    gaps = {each.name: gap for each in run.spec.networks if (gap := _gap(run, each.name))}
    told = [f"{each.title} {gaps[each.name]}" for each in dropping if each.name in gaps]
    others = [
        f"{each.title} {gaps[each.name]}" for each in run.spec.networks if each.name in gaps and not rates[each.name]
    ]
    if told:
        sentences.append(f"Training and validation at the end, with dropout: {_join(told)}.")
    if told and others:
        sentences.append(f"Without: {_join(others)}.")
    return Explanation("Why dropout", " ".join(sentences))


def _dropout_rates(network: catalog.Network) -> list[float]:
    return [each.rate for each in layers.read(network.layers) if each.kind == layers.DROPOUT]


def _gap(run: Run, lane: str) -> str:
    """ "99.1% and 98.7%": training and validation at the end; "" where one is missing"""
    end = ending(run, lane)
    if end.training_accuracy is None or end.validation_accuracy is None:
        return ""
    return f"{percent(end.training_accuracy)} and {percent(end.validation_accuracy)}"


@dataclass(frozen=True)
class Overfitting:
    """The validation loss of a network that has risen since its lowest, while the training loss fell on."""

    lane: str
    title: str
    best_epoch: int  # of the lowest validation loss
    epochs: int  # evaluated
    lowest_loss: float  # nats
    lowest_training_loss: float  # nats, of the same epoch
    end: Ending
    most_accurate_epoch: int  # by validation
    lost: float  # 0..1, validation accuracy at the end below that epoch's


def overfitting(run: Run) -> list[Overfitting]:
    """The networks whose curves show it, the largest rise first."""
    found = []
    for lane, title in zip(run.lanes, run.lane_titles, strict=True):
        validation, training = run.story.curves.get((lane, "validation")), run.story.curves.get((lane, "training"))
        if not validation or not training:
            continue
        losses = [math.inf if loss is None else loss for loss in validation.cross_entropy]
        end = ending(run, lane)
        lowest = min(range(len(losses)), key=losses.__getitem__)
        step = validation.step[lowest]
        _, then = _epoch_means(training, step - _steps_an_epoch(run, lane), step)
        if end.validation_loss is None or end.training_loss is None or then is None:
            continue
        if end.validation_loss > LOSS_RISE * losses[lowest] and end.training_loss < then:
            best = max(range(len(losses)), key=validation.accuracy.__getitem__)
            found.append(
                Overfitting(
                    lane=lane,
                    title=title,
                    best_epoch=lowest + 1,
                    epochs=len(losses),
                    lowest_loss=losses[lowest],
                    lowest_training_loss=then,
                    end=end,
                    most_accurate_epoch=best + 1,
                    lost=validation.accuracy[best] - validation.accuracy[-1],
                )
            )
    return sorted(found, key=lambda each: each.lowest_loss / (each.end.validation_loss or 1))


def _overfitting(run: Run) -> Explanation | None:
    named = dict(zip(run.lanes, run.lane_titles, strict=True))
    evaluated = [lane for lane in run.lanes if run.story.curves.get((lane, "validation"), Curve()).step]
    found, sentences = overfitting(run), []
    if found:
        sentences += _seen_in(found[0])
    elif evaluated:
        gaps = [f"{named[lane]} {gap}" for lane in evaluated if (gap := _gap(run, lane))]
        sentences.append(
            "None in these curves yet: no validation loss has risen clearly since its lowest while the training loss "
            "fell on."
        )
        if gaps:
            sentences.append(f"Training and validation at the end: {_join(gaps)}.")
        sentences.append("More epochs, or a network without dropout and moved images, would show it.")
    if len(found) > 1:
        sentences.append(f"The same shows in {_join([each.title for each in found[1:]])}.")
    # Without a validation split there is the test alone, which comes once.
    results = run.story.network_results
    held_none = [lane for lane in run.lanes if lane not in evaluated and lane in results]
    for lane in held_none[:1]:
        training = ending(run, lane).training_accuracy
        if training is not None:
            sentences.append(
                f"{named[lane]} holds no images out, so that its curve cannot show it: {percent(training)} right in "
                f"its last epoch of training, {percent(results[lane].test_accuracy)} in the test."
            )
    return Explanation("What overfitting looks like", " ".join(sentences)) if sentences else None


def _seen_in(worst: Overfitting) -> list[str]:
    end = worst.end
    held_out = f"{percent(end.validation_accuracy or 0)} of those held out"
    if worst.lost > 0:
        held_out += f", {_points(worst.lost)} less than after epoch {worst.most_accurate_epoch}"
    return [
        f"{worst.title} goes on getting better at what it has seen and worse at what it has not: since epoch "
        f"{worst.best_epoch} of {worst.epochs} its training loss fell from {worst.lowest_training_loss:.3f} to "
        f"{end.training_loss:.3f}, and its validation loss rose from {worst.lowest_loss:.3f} to "
        f"{end.validation_loss:.3f}.",
        f"It ends with {percent(end.training_accuracy or 0)} of the training images right and {held_out}.",
    ]


def _training_aids(run: Run) -> list[Explanation]:
    """One sentence on each of the means that some network is trained with."""
    sentences = [
        sentence
        for about in (_batchnorm, _one_cycle, _moved_pictures, _label_smoothing)
        if (sentence := about(run)) is not None
    ]
    if not sentences:
        return []
    return [Explanation("What helps a network learn", "\n".join(f"- {sentence}" for sentence in sentences))]


def _users(run: Run, uses: Callable[[catalog.Network], bool]) -> list[catalog.Network]:
    """The networks that use it, those with a result first, the best of them at the head."""
    results = run.story.network_results
    used = [network for network in run.spec.networks if uses(network)]
    return sorted(used, key=lambda each: -results[each.name].test_accuracy if each.name in results else 0.0)


def _batchnorm(run: Run) -> str | None:
    used = _users(run, lambda each: any(layer.kind == layers.BATCHNORM for layer in layers.read(each.layers)))
    if not used:
        return None
    network = used[0]
    rows = layers.costs(layers.read(network.layers))
    spent = sum(row.parameters for row in rows if row.layer.kind == layers.BATCHNORM)
    validation = run.story.curves.get((network.name, "validation"), Curve())
    after = f"; after one epoch {percent(validation.accuracy[0])} are right in validation" if validation.step else ""
    return (
        f"**Batch normalisation** brings every channel to mean 0 and variance 1 within a batch, so that a rate of "
        f"{network.learning_rate:g} does no harm: {network.title} spends {spent:,} of its "
        f"{layers.parameters(rows):,} parameters on it{after}."
    )


def _one_cycle(run: Run) -> str | None:
    used = _users(run, lambda each: each.schedule == catalog.ONE_CYCLE)
    if not used:
        return None
    network = used[0]
    sentence = (
        f"**One learning-rate cycle** climbs to {network.learning_rate:g} and then falls to nearly 0, so that the last "
        "steps are small ones"
    )
    validation = run.story.curves.get((network.name, "validation"), Curve())
    if len(validation.step) > 1:
        half = (len(validation.step) - 1) // 2
        sentence += (
            f": {network.title} had {percent(validation.accuracy[half])} of the validation images right after epoch "
            f"{half + 1} and {percent(validation.accuracy[-1])} after epoch {len(validation.step)}"
        )
    return sentence + "."


def _moved_pictures(run: Run) -> str | None:
    used = _users(run, lambda each: each.augmentation)
    if not used:
        return None
    network = used[0]
    sentence = (
        "**Moved images** are turned, shifted and stretched a little, differently each time, so that none is seen twice"
    )
    started, result = run.story.lanes_started.get(network.name), run.story.network_results.get(network.name)
    if started and result:
        sentence += (
            f": {network.title} learned from {round(result.epochs * started.training):,} different ones made from "
            f"{started.training:,}"
        )
    end = ending(run, network.name)
    if end.training_accuracy is not None and end.validation_accuracy is not None:
        sentence += (
            f"; they are the harder ones, {percent(end.training_accuracy)} right at the end against "
            f"{percent(end.validation_accuracy)} in validation"
            if end.training_accuracy < end.validation_accuracy
            else f"; at the end {percent(end.training_accuracy)} of them are right"
        )
    return sentence + "."


def _label_smoothing(run: Run) -> str | None:
    used = _users(run, lambda each: each.label_smoothing > 0)
    if not used:
        return None
    network, answers = used[0], _answers(run)
    sentence = (
        f"**Label smoothing** shares {percent0(network.label_smoothing)} of the target among all classes, so that a "
        "network is not rewarded for certainty"
    )
    if answers and network.name in answers.score:
        right = float((answers.predicted[network.name] == answers.truth).mean())
        sentence += (
            f": {network.title} gives its answers to the test {pictures(run)} a probability of "
            f"{percent(float(answers.score[network.name].mean()))} on average, and {percent(right)} are right"
        )
    return sentence + "."


def _next_tenth(run: Run) -> Explanation | None:
    """What accuracy costs between neighbours on the frontier of training time."""
    rows, answers = network_rows(run), _answers(run)
    if len(rows) < 2:
        return None
    on_it = [rows[i] for i in frontier([(row.train_seconds, row.test_accuracy) for row in rows])]
    steps = [(a, b) for a, b in itertools.pairwise(on_it) if b.wrong < a.wrong]
    title = "What one more tenth of a percent costs"
    if not steps:
        best = on_it[-1]
        return Explanation(
            title,
            f"Nothing here: {best.title} is the most accurate, and no other network took less time to train. "
            "A network that learns for longer would have to beat it.",
        )
    sentences = []
    for cheap, dear in steps[-3:]:  # the dearest ones say it best
        gained = dear.test_accuracy - cheap.test_accuracy
        chance = ", a lead that is no more than chance" if _is_level(answers, cheap.lane, dear.lane) else ""
        tenths, more = gained / 0.001, dear.parameters - cheap.parameters
        sentences.append(
            f"From {cheap.title} to {dear.title} accuracy gains {_points(gained)} for "
            f"{_duration(dear.train_seconds - cheap.train_seconds)} more of training and {abs(more):,} parameters "
            f"{'more' if more >= 0 else 'fewer'}: {_duration((dear.train_seconds - cheap.train_seconds) / tenths)} for "
            f"each tenth{chance}."
        )
    return Explanation(title, " ".join(sentences))


# --- all runs kept ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LeaderRow:
    """One tested network of one run, beside those of all other runs."""

    data: str  # of the pictures, for people
    title: str  # of the network
    layers: str
    epochs: float  # learned
    seed: int
    test_accuracy: float  # 0..1
    test_low: float  # 95 % Wilson interval of it
    test_high: float
    test_n: int  # pictures
    train_seconds: float
    parameters: int
    run_id: str
    when: float  # Unix seconds at which it was tested
    seeds: int  # with which the same network learned the same pictures for as many epochs, this one included
    median: float | None  # 0..1, test accuracy over them; None for one seed alone


def leaderboard(runs: Iterable[Run]) -> list[LeaderRow]:
    """Every tested network of these runs, the best first; sets of pictures one after the other, as in the catalogue.

    Whoever takes the first row for granted has chosen by the test: its figure is then a little too good, the median of
    several seeds is not.
    """
    rows: list[tuple[tuple, tuple, LeaderRow]] = []  # with what makes networks the same, and the place of their data
    names = [row.name for row in catalog.DIGIT_SETS]
    for run in runs:
        if not run.is_mnist:
            continue
        spec = run.spec
        place = (names.index(spec.data) if spec.data in names else len(names), spec.data)
        for network in spec.networks:
            result = run.story.network_results.get(network.name)
            if result is None:
                continue
            # However it is called and wherever it comes from.
            recipe = tuple(network._replace(name="", title="", source="", epochs=0))
            same = (spec.data, spec.training_images, recipe, result.epochs)
            low, high = wilson(round(result.test_accuracy * result.test_n), result.test_n)
            row = LeaderRow(
                data=catalog.digit_set(spec.data).title,
                title=network.title,
                layers=network.layers,
                epochs=result.epochs,
                seed=spec.seed,
                test_accuracy=result.test_accuracy,
                test_low=low,
                test_high=high,
                test_n=result.test_n,
                train_seconds=result.train_seconds,
                parameters=result.parameters,
                run_id=run.id,
                when=result.t,
                seeds=1,
                median=None,
            )
            rows.append((same, place, row))
    newest: dict[tuple, dict[int, LeaderRow]] = {}  # by seed: one that ran twice counts once
    for same, _, row in sorted(rows, key=lambda each: each[2].when):
        newest.setdefault(same, {})[row.seed] = row
    rows.sort(key=lambda each: (each[1], -each[2].test_accuracy, each[2].parameters, -each[2].when))
    return [_with_median(row, list(newest[same].values())) for same, _, row in rows]


def _with_median(row: LeaderRow, alike: Sequence[LeaderRow]) -> LeaderRow:
    if len(alike) == 1:
        return row
    return replace(row, seeds=len(alike), median=statistics.median(each.test_accuracy for each in alike))


# --- numbers in sentences --------------------------------------------------------------------------------------------


def percent0(share: float) -> str:
    """0.3 -> "30%", 0.125 -> "12.5%" """
    return f"{round(share * 100, 2):g}%"


def _points(share: float) -> str:
    """0.0016 -> "0.16 pt": differences between good networks are small"""
    return f"{share * 100:.2f} pt"


def _many(number: int) -> str:
    """101,632 or 10.8 million"""
    return f"{number:,}" if number < 1_000_000 else f"{number / 1e6:,.1f} million"


def _epochs(number: float) -> str:
    return f"{number:.3g} epoch{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    """0.4 s, 38 s, 1m 04s"""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60}m {whole % 60:02d}s"


def _join(words: Sequence[str]) -> str:
    """a, b and c; or "a, b; c and d" where a title has a comma of its own"""
    between = "; " if any("," in word for word in words) else ", "
    return " and ".join(filter(None, [between.join(words[:-1]), *words[-1:]]))
