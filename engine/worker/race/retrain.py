"""The story of a retraining run: photos -> bottlenecks -> a race of last layers -> figures -> files.

As a program, `python -m engine.worker.race.retrain RUN_FOLDER AT_ONCE`, it tells the story for the run's own
process, with so many photos in memory at a time; see children.run_story. Python 3.6.
"""

import contextlib
import os
import sys
import time
from collections import OrderedDict
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from engine.contract import choices, events
from engine.contract import dataset as datasets
from engine.contract.dataset import SPLITS, TESTING, TRAINING, VALIDATION, Dataset
from engine.contract.kinds.race import LaneResult, RaceResult, RaceSpec
from engine.contract.run_folder import RunFolder, write_json
from engine.worker import backbones, children, export
from engine.worker.features import distortions, photo_sets
from engine.worker.formats import tflite
from engine.worker.formats.summaries import Summaries
from engine.worker.learning import calibration, choice, heads
from engine.worker.learning.choice import Candidate
from engine.worker.machine import IMPORTS, peak_memory
from engine.worker.reporter import Reporter, RunCancelled, RunFailed

# Photos of the training split by which the 8-bit file is scaled; at most, from all over the split.
CALIBRATION_PHOTOS = 100


class Raced(NamedTuple):
    heads: heads.Heads
    history: List[heads.Evaluation]
    stored: List[heads.Heads]  # as they were on the way, where intermediate graphs are asked for


class Lane(NamedTuple):
    name: str
    weights: Any  # (width, classes) float32
    bias: Any  # (classes,) float32
    result: LaneResult


def in_memory(stage: str, spec: RaceSpec, folder: RunFolder, at_once: int) -> int:
    """See children.run_story."""
    taken = photo_sets.in_memory(spec, folder.home)
    through_backbone = taken[events.BOTTLENECKS]
    photos = [photo for photo in datasets.read(folder.dataset).photos if photo.split == TRAINING]
    batch = len(photos) if spec.train_batch_size == -1 else spec.train_batch_size
    if stage == events.EXPORTING:  # no photos, but two processes at a time: only one where there is any bound
        return 1 if at_once else 2 * max(batch, through_backbone)
    if choices.is_distorted(spec):
        batch = max(batch, through_backbone)
    taken[events.TRAINING] = batch
    most = taken.get(stage, 1)
    return min(most, at_once or most)


def retrain(spec: RaceSpec, folder: RunFolder, report: Reporter, at_once: int) -> None:
    with photo_sets.known_backbone(spec.backbone, folder.home) as network:
        _tell_the_story(spec, network, datasets.read(folder.dataset), at_once, folder, report)


def _tell_the_story(
    spec: RaceSpec,
    network: backbones.Network,
    dataset: Dataset,
    at_once: int,
    folder: RunFolder,
    report: Reporter,
) -> None:
    photos = photo_sets.scan(dataset, report, at_once)
    decoded = distortions.Photos(network.row.preprocessing, 0 if at_once else distortions.KEPT_BYTES)
    through = photo_sets.Through(spec.device, spec.use_cache, spec.bottleneck_dir, choices.is_distorted(spec))
    photos, runtime, figures = photo_sets.extract(
        through, network, dataset, photos, decoded, folder, report, at_once=at_once
    )
    splits = {name: photo_sets.split_of(photos, name) for name in SPLITS}
    trained, race_seconds = _race(spec, dataset, photos, splits, runtime, decoded, at_once, folder, report)
    lanes = _evaluate(spec, trained, splits, photos, folder, report)
    kept = choose([lane.result for lane in lanes], len(splits[VALIDATION].labels))
    report.tell(events.Kept, lane=kept)
    lane = next(lane for lane in lanes if lane.name == kept)
    difference, compared = _export(spec, network, dataset, lane, trained.stored, photos, at_once, folder, report)
    report.tell(
        RaceResult,
        kept=kept,
        images=len(photos),
        training=len(splits[TRAINING].labels),
        validation=len(splits[VALIDATION].labels),
        testing=len(splits[TESTING].labels),
        cached=figures.cached,
        computed=figures.computed,
        decode_seconds=figures.decode_seconds,
        backbone_seconds=figures.backbone_seconds,
        race_seconds=race_seconds,
        export_difference=difference,
        export_photos=compared,
        runtime=figures.runtime,
        peak_memory_bytes=peak_memory(),
        cache_seconds=figures.cache_seconds,
        import_seconds=IMPORTS.seconds,
    )


def choose(results: List[LaneResult], photos: int) -> str:
    """The lane to keep, by the validation split of that many photos alone; the testing split has no say."""
    found = [
        Candidate(each.lane, each.final_validation_accuracy, each.final_validation_cross_entropy, each.diverged)
        for each in results
    ]
    return choice.choose(found, photos)


