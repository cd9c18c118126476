"""Many cells: in the order of what they start from, as many at a time as there are cores, through a Hydra launcher."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from repro import paths
from repro.errors import UserError
from repro.records.record import Record, read_record
from repro.runs.compose import Cell, cell, register_resolvers
from repro.runs.find import recorded

LOG, FAILED = "log.txt", "failed.json"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: its record, or the error (and whether the user can mend it)."""

    cell: Cell
    record: Record | None = None
    error: str = ""
    trace: str = ""


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
        an outcome for each cell that was run.
    """
    outcomes: list[Outcome] = []
    failed: set[str] = set()
    for wave in waves(wanted, rerun=rerun):
        ready = [one for one in wave if not failed & {other.identity for other in one.inputs.values()}]
        for one in wave:
            if one not in ready:
                failed.add(one.identity)
                outcomes.append(Outcome(one, error="what it starts from failed"))
                report(outcomes[-1])
        if len(ready) <= 1 or (jobs == 1 and not hydra):
            ended = [_here(one, show_bar, report) for one in ready]
        else:
            with watch(ready):
                ended = _elsewhere(ready, jobs, hydra, report)
        outcomes += ended
        failed |= {one.cell.identity for one in ended if one.error}
    return outcomes


def _here(one: Cell, show_bar: bool, report: Callable[[Outcome], None]) -> Outcome:
    from repro.runs.execute import execute

    try:
        outcome = Outcome(one, execute(one, show_bar=show_bar))
    except UserError as error:
        outcome = Outcome(one, error=str(error))
    except OSError as error:
        outcome = Outcome(one, error=f"{error.filename or one.folder}: {error.strerror or error}")
    except Exception as error:
        outcome = Outcome(one, error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
    report(outcome)
    return outcome


def _elsewhere(
    ready: Sequence[Cell], jobs: int, hydra: Sequence[str], report: Callable[[Outcome], None]
) -> list[Outcome]:
    """Runs cells through Hydra's launcher, and reports each as soon as its record (or its failure) lies there."""
    from hydra._internal.callbacks import Callbacks
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.core.utils import JobStatus
    from hydra.types import HydraContext, RunMode

    register_resolvers()
    GlobalHydra.instance().clear()
    main = Hydra.create_main_hydra2(task_name="repro", config_search_path=create_config_search_path(str(paths.CONF)))
    number = [] if hydra else [f"hydra.launcher.n_jobs={jobs}"]
    runs_dir = f"hydra.sweep.dir={ready[0].places.runs_dir}"
    config = main.compose_config(
        config_name="config",
        overrides=[*number, runs_dir, *hydra],
        run_mode=RunMode.MULTIRUN,
        with_log_configuration=False,
    )
    context = HydraContext(config_loader=main.config_loader, callbacks=Callbacks(config))
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=work, config=config)
    seen: dict[str, Outcome] = {}
    ended = threading.Event()
    began = time.time()

    def follow() -> None:
        while not ended.wait(0.3):
            _collect(ready, seen, began, report)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    returned: Sequence[Any] = ()
    try:
        returned = launcher.launch([list(one.overrides) for one in ready], initial_job_idx=0)
    finally:
        ended.set()
        follower.join()
        GlobalHydra.instance().clear()
    _collect(ready, seen, began, report)
    for one, result in itertools.zip_longest(ready, returned):
        if one.identity not in seen:
            what = (
                result._return_value
                if result is not None and result.status == JobStatus.FAILED
                else "it left no record"
            )
            seen[one.identity] = Outcome(
                one, error=f"{type(what).__name__}: {what}" if isinstance(what, BaseException) else what
            )
            report(seen[one.identity])
    return [seen[one.identity] for one in ready]


def _collect(ready: Sequence[Cell], seen: dict[str, Outcome], began: float, report: Callable[[Outcome], None]) -> None:
    for one in ready:
        record, failure = one.folder / "record.json", one.part / FAILED
        if one.identity in seen:
            continue
        if failure.is_file() and failure.stat().st_mtime >= began - 1:
            seen[one.identity] = Outcome(one, **json.loads(failure.read_text(encoding="utf-8")))
        elif record.is_file() and record.stat().st_mtime >= began - 1:
            seen[one.identity] = Outcome(one, read_record(record))
        else:
            continue
        report(seen[one.identity])


def work(config: Any) -> None:
    """What Hydra's launcher calls in another process: runs one cell, its words going to the run's log."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    words = HydraConfig.get().overrides.task
    GlobalHydra.instance().clear()  # the launcher hands over its own, and the cell is composed anew
    one = cell(tuple(word for word in words if not word.startswith("hydra")))
    log = one.part.parent / f".{one.identity}.{LOG}"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as stream,
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        outcome = _here(one, False, lambda _: None)
    place = one.folder if outcome.record else one.part
    place.mkdir(parents=True, exist_ok=True)
    if outcome.error:
        aside = place / f"{FAILED}.new"
        aside.write_text(json.dumps({"error": outcome.error, "trace": outcome.trace}), encoding="utf-8")
        aside.rename(place / FAILED)
    os.replace(log, place / LOG)
