"""Where a run's curves go: metrics.jsonl always, W&B beside it.

metrics.jsonl is the truth. Row n of the run's history in W&B (its `_step`) is line n of that file, however often the
run was interrupted, and whether the rows were streamed or written at the end. W&B is told nothing of machine and user:
the record says what ran, and on what.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from repro.errors import UserError

CURVES = "metrics.jsonl"
AXIS = "trainer/global_step"
"""What Lightning calls the x axis in W&B."""
CONNECT_SECONDS, UPLOAD_SECONDS, WRITE_SECONDS = 30, 300, 2
"""How long W&B may take to answer, to take what is left at the end, and to have its own file written."""
_PRIVATE = {
    "silent": True,
    "console": "off",  # what is printed
    "host": "",
    "symlink": False,
    "disable_git": True,
    "save_code": False,
    "x_disable_machine_info": True,  # arguments, folders, user, e-mail, processor; with it goes W&B's chart of the load
    "x_save_requirements": False,
}
"""Settings of W&B that keep to themselves what is no part of a run."""


class JsonLines(Logger):
    """Appends each set of metrics as a line of JSON: ``{"step": 10, "epoch": 0, "train/loss": 0.7}``.

    Args:
        file: where the lines go.
        start: how many bytes of an older file belong to the run that goes on; what follows them is cut off. None
            replaces the file.

    Raises:
        UserError: the older file is shorter than that.
    """

    def __init__(self, file: Path, start: int | None = None) -> None:
        super().__init__()
        self.file = file
        if rank_zero_only.rank == 0:
            file.parent.mkdir(parents=True, exist_ok=True)
            _cut(file, start or 0)

    name = "jsonl"
    version = 0

    @property
    @rank_zero_experiment
    def experiment(self) -> JsonLines:
        return self

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The configuration stands in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Writes a line, at once and as a whole."""
        with self.file.open("ab") as stream:
            stream.write(json.dumps(_line(metrics, step)).encode() + b"\n")


def _cut(file: Path, start: int) -> None:
    """Cuts a file of lines at the end of the last whole line of its first `start` bytes; makes it where it is missing.

    Raises:
        UserError: the file is shorter than that.
    """
    with file.open("ab+") as stream:
        size = stream.tell()
        if size < start:
            raise UserError(
                f"{file} has {size} bytes, and the checkpoint continues it from byte {start}",
                f"remove {file.parent / 'checkpoints'}: the run then starts anew",
            )
        stream.seek(0)
        stream.truncate(stream.read(start).rfind(b"\n") + 1)


def _line(metrics: Mapping[str, float], step: int | None) -> dict[str, Any]:
    """Returns what a line holds; a number that is not finite is written as a word."""
    return {"step": step} | {
        key: int(value) if key == "epoch" else round(value, 6) if math.isfinite(value) else str(value)
        for key, value in metrics.items()
    }


