"""The fake worker says and leaves what a real one does, so that pages tested with it are tested with the truth.

Both get the same spec and photos; each kind of run is compared by what does not depend on luck or on the machine.
"""

import itertools
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import photos
from engine.contract import catalog, events, kinds, specs
from engine.contract import dataset as datasets
from engine.contract.kinds.batch_classification import (
    BatchClassificationResult,
    BatchClassificationSpec,
    Classified,
    ModelLoaded,
)
from engine.contract.kinds.batch_size import BatchSizeResult, BatchSizeSpec, BatchTried
from engine.contract.kinds.fine_tuning import FineTuned, FineTuningResult, FineTuningSpec
from engine.contract.kinds.imported import ImportedSpec
from engine.contract.kinds.learning_curve import LearningCurvePoint, LearningCurveResult, LearningCurveSpec
from engine.contract.kinds.mnist import MnistSpec, NetworkExported, NetworkResult
from engine.contract.kinds.race import LaneResult, RaceResult, RaceSpec
from engine.contract.run_folder import LabHome, RunFolder, is_locked, read_json
from engine.runs import open_run
from engine.runs.queue import Queue
from tests.assets_home import with_assets
from tests.digit_sets import draw_digits
from tests.photo_folders import draw_photos

REAL, FAKE = "engine.worker", "tests.fakes.fake_worker"

RETRAIN = RaceSpec(train_batch_size=20, learning_rates=(0.02,), steps=25)
ASKED: dict[str, specs.Spec] = {
    "several rates": RETRAIN._replace(learning_rates=(0.02, 0.05), intermediate_store_frequency=10),
    "one rate": RETRAIN._replace(test_batch_size=7),
    "fine_tune": FineTuningSpec(blocks=(0, 1), epochs=2),
    "batch_size": BatchSizeSpec(blocks=0, largest=1, memory_limit=4000),
    "learning_curve": LearningCurveSpec(sizes=(2, 50), seeds=2, steps=40),
    "mnist": MnistSpec(
        data="bars", networks=tuple(catalog.network(name) for name in ("beginner", "coursework_as_meant")), epochs=2
    ),
    "classify": BatchClassificationSpec(model="mobilenet_v2", model_title="MobileNet v2"),
}
# A minute of a core each, for whole runs that differ from "several rates" by what comes before the export alone.
HEAVY = ("one rate", "fine_tune")
EACH = [pytest.param(name, id=name, marks=pytest.mark.thorough if name in HEAVY else ()) for name in ASKED]

# Of each kind of event what spec and photos alone decide.
SETTLED: dict[type, tuple[str, ...]] = {
    events.State: ("state",),
    events.Stage: ("name", "total"),
    LaneResult: ("lane", "test_n", "diverged"),
    events.Exported: ("file", "photos"),
    RaceResult: ("images", "training", "validation", "testing", "export_photos"),
    events.LaneStarted: events.LaneStarted._fields[1:],
    events.LaneEnded: ("lane", "stopped"),
    NetworkResult: ("lane", "parameters", "multiply_adds", "epochs", "test_n", "stopped"),
    NetworkExported: ("lane", "images"),
    ModelLoaded: ("input_height", "input_width"),
    BatchClassificationResult: ("photos",),
    FineTuned: ("lane", "blocks", "of_blocks", "epochs", "batch_size", "at_once", "validation_n", "test_n"),
    FineTuningResult: ("training", "validation", "testing"),
    BatchTried: ("batch_size", "fits", "why"),
    BatchSizeResult: ("largest", "bounded", "memory_limit_bytes"),
    LearningCurvePoint: ("size", "seed", "photos", "test_n"),
    LearningCurveResult: ("training", "validation", "testing"),
}
# Written by others, or by whoever started the run.
LEFT_OUT = ("lock", "spec.json", "dataset.json", "log.txt", "device.jsonl", "signature.json")


@dataclass(frozen=True)
class Pair:
    """The same run of the real worker and of the fake one."""

    real: RunFolder
    fake: RunFolder

    def told(self) -> tuple[list, list]:
        real, fake = [events.Reader(folder.events).read() for folder in (self.real, self.fake)]
        return real, fake


@pytest.fixture(scope="module")
def homes(tmp_path_factory) -> dict[str, LabHome]:
    """One for each worker, with the same weights, photos and digits, so that neither finds what the other computed."""
    fetched = with_assets("mobilenet_v2", "imagenet_names")
    folder = tmp_path_factory.mktemp("parity")
    draw_photos(folder / "lamps", each=12)
    found = {}
    for name in (REAL, FAKE):
        home = found[name] = LabHome(str(folder / name))
        os.makedirs(home.path)
        os.symlink(fetched.assets, home.assets)
        draw_digits(Path(home.datasets, "bars.npz"))
    return found


@pytest.fixture(scope="module")
def pairs(homes, tmp_path_factory):
    """Runs of both workers, each made once: which of ASKED -> Pair."""
    made: dict[str, Pair] = {}
    lamps = Path(homes[REAL].path).parent / "lamps"
    dataset = photos.split(photos.scan(lamps, "Lamps"), 10, 10)

    def pair(name: str) -> Pair:
        if name not in made:
            made[name] = Pair(*[_finished(homes[worker], worker, ASKED[name], dataset) for worker in (REAL, FAKE)])
        return made[name]

    return pair


