"""What a run costs, and what it ran on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path

from repro import paths

PACKAGES = ("torch", "lightning", "transformers", "tokenizers", "datasets", "torchmetrics", "numpy", "scipy")


def forget_peak_memory() -> None:
    """Starts the count of peak memory anew, where the system allows it."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: str) -> int:
    """Returns the largest memory in bytes since `forget_peak_memory`: of the GPU, or of the process on a CPU."""
    import torch

    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def hardware(device: str) -> dict[str, str | int]:
    """Returns what the run is running on."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {"device": device, "name": name, "threads": torch.get_num_threads(), "system": platform.system()}


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the libraries that can move a number."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}


def commit() -> str | None:
    """Returns the project's git commit, with a plus where the tree has changes, or None outside a checkout."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(paths.ROOT), *words], capture_output=True, text=True, check=True, timeout=5
        ).stdout

    if not (paths.ROOT / ".git").exists():
        return None
    try:
        return git("rev-parse", "HEAD").strip() + (
            "+" if git("status", "--porcelain", "--untracked-files=no").strip() else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    try:
        information: Mapping[str, str] = dict(
            [part.strip() for part in line.split(":", 1)]
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if ":" in line
        )
        return information["model name"]
    except (OSError, KeyError):
        return platform.processor() or platform.machine()