def _race(
    spec: RaceSpec,
    dataset: Dataset,
    photos: List[photo_sets.Known],
    splits: Dict[str, heads.Split],
    runtime: Any,
    decoded: distortions.Photos,
    at_once: int,
    folder: RunFolder,
    report: Reporter,
) -> Tuple[Raced, float]:
    names = [choices.lane_name(rate) for rate in spec.learning_rates]
    settings = heads.Settings(
        spec.learning_rates,
        len(dataset.labels),
        spec.steps,
        spec.train_batch_size,
        spec.validation_batch_size,
        spec.eval_step_interval,
        spec.seed,
    )
    distorted = choices.is_distorted(spec)
    batches: Any = heads.batches(splits[TRAINING], settings, 0 if distorted else at_once)
    if distorted:  # a step takes seconds, so photos are counted and not steps
        paths = [photo.path for photo in photos if photo.entry.split == TRAINING]
        report.stage(
            events.TRAINING, spec.steps * (len(paths) if spec.train_batch_size == -1 else spec.train_batch_size)
        )
        batches = distortions.batches(runtime, decoded, paths, batches, spec, report.progress, report.stop)
    else:
        report.stage(events.TRAINING, spec.steps)
    history: List[heads.Evaluation] = []

    def tell(block: List[heads.Evaluation]) -> None:
        history.extend(block)
        for at, name in enumerate(names):
            for split in (TRAINING, VALIDATION):
                report.tell(
                    events.Metric,
                    lane=name,
                    split=split,
                    step=[e.step for e in block],
                    seconds=[round(e.seconds, 4) for e in block],
                    accuracy=[round(float(getattr(e, split + "_accuracy")[at]), 6) for e in block],
                    cross_entropy=[_number(getattr(e, split + "_cross_entropy")[at]) for e in block],
                )
                summaries.scalars(
                    name,
                    split,
                    [
                        (e.step, getattr(e, split + "_accuracy")[at], getattr(e, split + "_cross_entropy")[at])
                        for e in block
                    ],
                )
        if not distorted:
            report.progress(block[-1].step)

    def look(at_work: heads.Heads) -> None:
        for at, name in enumerate(names):
            summaries.variables(name, at_work.steps, at_work.weights[at], at_work.bias[at])
        summaries.flush()

    stored: List[heads.Heads] = []
    store = (spec.intermediate_store_frequency, stored.append) if spec.intermediate_store_frequency else None
    summaries = Summaries(folder, names, report, spec.summaries_dir)
    began = time.perf_counter()
    try:
        with contextlib.closing(batches):
            trained = heads.race(
                batches, splits[VALIDATION], settings, tell, report.stop, look=look, store=store, at_once=at_once
            )
    except distortions.PhotoGone as error:
        raise RunFailed(
            "photo_gone",
            f"{os.path.relpath(error.path, dataset.root)} can no longer be used: {error.why}.",
            "Leave the photos at their place until the run has ended, and start again.",
        ) from error
    finally:
        summaries.close()
    seconds = time.perf_counter() - began
    for at, name in enumerate(names):
        export.write_lane(folder, name, trained.weights[at], trained.bias[at])
    if history:  # none where it was stopped before the first evaluation
        last = heads.last_cross_entropy(history)
        for at, name in enumerate(names):
            tell_of_trouble(name, trained.diverged.get(at), last[at], np.log(len(dataset.labels)), report)
    export.write_labels(folder, dataset.labels)
    if report.stop():  # what was learned so far is kept
        raise RunCancelled()
    return Raced(trained, history, stored), seconds


def tell_of_trouble(
    lane: str, diverged_at: Optional[int], cross_entropy: float, guessing: float, report: Reporter
) -> None:
    """Report a lane that left the numbers (at that step), or whose last cross-entropy (nats) is above guessing's."""
    if diverged_at is not None:
        why = f"Learning rate {lane} diverged: its weights left the range of numbers by step {diverged_at:,}."
        report.tell(events.Diverged, lane=lane, step=diverged_at, why=why)
    elif cross_entropy > guessing:
        report.tell(
            events.Warning,
            message=(
                f"Learning rate {lane} is too high for its scores to mean anything: its validation cross-entropy ends "
                f"at {cross_entropy:.1f}, while guessing gives {guessing:.2f}. Where it is wrong, it is wrong with "
                "certainty."
            ),
        )


