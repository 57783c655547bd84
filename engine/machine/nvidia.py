"""What the driver of an NVIDIA graphics card says of it, as nvidia-smi does; asks no CUDA and no TensorFlow."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CardReading:
    """None where this card or its driver does not say."""

    load: float | None  # percent
    mhz: float | None
    memory_used: float | None  # bytes, of the card's own memory
    memory_total: float | None
    temperature: float | None  # degrees Celsius
    slows_at: float | None  # degrees Celsius at which it slows itself down
    milliwatts: float | None
    is_slowed: bool | None  # because it is hot


class Card:
    """The first card, which is the one that TensorFlow computes on. `why_not` is a clause where there is none."""

    def __init__(self) -> None:
        self.name = ""
        self.why_not = ""
        self._handle: Any = None
        try:
            import pynvml
        except ImportError:
            self.why_not = "nvidia-ml-py is not installed"
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            self.name = str(pynvml.nvmlDeviceGetName(self._handle))
        except pynvml.NVMLError as error:
            self._handle = None
            self.why_not = f"no NVIDIA driver answers ({error})"

    def read(self) -> CardReading | None:
        if self._handle is None:
            return None
        nvml = self._nvml
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
        load = self._ask(nvml.nvmlDeviceGetUtilizationRates)
        reasons = self._ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons)
        hot = nvml.nvmlClocksThrottleReasonSwThermalSlowdown | nvml.nvmlClocksThrottleReasonHwThermalSlowdown
        return CardReading(
            load=None if load is None else float(load.gpu),
            mhz=self._ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_GRAPHICS),
            memory_used=None if memory is None else float(memory.used),
            memory_total=None if memory is None else float(memory.total),
            temperature=self._ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
            slows_at=self._ask(nvml.nvmlDeviceGetTemperatureThreshold, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
            milliwatts=self._ask(nvml.nvmlDeviceGetPowerUsage),
            is_slowed=None if reasons is None else bool(reasons & hot),
        )

    def _ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """None where the card has no such sensor, or the driver has gone."""
        try:
            return question(self._handle, *arguments)
        except (self._nvml.NVMLError, AttributeError):  # an older driver lacks newer questions
            return None
