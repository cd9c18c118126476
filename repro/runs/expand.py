"""The words of a command line, with suites and sweeps written out: one set of single-valued overrides for each cell."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from repro import paths
from repro.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from hydra.core.override_parser.types import RangeSweep

MOST = 10_000
"""Cells of one command."""
GROUPS = ("paper", "task", "model", "network", "scale", "trainer", "logger", "recipe")


def options(group: str) -> dict[str, str]:
    """Returns the options of a configuration group, each with the line that describes it."""
    found = {}
    for file in sorted((paths.CONF / group).rglob("*.yaml")):
        comments = [
            line[1:].strip() for line in file.read_text(encoding="utf-8").splitlines()[:3] if line.startswith("#")
        ]
        described = next((line for line in comments if not line.startswith("@package")), "")
        found[file.relative_to(paths.CONF / group).with_suffix("").as_posix()] = described
    return found


def suites() -> list[str]:
    """Returns the folders of tasks."""
    return sorted({name.rpartition("/")[0] for name in options("task")} - {""})


def expand(arguments: Sequence[str], *, multirun: bool = False) -> tuple[list[dict[str, str]], list[str]]:
    """Writes out suites and sweeps.

    Args:
        arguments: overrides as typed: ``paper=lora``, ``task=glue``, ``seed=0,1,2``, ``+conflicts=lora/glue``.
        multirun: whether keys other than the task may hold several values.

    Returns:
        for each cell its overrides by key, and lines that say which pairs were left out.

    Raises:
        UserError: an override that can't be read, an unknown name, or nothing left to run.
    """
    pairs = [split(argument) for argument in arguments]
    disputed = [value for key, value in pairs if key.lstrip("+") == "conflicts"]
    multirun = multirun or bool(disputed)
    grids: list[dict[str, str]] = [{}]
    for key, value in pairs:
        if key.lstrip("+") != "conflicts":
            values = _values(key, value, multirun)
            _check_number(key, value, len(grids) * len(values))
            grids = [grid | {key: one} for grid in grids for one in values]
    notes: list[str] = []
    expanded = [one for grid in grids for one in _with_suite(grid, notes, alone=len(grids) == 1)]
    for name in disputed:
        expanded = [one for grid in expanded for one in _with_conflicts(grid, name)]
    notes = list(dict.fromkeys(notes))
    if not expanded:
        raise UserError("nothing is left to run", "; ".join(notes))
    return expanded, notes


def chosen(words: Mapping[str, str]) -> dict[str, str]:
    """Returns paper, task, model and scale as the words and the paper's own defaults give them, without composing."""
    base = _defaults("config")
    paper = words.get("paper", base["paper"])
    own = base | {key.split("/")[-1]: value for key, value in _defaults(f"paper/{paper}").items()}
    return {"paper": paper} | {group: words.get(group, own[group]) for group in ("task", "model", "scale")}


def split(word: str) -> tuple[str, str]:
    """Splits KEY=VALUE."""
    key, sign, value = word.partition("=")
    if not sign or not key:
        raise UserError(
            f"{word!r} is no override", "write KEY=VALUE, such as paper=lora; `python -m repro --help` lists the verbs"
        )
    return key, value


@functools.cache
def read(name: str) -> dict[str, Any]:
    """Returns the content of conf/NAME.yaml, uncomposed."""
    file = paths.CONF / f"{name}.yaml"
    if not file.is_file():
        group, _, option = name.partition("/")
        raise UserError(f"{group}={option} is not known", did_you_mean(option, options(group)))
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}


def _defaults(name: str) -> dict[str, str]:
    entries = [entry for entry in read(name).get("defaults", []) if isinstance(entry, dict)]
    return {key.removeprefix("override "): value for entry in entries for key, value in entry.items()}


def conflicts(choice: Mapping[str, str], name: str) -> dict[str, str]:
    """Returns the values in which paper and released code disagree about a cell, as sweeps by key.

    Args:
        choice: the cell's paper, task and model.
        name: of a file of conf/conflicts, such as lora/glue.

    Raises:
        UserError: there is no such file, or it is about another paper or suite.
    """
    suite, _, task = choice["task"].rpartition("/")
    if name in options("conflicts") and name != f"{choice['paper']}/{suite}":
        raise UserError(f"conflicts={name} is not about {choice['paper']} on {choice['task']}", "leave it out")
    found = read(f"conflicts/{name}")
    by_model = found.get("by_model", {})
    model = choice["model"]
    return found["hydra"]["sweeper"]["params"] | by_model.get(model, {}) | by_model.get(f"{model}/{task}", {})


def _with_conflicts(grid: dict[str, str], name: str) -> list[dict[str, str]]:
    """Returns a cell for each combination of disputed values; a key that the user gave keeps the user's value."""
    grids = [grid]
    for key, values in conflicts(chosen(grid), name).items():
        if key not in grid:
            grids = [one | {key: value} for one in grids for value in _values(key, values, True)]
    return grids


def _is_anybodys(task: str) -> bool:
    """Says whether a task has its data from the user at every scale: no paper can list it."""
    return read(f"task/{task}").get("source") == "files"


_PLAIN = re.compile(r"[\w./-]+")
"""A value that can be no sweep: to parse it takes Hydra 20 milliseconds."""


def _values(key: str, value: str, multirun: bool) -> list[str]:
    if _PLAIN.fullmatch(value):
        return [value]
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import RangeSweep
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(f"{key}={value}")
        if not override.is_sweep_override():
            return [value]
        if not multirun and key != "task":
            raise UserError(f"{key}={value} is a sweep", "add -m")
        if isinstance(override.value(), RangeSweep):
            _check_number(key, value, _length(override.value()))
        return [split(words[0])[1] for batch in BasicSweeper.split_arguments([override], None) for words in batch]
    except (HydraException, ValueError) as error:
        raise UserError(f"{key}={value} can't be read", str(error).partition("\n")[0]) from None


def _length(values: RangeSweep) -> int:
    """Returns about how many values a range has.

    Raises:
        ValueError: its step is 0, or one of its numbers is none.
    """
    if not values.step:
        raise ValueError("the step of a range is not 0")
    return math.ceil(min(abs((values.stop or 0) - (values.start or 0)) / abs(values.step), 2**40))


def _check_number(key: str, value: str, cells: int) -> None:
    if cells > MOST:
        raise UserError(f"{key}={value} makes {cells:,} cells", f"one command runs {MOST:,} at most: part it")


def _with_suite(grid: dict[str, str], notes: list[str], *, alone: bool) -> list[dict[str, str]]:
    """Replaces a suite by its tasks that the paper lists; in a sweep drops a task that the paper does not list."""
    choice = chosen(grid)
    paper, task = choice["paper"], choice["task"]
    listed = read(f"paper/{paper}").get("suites", {})
    if task in suites():
        if task not in listed:
            notes.append(f"{paper} has no suite {task}: left out")
        return [grid | {"task": f"{task}/{name}"} for name in listed.get(task, [])]
    suite, _, name = task.rpartition("/")
    if not alone and task in options("task") and name not in listed.get(suite, []) and not _is_anybodys(task):
        notes.append(f"{paper} does not list {task}: left out")
        return []
    return [grid]
