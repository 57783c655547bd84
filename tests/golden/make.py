"""python -m tests.golden.make [RUN ...]: makes the golden run folders anew, all or those, and says what changed.

Real workers do all of it, on photos and digits that are drawn here and on the weights of .lab-test: minutes on two
cores. Numbers differ by chance from one time to the next and are not spoken of; files, JSON keys and kinds of events
that came or went are. Afterwards tests/test_golden.py says whether the figures still differ from each other.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from engine import photos, settings
from engine.contract import catalog, choices, events, specs
from engine.contract.dataset import Dataset
from engine.contract.kinds.batch_classification import BatchClassificationSpec
from engine.contract.kinds.batch_size import BatchSizeSpec
from engine.contract.kinds.fine_tuning import FineTuningSpec
from engine.contract.kinds.learning_curve import LearningCurveSpec
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import RaceSpec
from engine.contract.run_folder import LabHome, is_locked
from engine.kinds import prediction
from engine.kinds.imported import importing as imported
from engine.machine import sampler
from engine.runs.queue import Queue, holder_of
from engine.settings import APP_ROOT
from tests import golden
from tests.assets_home import with_assets

# Classes of unequal size, so that recall and precision, splits and classes all have denominators of their own.
LAMPS = {"green": 31, "red": 44, "yellow": 58}
COLOURS = {"green": (70, 150, 70), "red": (185, 75, 60), "yellow": (170, 160, 65)}
MISLABELLED = 0.13  # of the photos lie in the folder of another class, so that nobody is right on all
STREET = {"green": 7, "red": 11, "blue": 4, "": 3}  # to be classified: blue is no label of the model, "" is no folder
KEPT_BYTES = 200_000  # of a file; what is larger, and what nobody needs to show a figure, is kept as its size alone
READINGS = 50  # of the machine that are kept of a run, about
NOT_KEPT = re.compile(
    r"artifacts/(saved_model/|networks/|lanes/|model.*\.tflite|retrained_graph\.pb|intermediate/)|summaries/"
)
NEEDED = ("race/artifacts/lanes/", "imported/")  # all the same: these lanes answer in the playground
ORDER = (
    "imported", "race", "single", "slow", "pair_one", "pair_all", "fine_tune", "batch_size", "learning_curve",
    "classify", "mnist", "race_diverged", "race_failed", "race_cancelled", "race_lost", "race_running", "race_queued",
)  # fmt: skip
MACHINE = {
    "name": "Computer",
    "processor": "Example CPU @ 3.00GHz",
    "cores": 4,
    "memory_bytes": 16_000_000_000,
    "gpu": "",
    "power_mode": "",
}

RACE = RaceSpec(
    learning_rates=(1.0, 0.002, 0.03),  # the second is kept, so that the table's order is not that of the colours
    steps=1400,
    train_batch_size=16,
    validation_batch_size=250,  # drawn with replacement: few evaluations are equal
    eval_step_interval=20,
    validation_percentage=22,
    testing_percentage=31,
    seed=389,  # with it no two figures of the race are the same, as tests/test_golden.py wants it
)
# Distorted photos go through the backbone in every step: slow enough to be stopped on the way, and to take minutes.
SLOW = RACE._replace(
    learning_rates=(0.02, 0.3), steps=60, train_batch_size=30, eval_step_interval=5, random_brightness=20
)


# --- what is learned from --------------------------------------------------------------------------------------------


def draw_lamps(root: Path, folders: dict[str, int], seed: int) -> None:
    """root/<folder>/<n>.jpg, a few of them in the folder of another class; with the folder "" beside the folders."""
    chance = random.Random(seed)
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            shown = folder if folder in COLOURS else chance.choice(sorted(COLOURS))
            if chance.random() < MISLABELLED:
                shown = chance.choice(sorted(COLOURS))
            picture = Image.new("RGB", (40, 56), tuple(chance.randrange(40, 120) for _ in range(3)))
            x, y, r = chance.randrange(12, 28), chance.randrange(14, 42), chance.randrange(6, 14)
            colour = tuple(max(0, min(255, c + chance.randrange(-45, 46))) for c in COLOURS[shown])
            ImageDraw.Draw(picture).ellipse([x - r, y - r, x + r, y + r], fill=colour)
            picture.save(root / folder / f"{number:02}.jpg", quality=80)


def draw_digits(path: Path) -> None:
    """A bar in each picture, at a place that tells its class, but for a pixel or two; some classes are rarer."""
    chance, parts = np.random.default_rng(11), {}
    share = np.array([8, 13, 9, 12, 7, 11, 10, 14, 6, 10]) / 100
    for split, count in (("train", 1400), ("test", 230)):
        labels = chance.choice(10, count, p=share).astype(np.uint8)
        pixels = (chance.integers(20, 90, (count, 28, 28)) * (chance.random((count, 28, 28)) < 0.05)).astype(np.uint8)
        for picture, label in zip(pixels, labels, strict=True):
            left = int(np.clip(2 * label + 3 + chance.integers(-1, 2), 0, 25))
            picture[4:24, left : left + 3] = chance.integers(60, 256)
        parts |= {f"x_{split}": pixels, f"y_{split}": labels}
    np.savez_compressed(path, **parts)


def write_curves(root: Path) -> None:
    """Event files as the original retrain.py left them: two runs with curves of their own."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    chance = np.random.default_rng(4)
    for lane, pace in (("lr_0.01", 0.011), ("lr_0.3", 0.042)):
        for writer, below in (("train", 0.0), ("validation", 0.06)):
            folder = root / lane / writer
            folder.mkdir(parents=True)
            with (folder / "events.out.tfevents.1500000000.lab.7").open("wb") as file:
                records = RecordWriter(file)
                records.write(Event(wall_time=1.5e9, file_version="brain.Event:2").SerializeToString())
                for step in range(0, 400, 10):
                    rise = 1 - np.exp(-pace * step)
                    accuracy = float(np.clip(0.34 + (0.61 - below) * rise + chance.normal(0, 0.02), 0, 1))
                    nats = float(1.1 - 0.85 * rise + 3 * below * rise + abs(chance.normal(0, 0.03)))
                    values = [
                        Summary.Value(tag="accuracy_1", simple_value=accuracy),
                        Summary.Value(tag="cross_entropy_1", simple_value=nats),
                    ]
                    event = Event(wall_time=1.5e9 + 0.31 * step, step=step, summary=Summary(value=values))
                    records.write(event.SerializeToString())