def thinned(file: Path, most: int = 40) -> dict[str, list[list[float]]]:
    """Returns the curves of metrics.jsonl in few points, for the record.

    Args:
        file: metrics.jsonl.
        most: points of a curve; neighbours are averaged, and stand at the last one's step.

    Returns:
        for the training loss and each validation metric, [step, value] pairs.
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    for metrics in _lines(file):
        for name, value in metrics.items():
            if name.startswith(("train/", "validation/")) and isinstance(value, int | float):
                curves.setdefault(name, []).append((metrics["step"], value))
    thin = {}
    for name, points in curves.items():
        size = math.ceil(len(points) / most)
        groups = [points[start : start + size] for start in range(0, len(points), size)]
        thin[name] = [[group[-1][0], round(sum(value for _, value in group) / len(group), 4)] for group in groups]
    return thin


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if file.is_file():
        with file.open(encoding="utf-8") as stream:
            yield from map(json.loads, stream)


@dataclass(frozen=True)
class Entry:
    """What W&B is told of a run.

    Attributes:
        settings: the `logger` part of the configuration: mode (online, offline, none), project, entity.
        identity: the run's 12 hex digits, and its name for W&B: an online run of that name is resumed.
        title: what W&B shows.
        group: what W&B groups by.
        config: the resolved configuration, without the folders of the machine.
    """

    settings: Mapping[str, Any]
    identity: str
    title: str
    group: str
    config: Mapping[str, Any]


class WandbRun(WandbLogger):
    """Lightning's logger of one W&B run, whose history has a row for each line of metrics.jsonl, once and in order.

    As a context it abandons the run where what stands in it fails.

    Lightning's own logger gives W&B no `step`: it logs Lightning's step as the metric `trainer/global_step`, makes that
    the x axis (`define_metric`), and W&B numbers the rows as they come. W&B compares that number (`_step`) and nothing
    else: a resumed run goes on numbering where the server ended, so that whatever was logged between checkpoint and
    kill stands there twice. Given `step`, W&B drops a row whose number it has passed, with a warning. Here the number
    of a row is that of its line, and `starting_step` of the resumed run says how many rows W&B has: lines before it are
    not sent again, and those that it never got are sent from the file. As a resumed run gives the same bits, a row that
    W&B has is the row that it would be sent.

    Args:
        run: W&B's run, as `wandb.init` gives it.
        curves: metrics.jsonl as it stands now.
        staging: the folder of an online run, which is removed with it.
    """

    def __init__(self, run: Any, curves: Path, staging: Path | None = None) -> None:
        super().__init__(experiment=run)
        self.run, self.staging = run, staging
        self.broken = False
        self.rows: int = run.starting_step
        run.define_metric(AXIS)
        run.define_metric("*", step_metric=AXIS, step_sync=True)
        self.catch_up(curves)
        self.lines = sum(1 for _ in _lines(curves))

    def __enter__(self) -> WandbRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if kind is not None:
            self.abandon()

    def catch_up(self, curves: Path) -> None:
        """Sends the lines of metrics.jsonl that W&B does not have."""
        for number, line in enumerate(_lines(curves)):
            self._send(number, line)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Sends what is the next line of metrics.jsonl. Where W&B breaks, streaming stops, and nothing else does."""
        if self.broken:
            return
        try:
            self._send(self.lines, _line(metrics, step))
        except Exception as error:  # whatever wandb raises
            _say(
                f"W&B failed while it was sent {self.run.name} ({_short(error)}): the run goes on, and is written later"
            )
            self.abandon()
        self.lines += 1

    def _send(self, number: int, line: Mapping[str, Any]) -> None:
        if number < self.rows:
            return
        values = {key: float(value) if isinstance(value, str) else value for key, value in line.items()}
        self.run.log({AXIS: values.pop("step"), **values}, step=number)
        self.rows = number + 1

    def complete(self, folder: Path, scores: Mapping[str, Mapping[str, float]]) -> None:
        """Writes what a finished run has besides: lines that are missing, scores, the record as a real file.

        Args:
            folder: the run's folder, with metrics.jsonl and record.json.
            scores: by split, as in the record; they become the run's summary (`test-best/accuracy`).
        """
        self.catch_up(folder / CURVES)
        self.run.summary.update(
            {f"{split}/{metric}": value for split, values in scores.items() for metric, value in values.items()}
        )
        shutil.copyfile(folder / "record.json", Path(self.run.dir) / "record.json")
        self.run.finish()
        self._tidy()

    def abandon(self) -> None:
        """Ends a run that W&B broke, or that failed: it shows as failed until it is resumed."""
        self.broken = True
        with contextlib.suppress(Exception):  # it is broken
            self.run.finish(exit_code=1)
        self._tidy()

    def _tidy(self) -> None:
        """Removes the local folder of an online run, and of an offline one W&B's diary, which names other folders."""
        if self.staging is not None:
            shutil.rmtree(self.staging, ignore_errors=True)
            return
        diary = Path(self.run.dir).with_name("logs")
        until = time.monotonic() + WRITE_SECONDS
        while not _all_is_written(diary) and time.monotonic() < until:  # `finish` may return some milliseconds before
            time.sleep(0.005)
        for folder in (diary, diary.with_name("tmp")):
            shutil.rmtree(folder, ignore_errors=True)


