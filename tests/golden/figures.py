"""What a golden run amounts to, from its raw JSON alone: by numpy, pandas, scipy and scikit-learn, or by hand.

Nothing of the lab is used here, so that tests can hold what it shows against this.
"""

import itertools

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from tests import golden

LAST_STEPS, BAND = 500, 0.01  # what counts as the end of a run, and how still a plateau is


def curve(run_id: str, lane: str, split: str) -> dict[str, list]:
    """Every evaluation of one lane on one split: step, seconds, accuracy, cross_entropy."""
    blocks = golden.raw_events(run_id, "metric", lane=lane, split=split)
    fields = ("step", "seconds", "accuracy", "cross_entropy")
    return {field: list(itertools.chain.from_iterable(block[field] for block in blocks)) for field in fields}


def smoothed(values: list[float], weight: float) -> list[float]:
    """TensorBoard's smoothing."""
    return pd.Series(values, dtype=float).ewm(alpha=1 - weight).mean().tolist() if weight else list(values)


def spread(run_id: str, lane: str) -> float:
    """Standard deviation of the validation accuracy over the last 500 steps, 0..1."""
    told = curve(run_id, lane, "validation")
    last = np.array(told["step"]) > told["step"][-1] - LAST_STEPS
    return float(np.std(np.array(told["accuracy"])[last], ddof=1))


def plateau(run_id: str, lane: str) -> tuple[int, float] | None:
    """Step and seconds from which on the 0.9-smoothed validation accuracy stays within 1 pt of its last mean."""
    told = curve(run_id, lane, "validation")
    smooth = np.array(smoothed(told["accuracy"], 0.9))
    step = np.array(told["step"])
    outside = np.flatnonzero(abs(smooth - smooth[step > step[-1] - LAST_STEPS].mean()) > BAND)
    first = outside[-1] + 1 if len(outside) else 0
    return (told["step"][first], told["seconds"][first]) if first < len(step) else None


def labels(run_id: str) -> list[str]:
    return (golden.RUNS / run_id / "artifacts" / "labels.txt").read_text(encoding="utf-8").splitlines()


def answers(run_id: str, lane: str) -> tuple[list[int], list[int]]:
    """Of every testing photo the true class and the predicted one."""
    said = golden.raw_json(run_id, "artifacts/predictions.json")
    return said["truth"], said["lanes"][lane]["predicted"]


def counts(run_id: str, lane: str) -> np.ndarray:
    """The confusion matrix: (true, predicted)."""
    classes = len(labels(run_id)) or 10
    return confusion_matrix(*answers(run_id, lane), labels=range(classes))


def recalls(run_id: str, lane: str) -> np.ndarray:
    classes = len(labels(run_id)) or 10
    return recall_score(*answers(run_id, lane), labels=range(classes), average=None, zero_division=np.nan)


def precisions(run_id: str, lane: str) -> np.ndarray:
    classes = len(labels(run_id)) or 10
    return precision_score(*answers(run_id, lane), labels=range(classes), average=None, zero_division=np.nan)


def wrong(run_id: str, lane: str) -> list[tuple[float, str, int, int]]:
    """The testing photos that a lane got wrong, the most confident errors first: score, file, true, predicted."""
    said = golden.raw_json(run_id, "artifacts/predictions.json")
    of_lane = said["lanes"][lane]
    files = said["files"] or [str(number) for number in range(len(said["truth"]))]
    rows = zip(of_lane["score"], files, said["truth"], of_lane["predicted"], strict=True)
    return sorted((row for row in rows if row[2] != row[3]), key=lambda row: -row[0])


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of n that were counted."""
    interval = binomtest(round(share * n), n).proportion_ci(0.95, method="wilson")
    return interval.low, interval.high


def mcnemar(run_id: str, first: str, second: str) -> tuple[int, int, float]:
    """Photos that only the first got right, only the second, and the p of the exact test."""
    truth, one = map(np.array, answers(run_id, first))
    other = np.array(answers(run_id, second)[1])
    only_first, only_second = int(sum((one == truth) & (other != truth))), int(sum((one != truth) & (other == truth)))
    differ = only_first + only_second
    return only_first, only_second, binomtest(only_first, differ, 0.5).pvalue if differ else 1.0


def stages(run_id: str) -> dict[str, float]:
    """Wall seconds of every stage, in order."""
    told = golden.raw_events(run_id)
    began = [(event["t"], event["name"]) for event in told if event["kind"] == "stage"]
    ends = [t for t, _ in began[1:]] + [told[-1]["t"]]
    found: dict[str, float] = {}
    for (t, name), end in zip(began, ends, strict=True):
        found[name] = found.get(name, 0.0) + end - t
    return found


def starting(run_id: str) -> float:
    """Wall seconds from its turn to its first stage."""
    (running,) = golden.raw_events(run_id, "state", state="running")
    return golden.raw_events(run_id, "stage")[0]["t"] - running["t"]


def seconds(run_id: str) -> float:
    """Wall seconds from its turn to its newest event."""
    (running,) = golden.raw_events(run_id, "state", state="running")
    return golden.raw_events(run_id)[-1]["t"] - running["t"]


def lane_results(run_id: str) -> dict[str, dict]:
    """The final figures of every lane of a race, in the order of creation."""
    return {event["lane"]: event for event in golden.raw_events(run_id, "lane_result")}


def only(run_id: str, kind: str) -> dict:
    """The one event of its kind."""
    (event,) = golden.raw_events(run_id, kind)
    return event
