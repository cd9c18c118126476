"""What a run has cost, over all the processes that worked on it, at the same time or one after the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lightning

from repro.energy import EnergyMeter
from repro.papers.base import everywhere
from repro.runs import measure
from repro.runs.checkpoint import Cut


class Spent:
    """Counts time, energy and memory, from `with Spent(cut) as spent:` on.

    Args:
        cut: where an earlier process was killed; what it had spent by its last checkpoint is added. Of several
            processes rank zero alone is told.
    """

    def __init__(self, cut: Cut | None) -> None:
        self.before: Mapping[str, float] = cut.spent if cut else {}
        self.restarts = cut.restarts + 1 if cut else 0
        self._train_seconds = self.before["train_seconds"] if cut and cut.trained else None
        self._meter = EnergyMeter()
        self._device, self._gpus, self._first_here = "cpu", [], True

    def __enter__(self) -> Spent:
        measure.forget_peak_memory()
        self._meter.__enter__()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *error: Any) -> None:
        self._meter.__exit__(*error)

    def runs_on(self, trainer: lightning.Trainer) -> None:
        """Names the devices whose energy and memory count."""
        self._device = trainer.strategy.root_device.type
        self._gpus = measure.gpus(self._device, trainer.device_ids)
        self._first_here = trainer.local_rank == 0

    def trained(self) -> None:
        """Ends the time of training, if it has not ended before."""
        if self._train_seconds is None:
            self._train_seconds = self._seconds()

    def now(self) -> dict[str, float]:
        """Returns seconds, seconds of training, joules and the peak of memory in bytes, so far; all processes have to
        ask.

        Joules are those of all processes. So is the peak of memory on CPUs; on GPUs it is that of the fullest one.
        """
        seconds = self._seconds()
        parts = everywhere((self._joules(), measure.peak_memory(self._device)))
        joules, peaks = zip(*parts, strict=True)
        peak = max(peaks) if self._device == "cuda" else sum(peaks)
        return {
            "seconds": seconds,
            "train_seconds": seconds if self._train_seconds is None else self._train_seconds,
            "energy_joules": self.before.get("energy_joules", 0.0) + sum(joules),
            "peak_memory_bytes": max(self.before.get("peak_memory_bytes", 0), peak),
        }

    def measures(self) -> dict[str, float | str]:
        """Returns the same for the record, with how the energy was had, and how often the run was continued."""
        now, source, processes = self.now(), self._meter.read(self._gpus).source, len(everywhere(None))
        if processes > 1 and source.startswith("estimate"):
            source = f"{processes} processes, the first of them: {source}"
        if self.restarts:
            source += f", after the last of {self.restarts} restarts" if self.restarts > 1 else ", after a restart"
        return {
            "seconds": round(now["seconds"], 2),
            "train_seconds": round(now["train_seconds"], 2),
            "restarts": self.restarts,
            "energy_joules": round(now["energy_joules"], 1),
            "energy_source": source,
            "peak_memory_bytes": int(now["peak_memory_bytes"]),
        }

    def _joules(self) -> float:
        """Returns what this process adds: an estimate is its own; a counter counts for all processes of a machine."""
        energy = self._meter.read(self._gpus)
        return energy.joules if self._first_here or energy.source.startswith("estimate") else 0.0

    def _seconds(self) -> float:
        return self.before.get("seconds", 0.0) + time.perf_counter() - self._began
