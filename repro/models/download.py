"""Weights from the Hugging Face hub, into a folder: safetensors, configuration and tokenizer, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

from repro.errors import UserError

SECONDS = 5.0
WANTED = ("*.json", "*.safetensors", "*.txt", "*.model")


def download(name: str, revision: str, folder: Path) -> Path:
    """Downloads a model's folder; a download that was cut goes on.

    Args:
        name: on the hub, such as FacebookAI/roberta-base.
        revision: a branch, a pull request's ref or a commit.
        folder: which is not there yet.

    Raises:
        UserError: the hub cannot be reached or refuses, or has no safetensors of this model.
    """
    import huggingface_hub

    by_hand = (
        f"where it can be reached, say `hf download {name} --revision {revision} --local-dir {folder.name} --include "
        f"{' '.join(map(repr, WANTED))}` and copy the folder to {folder}"
    )
    check_reached(by_hand)
    part = folder.with_name(f".{folder.name}.part")
    try:
        huggingface_hub.snapshot_download(
            name, revision=revision, local_dir=part, allow_patterns=list(WANTED), ignore_patterns=["*/*"]
        )
    except Exception as error:  # whatever the hub answers and the machine's network raises
        said = str(error).strip().partition("\n")[0]
        raise UserError(f"{name} cannot be had from the Hugging Face hub ({said})", by_hand) from error
    if not list(part.glob("model*.safetensors")):
        raise UserError(f"{name} has no safetensors on the hub at {revision}", "pickled weights are never read")
    shutil.rmtree(part / ".cache", ignore_errors=True)
    part.replace(folder)
    return folder


def check_reached(by_hand: str) -> None:
    """Asks the hub once, with a short patience: the libraries alone would try again for half a minute.

    Args:
        by_hand: what to do where it cannot be reached.

    Raises:
        UserError: it cannot be reached.
    """
    import huggingface_hub

    try:
        huggingface_hub.utils.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=SECONDS)
    except Exception:  # which classes depends on the HTTP library that huggingface_hub uses
        raise UserError("the Hugging Face hub cannot be reached from this machine", by_hand) from None
