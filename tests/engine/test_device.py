"""What a machine shows as files, and what is made of it; the process that reads it is in test_sampler.py."""

import pytest

from engine.contract import hardware
from engine.machine import device
from engine.machine.device import Machine, Reading, decode, encode
from engine.machine.tegrastats import parse
from tests.fakes.tegrastats import LINE


@pytest.fixture
def root(tmp_path):
    """A Jetson TX2's files, as its kernel shows them, below a folder."""
    files = {
        "proc/device-tree/model": "quill\0",
        "sys/devices/gpu.0/load": "437\n",
        "sys/class/thermal/thermal_zone0/type": "BCPU-therm",
        "sys/class/thermal/thermal_zone0/temp": "41500",
        "sys/class/thermal/thermal_zone0/trip_point_0_type": "passive",
        "sys/class/thermal/thermal_zone0/trip_point_0_temp": "95500",
        "sys/class/thermal/thermal_zone1/type": "GPU-therm",
        "sys/class/thermal/thermal_zone1/temp": "-256000",  # switched off
        "sys/class/thermal/thermal_zone2/type": "PMIC-Die",
        "sys/class/thermal/thermal_zone2/temp": "100000",
        "sys/class/thermal/cooling_device0/type": "gpu-balanced",
        "sys/class/thermal/cooling_device0/cur_state": "0",
        "sys/class/thermal/cooling_device1/type": "pwm-fan",
        "sys/class/thermal/cooling_device1/cur_state": "3",
        "var/lib/nvpmodel/status": "pmode:0003\n",
        "etc/nvpmodel.conf": "# modes\n< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=3 NAME=MAXP_CORE_ARM >\n",
        "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t186ref",
        "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 18.04.6 LTS"\n',
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_board_without_tegrastats_is_read_from_its_kernels_files(root):
    reading = Machine(str(root), root).read()
    assert reading.gpu == 43.7
    assert reading.is_throttled is False
    if "CPU" not in reading.temperatures:  # the machine of this test has no sensor of its own
        assert reading.temperatures == {"BCPU": 41.5}
        assert reading.throttles_at == 95.5
    assert (reading.source, reading.raw) == ("psutil", "")
    assert 0 < reading.memory_used <= reading.memory_total
    assert reading.disk_free > 0
    (root / "sys/class/thermal/cooling_device0/cur_state").write_text("2")
    (root / "sys/devices/gpu.0/load").write_text("not a number")
    reading = Machine(str(root), root).read()
    assert reading.is_throttled is True
    assert reading.gpu is None


def test_what_tegrastats_says_goes_before_psutil(root):
    reading = Machine(str(root), root).read(parse(LINE), LINE)
    assert (reading.cpu, reading.cores) == (21.8, (49, None, None, 7, 31, 0))
    assert (reading.gpu, reading.gpu_mhz) == (53, 140)
    assert reading.memory_total == 7846 * 2**20
    assert reading.hottest == ("MCPU", 41)
    assert reading.watts == ("VDD_IN", 3.177)
    assert (reading.source, reading.raw) == ("tegrastats", LINE)


def test_what_is_not_there_says_why(tmp_path):
    machine = Machine(str(tmp_path), tmp_path)
    missing = machine.missing(Reading(0.0))
    assert set(missing) == {"gpu", "cpu", "temperature", "power"}
    assert all(why.endswith(".") for why in missing.values())
    full = Reading(0.0, cpu=1.0, gpu=2.0, temperatures={"CPU": 40.0}, power={"VDD_IN": 1.0})
    assert machine.missing(full) == {}


def test_a_counter_that_rises_is_a_machine_that_slows_down(tmp_path):
    counter = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    counter.parent.mkdir(parents=True)
    counter.write_text("7\n")
    machine = Machine(str(tmp_path), tmp_path)
    assert machine.read().is_throttled is False
    counter.write_text("9\n")
    assert machine.read().is_throttled is True
    assert machine.read().is_throttled is False
    counter.unlink()
    assert machine.read().is_throttled is None


def test_a_machine_is_described_as_people_know_it(root, tmp_path):
    (root / "proc/device-tree/model").write_text("NVIDIA Jetson TX2 Developer Kit\0")
    assert device.describe(root).startswith("Jetson TX2 · MAXP_CORE_ARM · ")
    assert device.release(root).startswith("Ubuntu 18.04.6 LTS, L4T 32.7.1, ")
    assert device.is_shared(root)
    nowhere = tmp_path / "nothing"
    assert device.describe(nowhere).startswith("This computer · ")


def test_a_machine_is_named_by_what_it_says_of_itself(root, tmp_path):
    (root / "proc/device-tree/model").write_text("NVIDIA Jetson TX2 Developer Kit\0")
    card = root / "proc/driver/nvidia/gpus/0000:01:00.0/information"
    card.parent.mkdir(parents=True)
    card.write_text("Model: \t\t NVIDIA GeForce RTX 3060\nIRQ: 42\n")
    assert hardware.gpu(root) == "NVIDIA GeForce RTX 3060"
    card.unlink()
    (root / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: ARMv8 Processor rev 3 (v8l)\n")
    board = hardware.here(root)._replace(cores=6, memory_bytes=8_200_000_000)
    assert hardware.describe(board) == "Jetson TX2, ARMv8 Processor rev 3 (v8l), 6 cores, 8.2 GB, MAXP_CORE_ARM"
    assert hardware.is_same(board, board._replace(t=0.0, memory_bytes=8_190_000_000))
    assert not hardware.is_same(board, board._replace(power_mode="MAXN"))  # the same board, at another speed
    assert not hardware.is_same(board, hardware.here())
    assert hardware.short(board) == "Jetson TX2"
    assert hardware.short(board._replace(name=hardware.COMPUTER)) == "ARMv8 Processor rev 3 (v8l)"
    (root / "proc/device-tree/model").write_text("quill\0")  # so it calls itself under JetPack 4
    assert hardware.name(root) == "Jetson TX2"
    nowhere = tmp_path / "nothing"
    assert (hardware.name(nowhere), hardware.power_mode(nowhere)) == (hardware.COMPUTER, "")
    (nowhere / "sys/class/power_supply/BAT0").mkdir(parents=True)
    assert hardware.name(nowhere) == "Laptop"


@pytest.mark.parametrize(
    "file, text, name",
    [
        ("sys/module/tegra_fuse/parameters/tegra_chip_id", "24\n", "Jetson TX2"),
        ("sys/devices/soc0/family", "Tegra186\n", "Jetson TX2"),
        ("sys/module/tegra_fuse/parameters/tegra_chip_id", "33\n", "Jetson"),
        ("sys/devices/soc0/family", "Tegra\n", "Jetson"),
        ("etc/nv_tegra_release", "# R32 (release), REVISION: 7.1\n", "Jetson"),
        ("sys/devices/soc0/family", "Freescale i.MX\n", hardware.COMPUTER),
    ],
)
def test_a_board_is_known_in_a_container_too(tmp_path, file, text, name):
    path = tmp_path / file  # there is no proc/device-tree/model: Docker hides the firmware's tree
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert hardware.name(tmp_path) == name
    assert device.is_shared(tmp_path) == (name != hardware.COMPUTER)


def test_a_reading_survives_its_file():
    reading = Reading(1.5, 20.0, (1.0, None), 3.0, temperatures={"CPU": 40.5}, is_throttled=False, source="psutil")
    assert decode(encode(reading).encode()) == reading
    assert decode(encode(Reading(2.0)).encode()) == Reading(2.0)
    cut = b'{"t": 1, "cores": [%s], "power": {"%s": 1}, "cpu": 1e300}' % (b",".join([b"1"] * 5000), b"x" * 500)
    found = decode(cut)
    assert (len(found.cores), found.cpu, list(found.power)) == (device.MOST_CORES, None, ["x" * device.LONGEST_NAME])
