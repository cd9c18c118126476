"""what is here: versions, devices, the precision and thread count that are fastest, data, weights, W&B."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from repro import paths
from repro.paths import Places

PACKAGES = (
    "torch",
    "lightning",
    "transformers",
    "tokenizers",
    "datasets",
    "torchmetrics",
    "hydra-core",
    "wandb",
    "scipy",
    "peft",
)
SHAPE = (512, 768, 3072)


def main(arguments: Sequence[str]) -> int:
    """Prints the report.

    Args:
        arguments: KEY=VALUE for the places (data_dir=..., weights_dir=...), and --fast to leave the timings out.
    """
    parser = argparse.ArgumentParser(prog="python -m repro doctor", description=__doc__)
    parser.add_argument("--fast", action="store_true", help="no timings: answers in a second")
    parser.add_argument("places", nargs="*", metavar="KEY=VALUE", help="data_dir=FOLDER, weights_dir=FOLDER, ...")
    options = parser.parse_args(list(arguments))
    places = Places.default().replaced(options.places)
    _print("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in PACKAGES:
        _print(name, _version(name))
    _print("project", str(paths.ROOT))
    for name in paths.NAMES:
        place = getattr(places, name)
        _print(name, f"{place}  {_state(place)}")
    _print("W&B", _wandb())
    _data(places)
    if not options.fast:
        _devices()
    return 0


def _print(name: str, what: str) -> None:
    print(f"{name:<14}{what}")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _state(place: Path) -> str:
    if not place.is_dir():
        return "(not there yet)"
    return "" if os.access(place, os.W_OK) else "(read-only)"


def _wandb() -> str:
    mode = os.environ.get("WANDB_MODE", "offline")
    key = "a key is set" if os.environ.get("WANDB_API_KEY") or (Path.home() / ".netrc").is_file() else "no key found"
    return f"{mode} (WANDB_MODE or logger.mode=online changes it); {key}"


def _data(places: Places) -> None:
    """Lists which data files of which tasks are found, and which folders of weights."""
    import yaml

    found, lacking = [], []
    for file in sorted((paths.CONF / "task").rglob("*.yaml")):
        files = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("files")
        if files:
            name = file.relative_to(paths.CONF / "task").with_suffix("").as_posix()
            there = all(_is_there(places.data_dir, one) for one in files.values() if one)
            (found if there else lacking).append(name)
    _print("data", f"found {', '.join(found) or 'none'}; not found {', '.join(lacking) or 'none'} (data/README.md)")
    weights = (
        sorted(file.parent.name for file in places.weights_dir.glob("*/config.json"))
        if places.weights_dir.is_dir()
        else []
    )
    _print("weights", ", ".join(weights) or "none found")
    _print("shipped", ", ".join(sorted(file.parent.name for file in paths.TINY.glob("*/config.json"))) or "none")


def _is_there(data_dir: Path, file: str) -> bool:
    from repro.errors import UserError

    try:
        return bool(paths.find_data(data_dir, file))
    except UserError:
        return False


def _devices() -> None:
    """Times a matrix product by device and precision, and one small training step by number of threads."""
    import torch

    cores = len(os.sched_getaffinity(0))
    names = ["cpu"] + [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    _print("devices", ", ".join([f"cpu ({cores} cores)"] + [torch.cuda.get_device_name(name) for name in names[1:]]))
    rows, inner, columns = SHAPE
    for device in names:
        speed = {}
        for precision, kind in (("32-true", torch.float32), ("bf16-true", torch.bfloat16)):
            left, right = (
                torch.randn(rows, inner, device=device, dtype=kind),
                torch.randn(inner, columns, device=device, dtype=kind),
            )
            speed[precision] = 2 * rows * inner * columns / _seconds(lambda: left @ right, device) / 1e9  # noqa: B023
        best = max(speed, key=speed.get)
        _print(
            device,
            "  ".join(f"{name} {value:,.0f} GFLOP/s" for name, value in speed.items())
            + f"  fastest: trainer.precision={best}",
        )
    step = _training_step()
    times = {}
    for threads in sorted({1, 2, cores // 2 or 1, cores}):
        torch.set_num_threads(threads)
        times[threads] = _seconds(step, "cpu") * 1000
    best = min(times, key=times.get)
    _print(
        "threads",
        "  ".join(f"{name}: {value:.0f} ms" for name, value in times.items())
        + f" a step of the tiny encoder  fastest: threads={best}",
    )


def _training_step() -> Callable[[], None]:
    import torch
    from transformers import BertConfig, BertModel

    network = BertModel(
        BertConfig(vocab_size=2048, hidden_size=128, num_hidden_layers=3, num_attention_heads=4, intermediate_size=512)
    )
    tokens = torch.randint(5, 2048, (32, 24))

    def step() -> None:
        network(tokens).last_hidden_state.square().mean().backward()
        network.zero_grad()

    return step


def _seconds(run: Callable[[], object], device: str) -> float:
    """Returns the median of seven timed calls after two that are not counted."""
    import torch

    times = []
    for _ in range(9):
        began = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])
