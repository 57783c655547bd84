"""The story of a fine-tuning run: photos -> bottlenecks -> a head for all lanes -> each depth in a process of its own.

The run's own process only watches, so that each lane's memory is its own. As a program,
`python -m engine.worker.fine_tuning.fine_tune RUN_FOLDER AT_ONCE`, it prepares what all lanes share, with so many
photos in memory at a time; lane.py is a lane. Python 3.6.
"""

import os
import shutil
import sys
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Optional

import numpy as np

from engine.contract import catalog, choices, events
from engine.contract import dataset as datasets
from engine.contract.dataset import SPLITS, TRAINING, VALIDATION
from engine.contract.kinds.fine_tuning import FineTuningResult, FineTuningSpec
from engine.contract.run_folder import RunFolder, read_json, write_json
from engine.worker import backbones, children, export, images
from engine.worker.features import distortions, photo_sets
from engine.worker.learning import calibration, heads
from engine.worker.machine import cores
from engine.worker.reporter import Reporter, RunCancelled, RunFailed

# The head that every lane starts with learns this on bottlenecks: a few passes over the photos, a second of work. A
# head of zeros would send errors of its own through the blocks, and spoil them before it has learned anything.
HEAD_STEPS, HEAD_BATCH, HEAD_RATE = 300, 100, 0.05
DECODED = 64  # photos that wait in memory until they are written


class Shared:
    """What the lanes share, in a folder that goes when the run ends."""

    def __init__(self, folder: RunFolder) -> None:
        self.path = os.path.join(folder.path, "shared")
        self.pixels = os.path.join(self.path, "pixels.bin")  # size x size x 3 bytes for each photo
        self.start = os.path.join(
            self.path, "start.npz"
        )  # labels and splits of the photos, weights and bias of the head

    def answers(self, lane: str) -> str:
        """What a lane said of the testing photos: {"predicted": …, "score": …}."""
        return os.path.join(self.path, lane + ".json")

    def probabilities(self, lane: str) -> str:
        """The same in full: (testing photos, classes) float32."""
        return os.path.join(self.path, lane + ".npy")


class Pixels:
    """The photos as the backbone gets them, read from the disk as they are needed: the system keeps them in its own
    memory, not in this process'."""

    def __init__(self, path: str, size: int) -> None:
        self.size, self._bytes = size, size * size * 3
        self._file = open(path, "rb")  # noqa: SIM115

    def close(self) -> None:
        self._file.close()

    def take(self, numbers: np.ndarray, mirrored: Any = None) -> np.ndarray:
        """(n, size, size, 3) uint8 of the photos with these numbers; `mirrored`: (n,) bool."""
        found = np.empty((len(numbers), self._bytes), np.uint8)
        for place, number in enumerate(numbers):
            self._file.seek(int(number) * self._bytes)
            found[place] = np.frombuffer(self._file.read(self._bytes), np.uint8)
        pixels = found.reshape(-1, self.size, self.size, 3)
        if mirrored is not None:
            pixels[mirrored] = pixels[mirrored, :, ::-1]
        return pixels


def fine_tune(spec: FineTuningSpec, folder: RunFolder, report: Reporter) -> None:
    """In the run's own process, which loads nothing large. Raises RunFailed, RunEnded and RunCancelled."""
    shared = Shared(folder)
    try:
        children.run_story("engine.worker.fine_tuning.fine_tune", spec, folder, report)
        with np.load(shared.start) as start:
            splits = start["splits"]  # (photos,) places in SPLITS
            files, truth = start["files"][splits == 2].tolist(), start["labels"][splits == 2].tolist()
        training = int((splits == 0).sum())
        report.stage(events.TRAINING, len(spec.blocks) * spec.epochs * training)
        said: Dict[str, Any] = OrderedDict()
        for number, blocks in enumerate(spec.blocks):
            if _learn(spec, blocks, min(spec.batch_size, training), number * spec.epochs * training, folder, report):
                said[choices.depth_name(blocks)] = read_json(shared.answers(choices.depth_name(blocks)))
                write_json(folder.predictions, {"files": files, "truth": truth, "lanes": said})
        if not said:
            raise RunFailed(
                "out_of_memory",
                "No depth could be trained in the memory that there is, even one photo at a time.",
                "Raise the memory limit, close other programs, or take fewer blocks.",
            )
        code = children.run_module("engine.worker.fine_tuning.depth_files", [folder.path], report)
        if code != children.DONE:
            why = f"The depths have learned, but their files could not be written: {children.why_it_ended(code)}."
            report.tell(events.Warning, message=why)
        report.tell(
            FineTuningResult,
            training=training,
            validation=int((splits == 1).sum()),
            testing=len(files),
            runtime=f"TensorFlow on the {spec.device.upper()}, {cores()} cores",
        )
    finally:
        shutil.rmtree(shared.path, ignore_errors=True)


