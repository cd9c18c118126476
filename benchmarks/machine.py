"""What every benchmark says of the machine, and how it writes what it found."""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repro import paths
from repro.runs.measure import processor

PACKAGES = ("torch", "lightning", "transformers", "datasets")


def described() -> dict[str, Any]:
    """Returns the machine: its processor, cores, load when asked, and the versions that move a time."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "name": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "python": sys.version.split()[0],
        **versions,
    }


def spread(values: Sequence[float], digits: int = 3) -> dict[str, Any]:
    """Returns the median of values, the least, the greatest, and all of them."""
    values = [round(value, digits) for value in values]
    return {
        "median": round(statistics.median(values), digits),
        "least": min(values),
        "greatest": max(values),
        "all": values,
    }


def write(name: str, result: Mapping[str, Any], out: Path | None = None) -> Path:
    """Writes results/benchmarks/NAME.json, or another file.

    Args:
        name: of the benchmark.
        result: what it found.
        out: the file, where it is not the usual one.
    """
    file = out or paths.FACTS / "benchmarks" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file
