"""What two halves of a comparison say, what runs can compute on, and how far off a prediction was."""

import json
import os
import subprocess
import sys

import pytest

from engine.contract import dataset as datasets
from engine.contract import events, specs
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.kinds.race import STAGES, LaneResult, RaceResult, RaceSpec
from engine.contract.run_folder import LabHome
from engine.errors import SpecError
from engine.kinds import prediction
from engine.kinds.race import device_comparison
from engine.machine import devices, sampler
from engine.machine.device import Reading, encode
from engine.runs import Run, open_run
from engine.settings import APP_ROOT

PHOTOS = datasets.Dataset("Lamps", "/lamps", ["red", "green"], [datasets.Photo("red/1.jpg", 0, "training")])
ONE_GPU = devices.Devices("2.7.0", (devices.Gpu("NVIDIA Tegra X2", 6 * 10**9),), "", 6)
NO_GPU = devices.Devices("2.21.0", (), "TensorFlow says: Could not find cuda drivers.", 4)


@pytest.fixture
def half(tmp_path):
    """A run of a comparison whose stages took so many seconds; it is done where it has all five."""
    home, number = LabHome(str(tmp_path)), 0

    def half(*took: float, ended: str = events.DONE, error: str = "", watts: tuple = (), **asked) -> Run:
        nonlocal number
        number += 1
        folder = home.run(f"run-{number}")
        os.makedirs(folder.artifacts)
        specs.write(folder.spec, RaceSpec(learning_rates=(0.5,), group="pair", **asked))
        datasets.write(folder.dataset, PHOTOS)
        at = 100.0
        told = [events.State(at, events.QUEUED, number), events.State(at, events.RUNNING, 0)]
        for name, seconds in zip(STAGES, took, strict=False):
            told += [events.Stage(at, name, 60), events.Progress(at + seconds, 60)]
            at += seconds
        if error:
            told.append(events.Error(at, "no_gpu", error, "Start it on the CPU."))
        if len(took) == len(STAGES):
            figures = (60, 40, 10, 10, 0, 60, 1.0, 2.0, took[2], 1e-7, 10, "LiteRT", 10**9, 0.0, 4.0)
            told += [
                LaneResult(at, "0.5", 0.9, 10, 0.9, 0.3, 0.9, 20, False),
                RaceResult(at, "0.5", *figures),
            ]
        events.append(folder.events, *told, events.State(at, ended, 0))
        with open(folder.device, "w") as file:
            file.writelines(encode(Reading(100.0 + second, power={"VDD_IN": w})) for second, w in enumerate(watts))
        return open_run(home, folder.id)

    return half


def said(*group: Run) -> str:
    found = device_comparison.verdict(device_comparison.halves(group))
    return f"{found.conclusion} {found.reasons}".strip()


def test_the_ratios_are_of_the_whole_of_the_backbone_and_of_the_last_layer(half):
    gpu, cpu = half(1, 10, 5, 1, 3, device="gpu"), half(1, 70, 6, 1, 3)
    assert said(gpu, cpu) == (
        "GPU is 4.0× faster end to end. "
        "Backbone features gain 7.0×; training the last layer gains 1.2×, because it is tiny."
    )
    slow, fast = device_comparison.halves([gpu, cpu])
    assert (slow.name, fast.name) == ("CPU", "GPU")
    assert (fast.seconds, fast.bottleneck_seconds, fast.training_seconds) == (20, 10, 5)
    assert (fast.images_per_second, fast.peak_memory, fast.joules) == (6.0, 10**9, None)


def test_a_gpu_that_does_not_help_is_said_too(half):
    assert said(half(1, 10, 5, 1, 3, device="gpu"), half(1, 10, 2, 1, 3)) == (
        "CPU is 1.2× faster end to end. Backbone features gain nothing; training the last layer gains 2.5×."
    )
    assert said(half(1, 10, 5, 1, 3, device="gpu"), half(1, 10, 5, 1, 3)) == (
        "GPU and CPU take the same time end to end. Backbone features gain nothing; training the last layer gains "
        "nothing."
    )


def test_what_gets_slower_on_the_faster_one_is_said(half):
    assert said(half(1, 10, 5, 1, 3, device="gpu"), half(1, 13, 1, 1, 1)) == (
        "CPU is 1.2× faster end to end. Backbone features are 1.3× slower; training the last layer gains 5.0×."
    )
    assert said(half(1, 10, 10, 1, 3, threads=2), half(1, 20, 5, 1, 3, threads=1)).endswith(
        "Backbone features gain 2.0×; training the last layer is 2.0× slower."
    )


def test_threads_are_compared_as_devices_are(half):
    assert said(half(1, 40, 5, 1, 3, threads=1), half(1, 10, 5, 1, 3, threads=4)).startswith(
        "4 threads are 2.5× faster end to end. Backbone features gain 4.0×; training the last layer gains nothing"
    )


def test_a_half_that_is_started_again_takes_the_place_of_the_one_before(half):
    half(1, 5, ended=events.FAILED, error="The GPU fell off the bus.", device="gpu")
    group = [half(1, 70, 6, 1, 3), half(1, 5, ended=events.FAILED, device="gpu"), half(1, 10, 5, 1, 3, device="gpu")]
    assert said(*group).startswith("GPU is 4.0× faster")


