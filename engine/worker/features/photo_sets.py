"""The photos of a run: those that can be read, their bottlenecks, and the splits that are learned from. Python 3.6."""

import contextlib
import os
import time
from collections import OrderedDict
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

from engine.contract import catalog, events
from engine.contract.dataset import SPLITS, TRAINING, Dataset, Photo
from engine.contract.run_folder import LabHome, RunFolder
from engine.worker import backbones
from engine.worker.features import bottlenecks, distortions
from engine.worker.formats.bottleneck_files import BottleneckFiles
from engine.worker.learning import heads
from engine.worker.machine import cores
from engine.worker.reporter import Reporter, RunFailed


class Known(NamedTuple):
    entry: Photo
    path: str  # absolute
    sha256: str  # of the file's bytes
    # (width,) float32: its bottleneck; None before that stage, and always of a training photo to be distorted
    vector: Any


class Through(NamedTuple):
    """How photos go through a backbone."""

    device: str  # one of choices.DEVICES
    use_cache: bool = True  # bottlenecks are read from the lab's cache and kept there
    bottleneck_dir: str = ""  # absolute: a folder of retrain.py's text files, read and written; "" for none
    distorted: bool = False  # training photos go through it while it is learned from, changed each time


@contextlib.contextmanager
def known_backbone(name: str, home: LabHome) -> Iterator[backbones.Network]:
    """The backbone of a run. What is wrong with it raises RunFailed, now or where its graph is first needed."""
    try:
        row = catalog.backbone(name, home)
    except KeyError:
        raise RunFailed(
            "unknown_backbone",
            f"There is no backbone {name!r} on this machine any more.",
            "Add the module again, or choose another backbone.",
        ) from None
    try:
        yield backbones.load(home, row)
    except backbones.MissingWeights as error:
        fetch = f"Run `python -m engine assets {row.asset}`." if row.asset else "Add the module again."
        raise RunFailed("missing_weights", str(error), fetch) from error


def in_memory(spec: Any, home: LabHome) -> Dict[str, int]:
    """How many photos `scan` and `extract` have in memory at a time where nobody bounds them, by stage."""
    through = bottlenecks.in_memory(catalog.backbone(spec.backbone, home).preprocessing, spec.device, cores())
    return {events.SCANNING: cores(), events.BOTTLENECKS: through}


def scan(dataset: Dataset, report: Reporter, at_once: int = 0) -> List[Known]:
    """The photos that can be read, with the sha256 of their bytes; `at_once` as in extract. Raises RunCancelled."""
    report.stage(events.SCANNING, len(dataset.photos))
    paths = [os.path.join(dataset.root, photo.file) for photo in dataset.photos]
    prints = bottlenecks.fingerprints(paths, min(cores(), at_once or cores()), report.progress, report.stop)
    known = []
    for photo, path, sha256 in zip(dataset.photos, paths, prints):
        if isinstance(sha256, OSError):
            report.tell(events.Skipped, file=photo.file, why=f"it cannot be read ({sha256.strerror})")
        else:
            known.append(Known(photo, path, sha256, None))
    if not os.path.isdir(dataset.root) or not known:
        raise RunFailed(
            "folder_gone",
            f"The folder {dataset.root} is gone or can no longer be read.",
            "Put it back, or choose another folder, and start again.",
        )
    return known


def extract(
    how: Through,
    network: Any,
    dataset: Dataset,
    photos: List[Known],
    decoded: distortions.Photos,
    folder: RunFolder,
    report: Reporter,
    choose_runtime: Callable[..., Any] = bottlenecks.choose_runtime,
    at_once: int = 0,
) -> Tuple[List[Known], Any, Any]:
    """The photos whose bottleneck is known now, what computes bottlenecks, and what that took.

    Of training photos that are to be distorted it is known instead that they can be decoded. `at_once`: photos in
    memory at the same time, at most; 0: as many as are fastest. Raises RunFailed and RunCancelled.
    """
    home = folder.home
    later = [photo.path for photo in photos if how.distorted and photo.entry.split == TRAINING]
    now = [photo for photo in photos if not (how.distorted and photo.entry.split == TRAINING)]
    path_of = OrderedDict((photo.sha256, photo.path) for photo in now)  # the same bytes are computed once
    computed = len(path_of)
    report.stage(events.BOTTLENECKS, computed + len(later))
    files = BottleneckFiles(how.bottleneck_dir, network.row)
    began = time.perf_counter()
    read = files.read_all(now)
    of_files = time.perf_counter() - began
    for sha256 in read:
        del path_of[sha256]
    cache: Any = bottlenecks.NoCache()
    if how.use_cache:
        cache = bottlenecks.Cache(home.bottlenecks, bottlenecks.key(network), network.row.width)
    try:
        runtime = choose_runtime(network, home, how.device, cores(), at_once)
        vectors, figures = bottlenecks.extract(runtime, path_of, cache, report.progress, report.stop)
        faults = decoded.faults(
            later, min(cores(), at_once or cores()), lambda done: report.progress(computed + done), report.stop
        )
    finally:
        cache.close()
        if cache.damaged:
            message = f"{cache.damaged:,} cached bottlenecks were damaged and were computed again."
            report.tell(events.Warning, message=message)
        if cache.trouble:
            report.tell(events.Warning, message=cache.trouble)
    vectors.update(read)
    began = time.perf_counter()
    files.write_missing(now, vectors)
    of_files += time.perf_counter() - began
    for message in files.remarks():
        report.tell(events.Warning, message=message)
    figures = figures._replace(cached=figures.cached + len(read), cache_seconds=figures.cache_seconds + of_files)
    usable, fault_of = [], dict(zip(later, faults))
    for photo in photos:
        vector = fault_of[photo.path] if photo.path in fault_of else vectors[photo.sha256]
        if isinstance(vector, str):
            report.tell(events.Skipped, file=photo.entry.file, why=vector)
        else:
            usable.append(photo._replace(vector=vector))
    _check_enough(dataset, usable)
    return usable, runtime, figures


def _check_enough(dataset: Dataset, photos: List[Known]) -> None:
    for split in SPLITS:
        classes = {photo.entry.label for photo in photos if photo.entry.split == split}
        if not classes or (split == TRAINING and len(classes) < len(dataset.labels)):
            missing = sorted(set(range(len(dataset.labels))) - classes)
            raise RunFailed(
                "too_few_photos",
                "After leaving out what cannot be used, the {} split has no photo of: {}.".format(
                    split, ", ".join(dataset.labels[label] for label in missing)
                ),
                "The photos that were left out are listed below; repair them or add others.",
            )


def split_of(photos: List[Known], name: str) -> heads.Split:
    """Where the photos are to be distorted, their numbers (photos,) stand in for the features."""
    chosen = [photo for photo in photos if photo.entry.split == name]
    numbered = chosen[0].vector is None
    return heads.Split(
        np.arange(len(chosen)) if numbered else np.stack([photo.vector for photo in chosen]),  # (photos, width) float32
        np.array([photo.entry.label for photo in chosen]),  # (photos,)
    )
