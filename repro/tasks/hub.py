"""Data sets from the Hugging Face hub, through `datasets`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from repro.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

SECONDS = 5.0


def load_from_hub(name: str, configuration: str, split: str) -> Dataset:
    """Loads one split, from the machine's cache where the hub can't be reached.

    Args:
        name: of the data set, such as nyu-mll/glue.
        configuration: one of its configurations, such as mrpc.
        split: one of its splits.

    Raises:
        UserError: the hub can't be reached and the cache doesn't have it, or the hub doesn't have it.
    """
    import datasets

    try:
        with _offline_unless_reached():
            return datasets.load_dataset(name, configuration, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise UserError(
            f"{name} ({configuration}, {split}) can't be had from the Hugging Face hub",
            f"{str(error).splitlines()[0]}; or use files of yours: source=files data_dir=FOLDER "
            "(data/README.md says where to get them)",
        ) from None


@contextlib.contextmanager
def _offline_unless_reached() -> Iterator[None]:
    """Asks the hub once, with a short patience: `datasets` alone would try again for half a minute."""
    import datasets
    import huggingface_hub

    offline = datasets.config.HF_HUB_OFFLINE
    try:
        huggingface_hub.utils.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=SECONDS)
    except Exception:  # which classes depends on the HTTP library that huggingface_hub uses
        datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
