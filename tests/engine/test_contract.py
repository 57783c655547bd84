"""What crosses between the processes: specs, events, datasets, tickets, locks."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.contract import VERSION, catalog, choices, events, memory, specs, tickets
from engine.contract import dataset as datasets
from engine.contract.dataset import Dataset, Photo
from engine.contract.kinds.batch_classification import (
    BatchClassificationResult,
    BatchClassificationSpec,
    Classified,
    ModelLoaded,
)
from engine.contract.kinds.batch_size import BatchSizeResult, BatchTried
from engine.contract.kinds.fine_tuning import FineTuned, FineTuningResult
from engine.contract.kinds.learning_curve import LearningCurvePoint, LearningCurveResult
from engine.contract.kinds.mnist import MnistResult, MnistSpec, NetworkExported, NetworkResult, network_faults
from engine.contract.kinds.race import LaneResult, RaceResult, RaceSpec
from engine.contract.run_folder import LabHome, RunFolder, is_locked, read_json, try_lock, write_json

ROOT = Path(__file__).parent.parent.parent
GOOD = RaceSpec()


# --- specs -----------------------------------------------------------------------------------------------------------


def test_a_spec_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = str(tmp_path / "spec.json")
    spec = GOOD._replace(learning_rates=(0.0001, 10.0), seed=7, device=choices.GPU)
    specs.write(path, spec)
    assert specs.read(path) == spec
    assert read_json(path)["kind"] == "retrain"


def test_a_spec_of_another_version_is_read_where_it_can_be(tmp_path: Path) -> None:
    path = str(tmp_path / "spec.json")
    write_json(path, {"kind": "retrain", "learning_rates": [0.5], "flavour": "new"})
    assert specs.read(path) == GOOD._replace(learning_rates=(0.5,))
    write_json(path, {"kind": "knit"})
    with pytest.raises(ValueError, match="a kind of run that this version does not know"):
        specs.read(path)


def test_a_spec_says_its_format_and_the_version_that_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    specs.write(str(path), RaceSpec())
    written = json.loads(path.read_text())
    assert (written["format"], written["version"]) == (specs.FORMAT, VERSION)
    assert specs.version(str(path)) == VERSION

    del written["format"], written["version"]  # as before there were formats
    path.write_text(json.dumps(written))
    assert specs.read(str(path)) == RaceSpec()
    assert specs.version(str(path)) == ""


@pytest.mark.parametrize(
    "later, sentence",
    [
        (specs.FORMAT + 1, "a newer version of the lab wrote it, in format .*Update the lab, or delete the run"),
        ("1", "format is '1'"),
        (0, "format is 0"),
        (True, "format is True"),
    ],
)
def test_a_format_that_this_version_cannot_read_is_a_sentence(tmp_path: Path, later: object, sentence: str) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"kind": "retrain", "format": later, **RaceSpec()._asdict()}))
    with pytest.raises(ValueError, match=sentence):
        specs.read(str(path))


def test_the_version_is_that_of_the_changelog() -> None:
    newest = re.search(r"^## (\S+)", Path(__file__).parents[2].joinpath("CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == VERSION


def test_the_defaults_have_no_faults() -> None:
    assert GOOD.faults() == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"backbone": "vgg"},
            "Backbone is 'vgg'; choose one of mobilenet_v2, efficientnet_lite0, inception_v3_keras, "
            "mobilenet_v1_keras, inception_v3, or mobilenet_<1.0|0.75|0.50|0.25>_<224|192|160|128>[_quantized].",
        ),
        ({"random_crop": 91}, "Random crop is 91; choose 0 to 90 percent."),
        ({"final_tensor_name": "a b"}, "Final tensor name is 'a b'; use letters, digits, _ . / and -."),
        ({"learning_rates": ()}, "0 learning rates; choose 1 to 8."),
        ({"learning_rates": tuple(n / 10 for n in range(1, 10))}, "9 learning rates; choose 1 to 8."),
        ({"learning_rates": (0.5, 0.5)}, "A learning rate is listed twice; each lane needs its own."),
        ({"learning_rates": (30.0,)}, "Learning rate is 30; choose 0.0001 to 10."),
        ({"learning_rates": (float("nan"),)}, "Learning rate is nan; choose 0.0001 to 10."),
        ({"learning_rates": (-0.1,)}, "Learning rate is -0.1; choose 0.0001 to 10."),
        ({"steps": 0}, "Steps is 0; choose 1 to 1,000,000."),
        ({"train_batch_size": 0}, "Train batch size is 0; choose 1 to 100,000 or -1 for all photos."),
        ({"validation_batch_size": -2}, "Validation batch size is -2; choose 1 to 100,000 or -1 for all photos."),
        ({"test_batch_size": 100001}, "Test batch size is 100,001; choose 1 to 100,000 or -1 for all photos."),
        ({"eval_step_interval": 0}, "Evaluation interval is 0; choose 1 to 1,000,000."),
        ({"validation_percentage": 0}, "Validation percentage is 0; choose 1 to 80."),
        ({"testing_percentage": 0}, "Testing percentage is 0; choose 1 to 80."),
        (
            {"validation_percentage": 50, "testing_percentage": 45},
            "Validation and testing take 95 % of the photos; leave at least 10 % for training.",
        ),
        ({"seed": -1}, "Seed is -1; choose 0 to 2,147,483,647."),
        ({"device": "tpu"}, "Device is 'tpu'; choose one of cpu, gpu."),
        ({"threads": -1}, "Threads is -1; choose 0 to 1,024; 0 takes every core."),
        (
            {"bottleneck_dir": "/photos", "use_cache": False},
            "A run without the cache keeps no bottlenecks in text files either; leave one of the two out.",
        ),
    ],
)
def test_each_fault_of_a_spec_is_one_sentence(change: dict, sentence: str) -> None:
    assert GOOD._replace(**change).faults() == [sentence]


MNIST = MnistSpec()


def test_a_spec_of_a_comparison_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = str(tmp_path / "spec.json")
    own = catalog.network("small")._replace(name="own_1", title="Mine", layers="flatten, dense 10", learning_rate=0.5)
    spec = MNIST._replace(networks=(catalog.network("strong"), own), data="my-digits", seed=9)
    specs.write(path, spec)
    assert specs.read(path) == spec
    assert read_json(path)["kind"] == "mnist"
    assert read_json(path)["networks"][1]["layers"] == "flatten, dense 10"  # flat: no nameless lists within lists
    assert (spec.lane_names(), spec.lane_titles()) == (["strong", "own_1"], ["Strong", "Mine"])


def test_the_defaults_of_a_comparison_have_no_faults_and_neither_has_any_network() -> None:
    assert MNIST.faults() == []
    for network in catalog.NETWORKS:
        assert network_faults(network) == []


def test_a_spec_of_many_pictures_comes_back_and_each_of_its_faults_is_one_sentence(tmp_path: Path) -> None:
    path = str(tmp_path / "spec.json")
    spec = BatchClassificationSpec(model="20261125-101500-abc123:0.5", model_title="Lamps · lr 0.5")
    specs.write(path, spec)
    assert specs.read(path) == spec
    assert (read_json(path)["kind"], spec.lane_names(), spec.lane_titles(), spec.faults()) == (
        "classify", [], [], []
    )  # fmt: skip
    for model in ("", "../../etc", "a/b", "-rf", "a b", "x" * 201):
        (fault,) = spec._replace(model=model).faults()
        assert fault == f"Model is {model!r}; choose a run, a backbone or an uploaded model by its name."
    assert spec._replace(top=0).faults() == ["Labels kept of each picture is 0; choose 1 to 20."]
    assert spec._replace(device="tpu").faults() == ["Device is 'tpu'; choose one of cpu, gpu."]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"networks": ()}, "0 networks; choose 1 to 6."),
        ({"networks": MNIST.networks[:1] * 2}, "Beginner is listed twice; each network needs a name of its own."),
        ({"epochs": 0}, "Epochs is 0; choose 1 to 100."),
        ({"epochs": 10_000}, "Epochs is 10,000; choose 1 to 100."),
        ({"training_images": 10}, "Training images is 10; choose 1,000 to 10,000,000 or 0 for all."),
        ({"data": "../../etc"}, "Data is '../../etc'; choose a set by its name, like mnist."),
        ({"seed": -1}, "Seed is -1; choose 0 to 2,147,483,647."),
        ({"device": "tpu"}, "Device is 'tpu'; choose one of cpu, gpu."),
    ],
)
def test_each_fault_of_a_comparison_is_one_sentence(change: dict, sentence: str) -> None:
    assert MNIST._replace(**change).faults() == [sentence]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"batch_size": 70_000}, "Batch size is 70,000; choose 1 to 8,192."),
        ({"batch_size": 0}, "Batch size is 0; choose 1 to 8,192."),
        ({"learning_rate": 30.0}, "Learning rate is 30; choose 1e-05 to 1."),
        ({"learning_rate": float("nan")}, "Learning rate is nan; choose 1e-05 to 1."),
        ({"optimizer": "lion"}, "Optimizer is 'lion'; choose adam or sgd."),
        ({"schedule": "sometimes"}, "Schedule is 'sometimes'; choose constant or one_cycle."),
        ({"label_smoothing": 0.9}, "Label smoothing is 0.9; choose 0 to 0.5."),
        ({"validation_images": -1}, "Validation images is -1; choose 0 to 50,000."),
        ({"name": "../x"}, "Its name is '../x'; use up to 40 of a to z, 0 to 9 and _."),
        ({"layers": "knit 3"}, "Layer 1, 'knit 3', is none of"),
    ],
)
def test_each_fault_of_a_network_is_one_sentence_that_names_it(change: dict, sentence: str) -> None:
    network = catalog.network("beginner")._replace(**change)
    (fault,) = network_faults(network)
    assert fault.startswith(sentence)
    assert MNIST._replace(networks=(network,)).faults() == [f"Beginner: {fault}"]


def test_lanes_are_named_as_people_write_the_rate() -> None:
    assert [choices.lane_name(rate) for rate in (0.005, 1, 10.0, 0.0001)] == ["0.005", "1.0", "10.0", "0.0001"]


# --- events ----------------------------------------------------------------------------------------------------------

EVERY_KIND = [
    events.State(1.0, events.QUEUED, 3),
    events.Hardware(1.5, "Jetson TX2", "ARMv8", 6, 8 * 10**9, "", "MAXN"),
    events.Stage(2.0, events.BOTTLENECKS, 600),
    events.Progress(2.5, 32),
    events.Metric(3.0, "0.5", "validation", [10, 20], [0.1, 0.2], [0.9, 0.95], [0.3, None]),
    events.Skipped(3.5, "röd/ä.jpg", "the file is empty"),
    events.Warning(3.6, "Line one\nline two"),
    events.Diverged(4.0, "10.0", 20, "It left the numbers."),
    LaneResult(5.0, "0.5", 0.9, 40, 0.91, None, 0.95, 20, False),
    events.Kept(5.1, "0.5"),
    events.Exported(5.2, "model.tflite", 9 * 10**6, 0.97, 64, 1e-7, 0.021),
    RaceResult(5.5, "0.5", 60, 40, 10, 10, 0, 60, 0.2, 0.8, 1.2, 1e-7, 10, "LiteRT", 10**9, 0.1, 4.5),
    events.Predicted(5.6, 12.5, 480, 24, 3_000_000, 900_000_000, 0.0),
    events.Expected(5.7, 110.0, "a batch of each depth"),
    events.Error(6.0, "disk_full", "No space.", "Make room."),
    events.LaneStarted(6.1, "beginner", 60000, 0, 32, 1875, 9375),
    events.LaneEnded(6.2, "beginner", True),
    events.BatchHalved(6.3, "strong", 64),
    NetworkResult(6.4, "beginner", 101770, 101632, 2.5, 6.1, 49000.0, 0.978, 10000, None, 0, True),
    NetworkExported(6.5, "beginner", 1e-7, 64, 7e-6),
    MnistResult(6.6, "TensorFlow on the CPU", 10**9),
    ModelLoaded(6.7, "LiteRT", "CPU", 224, 224, 0.3),
    Classified(6.8, [0, 2], [1, 0, 0, 1], [0.9, 0.1, 0.6, 0.4], [True, False]),
    BatchClassificationResult(6.9, 2, 0.1, 0.02, 0.009, 10**8),
    FineTuned(7.1, "all", 18, 18, 2**21, 10**9, 8.5, 5, 32, 16, True, 0.88, None, 60, 0.86, 120),
    FineTuningResult(7.2, 420, 60, 120, "TensorFlow 2.21"),
    BatchTried(7.3, 64, False, "The memory ran out.", 0, 0.0),
    BatchSizeResult(7.4, 32, True, 2 * 10**9, 7 * 10**8, 2**21, "TensorFlow 2.21"),
    LearningCurvePoint(7.5, 20, 3, 100, 95, 120, False, 0.8),
    LearningCurveResult(7.6, 420, 60, 120, 590, 10, "LiteRT", 8 * 10**8),
    events.State(8.0, events.DONE, 0),
]


def test_no_kind_of_event_is_missing_here() -> None:
    assert {type(event) for event in EVERY_KIND} == set(events.records().values())


def test_every_event_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = str(tmp_path / "events.jsonl")
    events.append(path, *EVERY_KIND)
    assert events.Reader(path).read() == EVERY_KIND


def test_a_reader_gets_only_what_is_new(tmp_path: Path) -> None:
    path = str(tmp_path / "events.jsonl")
    reader = events.Reader(path)
    assert reader.read() == []
    for event in EVERY_KIND:
        events.append(path, event)
        assert reader.read() == [event]
    assert reader.read() == []


def test_a_torn_line_waits_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events.append(str(path), *EVERY_KIND)
    whole = path.read_bytes()
    for cut in (0, 1, len(whole) // 3, len(whole) - 1):
        path.write_bytes(whole[:cut])
        reader = events.Reader(str(path))
        before = reader.read()
        assert before == EVERY_KIND[: len(before)]
        path.write_bytes(whole)
        assert before + reader.read() == EVERY_KIND


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind":"moonshine","t":1.0}',
        b'{"kind":"progress","t":1.0}',
        b'{"kind":["progress"]}',
        b"[]",
        b"7",
        b"{half",
        b"",
        b"\xff\xfe",
    ],
    ids=["unknown kind", "missing field", "odd kind", "a list", "a number", "cut short", "empty", "not UTF-8"],
)
def test_a_line_that_is_not_understood_is_passed_over(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line + b"\n")
    events.append(str(path), EVERY_KIND[0])
    assert events.Reader(str(path)).read() == [EVERY_KIND[0]]


def test_a_field_of_a_later_version_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({"kind": "progress", "t": 1.0, "done": 5, "mood": "good"}) + "\n")
    assert events.Reader(str(path)).read() == [events.Progress(1.0, 5)]


def test_a_result_of_before_imports_were_timed_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    now = next(event for event in EVERY_KIND if isinstance(event, RaceResult))
    events.append(str(path), now)
    told = json.loads(path.read_text())
    del told["cache_seconds"], told["import_seconds"]
    path.write_text(json.dumps(told) + "\n")
    assert events.Reader(str(path)).read() == [now._replace(cache_seconds=None, import_seconds=None)]


def test_a_number_that_json_does_not_have_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with pytest.raises(ValueError, match="JSON compliant"):
        events.append(str(path), events.Metric(1.0, "0.5", "training", [1], [0.1], [0.5], [float("nan")]))
    assert not path.exists()


def test_two_writers_never_tear_each_others_lines(tmp_path: Path) -> None:
    path = str(tmp_path / "events.jsonl")
    code = (
        "import sys; from engine.contract import events\n"
        "for n in range(300): events.append(sys.argv[1], events.Warning(float(n), sys.argv[2] * 500))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, path, letter], cwd=ROOT) for letter in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    read = events.Reader(path).read()
    assert len(read) == 600
    assert {event.message for event in read} == {"a" * 500, "b" * 500}


# --- datasets --------------------------------------------------------------------------------------------------------


def test_a_dataset_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = str(tmp_path / "dataset.json")
    photos = [Photo("röd/1.jpg", 0, "training"), Photo("röd/2.jpg", 0, "testing"), Photo("b/ 3.png", 1, "validation")]
    dataset = Dataset("Mine", "/data/mine", ["r d", "b"], photos)
    datasets.write(path, dataset)
    assert datasets.read(path) == dataset


def test_a_json_file_is_replaced_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "a.json")
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


# --- catalogue -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", catalog.BACKBONES + catalog.ORIGINALS, ids=lambda backbone: backbone.name)
def test_every_backbone_of_the_catalogue_can_be_named(backbone: catalog.Backbone) -> None:
    assert catalog.backbone(backbone.name) is backbone
    assert len(backbone.mean) == len(backbone.std) == 3
    assert GOOD._replace(backbone=backbone.name).faults() == []


# --- tickets and locks -----------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> LabHome:
    home = LabHome(str(tmp_path / "home"))
    os.makedirs(home.runs)
    return home


def living_run(home: LabHome, run_id: str) -> int:
    folder = home.run(run_id)
    os.makedirs(folder.path)
    return try_lock(folder.lock)


def test_tickets_count_up_over_all_devices_and_the_line_is_kept_per_device(home: LabHome) -> None:
    locks = [living_run(home, name) for name in "abc"]
    given = [tickets.take(home, device, name) for device, name in (("cpu", "a"), ("gpu", "b"), ("cpu", "c"))]
    assert given == [1, 2, 3]
    assert tickets.line(home, "cpu") == [(1, "a"), (3, "c")]
    assert tickets.ahead_of(home, "cpu", 3) == ["a"]
    assert tickets.ahead_of(home, "gpu", 2) == []
    tickets.leave(home, "cpu", 1)
    tickets.leave(home, "cpu", 1)
    assert tickets.ahead_of(home, "cpu", 3) == []
    for lock in locks:
        os.close(lock)


def test_tickets_of_two_digits_stand_behind_those_of_one(home: LabHome) -> None:
    names = [f"run-{letter}" for letter in "abcdefghijkl"]
    locks = [living_run(home, name) for name in names]
    assert [tickets.take(home, "cpu", name) for name in names] == list(range(1, 13))
    assert tickets.line(home, "cpu") == list(enumerate(names, 1))
    assert tickets.ahead_of(home, "cpu", 9) == names[:8]
    assert tickets.ahead_of(home, "cpu", 11) == names[:10]
    tickets.leave(home, "cpu", 2)
    assert tickets.ahead_of(home, "cpu", 10) == [names[0], *names[2:9]]
    for lock in locks:
        os.close(lock)


def test_a_ticket_of_the_dead_is_passed_over(home: LabHome) -> None:
    locks = [living_run(home, name) for name in "ab"]
    for name in "ab":
        tickets.take(home, "cpu", name)
    assert tickets.ahead_of(home, "cpu", 2) == ["a"]
    os.close(locks[0])
    assert tickets.ahead_of(home, "cpu", 2) == []
    os.close(locks[1])


def test_processes_that_take_tickets_at_once_get_different_ones(home: LabHome) -> None:
    code = (
        "import sys; from engine.contract import tickets; from engine.contract.run_folder import LabHome\n"
        "for n in range(50): print(tickets.take(LabHome(sys.argv[1]), 'cpu', 'x'))"
    )
    takers = [
        subprocess.Popen([sys.executable, "-c", code, home.path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    given = [int(line) for taker in takers for line in taker.communicate()[0].split()]
    assert sorted(given) == list(range(1, 151))


def test_a_lock_is_held_until_its_holder_dies_and_probing_does_not_disturb(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path))
    assert not is_locked(folder.lock)
    code = (
        "import sys, time; from engine.contract.run_folder import try_lock\n"
        "try_lock(sys.argv[1]); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, folder.lock],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    assert is_locked(folder.lock)
    assert try_lock(folder.lock) == -1
    holder.kill()
    holder.wait()
    holder.stdout.close()
    deadline = time.monotonic() + 60
    while is_locked(folder.lock) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_locked(folder.lock)
    os.close(try_lock(folder.lock))


# --- memory ----------------------------------------------------------------------------------------------------------

MEMINFO = "MemTotal: 8000000 kB\nMemFree: 100000 kB\nMemAvailable: 3000000 kB\nBuffers: 5 kB\n"
V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("files", "left"),
    [
        pytest.param({}, None, id="a system that does not tell"),
        pytest.param({"proc/meminfo": MEMINFO}, 3_072_000_000, id="a machine"),
        pytest.param({"proc/meminfo": "MemTotal: 8 kB\nMemAvailable: lots\n"}, None, id="nonsense"),
        pytest.param(
            {
                "proc/meminfo": MEMINFO,
                f"{V2}/memory.max": "2000000000\n",
                f"{V2}/memory.current": "1500000000\n",
                f"{V2}/memory.stat": "anon 9\ninactive_file 300000000\n",
            },
            800_000_000,
            id="a container, whose copies of files count as free",
        ),
        pytest.param(
            {"proc/meminfo": MEMINFO, f"{V2}/memory.max": "max\n", f"{V2}/memory.current": "1\n"},
            3_072_000_000,
            id="a container without a limit",
        ),
        pytest.param(
            {
                "proc/meminfo": MEMINFO,
                f"{V1}/memory.limit_in_bytes": "1000000000\n",
                f"{V1}/memory.usage_in_bytes": "1200000000\n",
            },
            0,
            id="an old container that is over its limit",
        ),
    ],
)
def test_how_much_memory_a_run_may_take(tmp_path: Path, files: dict[str, str], left: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory.available(str(tmp_path)) == left
