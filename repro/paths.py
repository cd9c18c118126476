"""Where things lie: what ships with the project, and the folders that a user can move."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from repro.errors import UserError, did_you_mean

_PACKAGE = Path(__file__).resolve().parent
_WHEEL = _PACKAGE / "share"

ROOT = _WHEEL if _WHEEL.is_dir() else _PACKAGE.parent
"""The checkout, or the folder of an installed wheel that holds the same conf/, data/ and results/."""

CONF = ROOT / "conf"
TINY = ROOT / "data" / "tiny"
FACTS = ROOT / "results"
KEPT = FACTS / "records"


@dataclass(frozen=True)
class Places:
    """The folders of one command. Each is a configuration key and an environment variable (REPRO_RUNS_DIR, ...)."""

    runs_dir: Path
    data_dir: Path
    weights_dir: Path
    results_dir: Path
    cache_dir: Path

    @classmethod
    def default(cls) -> Places:
        """The places of a command that has no configuration, such as a verb."""
        return cls(
            **{name: Path(os.environ.get(f"REPRO_{name.upper()}") or _default(name)).expanduser() for name in NAMES}
        )

    def replaced(self, words: Iterable[str]) -> Places:
        """Returns these places with some replaced.

        Args:
            words: KEY=VALUE, such as ``runs_dir=/tmp/runs``.

        Raises:
            UserError: a word that names no place.
        """
        pairs = dict(word.partition("=")[::2] for word in words)
        for name in pairs:
            if name not in NAMES:
                raise UserError(f"{name} is no place", did_you_mean(name, NAMES))
        return dataclasses.replace(self, **{name: Path(value).expanduser() for name, value in pairs.items()})


NAMES = ("runs_dir", "data_dir", "weights_dir", "results_dir", "cache_dir")


def _default(name: str) -> Path:
    if name == "cache_dir":
        return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "repro"
    if name == "results_dir" and ROOT != _WHEEL:
        return ROOT / "results"
    return Path(name.removesuffix("_dir"))


def find_data(data_dir: Path, file: str) -> Path:
    """Finds a data file under data_dir, with or without the first folder of its name (glue/RTE/dev.tsv, RTE/dev.tsv).

    Raises:
        UserError: there is no such file.
    """
    data_dir = Path(data_dir)
    places = [data_dir / file, data_dir / Path(*Path(file).parts[1:])]
    for place in places:
        if place.is_file():
            return place
    known = how_to_get(Path(file).parts[0]) or "data/README.md says where each data set comes from"
    raise UserError(f"{places[0]} is missing", f"{known}; data_dir=FOLDER names where yours is")


def how_to_get(name: str) -> str:
    """Returns how the verb `get` brings what is called so, or nothing where it does not know the name."""
    return f"`python -m repro get {name}` downloads it" if (CONF / "get" / f"{name}.yaml").is_file() else ""
