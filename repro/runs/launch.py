"""Many cells: in the order of what they start from, as many at a time as the machine takes, each by one process alone.

What has a record is skipped, what was cut goes on, and what another process runs comes last: when all else is done we
wait for its record, or run it ourselves when its owner dies.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.errors import UserError
from repro.records.record import Record, read_record
from repro.runs.compose import Cell
from repro.runs.find import recorded
from repro.runs.lock import POLL, STALE, Busy, follows, holder, try_lock
from repro.runs.watch import FILE as PROGRESS

LOG, FAILED = "log.txt", "failed.json"

Mark = tuple[int, int] | None


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes:
        record: its record; None for a trial, and where there is an error.
        error: what went wrong, in words.
        trace: the traceback, where the user can't mend it.
        busy: who else runs it; it is still to be done.
        died: its process ended without a word; it is still to be done.
        elsewhere: another process has made the record.
    """

    cell: Cell
    record: Record | None = None
    error: str = ""
    trace: str = ""
    busy: str = ""
    died: bool = False
    elsewhere: bool = False


def waves(wanted: Sequence[Cell], *, rerun: bool = False) -> list[list[Cell]]:
    """Orders cells, and the inputs that they lack, so that each wave needs only what earlier ones made."""
    depth: dict[str, int] = {}
    found: dict[str, Cell] = {}
    asked = {one.identity for one in wanted}

    def place(one: Cell) -> int:
        if recorded(one) is not None and not (rerun and one.identity in asked):
            return -1
        if one.identity not in depth:
            depth[one.identity] = 1 + max((place(other) for other in one.inputs.values()), default=-1)
            found[one.identity] = one
        return depth[one.identity]

    for one in wanted:
        place(one)
    return [
        [found[name] for name in depth if depth[name] == level] for level in range(max(depth.values(), default=-1) + 1)
    ]


def run(
    wanted: Sequence[Cell],
    *,
    jobs: int,
    rerun: bool,
    show_bar: bool,
    report: Callable[[Outcome], None],
    watch: Callable[[list[Cell]], contextlib.AbstractContextManager],
    hydra: Sequence[str] = (),
) -> list[Outcome]:
    """Runs cells and the inputs that they lack.

    Args:
        wanted: the cells that were asked for.
        jobs: how many run at a time.
        rerun: whether cells that have a record run again.
        show_bar: whether a cell that runs alone in this process shows its bar.
        report: called for each cell as it ends.
        watch: makes the live display for cells that run in other processes.
        hydra: overrides of Hydra's own (``hydra/launcher=submitit_slurm``).

    Returns:
        an outcome for each cell, in the order in which they ended.
    """
    queue = Queue(wanted, rerun=rerun, report=report)
    said: set[str] = set()
    while ready := queue.ready():
        free = [one for one in ready if trial(one) or follows() or not holder(one)]
        if not free:
            _say(ready, said)
            with watch(ready):
                queue.wait(ready)
        elif alone := [one for one in free if one.identity in queue.died]:
            others = [one for one in free if one not in alone]
            queue.take(_elsewhere(others or alone[:1], jobs, hydra, queue, watch))
        elif not hydra and (jobs == 1 or len(free) == 1):
            for one in free:
                queue.take([queue.ended(one) or here(one, show_bar)])
        else:
            queue.take(_elsewhere(free, jobs, hydra, queue, watch))
    return queue.outcomes


def trial(one: Cell) -> bool:
    """Says whether a cell is only tried: it leaves nothing, and so nobody minds who else runs it."""
    return bool(one.config["fast_dev_run"])


class Queue:
    """The cells that are still to be done, and what became of the others.

    Args:
        wanted: the cells that were asked for.
        rerun: whether those that have a record run again.
        report: called for each cell as it ends.

    Attributes:
        outcomes: of the cells that have ended.
        died: identities of cells whose process died: each runs alone from then on, and once more only.
    """

    def __init__(self, wanted: Sequence[Cell], *, rerun: bool, report: Callable[[Outcome], None]) -> None:
        self.report = report
        self.waiting = {one.identity: one for wave in waves(wanted, rerun=rerun) for one in wave}
        asked = {one.identity for one in wanted} if rerun else set()
        self.records = {
            name: _mark(one.folder / "record.json") if name in asked else None for name, one in self.waiting.items()
        }
        self.failures = {name: _mark(one.part / FAILED) for name, one in self.waiting.items()}
        self.outcomes: list[Outcome] = []
        self.failed: set[str] = set()
        self.died: set[str] = set()
        self._idle = False

    def ready(self) -> list[Cell]:
        """Takes out what others have done and what starts from a failed cell; returns the cells that can run now."""
        if self._idle:
            time.sleep(POLL)
        for one in list(self.waiting.values()):
            if ended := self.ended(one):
                self.end(ended)
            elif self.failed & {other.identity for other in one.inputs.values()}:
                self.end(Outcome(one, error="what it starts from failed"))
        return [
            one
            for one in self.waiting.values()
            if not self.waiting.keys() & {other.identity for other in one.inputs.values()}
        ]

    def ended(self, one: Cell) -> Outcome | None:
        """Returns what some process has left since this queue began: the cell's record, or why it failed."""
        if trial(one):
            return None
        record, failure = one.folder / "record.json", one.part / FAILED
        if _mark(record) not in (None, self.records[one.identity]):
            return Outcome(one, read_record(record), elsewhere=True)
        if _mark(failure) not in (None, self.failures[one.identity]):
            with contextlib.suppress(OSError, ValueError):
                return Outcome(one, **json.loads(failure.read_text(encoding="utf-8")), elsewhere=True)
        return None

    def wait(self, cells: Sequence[Cell]) -> None:
        """Waits until one of the cells has ended, or is left by whoever ran it."""
        while all(holder(one) and self.ended(one) is None for one in cells):
            time.sleep(POLL)

    def take(self, outcomes: Iterable[Outcome]) -> None:
        """Takes what a batch came to: cells that somebody else runs, or whose process died, stay in the queue."""
        outcomes = list(outcomes)
        for outcome in outcomes:
            name = outcome.cell.identity
            if outcome.died and name not in self.died:
                self.died.add(name)
            elif not outcome.busy:
                self.end(outcome)
        self._idle = bool(outcomes) and all(outcome.busy for outcome in outcomes)

    def end(self, outcome: Outcome) -> None:
        """Notes and reports that a cell has ended; a second time it does nothing."""
        if self.waiting.pop(outcome.cell.identity, None) is None:
            return
        self.outcomes.append(outcome)
        if outcome.error:
            self.failed.add(outcome.cell.identity)
        self.report(outcome)


