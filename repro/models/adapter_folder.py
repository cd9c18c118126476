"""Adapters on disk in PEFT's form: adapter_config.json and adapter_model.safetensors, read and written without peft.

A key is "base_model.model." and the tensor's path in the network that was adapted: ".lora_A.weight" for a low-rank
matrix, the plain name for a module trained in full.

Source: huggingface/peft, docs/source/developer_guides/checkpoint.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from repro.errors import UserError
from repro.models.load import conversion, read_tensors

CONFIG, TENSORS, PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."


def write_adapter(folder: Path, config: Mapping[str, object], tensors: Mapping[str, Tensor]) -> None:
    """Writes an adapter.

    Args:
        folder: made when missing.
        config: the keys of adapter_config.json.
        tensors: by their paths in the network, without PREFIX.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(dict(config), indent=2, sort_keys=True) + "\n")
    stored = {PREFIX + name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(stored, folder / TENSORS, metadata={"format": "pt"})


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
    if not (Path(folder) / TENSORS).is_file() and (mend := conversion(folder, "adapter_model", "adapter_model")):
        raise UserError(f"{Path(folder) / TENSORS} is missing", mend)
    tensors = read_tensors(Path(folder) / TENSORS)
    strange = [key for key in tensors if not key.startswith(PREFIX)]
    if strange:
        raise UserError(f"{Path(folder) / TENSORS}: {strange[0]} does not start with {PREFIX}", "no PEFT adapter")
    return config, {key.removeprefix(PREFIX): tensor for key, tensor in tensors.items()}


def task_type(network: nn.Module) -> str | None:
    """PEFT's word for what a network does, by the name of its class."""
    kinds = {"ForSequenceClassification": "SEQ_CLS", "LMHeadModel": "CAUSAL_LM", "ForCausalLM": "CAUSAL_LM"}
    return next((kind for end, kind in kinds.items() if type(network).__name__.endswith(end)), None)