def test_a_device_that_disappears_is_said_and_the_other_half_stands(half):
    broken = half(1, 5, ended=events.FAILED, error="The GPU fell off the bus.", device="gpu")
    assert said(broken, half(1, 70, 6, 1, 3)) == "GPU failed: The GPU fell off the bus. CPU stands: 1m 21s end to end."
    (gone,) = [each for each in device_comparison.halves([broken]) if each.name == "GPU"]
    assert (gone.seconds, gone.bottleneck_seconds) == (None, None)  # its stage did not end, the run did
    assert said(half(1, 70, 6, 1, 3)).startswith("The other half of this comparison has been deleted. CPU stands")
    assert device_comparison.halves([]) == []


def test_energy_is_the_power_over_time_and_nothing_where_it_is_not_measured(half):
    (measured,) = device_comparison.halves([half(1, 1, 1, 1, 1, watts=(5000.0, 7000.0, 9000.0))])
    assert measured.joules == 14.0
    for watts in ((), (5000.0,)):
        (unknown,) = device_comparison.halves([half(1, 1, 1, 1, 1, watts=watts)])
        assert unknown.joules is None
    changed = [Reading(1.0, power={"VDD_IN": 1000.0}), Reading(2.0, power={"GPU": 500.0}), Reading(2.0)]
    assert device_comparison.joules(changed) is None
    assert sampler.of_run(half(1, watts=(1.0,)).folder)[0].watts == ("VDD_IN", 0.001)


def test_what_is_compared_depends_on_what_there_is():
    asked = RaceSpec(bottleneck_dir="/kept", device="gpu")
    cpu, gpu = device_comparison.halves_to_start(asked, ONE_GPU)
    assert (cpu.device, gpu.device, cpu.group) == ("cpu", "gpu", gpu.group)
    one, every = device_comparison.halves_to_start(asked, NO_GPU)
    assert (one.threads, every.threads, one.device, every.device) == (1, 4, "cpu", "cpu")
    for spec in (cpu, gpu, one, every):
        assert spec.faults() == []
        assert not spec.use_cache


def test_a_gpu_that_is_not_there_is_refused_with_the_reason_before_anything_starts():
    devices.check(RaceSpec(), NO_GPU)
    devices.check(RaceSpec(device="gpu"), ONE_GPU)
    with pytest.raises(SpecError, match=r"There is no GPU for this run\. TensorFlow says: Could"):
        devices.check(MnistSpec(device="gpu"), NO_GPU)


@pytest.mark.parametrize(
    "program, why",
    [
        pytest.param(None, "No such file or directory", id="no interpreter"),
        pytest.param("echo nonsense", "The worker could not be asked", id="nonsense"),
        pytest.param("echo '{\"gpus\": 7}'", "The worker could not be asked", id="another shape"),
        pytest.param("kill -9 $$", "The worker could not be asked", id="killed"),
    ],
)
def test_an_interpreter_that_cannot_be_asked_has_no_gpu_and_the_reason(tmp_path, program, why):
    python = tmp_path / "python"
    if program:
        python.write_text(f"#!/bin/sh\n{program}\n")
        python.chmod(0o755)
    finder = devices.Finder(devices.found_or_why)
    found = finder.wait(str(python))
    assert (found.gpus, found.tensorflow) == ((), "")
    assert why in found.why_no_gpu
    assert finder.now(str(python)) is found


def test_the_command_line_lists_devices_and_refuses_a_gpu_where_there_is_none(tmp_path):
    answer = {"tensorflow": "2.7.0", "gpus": [], "why_no_gpu": "CUDA_VISIBLE_DEVICES=-1 hides every GPU.", "cores": 2}
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    python.chmod(0o755)

    def engine(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"WORKER_PYTHON": str(python), "LAB_HOME": str(tmp_path / "lab")}
        command = [sys.executable, "-m", "engine", *arguments]
        return subprocess.run(command, cwd=APP_ROOT, env=environment, capture_output=True, text=True, timeout=60)

    assert engine("devices").stdout == "cpu  2 cores\nNo GPU was found. CUDA_VISIBLE_DEVICES=-1 hides every GPU.\n"
    assert json.loads(engine("devices", "--json").stdout)["why_no_gpu"] == answer["why_no_gpu"]
    refused = engine("mnist", "--device", "gpu")
    assert refused.returncode == 2
    assert "There is no GPU for this run. CUDA_VISIBLE_DEVICES=-1 hides every GPU." in refused.stderr
    assert not os.path.exists(tmp_path / "lab" / "runs")


def test_a_prediction_in_words():
    told = events.Predicted(1.0, 12.3, 480, 24, 28_900_000, 1_095_000_000, 0.0)
    assert prediction.in_words(told, 600) == (
        "About 12 s for bottlenecks, predicted from 24 photos: 480 of 600 are still to compute; "
        "28.9 MB of disk, 1.1 GB of memory."
    )
    assert prediction.in_words(told._replace(photos=0), 600).startswith(
        "No time for bottlenecks: those of all 600 photos are kept; 28.9 MB"
    )


def test_a_run_that_needs_more_memory_than_there_is_does_not_fit():
    assert prediction.shortage(2_000_000_000, 2_000_000_000) == ""
    assert prediction.shortage(2_000_000_000, None) == ""  # nobody can tell
    assert prediction.shortage(3_100_000_000, 1_200_000_000).startswith(
        "It would not fit: it takes about 3.1 GB of memory, and 1.2 GB is free."
    )


def test_a_prediction_is_judged_only_where_it_foresaw_the_same_photos():
    told = events.Predicted(1.0, 12.0, 60, 24, 0, 0, 0.0)
    assert prediction.error(told, 10.0, 60) == pytest.approx(0.2)
    assert prediction.error(told, 10.0, 59) is None
    assert prediction.error(told._replace(photos=0), 0.0, 0) is None
