"""A line of tegrastats -> what it says of a Jetson.

Fields come and go with the JetPack and with root, so the line is searched for tokens: every one is optional, and what
is unknown is passed over. Nothing in a line makes this fail.

    L4T 28      RAM 1254/7851MB (lfb 1x4MB) cpu [17%,off,off,8%]@408 EMC 1%@408 GR3D 3%@76
    JetPack 4   RAM 2586/7846MB (lfb 1x1MB) CPU [49%@806,off,0%@960] GR3D_FREQ 53%@140 GPU@39C VDD_IN 3177/3177
    JetPack 5   05-12-2023 10:22:11 RAM ... GR3D_FREQ 0%@[510] CV0@-256C VDD_IN 5079mW/5079mW
    JetPack 7   GR3D_FREQ 12%@[1300,1300] cpu@52.968C/52.968C
"""

import re
from dataclasses import dataclass, field

# Numbers have so many digits at most: a damaged line shall not become an astronomic figure.
_NUMBER = r"([0-9]{1,7})"
_RAM = re.compile(rf"\bRAM {_NUMBER}/{_NUMBER}MB", re.ASCII)
_SWAP = re.compile(rf"\bSWAP {_NUMBER}/{_NUMBER}MB", re.ASCII)
_CPU = re.compile(r"\bcpu \[([^\]]{1,4000})\]", re.ASCII | re.IGNORECASE)
_CORE = re.compile(r"([0-9]{1,3})%", re.ASCII)
_GPU = re.compile(rf"\bGR3D(?:_FREQ)? ([0-9]{{1,3}})%(?:@\[?{_NUMBER})?", re.ASCII)
_TEMPERATURE = re.compile(
    r"(?<![\w.@-])([A-Za-z][\w.-]{0,30})@(-?[0-9]{1,3}(?:\.[0-9]{1,4})?)C(?![A-Za-z0-9])", re.ASCII
)
_RAIL = re.compile(rf"(?<!\S)([A-Z][A-Z0-9_]{{1,30}}) {_NUMBER}(?:mW)?/[0-9]{{1,7}}(?:mW)?(?!\S)", re.ASCII)

MEGABYTE = 2**20  # tegrastats says MB and means this
COLDEST, HOTTEST = -40.0, 150.0  # degrees Celsius; beyond them it is no reading: -256 is a sensor that is switched off


@dataclass(frozen=True)
class Line:
    """What one line says; None and empty where it does not."""

    cores: tuple[float | None, ...] = ()  # percent; None for a core that is off
    gpu: float | None = None  # percent
    gpu_mhz: float | None = None
    memory_used: float | None = None  # bytes, shared by CPU and GPU
    memory_total: float | None = None
    swap_used: float | None = None
    swap_total: float | None = None
    temperatures: dict[str, float] = field(default_factory=dict)  # degrees Celsius by sensor, as the line names it
    power: dict[str, float] = field(default_factory=dict)  # milliwatts now, by rail

    @property
    def is_known(self) -> bool:
        """Whether it says anything: a line of another program does not."""
        return bool(self.cores or self.gpu is not None or self.memory_used is not None or self.temperatures)


def parse(line: str) -> Line:
    """What is known of the line; a Line that is not `is_known` where nothing is."""
    memory_used, memory_total = _amount(_RAM, line)
    swap_used, swap_total = _amount(_SWAP, line)
    gpu, gpu_mhz = None, None
    if (found := _GPU.search(line)) and (gpu := _percent(found[1])) is not None and found[2]:
        gpu_mhz = float(found[2])
    return Line(
        _cores(line), gpu, gpu_mhz, memory_used, memory_total, swap_used, swap_total, _temperatures(line), _power(line)
    )


def _amount(token: re.Pattern[str], line: str) -> tuple[float | None, float | None]:
    """Bytes used and in all; a part that is larger than the whole is no reading."""
    found = token.search(line)
    if not found or int(found[1]) > int(found[2]):
        return None, None
    return float(int(found[1]) * MEGABYTE), float(int(found[2]) * MEGABYTE)


def _cores(line: str) -> tuple[float | None, ...]:
    found = _CPU.search(line)
    if not found:
        return ()
    cores = [_percent(core[1]) if (core := _CORE.match(part.strip())) else None for part in found[1].split(",")]
    return tuple(cores) if any(core is not None for core in cores) else ()


def _percent(digits: str) -> float | None:
    return float(digits) if int(digits) <= 100 else None


def _temperatures(line: str) -> dict[str, float]:
    found = {name: float(value) for name, value in _TEMPERATURE.findall(line)}
    # The power chip's sensor says 100 whatever happens.
    return {name: value for name, value in found.items() if COLDEST < value < HOTTEST and name.upper() != "PMIC"}


def _power(line: str) -> dict[str, float]:
    """RAM and SWAP have a unit behind them, which no rail has but mW."""
    return {name: float(value) for name, value in _RAIL.findall(line)}
