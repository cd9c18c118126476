"""Cells in other processes, on this machine or others: through a Hydra launcher."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from repro import paths
from repro.errors import UserError, did_you_mean
from repro.runs import gpus
from repro.runs.compose import Cell, cell, register_resolvers
from repro.runs.expand import options, read, split
from repro.runs.launch import Outcome, Queue, here, own_log
from repro.runs.lock import Busy, holder, lock_file, try_lock

if TYPE_CHECKING:
    from omegaconf import DictConfig

LOCAL = "joblib"
GROUP = "hydra/launcher"
NOBODY = "nobody yet"
LOOK = 0.3
"""Seconds between two looks at what cells have left."""


def checked(hydra: Sequence[str]) -> None:
    """Checks the overrides of Hydra's own, before anything runs.

    Args:
        hydra: such as ``hydra/launcher=submitit_slurm hydra.launcher.partition=gpu``.

    Raises:
        UserError: the launcher is not known, its package is not installed, or it has no such setting.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        _composed(_hydra(), hydra, jobs=1, runs_dir=".")
    except (HydraException, OmegaConfBaseException) as error:
        words = " ".join(str(error).splitlines()[:2])
        raise UserError(words.rstrip(".:"), str(error.__cause__ or "").partition("\n")[0]) from None
    finally:
        GlobalHydra.instance().clear()


def launch(cells: Sequence[Cell], *, jobs: int, hydra: Sequence[str], queue: Queue) -> list[Outcome]:
    """Runs cells through Hydra's launcher; each that leaves a record, or fails, is reported to the queue at once.

    Args:
        cells: that can run now.
        jobs: how many run at a time, on this machine; other launchers have settings of their own.
        hydra: overrides of Hydra's own.
        queue: is told of each cell as it ends.

    Returns:
        the outcomes of those that the queue was not told of: run by somebody else, or without a result.
    """
    launcher, forgotten = _launcher(cells, jobs, hydra)
    returned: Sequence[Any] = ()
    broken: Exception | None = None
    with forgotten, _following(cells, queue):
        try:
            returned = launcher.launch([list(one.overrides) for one in cells], initial_job_idx=0)
        except Exception as error:  # whatever a launcher raises when a process dies or nothing can be submitted
            broken = error
    outcomes = [
        _outcome(one, result, broken)
        for one, result in itertools.zip_longest(cells, returned)
        if one.identity in queue.waiting
    ]
    if broken and len(outcomes) == len(cells) and not any(one.died for one in outcomes):
        failed = partial(Outcome, error=_said(broken), trace=_trace(broken))
        return [failed(one.cell) if one.busy == NOBODY else one for one in outcomes]
    return outcomes


def _outcome(one: Cell, result: Any, broken: Exception | None) -> Outcome:
    """Says what became of a cell that left neither a record nor why it failed."""
    from hydra.core.utils import JobStatus

    value = getattr(result, "_return_value", None)
    if result is not None and result.status == JobStatus.FAILED:
        return Outcome(one, error=_said(value), trace=_trace(value))
    if value:
        return Outcome(one, **value)
    if other := holder(one):
        return Outcome(one, busy=other)
    if broken and not lock_file(one).exists():
        return Outcome(one, busy=NOBODY)  # it had not begun when another one's process died
    why = f"its process ended without a result (killed, or out of memory): {own_log(one)} has its last words"
    return Outcome(one, error=why, trace=why, died=True)


def _said(error: Any) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def _trace(error: Any) -> str:
    return "" if isinstance(error, UserError) else "".join(traceback.format_exception(error))


def _hydra() -> Any:
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.version import setbase

    setbase(None)
    GlobalHydra.instance().clear()
    return Hydra.create_main_hydra2(task_name="repro", config_search_path=create_config_search_path(str(paths.CONF)))


