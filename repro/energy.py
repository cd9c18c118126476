"""The energy that a run takes, and how it was had: measured where the machine tells, estimated where it does not.

The first of these that is there:
1. NVML, where the run has NVIDIA GPUs: the boards' own counters (from Volta on). The host's processors are not in it.
2. RAPL, where the counters of the processor packages can be read (on most systems by root alone). A package is counted
   whole, with all else that runs on it; memory is not in it.
3. An estimate: the seconds that cores worked for this process, times WATTS_A_CORE.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
WATTS_A_CORE = 10.0
"""What a busy core is taken to draw, in watts. Thermal design power over cores is 4.2 W on a 48-core EPYC 7552, 10.0 W
on a 12-core Xeon E5-2680 v3 and 10.8 W on a 6-core Core i5-10400; the Green Algorithms calculator (data/TDP_cpu.csv has
these) takes 12 W for a processor that it does not know. An estimate may thus be two or three times off."""

SECONDS_BETWEEN_READINGS = 60.0
"""A package's counter starts anew after 2^32 units of 61 microjoules: every 18 minutes at 240 W."""


@dataclass(frozen=True)
class Energy:
    """What was used since the meter was started.

    Attributes:
        joules: the energy.
        source: how it was had, in words, with what it is a sum of.
    """

    joules: float
    source: str


class EnergyMeter:
    """Measures energy from `with EnergyMeter() as meter:` on.

    Args:
        powercap: the folder of the RAPL counters.
        nvml: NVIDIA's management library, opened; looked for where None.
    """

    def __init__(self, powercap: Path = POWERCAP, nvml: Any = None) -> None:
        self._rapl = Rapl(powercap)
        self._nvml = NVML(nvml)
        self._gpus: dict[str, int] = {}
        self._cpu_seconds = 0.0
        self._ended = threading.Event()

    def __enter__(self) -> EnergyMeter:
        self._cpu_seconds = cpu_seconds()
        self._gpus = self._nvml.millijoules()
        if self._rapl.packages:
            self._rapl.read()
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._nvml.close()

    def read(self, gpus: Sequence[str] = ()) -> Energy:
        """Returns the energy used so far.

        Args:
            gpus: the UUIDs ("GPU-...") of those that the run has.
        """
        now = self._nvml.millijoules()
        if gpus and all(gpu in self._gpus and gpu in now for gpu in gpus):
            joules = sum(now[gpu] - self._gpus[gpu] for gpu in gpus) / 1e3
            return Energy(joules, f"NVML: {len(gpus)} GPU{'s' * (len(gpus) > 1)}, without the host")
        alone = ", without the GPU" if gpus else ""
        if self._rapl.packages:
            self._rapl.read()
            names = ", ".join(self._rapl.packages)
            return Energy(self._rapl.microjoules / 1e6, f"RAPL: {names}, whole, with all that ran there{alone}")
        seconds = cpu_seconds() - self._cpu_seconds
        how = f"{seconds:.1f} CPU seconds x {WATTS_A_CORE:g} W a core"
        return Energy(seconds * WATTS_A_CORE, f"estimate: {how}{alone}")

    def _watch(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_READINGS):
            self._rapl.read()


def cpu_seconds() -> float:
    """Returns the seconds that cores have worked for this process and for its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Rapl:
    """The energy counters of the processor packages (Linux: Documentation/power/powercap).

    Args:
        root: the folder that holds intel-rapl:0, intel-rapl:1, ... (AMD's processors have the same names).

    Attributes:
        packages: names of the packages; none where any of their counters cannot be read.
        microjoules: used between the first reading and the last one, all packages together.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        self.packages: dict[str, Path] = {}
        self.microjoules = 0
        self._last: dict[str, int] = {}
        self._lock = threading.Lock()
        try:
            for zone in sorted(root.glob("intel-rapl:*")):
                name = (zone / "name").read_text().strip()
                if name.startswith("package"):  # its parts (core, uncore, dram) and psys, which holds it, are left out
                    self.packages[name] = zone
                    _number(zone / "energy_uj")
                    _number(zone / "max_energy_range_uj")
        except (OSError, ValueError):
            self.packages = {}

    def read(self) -> None:
        """Adds what was used since the last reading; a counter that started anew meanwhile is put right once."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            for name, zone in self.packages.items():
                now = _number(zone / "energy_uj")
                used = now - self._last.get(name, now)
                self.microjoules += used if used >= 0 else used + _number(zone / "max_energy_range_uj")
                self._last[name] = now


def _number(file: Path) -> int:
    return int(file.read_text())


class NVML:
    """NVIDIA's management library, as far as energy goes. Without a driver it has no GPUs.

    Args:
        library: the library, opened; libnvidia-ml.so.1 where None.
    """

    def __init__(self, library: Any = None) -> None:
        self._library = library
        if library is None:
            with contextlib.suppress(OSError):
                self._library = ctypes.CDLL("libnvidia-ml.so.1")
        if self._library is not None and self._library.nvmlInit_v2() != 0:
            self._library = None

    def close(self) -> None:
        if self._library is not None:
            self._library.nvmlShutdown()
            self._library = None

    def driver(self) -> str | None:
        """Returns the version of the driver."""
        if self._library is None:
            return None
        text = ctypes.create_string_buffer(96)
        failed = self._library.nvmlSystemGetDriverVersion(text, ctypes.c_uint(96))
        return None if failed else text.value.decode()

    def millijoules(self) -> dict[str, int]:
        """Returns what each GPU has used since its driver was loaded, by UUID; those that do not say are left out."""
        if self._library is None:
            return {}
        count = ctypes.c_uint()
        if self._library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return {}
        return dict(filter(None, (self._reading(place) for place in range(count.value))))

    def _reading(self, place: int) -> tuple[str, int] | None:
        handle, uuid, energy = ctypes.c_void_p(), ctypes.create_string_buffer(96), ctypes.c_ulonglong()
        try:
            failed = (
                self._library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(place), ctypes.byref(handle))
                or self._library.nvmlDeviceGetUUID(handle, uuid, ctypes.c_uint(96))
                or self._library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(energy))
            )
        except AttributeError:  # a driver from before that function
            return None
        return None if failed else (uuid.value.decode(), energy.value)