def _finished(home: LabHome, worker: str, spec: specs.Spec, dataset: datasets.Dataset) -> RunFolder:
    own = isinstance(spec, MnistSpec | BatchSizeSpec)
    folder = home.run(Queue(home, sys.executable, worker).start(spec, None if own else dataset))
    deadline = time.monotonic() + 280
    while is_locked(folder.lock):
        assert time.monotonic() < deadline, "the run has not ended"
        time.sleep(0.05)
    assert open_run(home, folder.id).state == events.DONE, Path(folder.log).read_text()
    return folder


@pytest.mark.parametrize("name", EACH)
def test_the_fake_worker_tells_and_leaves_what_the_real_one_does(pairs, name):
    pair = pairs(name)
    real, fake = pair.told()
    assert order(fake) == order(real)
    assert settled(fake) == settled(real)
    assert evaluated(fake) == evaluated(real)
    assert last_progress(fake) == last_progress(real)
    assert types(fake) == types(real)
    assert files(pair.fake) == files(pair.real)
    for file in files(pair.real):
        kind = Path(file).suffix
        if kind == ".json":
            both = [keys(read_json(os.path.join(folder.path, file))) for folder in (pair.fake, pair.real)]
            assert both[0] == both[1], file
        elif kind == ".npz" and name not in ("fine_tune", "mnist"):  # whose weights are too many to invent
            both = [arrays(os.path.join(folder.path, file)) for folder in (pair.fake, pair.real)]
            assert both[0] == both[1], file
    assert Path(pair.fake.labels).is_file() == Path(pair.real.labels).is_file()


def test_every_kind_of_run_is_compared():
    """An imported run has no worker."""
    assert {type(spec) for spec in ASKED.values()} == {kinds.contract(kind).SPEC for kind in kinds.KINDS} - {
        ImportedSpec
    }


def order(told: list) -> list[tuple]:
    """For each state and stage the kinds of event in it, in the order of the first of each; of which lane, too."""
    parts: list[list[tuple]] = []
    for event in told:
        if isinstance(event, events.State | events.Stage):
            parts.append([])
        lane = "" if isinstance(event, events.Kept) else getattr(event, "lane", "")  # which is kept is luck
        what = (type(event).__name__, lane)
        if what not in parts[-1]:
            parts[-1].append(what)
    return [tuple(part) for part in parts]


def settled(told: list) -> list[tuple]:
    return [
        (type(event).__name__, *[getattr(event, field) for field in SETTLED[type(event)]])
        for event in told
        if type(event) in SETTLED
    ]


def evaluated(told: list) -> dict[Any, list[int]]:
    """The steps of each curve, and the pictures that were classified with the number of labels said of them."""
    found: dict[Any, list[int]] = {}
    for event in told:
        if isinstance(event, events.Metric):
            found.setdefault((event.lane, event.split), []).extend(event.step)
        elif isinstance(event, Classified):
            found.setdefault("photos", []).extend(event.photo)
    return found


def last_progress(told: list) -> dict[str, int]:
    """What each stage had done at its end, by its name."""
    stages = [at for at, event in enumerate(told) if isinstance(event, events.Stage)]
    found = {}
    for began, ended in itertools.pairwise([*stages, len(told)]):
        done = [event.done for event in told[began:ended] if isinstance(event, events.Progress)]
        if done:
            found[told[began].name] = done[-1]
    return found


def types(told: list) -> dict[tuple[str, str], set[str]]:
    """By kind of event and field the types of its values; None counts as any."""
    found: dict[tuple[str, str], set[str]] = {}
    for event in told:
        for field, value in event._asdict().items():
            place = found.setdefault((type(event).__name__, field), set())
            for each in value if isinstance(value, list) else [value]:
                if each is not None:
                    place.add(("list of " if isinstance(value, list) else "") + type(each).__name__)
    return found


def files(folder: RunFolder) -> list[str]:
    """Names of files and folders below a run, but for those of TensorBoard's files, which name machine and time."""
    names = {str(path.relative_to(folder.path)) for path in Path(folder.path).rglob("*")} - set(LEFT_OUT)
    names = {re.sub(r"(events\.out\.tfevents).*", r"\1", name) for name in names}
    return sorted(re.sub(r"lanes/.*\.tflite", "lanes/of a depth that was not kept.tflite", name) for name in names)


def keys(value: Any, inside: str = "") -> set[str]:
    """Every way to a value in JSON, with its type: "lanes/0.05/bins/photos[] int"."""
    if isinstance(value, dict):
        return set().union(*[keys(each, f"{inside}/{name}") for name, each in value.items()])
    if isinstance(value, list):
        return set().union({f"{inside}[]"}, *[keys(each, f"{inside}[]") for each in value if each is not None])
    return {f"{inside} {type(value).__name__}"}


def arrays(path: str) -> dict[str, tuple[str, int]]:
    """Of an .npz by name the type and the number of dimensions."""
    with np.load(path) as file:
        return {name: (str(file[name].dtype), file[name].ndim) for name in file.files}
