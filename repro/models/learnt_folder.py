"""What a method learnt beside a frozen network, on disk: learnt.safetensors, by the parameters' own names, and
learnt.json, which says by which method and on which network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from repro.errors import UserError
from repro.models.load import head_modules, read_tensors

CONFIG, TENSORS, BASE = "learnt.json", "learnt.safetensors", "base"


def write_learnt(folder: Path, base: str | None, method: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Writes what learnt.

    Args:
        folder: made when missing.
        base: what the network was recognised by before the method changed it.
        method: its name and settings, ready for JSON.
        tensors: by their names in the network.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {**method, BASE: base}
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(stored, folder / TENSORS, metadata={"format": "pt"})


def read_learnt(
    folder: Path, network: nn.Module, base: str | None, method: Mapping[str, Any], names: Iterable[str]
) -> tuple[Path, dict[str, Tensor]]:
    """Reads what learnt.

    Args:
        folder: what write_learnt left.
        network: adapted by the method.
        base: what it was recognised by before.
        method: the name and the settings that it must have.
        names: what learns here; what of it is no head must be there.
    Returns:
        The file of the tensors, and the tensors by their names.
    Raises:
        UserError: a file is missing or torn, or they are of another method, other settings or another network.
    """
    file, stored = Path(folder) / CONFIG, _config(Path(folder))
    for key, value in method.items():
        if stored.get(key) != value:
            raise UserError(
                f"{file}: {key} is {stored.get(key)!r}, this run has {value!r}",
                "start from a product of the same method and settings",
            )
    if base and stored.get(BASE) and stored[BASE] != base:
        raise UserError(f"{file}: this was learnt on another network", "start from a product of the same network")
    tensors = read_tensors(Path(folder) / TENSORS)
    heads = tuple(f"{head}." for head in head_modules(network))
    missing = [name for name in names if name not in tensors and not name.startswith(heads)]
    if missing:
        raise UserError(f"{Path(folder) / TENSORS} lacks {missing[0]}", "start from a product of the same network")
    return Path(folder) / TENSORS, tensors


def _config(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    if not file.is_file():
        raise UserError(f"{file} is missing", f"this product is a folder with {CONFIG} and {TENSORS}")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} cannot be read ({error})", "copy the product again") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} holds no settings", "copy the product again")
    return config