def _evaluate(
    spec: RaceSpec,
    raced: Raced,
    splits: Dict[str, heads.Split],
    photos: List[photo_sets.Known],
    folder: RunFolder,
    report: Reporter,
) -> List[Lane]:
    report.stage(events.EVALUATING, len(spec.learning_rates))
    files = [photo.entry.file for photo in photos if photo.entry.split == TESTING]
    testing = splits[TESTING]
    if spec.test_batch_size != -1:
        chosen = heads.sample(testing, spec.test_batch_size, spec.seed)
        testing = heads.Split(testing.features[chosen], testing.labels[chosen])
        files = [files[at] for at in chosen]
    lanes: List[Lane] = []
    said: Dict[str, Any] = OrderedDict()
    for at, rate in enumerate(spec.learning_rates):
        name, weights, bias = choices.lane_name(rate), raced.heads.weights[at], raced.heads.bias[at]
        probabilities = heads.probabilities(testing.features, weights, bias)  # (photos, classes)
        predicted = probabilities.argmax(axis=1)
        said[name] = {
            "predicted": [int(label) for label in predicted],
            "score": [_number(score) for score in probabilities.max(axis=1)],
        }
        accuracy, cross_entropy = heads.measure(splits[VALIDATION], weights, bias)
        best = max(raced.history, key=lambda e: e.validation_accuracy[at])  # the first of equals
        result = LaneResult(
            t=report.clock(),
            lane=name,
            test_accuracy=float((predicted == testing.labels).mean()),
            test_n=len(files),
            final_validation_accuracy=accuracy,
            final_validation_cross_entropy=_number(cross_entropy),
            best_validation_accuracy=float(best.validation_accuracy[at]),
            best_step=best.step,
            diverged=at in raced.heads.diverged,
        )
        events.append(folder.events, result)
        lanes.append(Lane(name, weights, bias, result))
        report.progress(at + 1)
    write_json(folder.predictions, {"files": files, "truth": [int(label) for label in testing.labels], "lanes": said})
    calibration.write(folder, OrderedDict((lane.name, (lane.weights, lane.bias)) for lane in lanes), splits)
    calibration.write_photos(folder, photos)
    return lanes


def _export(
    spec: RaceSpec,
    network: backbones.Network,
    dataset: Dataset,
    lane: Lane,
    stored: List[heads.Heads],
    photos: List[photo_sets.Known],
    at_once: int,
    folder: RunFolder,
    report: Reporter,
) -> Tuple[float, int]:
    """Write the kept lane's files, load each in a fresh process and report how it does.

    Returns by how much a probability differs at most from what was trained, 8 bits left out, and on how many photos.
    """
    report.stage(events.EXPORTING, 5)
    some = _spread([photo for photo in photos if photo.entry.split == TESTING], export.COMPARED)
    calibrating = _spread([photo.path for photo in photos if photo.entry.split == TRAINING], CALIBRATION_PHOTOS)
    expected = heads.probabilities(np.stack([photo.vector for photo in some]), lane.weights, lane.bias)
    head = (network, lane.weights, lane.bias)
    reader = export.FreshProcess("engine.worker.export", folder, beside=not at_once)
    try:
        export.write_saved_model(folder, *head)
        export.write_contract(folder, network, dataset.labels, {"learning_rate": float(lane.name)})
        _progress(report, 1)
        export.write_graph(folder.graph, network, lane.weights, lane.bias, spec.final_tensor_name)
        _progress(report, 2)
        try:
            export.write_tflite(folder.tflite, *head)
            _progress(report, 3)
            export.write_tflite(folder.tflite_8bit, network, lane.weights, lane.bias, calibrating)
        except tflite.NotConvertible as error:
            why = (str(error).splitlines() or ["no reason given"])[0]
            report.tell(events.Warning, message=f"A TFLite file of this model cannot be made: {why}.")
        _progress(report, 4)
        at = [choices.lane_name(rate) for rate in spec.learning_rates].index(lane.name)
        for then in stored:
            path = os.path.join(folder.intermediate, f"intermediate_{then.steps}.pb")
            export.write_graph(path, network, then.weights[at], then.bias[at], spec.final_tensor_name)
            _progress(report, 4)
        answer = reader.ask(
            {
                "paths": [photo.path for photo in some],
                "truth": [photo.entry.label for photo in some],
                "expected": expected.tolist(),
                "final_tensor_name": spec.final_tensor_name,
            }
        )
    finally:
        reader.close()
    for row in answer["exported"]:
        report.tell(events.Exported, **row)
    eight_bit = os.path.basename(folder.tflite_8bit)
    difference = max(row["difference"] for row in answer["exported"] if row["file"] != eight_bit)
    if difference > export.TOLERANCE:
        report.tell(
            events.Warning,
            message=f"The exported files answer differently from what was trained, by up to {difference:.4f}.",
        )
    report.progress(5)
    return difference, len(some)


def _progress(report: Reporter, done: int) -> None:
    report.progress(done)
    if report.stop():
        raise RunCancelled()


def _spread(values: List[Any], count: int) -> List[Any]:
    """At most so many of them, from all over the list."""
    return values[:: max(1, -(-len(values) // count))]


def _number(value: Any) -> Optional[float]:
    """A float that JSON can carry: None where it is no number."""
    return round(float(value), 6) if np.isfinite(value) else None


if __name__ == "__main__":
    IMPORTS.start()
    sys.exit(children.tell(sys.argv[1:], retrain))
