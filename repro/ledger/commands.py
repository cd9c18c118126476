"""The command that would make the records that a contrast lacks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from repro import paths
from repro.ledger.sides import Wanted

SEEDS = 5
MOST = 60
"""Seeds that a person would run; a contrast that needs more is said to need them, without a command."""
_CHOICES = ("model", "network")
_GROUPS = ("paper", "stage", "task", "scale", *_CHOICES)


def command_for(wanted: Sequence[Wanted], scale: str, seeds: tuple[int, int] | None = None) -> str:
    """Returns a sweep that makes the records; or says what is not built yet.

    Args:
        wanted: what is missing, or what needs more seeds.
        scale: where it is missing; empty stands for the default scale.
        seeds: how many there are, and how many are needed; five from 0 on by default.

    Returns:
        a line, empty where no command helps.
    """
    conditions = [one.condition for one in wanted]
    missing = _not_built(conditions) or _without_recipe(conditions, scale or "tiny")
    if missing:
        return f"needs {', '.join(missing)}, which this version does not have"
    words = ["python -m repro -m", f"paper={_several(_papers(conditions))}"]
    words.append(f"task={_several(_tasks(conditions))}")
    for key in _CHOICES:
        if found := _values(conditions, key):
            words.append(f"{key}={_several(found)}")
    if scale and scale != "tiny":
        words.append(f"scale={scale}")
    for key in sorted({key for one in conditions for key in one} - set(_GROUPS) - {"split"}):
        words.append(f"'{key.removeprefix('config.')}={_several(_values(conditions, key))}'")
    first, last = seeds if seeds else (0, SEEDS)
    if seeds and not 0 < last <= MOST:
        return f"more than {MOST} seeds" if last > MOST or last == 0 else ""
    return " ".join([*words, f"seed={','.join(str(seed) for seed in range(first, last))}"])


def _papers(conditions: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys("/".join(one[key] for key in ("paper", "stage") if one.get(key)) for one in conditions))


def _tasks(conditions: Sequence[Any]) -> list[str]:
    """Returns the tasks; all tasks of a suite by the suite's name."""
    tasks = list(dict.fromkeys(one["task"] for one in conditions))
    for suite in sorted({task.partition("/")[0] for task in tasks if "/" in task}):
        whole = {f"{suite}/{file.stem}" for file in (paths.CONF / "task" / suite).glob("*.yaml")}
        if whole and whole <= set(tasks):
            tasks = [suite, *[task for task in tasks if task not in whole]]
    return tasks


def _not_built(conditions: Sequence[Any]) -> list[str]:
    found = []
    for group, names in (("paper", _papers(conditions)), ("task", [one["task"] for one in conditions])):
        for name in dict.fromkeys(names):
            place = paths.CONF / group / name
            if not place.is_dir() and not place.with_suffix(".yaml").is_file():
                found.append(f"{group}={name}")
    for name in _values(conditions, "model"):
        if not (paths.CONF / "model" / f"{name}.yaml").is_file():
            found.append(f"model={name}")
    return found


def _without_recipe(conditions: Sequence[Any], scale: str) -> list[str]:
    found = []
    for one in conditions:
        paper, model = _papers([one])[0], one.get("model")
        task = one["task"]
        places = [f"{paper}/{name}/{model}-{scale}" for name in dict.fromkeys((task.partition("/")[0], task))]
        if model and not any((paths.CONF / "recipe" / f"{place}.yaml").is_file() for place in places):
            found.append(f"recipe={places[0]}")
    return list(dict.fromkeys(found))


def _values(conditions: Sequence[Any], key: str) -> list[str]:
    return list(dict.fromkeys(_written(one[key]) for one in conditions if key in one))


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value).replace('"', "").replace(" ", "")


def _several(names: Sequence[str]) -> str:
    return ",".join(names)
