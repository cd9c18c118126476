"""Runs the cells that the overrides name, and ends with their table."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from repro.errors import UserError

if TYPE_CHECKING:
    from repro.runs.compose import Cell
    from repro.runs.launch import Outcome

FLAGS = ("-m", "--multirun", "--dry-run", "--quiet")


def main(arguments: Sequence[str]) -> int:
    """Composes, runs what is missing, and prints the table of all cells that were asked for.

    Args:
        arguments: overrides and flags.

    Returns:
        0; 1 when a cell failed through a defect; 2 when one failed through something that a user can mend.
    """
    from repro.runs.compose import cell
    from repro.runs.expand import expand

    flags = {word for word in arguments if word.startswith("-")}
    if unknown := flags - set(FLAGS):
        raise UserError(f"{sorted(unknown)[0]} is no flag", f"there are {', '.join(FLAGS)}")
    words = [word for word in arguments if word not in flags]
    hydra = [word for word in words if word.startswith("hydra")]
    expanded, notes = expand([word for word in words if word not in hydra], multirun=bool(flags & {"-m", "--multirun"}))
    cells = list(
        {
            one.folder: one
            for one in (cell(tuple(f"{key}={value}" for key, value in grid.items())) for grid in expanded)
        }.values()
    )
    for note in notes:
        print(note)
    if "--dry-run" in flags:
        return _plan(cells)
    return _Sweep(cells, quiet="--quiet" in flags, hydra=hydra).run()


def _plan(cells: Sequence[Cell]) -> int:
    """Prints what would run, what it starts from, which recipe, and about how long."""
    from repro.records.store import records
    from repro.runs.find import recorded

    known = records(cells[0].places)
    minutes = 0.0
    for one in cells:
        done = recorded(one) is not None
        spent = [
            record.measures["seconds"]
            for record in known
            if record.task == one.task
            and record.scale == one.config["scale"]
            and record.network == one.config["network"]["name"]
            and record.config["paper"]["_target_"] == one.config["paper"]["_target_"]
        ]
        guess = sum(spent) / len(spent) / 60 if spent else None
        minutes += 0 if done else guess or 0
        state = "done" if done else "to run, minutes unknown" if guess is None else f"to run, about {guess:.1f} min"
        print(f"{one.title}  {one.identity}  {state}")
        print(
            f"    recipe conf/recipe/{one.choices['recipe']}.yaml"
            + (f"  deviates in {', '.join(one.deviates)}" if one.deviates else "")
        )
        for name, other in one.inputs.items():
            print(f"    input {name}: {other.title}  {other.identity}  {'done' if recorded(other) else 'runs first'}")
        for name, place in one.given.items():
            print(f"    input {name}: {place}")
    print(
        f"{len(cells)} cells, {sum(recorded(one) is not None for one in cells)} done, "
        f"about {minutes:.1f} minutes one after the other"
    )
    return 0


class _Sweep:
    """One command's cells on their way, and what is shown meanwhile."""

    def __init__(self, cells: Sequence[Cell], *, quiet: bool, hydra: Sequence[str]) -> None:
        self.cells, self.quiet, self.hydra = cells, quiet, hydra
        self.config = cells[0].config
        self.total, self.ended = 0, 0
        self.began = time.monotonic()

    def run(self) -> int:
        """Runs what has no record, prints the table of all cells, and returns the exit code."""
        from repro.runs.find import recorded

        rerun, trial = bool(self.config["rerun"]), bool(self.config["fast_dev_run"])
        missing = [one for one in self.cells if rerun or trial or recorded(one) is None]
        for one in self.cells:
            if one not in missing and not self.quiet:
                print(f"{one.title}  {one.identity}  done (rerun=true forces)")
        outcomes: list[Outcome] = []
        if missing:
            from repro.runs.launch import run, waves

            self.total = len(missing) if trial else sum(map(len, waves(self.cells, rerun=rerun)))
            jobs = 1 if trial else self._jobs()
            outcomes = run(
                missing,
                jobs=jobs,
                rerun=rerun or trial,
                show_bar=sys.stdout.isatty() and not self.quiet,
                report=self._report,
                watch=self._watch,
                hydra=self.hydra,
            )
        if not trial:
            self._table()
        broken = [one for one in outcomes if one.error]
        for one in broken:
            print(f"error: {one.cell.title}: {one.error}", file=sys.stderr)
        if defects := [one for one in broken if one.trace]:
            print(defects[0].trace, file=sys.stderr)
        return 1 if defects else 2 if broken else 0

    def _jobs(self) -> int:
        jobs = self.config["jobs"]
        if jobs != "auto" and (not isinstance(jobs, int) or jobs < 1):
            raise UserError(f"jobs={jobs} is no number of processes", "give jobs=auto, or a whole number from 1")
        return len(os.sched_getaffinity(0)) if jobs == "auto" else jobs

    def _report(self, outcome: Outcome) -> None:
        self.ended += 1
        if self.quiet:
            return
        one, record = outcome.cell, outcome.record
        if outcome.error:
            what = f"failed: {outcome.error.splitlines()[0]}"
        elif record is None:
            what = "tried"
        else:
            from repro.ledger.tables import shown_split

            shown = record.scores.get(f"{shown_split(record)}-best") or record.scores.get(
                f"{shown_split(record)}-last", {}
            )
            scores = "  ".join(f"{name} {value:.1f}" for name, value in shown.items())
            what = f"{scores}  {record.measures['seconds']:.0f} s"
        print(f"[{self.ended}/{self.total}] {one.title}  {what}", flush=True)

    def _watch(self, cells: list[Cell]) -> contextlib.AbstractContextManager:
        from repro.runs.watch import live

        return contextlib.nullcontext() if self.quiet or not sys.stdout.isatty() else live(cells)

    def _table(self) -> None:
        from repro.ledger.render import terminal
        from repro.ledger.run_row import run_row
        from repro.runs.find import recorded

        records = [record for record in map(recorded, self.cells) if record is not None]
        if records:
            print(terminal(run_row(records)))
        if not self.quiet:
            print(f"{len(records)} of {len(self.cells)} cells recorded, {time.monotonic() - self.began:.0f} s")