def _learn(spec: FineTuningSpec, blocks: int, at_once: int, before: int, folder: RunFolder, report: Reporter) -> bool:
    """One lane, again and again with half as many photos at once while the memory runs out; False: not even with one.

    The gradients of the parts are added up, so that a step still learns from `batch_size` photos and the lane stays
    comparable with the others. `before`: photos that earlier lanes learned from.
    """
    lane, title = choices.depth_name(blocks), choices.depth_title(blocks)

    def arguments() -> List[str]:
        return [folder.path, str(blocks), str(at_once), str(before)]

    def less(code: int) -> Optional[List[str]]:
        nonlocal at_once
        why = children.why_it_ended(code)
        if at_once == 1:
            report.tell(
                events.Warning,
                message=f"{title} is left out: even with one photo at a time, {why}.",
            )
            return None
        at_once = (at_once + 1) // 2
        report.tell(
            events.Warning,
            message=(
                f"{title} ran out of memory: {why}. It was started again in a new process, with {at_once:,} at a time, "
                f"whose gradients are added up: a step still learns from {spec.batch_size:,}."
            ),
        )
        report.tell(events.BatchHalved, lane=lane, batch_size=at_once)
        return arguments()

    return children.run_until_it_fits("engine.worker.fine_tuning.lane", arguments(), less, report)


# --- what all lanes share --------------------------------------------------------------------------------------------


def in_memory(stage: str, spec: FineTuningSpec, folder: RunFolder, at_once: int) -> int:
    """See children.run_story; of the stages before Training, whose lanes are halved each on its own."""
    taken = dict(photo_sets.in_memory(spec, folder.home), **{events.LOADING: DECODED}).get(stage, 1)
    return min(taken, at_once or taken)


def prepare(spec: FineTuningSpec, folder: RunFolder, report: Reporter, at_once: int) -> None:
    """Scan the photos, compute or look up their bottlenecks, train the head on them, and decode the photos once."""
    dataset, shared = datasets.read(folder.dataset), Shared(folder)
    row = catalog.backbone(spec.backbone)
    try:
        network = backbones.load(folder.home, row)
    except backbones.MissingWeights as error:
        raise RunFailed("missing_weights", str(error), f"Run `python -m engine assets {row.asset}`.") from error
    photos = photo_sets.scan(dataset, report, at_once)
    decoded = distortions.Photos(row.preprocessing, 0)
    photos = photo_sets.extract(
        photo_sets.Through(spec.device), network, dataset, photos, decoded, folder, report, at_once=at_once
    )[0]
    splits = {name: photo_sets.split_of(photos, name) for name in SPLITS}
    settings = heads.Settings((HEAD_RATE,), len(dataset.labels), HEAD_STEPS, HEAD_BATCH, -1, HEAD_STEPS, spec.seed)
    trained = heads.race(
        heads.batches(splits[TRAINING], settings), splits[VALIDATION], settings, lambda block: None, report.stop
    )
    report.stage(events.LOADING, len(photos))
    os.makedirs(shared.path, exist_ok=True)
    _decode([photo.path for photo in photos], row, shared.pixels, dataset.root, at_once, report)
    np.savez(
        shared.start,
        labels=np.array([photo.entry.label for photo in photos], np.int32),
        splits=np.array([SPLITS.index(photo.entry.split) for photo in photos], np.int32),
        files=np.array([photo.entry.file for photo in photos]),
        weights=trained.weights[0],
        bias=trained.bias[0],
    )
    export.write_labels(folder, dataset.labels)
    calibration.write_photos(folder, photos)  # so that others know which ones it has learned from


def gone(path: str, root: str, why: str) -> RunFailed:
    """A photo that could be read before and no longer can."""
    return RunFailed(
        "photo_gone",
        f"{os.path.relpath(path, root)} can no longer be used: {why}.",
        "Leave the photos at their place until the run has ended, and start again.",
    )


def _decode(paths: List[str], row: catalog.Backbone, target: str, root: str, at_once: int, report: Reporter) -> None:
    def prepared(path: str) -> bytes:
        try:
            with open(path, "rb") as file:
                image = images.decode(file.read(), row.preprocessing)
        except (OSError, images.ImageError) as error:
            raise gone(path, root, str(error).rstrip(".")) from error
        return images.resize(image, row.size, row.preprocessing).tobytes()

    some = min(DECODED, at_once or DECODED)
    with ThreadPoolExecutor(min(cores(), some)) as pool, open(target, "wb") as file:
        for start in range(0, len(paths), some):
            for pixels in pool.map(prepared, paths[start : start + some]):
                file.write(pixels)
            report.progress(min(start + some, len(paths)))
            if report.stop():
                raise RunCancelled()


if __name__ == "__main__":
    sys.exit(children.tell(sys.argv[1:], prepare))
