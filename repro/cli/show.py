"""one run: its settings, scores, curves, and where things lie"""

from __future__ import annotations

import argparse


def main(arguments: list[str]) -> int:
    """Prints what a run was and what became of it."""
    from repro.paths import Places
    from repro.records.store import find

    parser = argparse.ArgumentParser(prog="python -m repro show", description="Shows one run.")
    parser.add_argument("run", metavar="RUN", help="the beginning of its identity, its folder, or its record file")
    record = find(parser.parse_args(arguments).run, Places.default())
    for part in (
        _head(record),
        _scores(record),
        _measures(record),
        _curves(record),
        _places(record),
        _settings(record),
    ):
        print("\n".join(part), end="\n\n")
    return 0


def _head(record) -> list[str]:
    stage = f"/{record.stage}" if record.stage else ""
    lines = [
        f"{record.paper}{stage} on {record.task}: {record.status}",
        f"  identity  {record.identity}   seed {record.seed}   {record.created}",
        f"  model     {record.model}, scale {record.scale}, network {record.network}",
        f"  recipe    {record.recipe}",
    ]
    lines += [f"  deviates  {key}" for key in record.deviates] + [f"  note      {note}" for note in record.notes]
    lines += [
        f"  input     {name}: {one.get('identity') or one.get('path')}" for name, one in sorted(record.inputs.items())
    ]
    return lines


def _scores(record) -> list[str]:
    lines = ["scores" + (f" (best epoch: {record.best_epoch})" if record.best_epoch is not None else "")]
    lines += [f"  {name:24}{_values(values)}" for name, values in record.scores.items()]
    lines += [
        f"  {f'{name} ({split})':36}{_values(values)}"
        for split, found in record.baselines.items()
        for name, values in found.items()
    ]
    return lines


def _values(values) -> str:
    return "   ".join(f"{name} {'-' if value is None else f'{value:.2f}'}" for name, value in values.items())


def _measures(record) -> list[str]:
    found = {name: value for name, value in record.measures.items() if value is not None}
    room = max(22, *map(len, found)) + 2 if found else 24
    lines = ["measures", *[f"  {name:{room}}{_number(value)}" for name, value in found.items()]]
    return [*lines, f"  {'hardware':{room}}" + ", ".join(f"{key} {value}" for key, value in record.hardware.items())]


def _number(value) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) or abs(value) >= 1e4 else f"{value:.5g}"


def _curves(record) -> list[str]:
    from repro.ledger.curves import plot, read_curves

    file = record.path.parent / (record.curves or {"file": "metrics.jsonl"})["file"]
    curves = read_curves(file) if file.is_file() else (record.curves or {}).get("points", {})
    wanted = [name for name in curves if name == "train/loss" or name.startswith("validation/")]
    lines = []
    for name in sorted(wanted, key=lambda one: (one != "train/loss", one)):
        lines += [f"{name} ({len(curves[name])} points)", *[f"  {line}" for line in plot(curves[name])], ""]
    return lines[:-1] or ["curves", "  none: nothing was logged"]


def _places(record) -> list[str]:
    folder = record.path.parent
    things = [
        record.path,
        *(folder / name for name in ("config.yaml", "metrics.jsonl", "predictions", "product", "wandb")),
    ]
    return ["places", *[f"  {one}" for one in things if one.exists()]]


def _settings(record) -> list[str]:
    import json

    lines = ["settings"]

    def add(value, before: str) -> None:
        for key, one in value.items():
            if isinstance(one, dict) and one:
                add(one, f"{before}{key}.")
            else:
                lines.append(f"  {before}{key}: {one if isinstance(one, str) else json.dumps(one)}")

    hidden = {*record.config.get("outside_identity", ()), "outside_identity"}
    add({key: one for key, one in record.config.items() if key not in hidden}, "")
    return lines
