"""What a run costs, and what it ran on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import resource
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from repro import paths
from repro.energy import NVML
from repro.records import identity

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


def gpus(device: str, places: Sequence[int]) -> list[str]:
    """Returns the UUIDs, as NVML writes them, of the NVIDIA GPUs that stand at these places; none on a CPU."""
    import torch

    if device != "cuda":
        return []
    return [f"GPU-{torch.cuda.get_device_properties(place).uuid}" for place in places]


def training_state(network: Any, optimizers: Sequence[Any]) -> int:
    """Returns the bytes that training keeps besides activations: parameters, gradients, and the optimisers' moments."""
    parameters = list(network.parameters())
    learning = [one for one in parameters if one.requires_grad]
    moments = [
        value
        for optimizer in optimizers
        for state in optimizer.state.values()
        for value in state.values()
        if hasattr(value, "element_size")
    ]
    return sum(one.numel() * one.element_size() for one in (*parameters, *learning, *moments))


def hardware(device: str, devices: int) -> dict[str, str | int | None]:
    """Returns what the run is running on, and nothing that names the machine.

    Args:
        device: "cpu", "cuda", ...
        devices: how many of them, on all machines together.
    """
    import torch

    return {
        "device": device,
        "name": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "devices": devices,
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
    }


def versions(config: Mapping[str, Any], device: str) -> dict[str, str | int | None]:
    """Returns the versions of whatever can move a number.

    Args:
        config: the configuration, whose `_target_`s name classes of ours; metrics, decoders and the world stand behind.
        device: that the run is on; a GPU brings CUDA and its driver.
    """
    libraries = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
    ours: dict[str, int] = {}
    for target in _targets(config):
        ours |= identity.versions(target)
    return libraries | (_cuda() if device == "cuda" else {}) | ours


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("_target_"), str):
            yield value["_target_"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _targets(one)


def _cuda() -> dict[str, str | int | None]:
    import torch

    library = NVML()
    try:
        return {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": library.driver(),
        }
    finally:
        library.close()


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


def processor() -> str:
    """Returns the name of the processor as the system has it."""
    try:
        information: Mapping[str, str] = dict(
            [part.strip() for part in line.split(":", 1)]
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if ":" in line
        )
        return information["model name"]
    except (OSError, KeyError):
        return platform.processor() or platform.machine()
