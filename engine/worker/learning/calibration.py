"""How far a lane's scores can be believed, measured at the end of a run. numpy alone; Python 3.6.

    calibration.json    by lane, null for one that diverged
        temperature     fitted on the whole validation split
        bins            of calibrated scores on the whole testing split
        none_of_these   when a picture is called none of what was learned, and how often that is a false alarm
    photos.json         the sha256, label and split of every photo that was used

Temperature scaling and the expected calibration error: Guo et al. 2017, On Calibration of Modern Neural Networks. The
distance to the nearest training photo as a sign that a picture is something else: Sun et al. 2022, Out-of-Distribution
Detection with Deep Nearest Neighbors, with their cosine and one neighbour.
"""

from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from engine.contract.dataset import TESTING, TRAINING, VALIDATION
from engine.contract.run_folder import RunFolder, write_json
from engine.worker.learning import heads

BINS = 10
FLAGGED = 0.05  # share of the validation split that may be called none of these
# Photos of the validation and of the testing split whose distances are measured, at most, from all over the split:
# with 2,000 a share of 5 % is known to 1 pt, and a hundred thousand photos cost seconds and not an hour.
DISTANCE_PHOTOS = 2000
BLOCK = 1024  # photos whose distances are in memory at once, of either side

# What a float32 can still hold: exported models say probabilities, not what was in front of the softmax.
SMALLEST = float(np.finfo(np.float32).tiny)

COLDEST, HOTTEST = 0.01, 100.0  # temperatures


def write(folder: RunFolder, lanes: Dict[str, Tuple[np.ndarray, np.ndarray]], splits: Dict[str, heads.Split]) -> None:
    """Measure every lane, name -> (weights, bias), and write calibration.json."""
    some = {name: _spread(len(splits[name].labels)) for name in (VALIDATION, TESTING)}
    distances: Dict[str, Optional[np.ndarray]] = {}
    for name, chosen in some.items():
        training = splits[TRAINING].features
        # Photos that are distorted anew at every step have numbers in place of bottlenecks.
        distances[name] = nearest(splits[name].features[chosen], training) if training.ndim == 2 else None
    said: Dict[str, Any] = {}
    for lane, (weights, bias) in lanes.items():
        validation, testing = [heads.probabilities(splits[name].features, weights, bias) for name in some]
        if not (np.isfinite(validation).all() and np.isfinite(testing).all()):
            said[lane] = None
            continue
        temperature = fit(validation, splits[VALIDATION].labels)
        truth = splits[TESTING].labels
        columns, error = reliability(calibrated(testing, temperature), truth)
        scores = [
            calibrated(probabilities, temperature).max(axis=1)[some[name]]
            for name, probabilities in ((VALIDATION, validation), (TESTING, testing))
        ]
        said[lane] = {
            "temperature": temperature,
            "validation_photos": len(validation),
            "photos": len(testing),
            "bins": columns,
            "expected_calibration_error": error,
            "uncalibrated_error": reliability(testing, truth)[1],
            "none_of_these": none_of_these(scores[0], scores[1], distances[VALIDATION], distances[TESTING]),
        }
    write_json(folder.calibration, {"lanes": said})


def write_photos(folder: RunFolder, photos: List[Any]) -> None:
    """`photos`: records with `entry` (engine/contract/dataset.py) and `sha256`, those that were used."""
    write_json(
        folder.photos,
        {
            "files": [photo.entry.file for photo in photos],
            "sha256": [photo.sha256 for photo in photos],
            "label_of_file": [photo.entry.label for photo in photos],
            "split_of_file": [photo.entry.split for photo in photos],
        },
    )


def calibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(photos, classes) or (classes,), rows sum to 1 -> the same, in float64 and in the same order."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) / temperature
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    return logits / logits.sum(axis=-1, keepdims=True)