def here(one: Cell, show_bar: bool) -> Outcome:
    """Runs a cell in this process, unless somebody else runs it or has made its record."""
    if trial(one):
        return _tried(one, show_bar)
    if follows():
        return _followed(_tried(one, show_bar))
    try:
        with try_lock(one):
            if not one.config["rerun"] and (record := recorded(one)) is not None:
                return Outcome(one, record, elsewhere=True)
            for name in (FAILED, PROGRESS):
                (one.part / name).unlink(missing_ok=True)
            outcome = _tried(one, show_bar)
            with contextlib.suppress(OSError):
                _leave(outcome)
            return outcome
    except Busy as busy:
        return Outcome(one, busy=busy.holder)
    except OSError as error:
        return Outcome(one, error=_words(error, one))


def own_log(one: Cell) -> Path:
    """Returns where a run's words go while it runs in a process of its own."""
    return one.folder.with_name(f".{one.identity}.{LOG}")


@functools.cache
def _import() -> None:
    """Imports what a run needs, a fifth faster with the collector of garbage off: it finds none among modules."""
    gc.disable()
    try:
        import repro.runs.execute  # noqa: F401
    finally:
        gc.freeze()  # modules stay: they need not be looked through again
        gc.enable()


def _tried(one: Cell, show_bar: bool) -> Outcome:
    _import()
    from repro.runs.execute import execute

    try:
        return Outcome(one, execute(one, show_bar=show_bar))
    except UserError as error:
        return Outcome(one, error=str(error))
    except OSError as error:
        return Outcome(one, error=_words(error, one))
    except Exception as error:
        return Outcome(one, error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())


def _followed(outcome: Outcome) -> Outcome:
    """In another process than the first of a distributed run: waits for the record that the first one is writing."""
    until = time.monotonic() + STALE
    while not outcome.error and time.monotonic() < until:
        if (record := recorded(outcome.cell)) is not None:
            return Outcome(outcome.cell, record)
        time.sleep(POLL)
    return outcome


def _words(error: OSError, one: Cell) -> str:
    return f"{error.filename or one.folder}: {error.strerror or error}"


def _leave(outcome: Outcome) -> None:
    """Leaves, for whoever started or watches the cell, why it failed; and the run's whole log beside what it made."""
    one = outcome.cell
    place = one.part if outcome.error else one.folder
    if outcome.error:
        place.mkdir(parents=True, exist_ok=True)
        aside = place / f"{FAILED}.new"
        aside.write_text(json.dumps({"error": outcome.error, "trace": outcome.trace}), encoding="utf-8")
        aside.replace(place / FAILED)
    sys.stdout.flush()
    sys.stderr.flush()
    words = own_log(one).read_text(encoding="utf-8", errors="replace") if own_log(one).is_file() else ""
    words += outcome.trace or (outcome.error and f"error: {outcome.error}\n")
    if words:
        with (place / LOG).open("a", encoding="utf-8") as stream:
            stream.write(words)
    own_log(one).unlink(missing_ok=True)


def _mark(file: Path) -> Mark:
    """Returns what changes when a file is replaced."""
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _say(cells: Sequence[Cell], said: set[str]) -> None:
    """Says once for each cell, and for each of its owners, whom we wait for."""
    for one in cells:
        who = holder(one)
        if who and (one.identity + who) not in said:
            print(f"waiting for {one.title}: {who}", file=sys.stderr, flush=True)
        said.add(one.identity + who)


def _elsewhere(
    cells: list[Cell],
    jobs: int,
    hydra: Sequence[str],
    queue: Queue,
    watch: Callable[[list[Cell]], contextlib.AbstractContextManager],
) -> list[Outcome]:
    from repro.runs.workers import launch

    with watch(cells):
        return launch(cells, jobs=jobs, hydra=hydra, queue=queue)
