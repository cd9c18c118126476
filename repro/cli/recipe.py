"""a cell's hyper-parameters: paper, released code, and what is used here"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.ledger.recipe import Line

SECTIONS = ("optim", "trainer", "task", "paper")
FIXED = {
    "optimizer": ("AdamW", "repro/papers/base.py: no setting"),
    "evaluation": ("every epoch", "Lightning's default"),
    "padding": ("to the batch's longest", "repro/tasks: no setting"),
}
"""What is so in every run, by the words that the facts have for it."""
NOT_LEARNT_FROM = ("task.name", "task.suite", "task.source", "task.files", "task.evaluation_tokens")


def main(arguments: list[str]) -> int:
    """Prints one table for each cell that the overrides name; composes, and runs nothing."""
    import shutil

    from repro.runs.expand import expand

    asked = _parser().parse_args(arguments)
    grids, notes = expand(asked.overrides, multirun=True)
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    for note in notes:
        print(note)
    for number, grid in enumerate(grids):
        print("\n" * (number > 0) + "\n".join(_cell(grid, width)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m repro recipe", description="Hyper-parameters of a cell: paper, released code, used here."
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="such as paper=lora task=glue/rte scale=paper"
    )
    return parser


def _cell(grid: Mapping[str, str], width: int) -> list[str]:
    from repro.ledger.recipe import entries_about, lines, text
    from repro.runs.compose import composed, flat

    words, config, choices = composed(tuple(f"{key}={value}" for key, value in grid.items()))
    place = {"paper": choices["paper"].partition("/")[0], "model": choices["model"], "task": choices["task"]}
    entries = entries_about(place, flat(config))
    used = _used(config) | {key: value for key, (value, _) in FIXED.items()}
    found = lines(entries, choices["task"].rpartition("/")[2], used, _origins(config, choices, words, used))
    title = f"{choices['paper']} {choices['task']} for {config['model']['title']}"
    printed = [
        f"{title}: scale {config['scale']}, network {config['network']['name']}",
        f"conf/recipe/{choices['recipe']}.yaml",
        "",
    ]
    if not any(entry.values for entry in entries):
        printed += [*_indented(f"no published recipe is known here for {title}", width, ""), ""]
    printed += [*text(found, width=width)]
    for head, sentences in (
        ("this recipe departs", config["departs"]),
        ("paper and code, besides", [one for entry in entries for one in entry.also]),
    ):
        if sentences:
            printed += ["", head, *[line for one in sentences for line in _indented(one, width, "- ")]]
    return [*printed, *_sweep(grid, choices, found["conflict"], width)]


def _used(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the cell's settings by key; an input as the paper and task that it is a run of."""
    from repro.records.identity import without
    from repro.runs.compose import flat
    from repro.runs.expand import split

    inside = flat(without(config, [*config["outside_identity"], *NOT_LEARNT_FROM]))
    used = {key: inside[key] for section in SECTIONS for key in inside if key.startswith(f"{section}.")}
    used = {key: value for key, value in used.items() if not key.endswith("_target_")}
    for name, wanted in (config["inputs"] or {}).items():
        words = dict(map(split, wanted)) if isinstance(wanted, list) else {}
        used[f"inputs.{name}"] = f"{words['paper']} {words['task']}" if words else wanted
    return used | {key: inside[key] for key in inside if key == "seed" or key.startswith("network.config.")}


def _origins(
    config: Mapping[str, Any], choices: Mapping[str, str], words: Mapping[str, str], used: Mapping[str, Any]
) -> dict[str, str]:
    """Returns where each setting comes from: the recipe says it, or else the user or the file that has it."""
    from repro.runs.compose import flat
    from repro.runs.expand import read

    given = {key.lstrip("+"): key for key in words}
    files = {f"paper/{choices['paper']}": "", "trainer/auto": "trainer.", f"task/{choices['task']}": "task."}
    files["config"] = ""
    there = {
        f"{before}{key}": f"conf/{name}.yaml" for name, before in reversed(files.items()) for key in flat(read(name))
    }
    found = {}
    for key in used:
        if key in given:
            found[key] = "given on the command line"
        else:
            found[key] = config["origin"].get(key) or there.get(key) or _network_origin(key, choices)
    return found | {key: where for key, (_, where) in FIXED.items()}


def _network_origin(key: str, choices: Mapping[str, str]) -> str:
    return f"conf/network/{choices['network']}.yaml" if key.startswith(("network.", "inputs.network")) else ""


def _sweep(grid: Mapping[str, str], choices: Mapping[str, str], disputed: Sequence[Line], width: int) -> list[str]:
    """Returns the command that runs the cell with each of the values in dispute, and what that is."""
    from repro.runs.expand import conflicts, expand, options

    name = f"{choices['paper']}/{choices['task'].rpartition('/')[0]}"
    if name not in options("conflicts"):
        return []
    words = [f"{key}={value}" for key, value in grid.items()] + [f"+conflicts={name}"]
    swept = {key: value for key, value in conflicts(choices, name).items() if key not in grid}
    cells, _ = expand(words)
    values = " x ".join(f"{key} {value.replace(',', ' | ')}" for key, value in swept.items())
    covered = {*swept, *(["task.batch_size"] if "trainer.accumulate_grad_batches" in swept else [])}
    left = [line.key for line in disputed if line.key not in covered]
    lines = ["", "to run both sides of what paper and code disagree in", f"  python -m repro {' '.join(words)}"]
    lines += _indented(f"{len(cells)} cells: {values}", width, "")
    return lines + (_indented(f"not in it: {', '.join(left)}", width, "") if left else [])


def _indented(sentence: str, width: int, before: str) -> list[str]:
    import textwrap

    return textwrap.wrap(sentence, width, initial_indent=f"  {before}", subsequent_indent="  " + " " * len(before))