def _launcher(
    cells: Sequence[Cell], jobs: int, hydra: Sequence[str]
) -> tuple[Any, contextlib.AbstractContextManager[None]]:
    """Makes the launcher, and the context at whose end Hydra forgets it."""
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext

    main = _hydra()
    config = _composed(main, hydra, jobs=jobs, runs_dir=str(cells[0].places.runs_dir))
    context = HydraContext(config_loader=main.config_loader, callbacks=Callbacks(config))
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=work, config=config)
    forgotten = contextlib.ExitStack()
    forgotten.callback(GlobalHydra.instance().clear)
    return launcher, forgotten


def _composed(main: Any, hydra: Sequence[str], *, jobs: int, runs_dir: str) -> DictConfig:
    """Composes what the launcher is made from.

    Args:
        main: Hydra.
        hydra: overrides of Hydra's own.
        jobs: how many cells run at a time on this machine.
        runs_dir: where launchers that write files of their own write them.
    """
    from hydra.types import RunMode

    register_resolvers()
    number = [f"hydra.launcher.n_jobs={jobs}"] if _chosen(hydra) == LOCAL else []
    with warnings.catch_warnings():
        # Hydra checks our settings of a launcher against those that its plugin declares, and says that it does.
        warnings.filterwarnings("ignore", message=rf"\s*'{GROUP}/")
        return main.compose_config(
            config_name="config",
            overrides=[*number, f"hydra.sweep.dir={runs_dir}", *hydra],
            run_mode=RunMode.MULTIRUN,
            with_log_configuration=False,
        )


def _chosen(hydra: Sequence[str]) -> str:
    """Returns the name of the launcher, which is known and installed."""
    from hydra.core.config_store import ConfigStore

    name = dict(map(split, hydra)).get(GROUP, LOCAL)
    installed = {file.removesuffix(".yaml") for file in ConfigStore.instance().list(GROUP)}
    if name not in installed | options(GROUP).keys():
        raise UserError(f"{GROUP}={name} is not known", did_you_mean(name, installed | options(GROUP).keys()))
    if name in installed:
        return name
    module = ".".join(read(f"{GROUP}/{name}").get("_target_", "").split(".")[:2])
    if module and importlib.util.find_spec(module) is None:
        package = module.rpartition(".")[2].replace("_", "-")
        raise UserError(f"{GROUP}={name} needs the package {package}", f"pip install {package}")
    return name


@contextlib.contextmanager
def _following(cells: Sequence[Cell], queue: Queue) -> Iterator[None]:
    """Tells the queue of each cell as soon as its record, or why it failed, lies there."""
    ended = threading.Event()

    def look() -> None:
        for one in cells:
            if one.identity in queue.waiting and (found := queue.ended(one)):
                queue.end(replace(found, elsewhere=False))

    def follow() -> None:
        while not ended.wait(LOOK):
            look()

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()
    look()


def work(config: Any) -> dict[str, str]:
    """What Hydra's launcher calls in another process: runs one cell, its words going to the run's log.

    Returns:
        why there is no record: `error` and `trace`, or `busy`, where somebody else runs the cell.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    settings = HydraConfig.get()
    words, local = settings.overrides.task, settings.runtime.choices[GROUP] == LOCAL
    GlobalHydra.instance().clear()  # the launcher hands over its own, and the cell is composed anew
    one = cell(tuple(word for word in words if not word.startswith("hydra")))
    if local:
        _end_with_parent()
        gpus.take(one.config)
    try:
        with (
            try_lock(one),
            own_log(one).open("a", encoding="utf-8") as stream,
            contextlib.redirect_stdout(stream),
            contextlib.redirect_stderr(stream),
        ):
            outcome = here(one, False)
    except Busy as busy:
        return {"busy": busy.holder}
    return {"error": outcome.error, "trace": outcome.trace} if outcome.error else {}


_PARENT: list[int] = []


def _end_with_parent() -> None:
    """Lets this process end when the sweep that started it ends, whatever way; that one alone hears Ctrl-C."""
    if _PARENT:
        return
    _PARENT.append(os.getppid())
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow() -> None:
        while os.getppid() == _PARENT[0]:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