def _all_is_written(diary: Path) -> bool:
    """Whether W&B's service has said that a run's own file is closed."""
    file = diary / "debug-internal.log"
    return file.is_file() and b"stream: all finished" in file.read_bytes()


def stream_to_wandb(entry: Entry, folder: Path) -> WandbRun | None:
    """Connects with W&B, for a run that is shown while it trains.

    Args:
        entry: the run.
        folder: its folder; metrics.jsonl there has just the lines that the run continues (make `JsonLines` first).

    Returns:
        the logger; None where streaming was not asked for, or W&B does not answer, which is said in one line.
    """
    if entry.settings["mode"] != "online" or rank_zero_only.rank != 0:
        return None
    try:
        return _connect(entry, folder, online=True)
    except Exception as error:  # whatever wandb raises
        _say(f"W&B cannot be reached ({_short(error)}): {entry.title} goes on, and is written later")
        return None


def complete_in_wandb(
    entry: Entry, folder: Path, scores: Mapping[str, Mapping[str, float]], streaming: WandbRun | None
) -> None:
    """Completes a finished run in W&B, or writes it whole into an offline folder. It costs no result, whatever happens.

    Args:
        entry: the run.
        folder: its folder, with metrics.jsonl and record.json.
        scores: by split, as in the record.
        streaming: what the run was streamed to.
    """
    if entry.settings["mode"] in ("none", "disabled") or rank_zero_only.rank != 0:
        return
    if streaming is not None and not streaming.broken:
        try:
            return streaming.complete(folder, scores)
        except Exception as error:  # whatever wandb raises
            _say(f"W&B did not take all of {entry.title} ({_short(error)})")
            streaming.abandon()
    try:
        _connect(entry, folder, online=False).complete(folder, scores)
    except Exception as error:  # whatever wandb raises
        _say(f"W&B has not got {entry.title}: {_short(error)}")
        return
    if entry.settings["mode"] == "online":
        _say(f"{entry.title} lies in {folder / 'wandb'}: `wandb sync` sends it")


def _connect(entry: Entry, folder: Path, *, online: bool) -> WandbRun:
    """Begins or resumes a run of W&B, and sends it the lines of metrics.jsonl that it lacks.

    An online run keeps its local files in a temporary folder, as the run's own moves when it is finished; an offline
    one in `wandb` of the run's folder, where it replaces what an interruption left of the same run.
    """
    import wandb  # half a second that a run has at its end, and an input or a trial not at all

    os.environ.setdefault("WANDB_SILENT", "true")
    logging.getLogger("wandb").setLevel(logging.ERROR)
    for old in (folder / "wandb").glob(f"*run-*-{entry.identity}"):
        shutil.rmtree(old, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix="repro-wandb-")) if online else None
    try:
        run = wandb.init(
            project=entry.settings["project"],
            entity=entry.settings["entity"],
            dir=str(staging or folder),
            id=entry.identity,
            name=entry.title,
            group=entry.group,
            config=dict(entry.config),
            resume="allow",
            settings=wandb.Settings(
                **_PRIVATE,
                mode="online" if online else "offline",
                reinit="create_new",  # a run that another cell of this process left open is not this one
                init_timeout=CONNECT_SECONDS,
                finish_timeout=UPLOAD_SECONDS,
                finish_timeout_raises=True,
            ),
        )
        return WandbRun(run, folder / CURVES, staging)
    except BaseException:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        raise


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _short(error: BaseException) -> str:
    """Returns the first line of a message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
