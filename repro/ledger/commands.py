"""The command that would make the records that a contrast lacks."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

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
        words.append(f"'{_override(key, conditions)}={_several(_values(conditions, key))}'")
    first, last = seeds if seeds else (0, SEEDS)
    if seeds and not 0 < last <= MOST:
        return f"more than {MOST} seeds" if last > MOST or last == 0 else ""
    return " ".join([*words, f"seed={','.join(str(seed) for seed in range(first, last))}"])


def overrides(condition: Mapping[str, Any], scale: str) -> list[str]:
    """Returns the words of the command line that make a record fit a condition; none where it can't be run yet."""
    if _not_built([condition]) or _without_recipe([condition], scale) or set(condition) & {"inputs", "measures"}:
        return []
    words = [f"paper={_papers([condition])[0]}", f"task={condition['task']}", f"scale={scale}"]
    words += [f"{key}={condition[key]}" for key in _CHOICES if key in condition]
    own = [key for key in condition if key not in _GROUPS and key != "split"]
    return words + [f"{_override(key, [condition])}={_written(condition[key])}" for key in own]


def _override(key: str, conditions: Sequence[Any]) -> str:
    """Returns a key of a record as the command line has it: with ++ where no file of the group declares it."""
    key = key.removeprefix("config.")
    group, _, name = key.partition(".")
    names = {"paper": _papers, "task": _tasks_of, "trainer": lambda _: ["auto"]}.get(group)
    if names is None:
        return key
    files = [_declared(f"{group}/{one}") for one in names(conditions)]
    return key if any(name in (one.get("paper") or {} if group == "paper" else one) for one in files) else f"++{key}"


@functools.cache
def _declared(name: str) -> Mapping[str, Any]:
    """Returns what conf/NAME.yaml says, uncomposed; nothing where there is no such file."""
    file = paths.CONF / f"{name}.yaml"
    return (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}


def _tasks_of(conditions: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(one["task"] for one in conditions))


def _papers(conditions: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys("/".join(one[key] for key in ("paper", "stage") if one.get(key)) for one in conditions))


def _tasks(conditions: Sequence[Any]) -> list[str]:
    """Returns the tasks; all tasks of a suite by the suite's name."""
    tasks = _tasks_of(conditions)
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
        task, setup = one["task"], one.get("config.setup")
        last = f"{model}-{setup}-{scale}" if setup else f"{model}-{scale}"
        places = [f"{paper}/{name}/{last}" for name in dict.fromkeys((task.partition("/")[0], task))]
        if (
            model
            and "optim" not in _declared(f"paper/{paper}")
            and not any((paths.CONF / "recipe" / f"{place}.yaml").is_file() for place in places)
        ):
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