# --- the runs --------------------------------------------------------------------------------------------------------


class Maker:
    """A lab of its own with real workers; `finished` folders are named as golden runs."""

    def __init__(self, path: Path, wanted: list[str]):
        self.path, self.wanted = path, wanted
        self.home = LabHome(str(path / "lab"))
        os.makedirs(self.home.datasets)
        os.symlink(with_assets("mobilenet_v2", "imagenet_names").assets, self.home.assets)
        self.queue = Queue(self.home, sys.executable)
        drawn = path / "drawn"
        draw_lamps(drawn / "lamps", LAMPS, 5)
        draw_lamps(drawn / "street", STREET, 6)
        for number in (3, 8):  # which the model has learned from, or not: the split says so
            for folder in ("green", "red"):
                again = drawn / "street" / folder / f"again-{number}.jpg"
                shutil.copyfile(drawn / "lamps" / folder / f"{number:02}.jpg", again)
        shutil.copytree(drawn / "lamps", Path(self.home.datasets, "lamps"))
        shutil.copytree(drawn / "street", Path(self.home.datasets, "street"))
        draw_digits(Path(self.home.datasets, "bars.npz"))
        scan = photos.scan(Path(self.home.datasets, "lamps"), "Lamps")
        self.lamps = photos.split(scan, RACE.validation_percentage, RACE.testing_percentage)
        self.street = photos.list_pictures(Path(self.home.datasets, "street"), "Street").dataset
        # These could be read when they were listed and cannot any more: one of another kind, and two cut short.
        training = [Path(self.lamps.root, photo.file) for photo in self.lamps.photos if photo.split == "training"]
        training[4].write_bytes(b"words")
        training[30].write_bytes(training[30].read_bytes()[:400])
        broken = Path(self.street.root, self.street.photos[5].file)
        broken.write_bytes(broken.read_bytes()[:300])
        self.ids: dict[str, str] = {}  # golden name -> the id that the queue gave

    def wants(self, name: str) -> bool:
        return not self.wanted or name in self.wanted

    def start(self, name: str, spec: specs.Spec, dataset: Dataset | None = None, foreseen: Any = None) -> str:
        sampler.look(self.home)
        print(f"{name} …", flush=True)
        self.ids[name] = self.queue.start(spec, dataset, foreseen)
        return self.ids[name]

    def finish(self, name: str, *asked: Any, ending: str = events.DONE) -> None:
        """Start it, wait for its end, and give it its golden name."""
        self.start(name, *asked)
        self.wait(name, lambda: not is_locked(self.home.run(self.ids[name]).lock))
        self.name(name)
        states = [event.state for event in self.told(name) if isinstance(event, events.State)]
        if states[-1] != ending:
            log = Path(self.home.run(name).log).read_text(errors="replace")
            sys.exit(f"{name} is {states[-1]}, not {ending}: {self.told(name)[-3:]}\n{log[-3000:]}")

    def wait(self, name: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 900
        while not condition():
            if time.monotonic() > deadline:
                sys.exit(f"{name}: waited for 15 minutes")
            sampler.look(self.home)
            time.sleep(0.2)

    def name(self, name: str) -> None:
        os.rename(self.home.run(self.ids[name]).path, self.home.run(name).path)

    def told(self, name: str) -> list[Any]:
        folder = self.home.run(name if os.path.isdir(self.home.run(name).path) else self.ids[name])
        return events.Reader(folder.events).read()

    def stage_done(self, name: str, stage: str, at_least: int) -> Callable[[], bool]:
        def is_there() -> bool:
            story = self.told(name)
            began = [number for number, event in enumerate(story) if getattr(event, "name", "") == stage]
            done = [e.done for e in story[began[-1] :] if isinstance(e, events.Progress)] if began else []
            return bool(done) and done[-1] >= at_least

        return is_there

    def make_all(self) -> None:
        self.races()  # the first of which finds no bottlenecks that are kept
        self.endings()
        self.others_of_photos()
        self.mnist()
        self.imported()

    def races(self) -> None:
        lamps = self.lamps
        if self.wants("race") or self.wants("classify"):  # which classifies with it
            told = prediction.predict(self.home, sys.executable, RACE, lamps)
            self.finish("race", RACE, lamps, told)
        single = RACE._replace(learning_rates=(0.03,), steps=340, train_batch_size=24, seed=241, eval_step_interval=15)
        if self.wants("single"):
            self.finish("single", single, lamps)
        if self.wants("slow"):
            told = prediction.predict(self.home, sys.executable, SLOW, lamps)
            self.finish("slow", SLOW._replace(group=""), lamps, told)
        pair = RACE._replace(
            learning_rates=(0.4, 0.01), steps=5200, train_batch_size=24, eval_step_interval=130, seed=130,
            use_cache=False, group="0badcafe",
        )  # fmt: skip
        for name, threads in (("pair_one", 1), ("pair_all", 2)):
            if self.wants(name):
                self.finish(name, pair._replace(threads=threads), lamps)

    def others_of_photos(self) -> None:
        lamps = self.lamps
        if self.wants("fine_tune"):
            spec = FineTuningSpec(
                blocks=(0, 2, choices.ALL_BLOCKS), epochs=3, batch_size=16, head_learning_rate=0.03,
                body_learning_rate=0.002, validation_percentage=22, testing_percentage=31, seed=1,
            )  # fmt: skip
            told = prediction.expect_depths(self.home, sys.executable, spec, lamps)
            self.finish("fine_tune", spec, lamps, told)
        if self.wants("batch_size"):
            spec = BatchSizeSpec(blocks=3, largest=64, memory_limit=900)
            told = prediction.expect_sizes(self.home, sys.executable, spec)
            self.finish("batch_size", spec, None, told)
        if self.wants("learning_curve"):
            spec = LearningCurveSpec(
                learning_rate=0.2, steps=160, train_batch_size=21, sizes=(2, 4, 9, 17, 70), seeds=3,
                validation_percentage=22, testing_percentage=31, seed=4,
            )  # fmt: skip
            self.finish("learning_curve", spec, lamps)
        if self.wants("classify"):
            title = f"Lamps · MobileNet v2 · lr {self.kept('race')}"
            self.finish("classify", BatchClassificationSpec("race", title, 3, choices.CPU), self.street)

    def kept(self, name: str) -> str:
        return next(event.lane for event in self.told(name) if isinstance(event, events.Kept))

    def mnist(self) -> None:
        if not self.wants("mnist"):
            return
        own = catalog.network("beginner")._replace(
            name="own", title="Own", layers="conv 6 5, relu, pool 4, flatten, dense 10", optimizer="sgd",
            learning_rate=0.002, batch_size=10, validation_images=170, label_smoothing=0.1, epochs=3, source="A test",
        )  # fmt: skip
        networks = (
            catalog.network("beginner")._replace(learning_rate=0.0008, batch_size=20),
            catalog.network("small")._replace(validation_images=260, batch_size=50, learning_rate=0.004),
            own,
        )
        spec = MnistSpec(data="bars", networks=networks, epochs=6, seed=7)
        self.finish("mnist", spec)

    def imported(self) -> None:
        if not self.wants("imported"):
            return
        print("imported …", flush=True)
        write_curves(self.path / "drawn" / "curves")
        lab = settings.load({"LAB_HOME": self.home.path})
        run = imported.import_summaries(lab, self.path / "drawn" / "curves", "Curves of retrain.py")
        self.ids["imported"] = run.run_id
        self.name("imported")

    def endings(self) -> None:
        lamps = self.lamps
        if self.wants("race_diverged"):
            self.diverged()
        if self.wants("race_failed"):
            few = [photo for photo in lamps.photos if photo.label == 1 or photo.split == "testing"]
            for photo in few:
                target = self.path / "gone" / photo.file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(b"no photo")
            gone = Dataset("Gone", str(self.path / "gone"), lamps.labels, few)
            self.finish("race_failed", RACE, gone, ending=events.FAILED)
        if self.wants("race_cancelled"):
            name = "race_cancelled"
            run_id = self.start(name, SLOW._replace(seed=6), lamps)
            self.wait(name, self.stage_done(name, "Training", 13 * SLOW.train_batch_size))
            self.queue.cancel(run_id)
            self.wait(name, lambda: not is_locked(self.home.run(run_id).lock))
            self.name(name)
        if self.wants("race_lost") or self.wants("race_running") or self.wants("race_queued"):
            self.kill("race_lost", 22)
            waiting = "race_queued" if self.wants("race_queued") else ""
            self.kill("race_running", 17, waiting)

    def kill(self, name: str, steps: int, waiting: str = "") -> None:
        """Kill a run in the middle of its training, and before that one that waits behind it."""
        self.start(name, SLOW._replace(seed=steps), self.lamps)
        if waiting:
            self.start(waiting, RACE._replace(steps=450), self.lamps)
        self.wait(name, self.stage_done(name, "Training", steps * SLOW.train_batch_size))
        for each in filter(None, (waiting, name)):
            folder = self.home.run(self.ids[each])
            while pid := holder_of(folder):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                time.sleep(0.1)
            self.name(each)

    def diverged(self) -> None:
        """Bottlenecks so large that a high rate leaves the range of numbers; they come from text files."""
        texts = self.path / "bottlenecks"
        short = RACE._replace(learning_rates=(0.0001, 10.0), steps=60, bottleneck_dir=str(texts))
        self.start("first", short, self.lamps)
        self.wait("first", lambda: not is_locked(self.home.run(self.ids["first"]).lock))
        shutil.rmtree(self.home.run(self.ids.pop("first")).path)
        for path in texts.rglob("*.txt"):
            values = np.array(path.read_text().split(","), float)
            path.write_text(",".join(f"{value:.6g}" for value in values * 2e18))
        self.finish("race_diverged", short, self.lamps)


# --- from the lab into the repository --------------------------------------------------------------------------------


def keep(maker: Maker) -> dict[str, dict[str, int]]:
    """Copy what was made to tests/golden, without what is large or names a machine; the sizes of what is left out."""
    places = {
        str(Path(maker.home.datasets).resolve()): golden.ELSEWHERE,
        maker.home.datasets: golden.ELSEWHERE,
        maker.home.path: golden.LAB,
        str(maker.path / "drawn"): golden.ELSEWHERE,
        str(maker.path): golden.ELSEWHERE,
        str(APP_ROOT): golden.APP,
        str(Path(sys.prefix).resolve()): golden.PYTHON,
        str(Path(sys.base_prefix).resolve()): golden.PYTHON,
        sys.prefix: golden.PYTHON,
        str(Path.home()): "/home/student",
        socket.gethostname(): "lab",
    }
    places |= {run_id: name for name, run_id in maker.ids.items()}
    sizes: dict[str, dict[str, int]] = {}
    for name in maker.ids:
        folder, target = Path(maker.home.run(name).path), golden.RUNS / name
        if not maker.wants(name) or not folder.is_dir():
            continue
        shutil.rmtree(target, ignore_errors=True)
        for path in sorted(folder.rglob("*")):
            inside = rewritten(str(path.relative_to(folder)), places)
            inside = re.sub(r"tfevents\.\d+\.lab\.\d+", "tfevents.1500000000.lab.7", inside)  # when, and a process
            if not path.is_file() or inside in ("lock", "signature.json"):
                continue
            is_needed = f"{name}/{inside}".startswith(NEEDED)
            if (NOT_KEPT.match(inside) and not is_needed) or path.stat().st_size > KEPT_BYTES:
                sizes.setdefault(name, {})[inside] = path.stat().st_size
                continue
            to = target / inside
            to.parent.mkdir(parents=True, exist_ok=True)
            data = path.read_bytes()
            if path.suffix in (".json", ".jsonl", ".txt"):
                text = rewritten(data.decode(), places)
                if path.name == "events.jsonl":
                    text = "".join(with_machine(line, 1 + ORDER.index(name)) for line in text.splitlines(keepends=True))
                elif path.name == "device.jsonl":
                    lines = text.splitlines(keepends=True)
                    text = "".join(map(with_readings, lines[:: 1 + len(lines) // READINGS]))
                data = text.encode()
            to.write_bytes(data)
    return sizes


def rewritten(text: str, places: dict[str, str]) -> str:
    for real in sorted(places, key=len, reverse=True):
        text = text.replace(real, places[real])
    return text


def with_machine(line: str, ticket: int) -> str:
    """An event of the fixed machine; of runs that were made at different times none has the ticket of another."""
    event = json.loads(line)
    if event["kind"] == "hardware":
        event |= MACHINE
    elif event["kind"] == "state" and event["ticket"]:
        event["ticket"] = ticket
    else:
        return line
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n"


def with_readings(line: str) -> str:
    """What the fixed machine would have said: its memory, its cores, its disk, and a sensor and a rail that it has."""
    value = json.loads(line)
    busy = float(value.get("cpu") or 0.0)
    value["cores"] = [round(min(100.0, max(0.0, busy + off)), 1) for off in (9.0, 3.0, -3.0, -9.0)]
    for name, total in (("memory", 16e9), ("swap", 2e9)):
        if f"{name}_used" in value:
            value[f"{name}_used"] = round(total * value[f"{name}_used"] / max(value[f"{name}_total"], 1.0))
            value[f"{name}_total"] = total
    value["disk_free"] = 123e9
    value["temperatures"] = {"coretemp Package id 0": round(38 + 0.31 * busy, 1)}
    value["power"] = {"VDD_IN": round(4100 + 77 * busy)}
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"


def shape() -> dict[str, set[str]]:
    """What can be compared between two times: for each run its files, the keys of their JSON, and its events."""
    found: dict[str, set[str]] = {}
    sizes = json.loads(golden.SIZES.read_text()) if golden.SIZES.exists() else {}
    for name in golden.names() if golden.RUNS.is_dir() else []:
        said = found[name] = set()
        said |= {f"file {file}" for file in sizes.get(name, {})}
        for path in (golden.RUNS / name).rglob("*"):
            inside = path.relative_to(golden.RUNS / name)
            if path.is_file():
                said.add(f"file {inside}")
            if path.suffix == ".json":
                said |= {f"{inside}: {key}" for key in keys(json.loads(path.read_text()))}
            elif path.suffix == ".jsonl":
                for line in path.read_text().splitlines():
                    event = json.loads(line)
                    kind = event.get("kind", "reading")
                    said |= {f"{inside}: {kind}", *(f"{inside}: {kind}.{key}" for key in keys(event))}
    return found


def keys(value: Any, before: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inside in value.items():
            yield f"{before}{key}"
            yield from keys(inside, f"{before}{key}.")
    elif isinstance(value, list):
        for inside in value:
            if isinstance(inside, dict | list):
                yield from keys(inside, f"{before}[].")


def written(maker: Maker, wanted: list[str]) -> None:
    """Put what was made into the repository, with the photos and digits that it refers to."""
    old = json.loads(golden.SIZES.read_text()) if golden.SIZES.exists() and wanted else {}
    sizes = keep(maker)
    old = {name: files for name, files in old.items() if name not in maker.ids or not maker.wants(name)}
    golden.SIZES.write_text(json.dumps(old | sizes, indent=1, sort_keys=True) + "\n")
    with zipfile.ZipFile(golden.PHOTOS, "w") as archive:  # JPEG does not shrink
        for path in sorted(Path(maker.home.datasets).rglob("*.jpg")):
            info = zipfile.ZipInfo(str(path.relative_to(maker.home.datasets)))  # no date, so that nothing differs
            archive.writestr(info, path.read_bytes())
    shutil.copyfile(Path(maker.home.datasets, "bars.npz"), golden.DIGITS)


def main(wanted: list[str]) -> None:
    before = shape()
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        maker = Maker(Path(folder), wanted)
        try:
            maker.make_all()
        finally:  # what was made until then is kept
            written(maker, wanted)
    after = shape()
    for name in sorted(before.keys() | after.keys()):
        for gone in sorted(before.get(name, set()) - after.get(name, set())):
            print(f"{name}: no longer {gone}")
        for new in sorted(after.get(name, set()) - before.get(name, set())):
            print(f"{name}: now {new}" if before.get(name) else f"{name}: {new}")


if __name__ == "__main__":
    main(sys.argv[1:])
