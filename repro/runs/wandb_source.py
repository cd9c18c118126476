"""Records from a W&B project: the record.json that each run left there, fetched through W&B's public API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from repro.errors import UserError

NAME = "record.json"
AT_ONCE = 8
SECONDS = 30
"""How long an answer of the server may take."""


def fetch_records(project: str, folder: Path, api: Any = None) -> tuple[list[Path], list[str]]:
    """Fetches the records of a project's runs.

    Args:
        project: ENTITY/PROJECT.
        folder: where they go: FOLDER/ENTITY/PROJECT/RUN/record.json. Older copies are replaced.
        api: answers as `wandb.Api` does; made here if it is not given.

    Returns:
        the files in the order of the runs' names, and a sentence for each run that has no record (it has not ended, or
        is none of ours).

    Raises:
        UserError: the project does not exist, W&B cannot be reached, or no run has a record.
    """
    parts = project.split("/")
    if len(parts) != 2 or not all(parts):
        raise UserError(f"wandb:{project} is no project of W&B", "write --from wandb:ENTITY/PROJECT")
    place = folder.joinpath(*parts)
    try:
        runs = list((api or _api()).runs(project, per_page=200))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(lambda run: _fetch(run, place / run.id), runs))
    except Exception as error:  # W&B's client raises what lies beneath it: of requests, its service, itself, ValueError
        raise UserError(f"wandb:{project} cannot be read ({_short(error)})", _mend(error)) from error
    files = sorted(file for file in found if file is not None)
    without = sorted(run.id for run, file in zip(runs, found, strict=True) if file is None)
    if not files:
        raise UserError(f"wandb:{project} has {len(runs)} runs and none with a {NAME}", "a run uploads it when it ends")
    return files, [f"wandb:{project}/{run} has no {NAME}: it has not ended, or is none of ours" for run in without]


def _api() -> Any:
    import logging

    import wandb

    logging.getLogger("wandb").setLevel(logging.ERROR)
    return wandb.Api(timeout=SECONDS)


def _fetch(run: Any, folder: Path) -> Path | None:
    """Fetches the record of one run; None where it has none."""
    for file in run.files(names=[NAME]):
        if file.name == NAME and file.size:
            file.download(root=str(folder), replace=True).close()
            return folder / NAME
    return None


def _short(error: Exception) -> str:
    """Returns the first line of a message, without what is long in it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:160]}..."


def _mend(error: Exception) -> str:
    if isinstance(error, ValueError):
        return "check the entity and the project, and that your key may read it"
    return "check the connection and `wandb login`; --from FOLDER reads offline runs, and records here need neither"
