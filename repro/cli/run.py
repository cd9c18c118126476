"""Runs the cells that the overrides name, and ends with their table."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
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
        0; 1 when a cell failed through a defect; 2 when all that failed did so through something that a user can mend;
        130 or 143 when the command was stopped by Ctrl-C or SIGTERM.
    """
    from repro.runs.compose import cell
    from repro.runs.expand import expand
    from repro.runs.lock import follows

    flags = {word for word in arguments if word.startswith("-")}
    if unknown := flags - set(FLAGS):
        raise UserError(f"{sorted(unknown)[0]} is no flag", f"there are {', '.join(FLAGS)}")
    words = [word for word in arguments if word not in flags]
    hydra = [word for word in words if word.lstrip("+~").startswith("hydra")]
    if hydra:
        from repro.runs.workers import checked

        checked(hydra)
    words = [word for word in words if word not in hydra]
    claimed = [word for word in words if word.startswith("claims=")]
    if claimed:
        expanded, notes = _claimed(claimed[-1], [word for word in words if word not in claimed])
    else:
        expanded, notes = expand(words, multirun=bool(flags & {"-m", "--multirun"}))
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
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere if follows() else sys.stdout):
        return _Sweep(cells, quiet="--quiet" in flags, hydra=hydra).run()


def _claimed(word: str, others: Sequence[str]) -> tuple[list[dict[str, str]], list[str]]:
    """Writes out claims=PAPER, or claims=PAPER/C1,PAPER/C9: the cells that the claims need, by five seeds.

    Args:
        others: further overrides; scale=SCALE and seed=... among them choose where, and by how many.

    Returns:
        for each cell its overrides by key, and lines that say what can't be run yet.
    """
    from repro.ledger.claims import needed
    from repro.ledger.commands import SEEDS, overrides
    from repro.runs.expand import expand, split

    given = dict(map(split, others))
    scale, asked = given.get("scale", "tiny"), {}
    for name in split(word)[1].split(","):
        paper, _, claim = name.partition("/")
        asked.setdefault(paper, []).extend([claim] if claim else [])
    seeds = {"seed": ",".join(map(str, range(SEEDS)))} | given
    cells: list[dict[str, str]] = []
    notes: list[str] = []
    for paper, ids in asked.items():
        for wanted in needed(paper, ids, scale):
            words = overrides(wanted.condition, scale)
            if not words:
                notes.append(f"not possible yet: {', '.join(f'{k}={v}' for k, v in wanted.condition.items())}")
                continue
            found, said = expand(
                [f"{key}={value}" for key, value in (dict(map(split, words)) | seeds).items()], multirun=True
            )
            cells += found
            notes += said
    if not cells:
        raise UserError(f"{word}: nothing can be run at scale={scale}", "`python -m repro claims` says what is missing")
    return cells, list(dict.fromkeys(notes))


def _plan(cells: Sequence[Cell]) -> int:
    """Prints what would run, what it starts from, which recipe, and about how long."""
    from repro.records.store import records

    known = records(cells[0].places)
    states = [_state(one) for one in cells]
    minutes = 0.0
    for one, state in zip(cells, states, strict=True):
        spent = [
            record.measures["seconds"]
            for record in known
            if record.task == one.task
            and record.scale == one.config["scale"]
            and record.network == one.config["network"]["name"]
            and record.config["paper"]["_target_"] == one.config["paper"]["_target_"]
        ]
        guess = sum(spent) / len(spent) / 60 if spent else None
        minutes += 0 if state in (DONE, RUNS) else guess or 0
        about = "minutes unknown" if guess is None else f"about {guess:.1f} min"
        print(f"{one.title}  {one.identity}  {state if state in (DONE, RUNS) else f'{state}, {about}'}")
        print(
            f"    recipe conf/recipe/{one.choices['recipe']}.yaml"
            + (f"  deviates in {', '.join(one.deviates)}" if one.deviates else "")
        )
        for name, other in one.inputs.items():
            print(f"    input {name}: {other.title}  {other.identity}  {_state(other).replace(TO_RUN, 'runs first')}")
        for name, place in one.given.items():
            print(f"    input {name}: {place}")
    print(f"{len(cells)} cells, {states.count(DONE)} done, about {minutes:.1f} minutes one after the other")
    return 0


DONE, RUNS, CUT, TO_RUN = "done", "running elsewhere", "to be resumed", "to run"


def _state(one: Cell) -> str:
    from repro.runs.find import recorded, resumable
    from repro.runs.lock import holder

    if recorded(one) is not None:
        return DONE
    return RUNS if holder(one) else CUT if resumable(one) else TO_RUN


