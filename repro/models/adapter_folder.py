"""Adapters on disk in PEFT's form: adapter_config.json and adapter_model.safetensors, read and written without peft.

A key is "base_model.model." and the tensor's path in the network that was adapted: ".lora_A.weight" for a low-rank
matrix, the plain name for a module trained in full.

Source: huggingface/peft, docs/source/developer_guides/checkpoint.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from repro.errors import UserError
from repro.models.load import conversion, read_tensors

CONFIG, TENSORS, PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."
BASE = "base"
"""The key, in the metadata of the tensors' file, of the digest of the network that was adapted."""
A_KEY, B_KEY = ".lora_A.weight", ".lora_B.weight"
PATTERNS = ("rank_pattern", "alpha_pattern")
"""PEFT's settings of single modules."""

# PEFT's settings that leave W0 x + (alpha / r) B A x as it is, and those whose value must be one given here.
_HARMLESS = {
    "auto_mapping",
    "base_model_name_or_path",
    "ephemeral_gpu_offload",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "modules_to_save",
    "peft_version",
    "qalora_group_size",
    "r",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
}
_REQUIRED = {"peft_type": ("LORA",), "bias": ("none",), "init_lora_weights": (True, False, "gaussian")}


def write_adapter(
    folder: Path, config: Mapping[str, object], tensors: Mapping[str, Tensor], base: str | None = None
) -> None:
    """Writes an adapter.

    Args:
        folder: made when missing.
        config: the keys of adapter_config.json.
        tensors: by their paths in the network, without PREFIX.
        base: the digest of the network that was adapted.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(dict(config), indent=2, sort_keys=True) + "\n")
    stored = {PREFIX + name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _write_ordered(save(stored, metadata={"format": "pt", **({BASE: base} if base else {})}), folder / TENSORS)


def _write_ordered(content: bytes, file: Path) -> None:
    """Writes a safetensors file with its metadata in order: the library's own order changes from call to call."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    ordered = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    with open(file, "wb") as stream:
        stream.write(content[:8] + ordered.ljust(end - 8))
        stream.write(memoryview(content)[end:])


def read_adapter(folder: Path) -> tuple[dict[str, object], dict[str, Tensor]]:
    """Reads an adapter.

    Returns:
        Its configuration, and its tensors by their paths in the network.
    Raises:
        UserError: a file is missing, torn or not an adapter's; weights that are pickled are not read.
    """
    file = Path(folder) / CONFIG
    if not file.is_file():
        raise UserError(f"{file} is missing", f"an adapter is a folder with {CONFIG} and {TENSORS}")
    try:
        config = json.loads(file.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{file}, line {error.lineno}: {error.msg}", "copy the adapter again") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} holds no settings", "copy the adapter again")
    if not (Path(folder) / TENSORS).is_file() and (mend := conversion(folder, "adapter_model", "adapter_model")):
        raise UserError(f"{Path(folder) / TENSORS} is missing", mend)
    tensors = read_tensors(Path(folder) / TENSORS)
    strange = [key for key in tensors if not key.startswith(PREFIX)]
    if strange:
        raise UserError(f"{Path(folder) / TENSORS}: {strange[0]} does not start with {PREFIX}", "no PEFT adapter")
    return config, {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items()}


def check_base(folder: Path, digest: str | None) -> None:
    """Refuses an adapter of another network; one that does not say of which it is is let through.

    Args:
        folder: the adapter.
        digest: of the network that it is meant for.
    Raises:
        UserError: they are not of the same network.
    """
    file = Path(folder) / TENSORS
    with safe_open(file, framework="pt") as tensors:
        stored = (tensors.metadata() or {}).get(BASE)
    if stored and digest and stored != digest:
        raise UserError(
            f"{file} belongs to other pre-trained weights ({BASE} {stored[:12]}, here {digest[:12]})",
            "load the network that it was trained on, or take another adapter",
        )


@dataclass(frozen=True)
class Update:
    """A low-rank update of a matrix (d, k): scale B A, with A (r, k) and B (d, r)."""

    A: Tensor
    B: Tensor
    scale: float


def check_plain(config: Mapping[str, Any], file: Path, allowed: Iterable[str] = ()) -> None:
    """Refuses an adapter that is more, or something else, than plain low-rank updates.

    Args:
        config: of the adapter.
        file: where it stands.
        allowed: settings that whoever asks reads by itself, of PATTERNS.
    Raises:
        UserError: it names the file and the key.
    """
    for key, value in config.items():
        if key in _REQUIRED:
            if value not in _REQUIRED[key]:
                known = " or ".join(map(repr, _REQUIRED[key]))
                raise UserError(f"{file}: {key} is {value!r}", f"only {known} can be read")
        elif value and key not in _HARMLESS and key not in allowed:
            raise UserError(
                f"{file}: {key} is {value!r}",
                "it is more than plain low-rank updates, or another kind of adapter, and cannot be read",
            )


def updates(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: Path
) -> tuple[dict[str, Update], dict[str, Tensor]]:
    """Pairs A and B, each with its own rank and alpha.

    Args:
        config: of a plain adapter.
        tensors: by their paths in the network.
        folder: where they stand.
    Returns:
        The updates by the paths of their modules, and the tensors that belong to none.
    Raises:
        UserError: a matrix is missing, or not of the rank that the configuration gives.
    """
    file, rest, found = Path(folder) / TENSORS, dict(tensors), {}
    for key in [key for key in tensors if key.endswith(A_KEY)]:
        path = key.removesuffix(A_KEY)
        A, B = rest.pop(key), rest.pop(path + B_KEY, None)
        r = _setting(config, "r", "rank_pattern", path, folder)
        alpha = _setting(config, "lora_alpha", "alpha_pattern", path, folder)
        if B is None:
            raise UserError(f"{file} lacks {path}{B_KEY}", "copy the adapter again")
        shapes = tuple(A.shape), tuple(B.shape)
        if A.ndim != 2 or B.ndim != 2 or len(A) != r or B.shape[1] != r:
            raise UserError(
                f"{file}: A and B of {path} have the shapes {shapes[0]} and {shapes[1]}, {CONFIG} gives the rank {r}",
                "copy the adapter again",
            )
        found[path] = Update(A, B, alpha / r)
    strange = [key for key in rest if ".lora_" in key]
    if strange:
        raise UserError(f"{file} holds {strange[0]}", "only low-rank updates of linear maps can be read")
    return found, rest


def _setting(config: Mapping[str, Any], key: str, pattern: str, path: str, folder: Path) -> float:
    """A number of PEFT's configuration, as it holds for a module."""
    value = config.get(key, 8)  # PEFT's default for both
    patterns = config.get(pattern) or {}
    try:
        value = next((one for end, one in patterns.items() if re.fullmatch(rf"(.*\.)?({end})", path)), value)
    except (re.error, AttributeError):
        raise UserError(f"{Path(folder) / CONFIG}: {pattern} is {patterns!r}", "copy the adapter again") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UserError(f"{Path(folder) / CONFIG}: {key} of {path} is {value!r}", "it is a positive number")
    return value


def task_type(network: nn.Module) -> str | None:
    """PEFT's word for what a network does, by the name of its class."""
    kinds = {"ForSequenceClassification": "SEQ_CLS", "LMHeadModel": "CAUSAL_LM", "ForCausalLM": "CAUSAL_LM"}
    return next((kind for end, kind in kinds.items() if type(network).__name__.endswith(end)), None)