def fit(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The temperature at which the cross-entropy is least. (photos, classes) float32, (photos,) int.

    Of N photos the true label is expected with (N + 1) / (N + 2) and not with 1, as in Platt 1999: a small split that
    is answered without a mistake would otherwise make every score 100 %.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST))
    count, classes = logits.shape
    # Cross-entropy at 1 / T = inverse: mean over the photos of logsumexp(inverse * logits) - inverse * wanted
    doubt = 1.0 / (count + 2)
    of_truth = logits[np.arange(count), truth]
    others = (logits.sum(axis=1) - of_truth) / max(1, classes - 1)
    wanted = ((1 - doubt) * of_truth + doubt * others).mean()
    low, high, inverse = 1 / HOTTEST, 1 / COLDEST, 1.0
    for _ in range(60):  # Newton's method on a convex function; bisection where it would leave the bracket
        share = calibrated(probabilities, 1 / inverse)
        mean = (share * logits).sum(axis=1)  # (photos,)
        slope = mean.mean() - wanted
        curvature = ((share * logits**2).sum(axis=1) - mean**2).mean()
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        following = inverse - slope / curvature if curvature > 0 else low
        if not low < following < high:
            following = (low * high) ** 0.5
        if abs(following - inverse) <= 1e-7 * inverse:
            break
        inverse = following
    return float(1 / inverse)


def reliability(probabilities: np.ndarray, truth: np.ndarray) -> Tuple[Dict[str, List[Any]], float]:
    """The columns of ten bins by the score of the most probable label, and the expected calibration error, 0..1.

    low, high, photos, confidence (the mean score), right (the share); both None in a bin without photos.
    """
    scores = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == truth
    edges = np.arange(BINS + 1) / BINS
    at = np.clip(np.searchsorted(edges, scores, side="left") - 1, 0, BINS - 1)  # a bin ends with its upper edge
    photos = np.bincount(at, minlength=BINS)
    confidence, share = [np.bincount(at, values, minlength=BINS) for values in (scores, right)]
    error = np.abs(confidence - share).sum() / len(scores)
    columns = {
        "low": edges[:-1].tolist(),
        "high": edges[1:].tolist(),
        "photos": photos.tolist(),
        "confidence": [float(total / n) if n else None for total, n in zip(confidence, photos)],
        "right": [float(total / n) if n else None for total, n in zip(share, photos)],
    }
    return columns, float(error)


def none_of_these(
    scores: np.ndarray,
    testing_scores: np.ndarray,
    distances: Optional[np.ndarray],
    testing_distances: Optional[np.ndarray],
) -> Dict[str, Any]:
    """Thresholds of distance and calibrated score that about 5 % of the validation split is beyond, and what they do.

    (photos,) each, of the validation split and of the testing split. The two thresholds leave out equally many photos.
    """
    count = len(scores)
    by_score = np.sort(scores)
    by_distance = np.sort(distances)[::-1] if distances is not None else None
    # Beyond the first place of the order lies nobody, beyond the second one photo, and so on.
    best: Any = None
    for place in range(int(FLAGGED * count) + 1):
        rule = (float(by_score[place]), float(by_distance[place]) if by_distance is not None else None)
        alarms = int(_beyond(rule, scores, distances).sum())
        if alarms <= FLAGGED * count:
            best = (rule, alarms)
    rule, alarms = best
    return {
        "score": rule[0],
        "distance": rule[1],
        "validation_alarms": alarms,
        "validation_photos": count,
        "false_alarms": int(_beyond(rule, testing_scores, testing_distances).sum()),
        "photos": len(testing_scores),
    }


def _beyond(rule: Tuple[float, Optional[float]], scores: np.ndarray, distances: Optional[np.ndarray]) -> np.ndarray:
    beyond = scores < rule[0]
    return beyond if distances is None else beyond | (distances > rule[1])


def nearest(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(photos, width), (others, width) -> (photos,) float64: cosine distances, each to the nearest of the others."""
    found = np.full(len(some), 2.0)
    for start in range(0, len(others), BLOCK):
        # Products in float32: rounding of 1e-7 moves no threshold, and they take half the time.
        block = _unit(others[start : start + BLOCK]).astype(np.float32)
        for at in range(0, len(some), BLOCK):
            distance = 1.0 - _unit(some[at : at + BLOCK]).astype(np.float32).dot(block.T).max(axis=1)
            found[at : at + BLOCK] = np.minimum(found[at : at + BLOCK], np.maximum(distance, 0))
    return found


def distances(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(width,), (others, width) -> (others,) float64: the cosine distance to each, 0..2."""
    return np.maximum(1.0 - _unit(others).dot(_unit(one[None])[0]), 0)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """In float64: rounding in float32 would put a photo at 1e-7 from itself, and its copies in no order."""
    vectors = vectors.astype(np.float64)
    length = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    return vectors / np.maximum(length, 1e-12)  # a vector of zeros has no direction: 1 from everything


def _spread(count: int) -> np.ndarray:
    return np.arange(0, count, max(1, -(-count // DISTANCE_PHOTOS)))
