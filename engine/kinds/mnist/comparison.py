"""What a comparison of networks for digits means: its table, its verdict, its mistakes, and the best of all runs.

Tables, sentences and charts all read the rows made here, so that no number is said in two ways. Every network meets the
test pictures once, at its end, and nothing is chosen by them: epochs are judged by the validation split alone.
"""

import os
import statistics
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from engine.contract import catalog
from engine.contract.events import TRAINING
from engine.contract.kinds.mnist import NetworkExported, NetworkResult
from engine.contract.run_folder import read_json
from engine.runs import Curve, Run
from engine.stats import CHANCE, Difference, Verdict, chance_in_words, interval, mcnemar, wilson
from engine.words import epochs, many, percent, short_duration

SHOWN = 12  # mistakes, where nobody asks for more or fewer


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
    for number, (lane, title) in enumerate(run.titles.items()):
        result = run.story.by_lane(NetworkResult).get(lane)
        if result is None:
            continue
        exported = run.story.by_lane(NetworkExported).get(lane)
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


def seconds_left(run: Run) -> float | None:
    """Of training: each network's steps left, at its own pace; None where a pace is not known."""
    story, left = run.story, 0.0
    if not story.lanes_started or story.stages[-1].name != TRAINING:
        return None
    for lane, started in story.lanes_started.items():
        curve = story.curves.get((lane, "training"), Curve())
        if lane in story.lanes_ended:
            continue
        if len(curve.step) < 2:
            return None
        # The first call of a network, a few steps, also builds its function and says nothing of its pace.
        first = 4 if len(curve.step) > 8 else 0
        pace = (curve.seconds[-1] - curve.seconds[first]) / (curve.step[-1] - curve.step[first])
        left += pace * (started.steps - curve.step[-1])
    return left


# --- the verdict -----------------------------------------------------------------------------------------------------


def verdict(run: Run) -> Verdict:
    """Which network is best, whether by more than chance, and what the lead costs."""
    rows, answers = network_rows(run), answers_of(run)
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
        f"{percent(row.test_low)} and {percent(row.test_high)} right. It learned for "
        f"{short_duration(row.train_seconds)} and has {row.parameters:,} parameters; an image takes it "
        f"{many(row.multiply_adds)} multiply-adds."
    )


def _price(best: NetworkRow, second: NetworkRow) -> str:
    return (
        f"It took {short_duration(best.train_seconds)} of training against {short_duration(second.train_seconds)}, and "
        f"has {best.parameters:,} parameters against {second.parameters:,} and {many(best.multiply_adds)} "
        f"multiply-adds an image against {many(second.multiply_adds)}."
    )


def _cheapest(rows: Sequence[NetworkRow], answers: "Answers") -> str:
    best = rows[0]
    level = [row for row in rows if is_level(answers, best.lane, row.lane) and row.multiply_adds < best.multiply_adds]
    if not level:
        return "No network that takes fewer multiply-adds comes within chance of it."
    cheap = min(level, key=lambda row: row.multiply_adds)
    return (
        f"The cheapest within chance of it is {cheap.title}: {percent(cheap.test_accuracy)} with "
        f"{many(cheap.multiply_adds)} multiply-adds an image and {cheap.parameters:,} parameters."
    )


def _difference(answers: "Answers | None", first: str, second: str) -> Difference | None:
    """None where one of the two has not answered."""
    if answers is None or not {first, second} <= set(answers.predicted):
        return None
    return mcnemar(answers.truth, answers.predicted[first], answers.predicted[second])


def is_level(answers: "Answers | None", first: str, second: str) -> bool:
    """Whether the two are known to differ by no more than chance."""
    found = _difference(answers, first, second)
    return found is not None and found.p >= CHANCE


def _stopped(rows: Sequence[NetworkRow]) -> list[str]:
    return [f"{row.title} was stopped after {epochs(row.epochs)}." for row in rows if row.stopped]


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
    answers = answers_of(run)
    if answers is None or not answers.predicted:
        return []
    wrong = np.stack([predicted != answers.truth for predicted in answers.predicted.values()])  # (lanes, pictures)
    count = wrong.sum(axis=0)
    sure = np.where(wrong, np.stack(list(answers.score.values())), 0).sum(axis=0) / np.maximum(count, 1)
    order = np.lexsort((-sure, -count))
    return _mistakes(run, answers, order[: int((count > 0).sum())][:limit])


def mistakes(run: Run, lane: str, limit: int = SHOWN) -> list[Mistake]:
    """The test pictures that this network gets wrong, the surest errors first."""
    answers = answers_of(run)
    if answers is None or lane not in answers.predicted:
        return []
    return _mistakes(run, answers, _surest(answers, lane, answers.predicted[lane] != answers.truth)[:limit])


def disagreement(run: Run, first: str, second: str, limit: int = SHOWN) -> Disagreement:
    """Where two networks differ; the lists hold at most `limit` pictures each, the sentence counts all."""
    answers = answers_of(run)
    found = _difference(answers, first, second)
    if answers is None or found is None:
        return Disagreement("Where two networks differ is known once both are tested.", [], [])
    first_wrong = answers.predicted[first] != answers.truth
    second_wrong = answers.predicted[second] != answers.truth
    n, title = len(answers.truth), run.titles
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


def answers_of(run: Run) -> Answers | None:
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
        spec, results = run.spec, run.story.by_lane(NetworkResult)
        if not results:  # nothing tested, or another kind
            continue
        place = (names.index(spec.data) if spec.data in names else len(names), spec.data)
        for network in spec.networks:
            result = results.get(network.name)
            if result is None:
                continue
            # However it is called and wherever it comes from.
            recipe = tuple(network._replace(name="", title="", source="", epochs=0))
            same = (spec.data, spec.training_images, recipe, result.epochs)
            low, high = interval(result.test_accuracy, result.test_n)
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