class Stop(KeyboardInterrupt):
    """A signal has asked for an end. Python ends by SIGINT itself when a plain KeyboardInterrupt leaves an `exec`."""


@contextlib.contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Lets SIGTERM stop the command as Ctrl-C does; yields the list of signals that came. A second one is ignored."""
    came: list[int] = []
    here = os.getpid()

    def stop(number: int, _: object) -> None:
        if os.getpid() != here:  # a forked child, such as one that reads data
            os._exit(128 + number)
        came.append(number)
        if len(came) == 1:
            raise Stop

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        if threading.current_thread() is threading.main_thread() and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, stop)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Sweep:
    """One command's cells on their way, and what is shown meanwhile."""

    def __init__(self, cells: Sequence[Cell], *, quiet: bool, hydra: Sequence[str]) -> None:
        self.cells, self.quiet, self.hydra = cells, quiet, hydra
        self.config = cells[0].config
        self.rerun, self.trial = bool(self.config["rerun"]), bool(self.config["fast_dev_run"])
        self.total, self.ended = 0, 0
        self.came: list[int] = []
        self.began = time.monotonic()

    def run(self) -> int:
        """Runs what has no record, prints the table of all cells, and returns the exit code."""
        from repro.runs.find import recorded

        missing = [one for one in self.cells if self.rerun or self.trial or recorded(one) is None]
        for one in self.cells:
            if one not in missing and not self.quiet:
                print(f"{one.title}  {one.identity}  done (rerun=true forces)")
        outcomes: list[Outcome] = []
        if missing:
            with _stoppable() as self.came:
                try:
                    outcomes = self._run(missing)
                except (Stop, SystemExit):  # Lightning turns the first into the second
                    if not self.came:
                        raise
                    return self._stopped()
        if not self.trial:
            self._table()
        return self._failed([one for one in outcomes if one.error])

    def _run(self, missing: Sequence[Cell]) -> list[Outcome]:
        from repro.runs.launch import run, waves

        self.total = len(missing) if self.trial else sum(map(len, waves(self.cells, rerun=self.rerun)))
        jobs = 1 if self.trial else self._jobs()
        if not self.trial and not self.quiet:
            self._start(missing)
        return run(
            missing,
            jobs=jobs,
            rerun=self.rerun or self.trial,
            show_bar=sys.stdout.isatty() and not self.quiet,
            report=self._report,
            watch=self._watch,
            hydra=() if self.trial else self.hydra,
        )

    def _start(self, missing: Sequence[Cell]) -> None:
        """Says at once what there is to do."""
        states = [TO_RUN if self.rerun else _state(one) for one in missing]
        parts = [f"{len(self.cells) - len(missing)} of {len(self.cells)} done"]
        parts += [f"{states.count(state)} {state}" for state in (CUT, TO_RUN, RUNS, DONE) if state in states]
        if inputs := self.total - len(missing):
            parts.append(f"{inputs} that they start from")
        if len(self.cells) > 1 or states != [TO_RUN]:
            print(", ".join(parts), flush=True)

    def _stopped(self) -> int:
        from repro.runs.find import recorded

        done = sum(recorded(one) is not None for one in self.cells)
        goes_on = "" if self.trial else f": {done} of {len(self.cells)} done; the same command goes on"
        print(f"stopped{goes_on}", file=sys.stderr)
        return 128 + self.came[0]

    def _failed(self, broken: Sequence[Outcome]) -> int:
        """Names the cells that failed, and returns the exit code."""
        from repro.runs.launch import LOG

        for one in broken:
            log = one.cell.part / LOG
            place = f"  (log: {log})" if one.trace and log.is_file() else ""
            print(f"error: {one.cell.title}: {one.error}{place}", file=sys.stderr)
        defects = [one for one in broken if one.trace]
        if defects:
            print(defects[0].trace, file=sys.stderr)
        if len(broken) > 1:
            print(f"{len(broken)} of {self.total} failed", file=sys.stderr)
        return 1 if defects else 2 if broken else 0

    def _jobs(self) -> int:
        from repro.runs.gpus import at_a_time

        jobs = self.config["jobs"]
        if jobs != "auto" and (not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1):
            raise UserError(f"jobs={jobs} is no number of processes", "give jobs=auto, or a whole number from 1")
        return at_a_time([one.config for one in self.cells]) if jobs == "auto" else jobs

    def _report(self, outcome: Outcome) -> None:
        if self.came and threading.current_thread() is threading.main_thread():  # its exception was lost on the way
            raise Stop
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
            scores = "diverged" if record.diverged else scores
            what = f"{scores}  {record.measures['seconds']:.0f} s" + "  by another process" * outcome.elsewhere
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
