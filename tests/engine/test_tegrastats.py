"""Lines of tegrastats from every JetPack, and ten thousand damaged ones."""

import random

import pytest

from engine.machine.tegrastats import MEGABYTE, Line, parse

JETPACK_4 = (
    "RAM 2586/7846MB (lfb 1x1MB) SWAP 12/3923MB (cached 0MB) CPU [49%@806,off,off,7%@806,31%@960,0%@960] "
    "EMC_FREQ 10%@665 GR3D_FREQ 53%@140 APE 150 BCPU@41C MCPU@41.5C GPU@39C PLL@41C Tboard@37C PMIC@100C thermal@40.1C "
    "VDD_IN 3177/3177 VDD_CPU 766/766 VDD_SYS_GPU 383/383"
)
JETPACK_5 = (
    "05-12-2023 10:22:11 RAM 2586/7620MB (lfb 4x4MB) SWAP 0/3810MB (cached 0MB) CPU [1%@729,off,100%@729,off] "
    "EMC_FREQ 0%@2133 GR3D_FREQ 0%@[510] VIC_FREQ 115 APE 174 CV0@-256C CPU@47.906C GPU@-256C SOC2@46.5C "
    "VDD_IN 5079mW/5079mW VDD_CPU_GPU_CV 560mW/560mW"
)
JETPACK_6 = "RAM 3021/7620MB (lfb 2x4MB) CPU [12%@1344,9%@1344] GR3D_FREQ 10%@1300 tj@50.25C VDD_IN 4980mW/5001mW"
JETPACK_7 = (
    "RAM 3021/7620MB CPU [12%@1344,9%@1344] GR3D_FREQ 12%@[1300,1300] cpu@52.968C/52.968C tj@53C VDD_GPU 0mW/0mW"
)
L4T_28 = "RAM 1254/7851MB (lfb 1x4MB) cpu [17%,off,off,8%,0%,1%]@408 EMC 1%@408 APE 25 GR3D 3%@76"
SAMPLES = [JETPACK_4, JETPACK_5, JETPACK_6, JETPACK_7, L4T_28]


def memory(used, total):
    return used * MEGABYTE, total * MEGABYTE


@pytest.mark.parametrize(
    "line, expected",
    [
        pytest.param(
            JETPACK_4,
            Line(
                (49, None, None, 7, 31, 0), 53, 140, *memory(2586, 7846), *memory(12, 3923),
                {"BCPU": 41, "MCPU": 41.5, "GPU": 39, "PLL": 41, "Tboard": 37, "thermal": 40.1},
                {"VDD_IN": 3177, "VDD_CPU": 766, "VDD_SYS_GPU": 383},
            ),
            id="JetPack 4",
        ),
        pytest.param(
            JETPACK_5,
            Line(
                (1, None, 100, None), 0, 510, *memory(2586, 7620), *memory(0, 3810), {"CPU": 47.906, "SOC2": 46.5},
                {"VDD_IN": 5079, "VDD_CPU_GPU_CV": 560},
            ),
            id="JetPack 5: time in front, cores and sensors that are off",
        ),
        pytest.param(
            JETPACK_6,
            Line((12, 9), 10, 1300, *memory(3021, 7620), temperatures={"tj": 50.25}, power={"VDD_IN": 4980}),
            id="JetPack 6",
        ),
        pytest.param(
            JETPACK_7,
            Line((12, 9), 12, 1300, *memory(3021, 7620), temperatures={"cpu": 52.968, "tj": 53}, power={"VDD_GPU": 0}),
            id="JetPack 7: two clocks, two temperatures",
        ),
        pytest.param(L4T_28, Line((17, None, None, 8, 0, 1), 3, 76, *memory(1254, 7851)), id="L4T 28"),
    ],
)  # fmt: skip
def test_every_jetpacks_line_is_read(line, expected):
    assert parse(line) == expected
    assert parse(line).is_known


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="nothing"),
        pytest.param("tegrastats: command needs root", id="words"),
        pytest.param("RAM 9000/7846MB CPU [101%@806] GR3D_FREQ 999%@1 GPU@900C", id="more than there is"),
        pytest.param("RAM ١٢/٣٤MB CPU [٥%@8]", id="digits of another script"),
        pytest.param("RAM " + "9" * 5000 + "/1MB", id="a number without end"),
        pytest.param("PMIC@100C CV0@-256C", id="sensors that never say anything"),
        pytest.param("CPU [" + "x," * 100_000, id="a list without end"),
    ],
)
def test_what_is_no_reading_is_none(line):
    assert parse(line) == Line()
    assert not parse(line).is_known


def test_ten_thousand_damaged_lines_do_no_harm():
    chance = random.Random(20261125)
    letters = "".join(SAMPLES) + "\0\ufffd٣@%[](){}/\\\t-.,"
    for _ in range(10_000):
        line = list(chance.choice(SAMPLES))
        for _ in range(chance.randint(1, 30)):
            start = chance.randrange(len(line) + 1)
            end = start + chance.choice([0, 0, 1, 2, 20])
            line[start:end] = chance.choices(letters, k=chance.choice([0, 1, 1, 3]))
        found = parse("".join(line))
        assert all(core is None or 0 <= core <= 100 for core in found.cores)
        assert found.gpu is None or 0 <= found.gpu <= 100
        assert found.memory_used is None or 0 <= found.memory_used <= found.memory_total
        assert all(-40 < value < 150 for value in found.temperatures.values())
