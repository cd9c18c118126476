"""two runs on the same examples: their difference with its interval, and where they disagree"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import ndarray

    from repro.metrics.sufficient import Metric
    from repro.records.record import Record
    from repro.tasks.base import Task


@dataclass(frozen=True)
class Run:
    """One of the two: its record, the split and epoch that are compared, and the file of predictions."""

    letter: str
    record: Record
    split: str
    epoch: str

    @property
    def name(self) -> str:
        return f"{self.split}-{self.epoch}"

    @property
    def file(self) -> Path:
        return self.record.path.parent / "predictions" / f"{self.name}.jsonl"

    @property
    def digest(self) -> str:
        """Of the examples."""
        return self.record.data.get(self.split, {}).get("digest", "")


def main(arguments: list[str]) -> int:
    """Prints the comparison: the scores at once, the examples when the task has read its data."""
    from repro.paths import Places
    from repro.records.store import find

    asked = _parser().parse_intermixed_args(arguments)
    places = Places.default().replaced(asked.places)
    records = [find(name, places) for name in (asked.first, asked.second)]
    runs = _runs(records, asked.split)
    made = [_kept(run) for run in runs]
    lacking = [run for run, found in zip(runs, made, strict=True) if found is None]
    task = None
    if lacking:
        task = _task(runs, places)
        made = [_made(run, task) if found is None else found for run, found in zip(runs, made, strict=True)]
    metrics = _metrics(runs, made, asked.metric)
    for line in _summary(runs, made, metrics, lacking):
        print(line, flush=True)
    if asked.examples:
        task = task or _task(runs, places)
        qualities = [metrics[0].quality(found[metrics[0].name]) for found in made]
        print("\n".join(_disagreements(runs, task, qualities, asked.examples)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m repro compare", description="Compares two runs on the same examples."
    )
    for name in ("first", "second"):
        parser.add_argument(name, metavar="RUN", help="the beginning of an identity, a run's folder, or its record")
    parser.add_argument("places", nargs="*", metavar="KEY=VALUE", help="where things lie, such as data_dir=FOLDER")
    parser.add_argument("--split", help="which split (default: test where both have it, else validation)")
    parser.add_argument("--metric", help="one metric (default: all of the task)")
    parser.add_argument("--examples", type=int, default=10, metavar="N", help="how many disagreements to show (10)")
    return parser


def _runs(records: Sequence[Record], split: str | None) -> list[Run]:
    """Checks that two runs can be compared, and chooses split and epoch: test before validation, best before last.

    Raises:
        UserError: they are of different tasks or data, or one has no predictions of the split.
    """
    from repro.errors import UserError, did_you_mean

    first, second = records
    if first.task != second.task:
        raise UserError(
            f"{first.identity} is of {first.task}, {second.identity} of {second.task}", "compare runs of one task"
        )
    had = [{name.rpartition("-")[0] for name in record.predictions} for record in records]
    split = split or next((one for one in ("test", "validation") if all(one in names for names in had)), "validation")
    runs = []
    for letter, record, names in zip("AB", records, had, strict=True):
        if split not in names:
            raise UserError(f"{record.identity} has no predictions of split {split}", did_you_mean(split, names))
        epoch = "best" if f"{split}-best" in record.predictions else "last"
        runs.append(Run(letter, record, split, epoch))
    for run in runs:
        if not run.file.is_file():
            raise UserError(
                f"{run.record.identity} has no predictions ({run.file} is missing)",
                "a kept record has none: run the cell again (rerun=true)",
            )
    if runs[0].digest != runs[1].digest:
        words = " and ".join(f"{run.digest[:12] or 'none'} in {run.record.identity}" for run in runs)
        raise UserError(f"the {split} examples differ: digest {words}", "compare runs on the same data")
    return runs


def _kept(run: Run) -> Mapping[str, ndarray] | None:
    """Returns the statistics that a run kept; None where it kept none, or of other predictions."""
    from repro.metrics import sufficient

    file = sufficient.place_of(run.file)
    if not file.is_file():
        return None
    kept = sufficient.read(file)
    same = kept.predictions == run.record.predictions[run.name] and kept.data == run.digest
    return kept.statistics if same else None


def _task(runs: Sequence[Run], places: Any) -> Task:
    """Makes the task as the first run had it.

    Raises:
        UserError: its data are not those of the runs any more.
    """
    from repro.errors import UserError
    from repro.records.targets import check_targets
    from repro.runs.build import built
    from repro.runs.expand import read

    run = runs[0]
    settings = dict(run.record.config["task"])
    check_targets(settings, run.record.path, ["tasks"])
    if "data_dir" in read(f"task/{run.record.task}"):
        settings["data_dir"] = str(places.data_dir)
    task = built(settings)
    if task.examples(run.split).digest != run.digest:
        raise UserError(
            f"{run.split} of {run.record.task} is not what it was when the runs were made", "run both cells again"
        )
    return task


def _predictions(run: Run, task: Task) -> list[dict[str, Any]]:
    from repro.errors import UserError
    from repro.records.identity import file_digest

    if file_digest(run.file, run.file.parent) != run.record.predictions[run.name]:
        raise UserError(f"{run.file} is not what the run wrote", "run the cell again (rerun=true)")
    return task.read_predictions(run.file, run.split)


def _made(run: Run, task: Task) -> Mapping[str, ndarray]:
    return task.statistics(_predictions(run, task), run.split)


def _metrics(runs: Sequence[Run], made: Sequence[Mapping[str, ndarray]], wanted: str | None) -> list[Metric]:
    """Returns the metrics that are compared.

    Raises:
        UserError: the one that is wanted is unknown, there is none, or one does not give what a record says.
    """
    from repro.errors import UserError
    from repro.metrics import sufficient

    known = [name for name in made[0] if name in made[1]]
    if not known:
        raise UserError(f"no metric of {runs[0].record.task} has statistics by example", "`show` has the scores")
    metrics = [sufficient.metric(wanted, known)] if wanted else [sufficient.METRICS[name] for name in known]
    for metric in metrics:
        for run, found in zip(runs, made, strict=True):
            value, said = float(metric.value(found[metric.name])), run.record.scores[run.name].get(metric.name)
            if said is not None and abs(value - said) > 1e-6:
                raise UserError(
                    f"{run.record.identity}: its predictions give {metric.name} {value:.4f}, its record {said:.4f}",
                    "run the cell again (rerun=true)",
                )
    return metrics


def _summary(
    runs: Sequence[Run], made: Sequence[Mapping[str, ndarray]], metrics: Sequence[Metric], lacking: Sequence[Run]
) -> list[str]:
    from repro.ledger.bootstrap import RESAMPLES, SEED, paired_difference, wins
    from repro.ledger.match import differences
    from repro.ledger.render import terminal
    from repro.ledger.tables import Cell, Row, Table

    records = [run.record for run in runs]
    rows = []
    for metric in metrics:
        found = paired_difference(metric.value, *(one[metric.name] for one in made))
        printed = [f"{found.first:.2f}", f"{found.second:.2f}", f"{found.difference:+.2f}"]
        cells = [*printed, f"{found.low:+.2f} to {found.high:+.2f}"]
        rows.append(Row(metric.name, "published", tuple(Cell(printed=text) for text in cells)))
    better = wins(*(metrics[0].quality(one[metrics[0].name]) for one in made))
    count = better.examples
    title = f"{records[0].task}, {runs[0].split} split, {count:,} examples"
    table = Table(title, ("", "A", "B", "A - B", "95% interval"), tuple(rows), ())
    apart = _apart(differences(records)) + ["seed"] * (records[0].seed != records[1].seed)
    lines = [_head(run) for run in runs] + [f"differing in {', '.join(apart)}" if apart else "one and the same cell"]
    lines += [f"{', '.join(run.letter for run in lacking)}: statistics made anew from the predictions"] * bool(lacking)
    lines += ["", *terminal(table, width=_width(), colour=sys.stdout.isatty()).splitlines(), ""]
    shares = [f"{number:,} ({100 * number / count:.1f}%)" for number in (better.first, better.second, better.ties)]
    lines += [f"A better {shares[0]}, B better {shares[1]}, ties {shares[2]}  (better: {metrics[0].better})"]
    lines += [
        f"The interval: paired bootstrap over the examples, {RESAMPLES:,} resamples, seed {SEED}. Both networks are "
        "held fixed: it says nothing of other seeds."
    ]
    return [part for line in lines for part in _wrapped(line)]


def _apart(keys: Sequence[str]) -> list[str]:
    """Returns the keys in which two runs differ, those of a part that differs as a whole left out."""
    plain = [key.removeprefix("config.").removesuffix(".identity") for key in keys]
    whole = [key for key in ("paper", "network") if key in plain]
    return whole + [key for key in plain if key.partition(".")[0] not in whole]


def _head(run: Run) -> str:
    record = run.record
    stage = f"/{record.stage}" if record.stage else ""
    return (
        f"{run.letter}  {record.identity}  {record.paper}{stage}, {record.model} at scale {record.scale} "
        f"({record.network}), seed {record.seed}, {run.epoch} epoch"
    )


def _disagreements(runs: Sequence[Run], task: Task, qualities: Sequence[ndarray], most: int) -> list[str]:
    """Returns the examples on which the predictions differ, those first on which the runs differ most."""
    by_id = [{one["id"]: one["prediction"] for one in _predictions(run, task)} for run in runs]
    rows = list(task.examples(runs[0].split).rows)
    apart = [abs(float(first - second)) for first, second in zip(*qualities, strict=True)]
    differing = [place for place, row in enumerate(rows) if by_id[0][row["id"]] != by_id[1][row["id"]]]
    differing.sort(key=lambda place: (-apart[place], rows[place]["id"]))
    shown = differing[:most]
    lines = ["", f"{len(differing):,} of {len(rows):,} predictions differ" + f"; {len(shown)} of them:" * bool(shown)]
    for place in shown:
        row = rows[place]
        said = [task.said(one) for one in (task.reference(row), by_id[0][row["id"]], by_id[1][row["id"]])]
        lines += ["", f"{row['id']}: reference {said[0]}, A {said[1]}, B {said[2]}"]
        lines += [part for name, text in task.texts(row).items() for part in _wrapped(f"  {name}: {text}", "    ")]
    return lines


def _width() -> int:
    import shutil

    return max(60, shutil.get_terminal_size((100, 24)).columns)


def _wrapped(line: str, below: str = "   ") -> list[str]:
    import textwrap

    if "\x1b" in line or len(line) <= _width():
        return [line]
    return textwrap.wrap(line, _width(), subsequent_indent=below)
