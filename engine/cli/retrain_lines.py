"""What a retraining prints: retrain.py's lines while it goes on, its results, and a record for programs."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.contract import events
from engine.contract.kinds.race import RaceResult

if TYPE_CHECKING:
    from engine.kinds.race.curves import LaneRow
    from engine.runs import Run


class Lines:
    """retrain.py's lines, without its timestamps. Where there are several lanes, each line begins with its own."""

    def __init__(self, image_dir: str, misclassified: bool):
        self.image_dir, self.misclassified = image_dir, misclassified
        self.told = 0  # evaluations

    def new(self, run: "Run") -> Iterator[str]:
        """The lines of evaluations that came since the last call, step by step, and in a step lane by lane."""
        from engine.runs import Curve

        curves = run.story.curves
        # A lane's two curves, and the lanes, arrive one after another: only what all have is told.
        arrived = [curves.get((lane, split), Curve()) for lane in run.lanes for split in ("training", "validation")]
        whole = min(len(curve.step) for curve in arrived)
        photos = _validation_batch(run)
        for at in range(self.told, whole):
            for lane in run.lanes:
                training, validation = curves[lane, "training"], curves[lane, "validation"]
                step = f"{f'lr {lane}: ' if len(run.lanes) > 1 else ''}Step {training.step[at]}:"
                entropy = training.cross_entropy[at]
                yield f"{step} Train accuracy = {training.accuracy[at] * 100:.1f}%"
                yield f"{step} Cross entropy = {'nan' if entropy is None else format(entropy, 'f')}"
                yield f"{step} Validation accuracy = {validation.accuracy[at] * 100:.1f}% (N={photos})"
        self.told = whole

    def last(self, run: "Run") -> Iterator[str]:
        """The table of several lanes, the kept lane's final accuracy and, if asked for, what it got wrong."""
        from engine.kinds.race import curves

        rows = curves.lane_rows(run.story, run.lanes)
        if len(rows) > 1:
            yield from map(_row, rows)
        if run.state != events.DONE:
            return
        kept = next(row for row in rows if row.kept)
        yield f"Final test accuracy = {kept.test_accuracy * 100:.1f}% (N={kept.test_n})"
        if self.misclassified:
            yield from _misclassified(run, kept.lane, self.image_dir)


def _validation_batch(run: "Run") -> int:
    """How many photos one evaluation looks at."""
    if run.spec.validation_batch_size != -1:
        return run.spec.validation_batch_size
    skipped = {photo.file for photo in run.story.skipped}
    return sum(photo.split == "validation" and photo.file not in skipped for photo in run.dataset.photos)


def _row(row: "LaneRow") -> str:
    plateau = f"flat from step {row.plateau.step:,}, {row.plateau.seconds:.1f} s" if row.plateau else "never flat"
    return (
        f"{'*' if row.kept else ' '} learning rate {row.lane:<8} test accuracy {row.test_accuracy:.1%}, "
        f"best validation {row.best_validation_accuracy:.1%} at step {row.best_step:,}, "
        f"{'diverged' if row.diverged else plateau}"
    )


def _misclassified(run: "Run", lane: str, image_dir: str) -> Iterator[str]:
    said = run.predictions()
    assert said  # a run that is done has them
    # As typed, like the original; a set that was named by its word has a folder of its own.
    root = image_dir if os.path.isdir(os.path.expanduser(image_dir)) else run.dataset.root
    yield "=== MISCLASSIFIED TEST IMAGES ==="
    for file, truth, predicted in zip(said["files"], said["truth"], said["lanes"][lane]["predicted"], strict=True):
        if predicted != truth:
            yield f"{os.path.join(root, file):>70}  {run.dataset.labels[predicted]}"


def report(run: "Run") -> dict[str, Any]:
    """A run as one flat-ish record for programs; None where something is not known (yet)."""
    from engine.kinds.race import curves

    story, result = run.story, run.story.last(RaceResult)
    rows = {row.lane: row for row in curves.lane_rows(story, run.lanes)}
    lanes = []
    for lane in run.lanes:
        row = rows.get(lane)
        plateau = row.plateau if row else None
        lanes.append(
            {
                "learning_rate": float(lane),
                "test_accuracy": row.test_accuracy if row else None,
                "test_n": row.test_n if row else None,
                "best_validation_accuracy": row.best_validation_accuracy if row else None,
                "best_step": row.best_step if row else None,
                "plateau_step": plateau.step if plateau else None,
                "plateau_seconds": plateau.seconds if plateau else None,
                "diverged": lane in story.diverged or (row is not None and row.diverged),
            }
        )
    planned = [photo.split for photo in run.dataset.photos]
    return {
        "run": run.folder.path,
        "state": run.state,
        "seconds": {stage.name: round((stage.ended or story.last_t) - stage.began, 3) for stage in story.stages},
        "images": result.images if result else len(planned),
        "splits": {
            split: getattr(result, split) if result else planned.count(split)
            for split in ("training", "validation", "testing")
        },
        "backbone": run.spec.backbone,
        "lanes": lanes,
        "race_seconds": result.race_seconds if result else None,
        "kept": float(result.kept) if result else None,
        "error": story.error.message if story.error else None,
    }
