"""What lies under runs_dir: which runs ended, which were cut, who is at work, and what nobody needs any more.

Only folders whose names say that they are ours are looked at (IDENTITY, IDENTITY.part, .replaced/IDENTITY-TIME), and
symbolic links are never followed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from repro import paths
from repro.errors import UserError
from repro.paths import Places
from repro.records.record import Record, read_record
from repro.records.store import DEPTH, read_all
from repro.runs.lock import Busy, held, holder

REPLACED, CURVES_OF_WANDB = ".replaced", "wandb"
PRODUCTS = ("product", "predictions")
DAY = 86_400.0
_RUN = re.compile(r"([0-9a-f]{12})(\.part)?")
_PUT_ASIDE = re.compile(r"([0-9a-f]{12})-\d+")
_HALF_REMOVED = re.compile(r"\.([0-9a-f]{12}\.part|[0-9a-f]{12}-\d+|product|predictions|wandb)\.removed")
_CHECKPOINT = re.compile(r"(\d+)(?:-(\d))?\.ckpt")
_MAGIC = b"repro checkpoint "
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A folder of a run.

    Attributes:
        folder: runs_dir/PAPER/TASK/IDENTITY, with ".part" behind it while the run is made.
        identity: 12 hex digits.
        paper: with its stage, such as pretrain/mlm.
        task: such as glue/rte.
        network, scale, seed: as in the record or the configuration; "?" where neither can be read.
        state: "done", "diverged", "cut", "failed", "running", or "broken" if its record cannot be used.
        detail: what there is to say of the state.
        resumable: whether it has a checkpoint to go on from.
        changed: when it ended, or when anything of it was last written, in seconds since 1970.
        size: bytes of its files.
        inputs: identities of the runs that it started from, if it has a record.
        wants: paper and task of the runs that it starts from, if it has none.
        digest: of its record.
        users: identities of the runs that started from it.
    """

    folder: Path
    identity: str
    paper: str
    task: str
    network: str = "?"
    scale: str = "?"
    seed: int | str = "?"
    state: str
    detail: str = ""
    resumable: bool = False
    changed: float
    size: int
    inputs: frozenset[str] = frozenset()
    wants: frozenset[tuple[str, str]] = frozenset()
    digest: str = ""
    users: tuple[str, ...] = ()

    @property
    def part(self) -> bool:
        return self.folder.name.endswith(".part")

    @property
    def lock(self) -> Path:
        return self.folder.with_name(f".{self.identity}.lock")


@dataclass(frozen=True)
class Stock:
    """All that lies under runs_dir.

    Attributes:
        runs: by paper, task, network, scale, seed and identity.
        kept: the digests of the records that are kept or ship, by identity.
        put_aside: the folders that a rerun replaced.
        half_removed: what a removal that was interrupted left.
        problems: what could not be read.
    """

    runs: list[Run] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    put_aside: list[Path] = field(default_factory=list)
    half_removed: list[Path] = field(default_factory=list)
    problems: list[UserError] = field(default_factory=list)


@dataclass(frozen=True)
class Removal:
    """Something that would be removed: what, why, its size in bytes, and the run that it is of, if it is of one."""

    path: Path
    why: str
    size: int
    run: Run | None = None


def take_stock(places: Places) -> Stock:
    """Reads what lies under runs_dir.

    Raises:
        UserError: runs_dir is no folder.
    """
    if places.runs_dir.exists() and not places.runs_dir.is_dir():
        raise UserError(f"{places.runs_dir} is no folder", "runs_dir=FOLDER names where runs lie")
    stock = Stock()
    found = [_run(folder, places.runs_dir, stock) for folder in _run_folders(places.runs_dir, stock)]
    runs = [run for run in found if run is not None]
    started_from = {run.identity: run.inputs for run in runs}
    for record in read_all(_kept_files(places), stock.problems):
        stock.kept[record.identity] = record.digest
        started_from[record.identity] = started_from.get(record.identity, frozenset()) | _inputs(record)
    users: dict[str, list[str]] = {}
    for identity in sorted(started_from):
        for one in started_from[identity]:
            users.setdefault(one, []).append(identity)
    for run in sorted(runs, key=_place_in_order):
        stock.runs.append(dataclasses.replace(run, users=tuple(users.get(run.identity, ()))))
    return stock


def _kept_files(places: Places) -> list[Path]:
    folders = dict.fromkeys((places.results_dir.absolute() / "records", paths.KEPT.absolute()))
    return [file for folder in folders for file in sorted(folder.glob("*.json"))] + sorted(
        paths.TINY.glob("*/record.json")
    )


def _place_in_order(run: Run) -> tuple[str, ...]:
    return run.paper, run.task, run.network, run.scale, str(run.seed).rjust(9), run.identity, run.folder.name


def _run_folders(folder: Path, stock: Stock, depth: int = DEPTH) -> Iterator[Path]:
    """Yields the folders of runs, and notes on the way what was put aside and what is left of removals."""
    for entry in _folders(folder, stock.problems):
        place = Path(entry.path)
        if _RUN.fullmatch(entry.name):
            stock.half_removed.extend(one for one in _inside(place, stock) if _HALF_REMOVED.fullmatch(one.name))
            yield place
        elif _HALF_REMOVED.fullmatch(entry.name):
            stock.half_removed.append(place)
        elif entry.name == REPLACED and depth == DEPTH:
            inside = _inside(place, stock)
            stock.put_aside.extend(one for one in inside if _PUT_ASIDE.fullmatch(one.name))
            stock.half_removed.extend(one for one in inside if _HALF_REMOVED.fullmatch(one.name))
        elif depth and not entry.name.startswith("."):
            yield from _run_folders(place, stock, depth - 1)


def _inside(folder: Path, stock: Stock) -> list[Path]:
    return [Path(entry.path) for entry in _folders(folder, stock.problems)]


def _folders(folder: Path, problems: list[UserError]) -> list[os.DirEntry[str]]:
    return [entry for entry in _entries(folder, problems) if entry.is_dir(follow_symlinks=False)]


def _entries(folder: Path, problems: list[UserError]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:  # a run that has just ended has moved
        return []
    except OSError as error:
        problems.append(UserError(f"{folder} cannot be read", error.strerror or str(error)))
        return []


def measured(folder: Path, problems: list[UserError]) -> tuple[int, float]:
    """Returns the bytes of the files in a folder, and when anything in it was last written."""
    size, changed = 0, 0.0
    for entry in _entries(folder, problems):
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        changed = max(changed, status.st_mtime)
        if entry.is_dir(follow_symlinks=False):
            inner, later = measured(Path(entry.path), problems)
            size, changed = size + inner, max(changed, later)
        else:
            size += status.st_size
    return size, changed


def _run(folder: Path, top: Path, stock: Stock) -> Run | None:
    """Reads a run's folder; None where it has just gone."""
    size, changed = measured(folder, stock.problems)
    identity, part = _RUN.fullmatch(folder.name).groups()
    paper, task = _split(folder.parent.relative_to(top).as_posix())
    run = Run(folder=folder, identity=identity, paper=paper, task=task, state="broken", changed=changed, size=size)
    try:
        return _unfinished(run, stock.problems) if part else _finished(run)
    except FileNotFoundError:
        return None
    except UserError as error:
        if not folder.is_dir():
            return None
        stock.problems.append(error)
        return dataclasses.replace(run, detail="its record cannot be used")


def _finished(run: Run) -> Run:
    record = read_record(run.folder / "record.json")
    return dataclasses.replace(
        run,
        paper=record.paper if record.stage is None else f"{record.paper}/{record.stage}",
        task=record.task,
        network=record.network,
        scale=record.scale,
        seed=record.seed,
        state="done" if record.status == "finished" else record.status,
        changed=datetime.fromisoformat(record.created).timestamp(),
        inputs=_inputs(record),
        digest=record.digest,
    )


def _inputs(record: Record) -> frozenset[str]:
    return frozenset(one["identity"] for one in record.inputs.values() if "identity" in one)


def _unfinished(run: Run, problems: list[UserError]) -> Run:
    """Reads a part.

    Raises:
        FileNotFoundError: it has just gone.
    """
    config = _configuration(run.folder / "config.yaml", problems)
    accumulated = _of(config, "trainer").get("accumulate_grad_batches")
    checkpoint = _checkpoint(run.folder, accumulated if isinstance(accumulated, int) and accumulated > 0 else 1)
    if who := holder(run.lock):
        state, detail = "running", ", ".join(filter(None, (who, _progress(run.folder))))
    else:
        state, detail = _stopped(run.folder, checkpoint)
    return dataclasses.replace(
        run,
        network=str(_of(config, "network").get("name", "?")),
        scale=str(config.get("scale", "?")),
        seed=config.get("seed", "?"),
        state=state,
        detail=detail,
        resumable=checkpoint is not None,
        wants=_wanted(config.get("inputs")),
    )


def _configuration(file: Path, problems: list[UserError]) -> dict[str, Any]:
    """Reads a part's configuration; it has none where it failed early.

    Raises:
        FileNotFoundError: the part has just gone.
    """
    try:
        config = yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)
    except FileNotFoundError:
        if not file.parent.is_dir():
            raise
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        problems.append(UserError(f"{file} cannot be read", (str(error).splitlines() or [""])[0]))
        return {}
    return config if isinstance(config, dict) else {}


def _of(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return config[key] if isinstance(config.get(key), Mapping) else {}


def _stopped(part: Path, checkpoint: str | None) -> tuple[str, str]:
    """Returns the state of a run that nobody is making, and what there is to say of it."""
    go_on = f"resumable {checkpoint}" if checkpoint else "not resumable"
    try:
        error = str(json.loads((part / "failed.json").read_text(encoding="utf-8"))["error"]).strip()
    except (OSError, ValueError, KeyError, TypeError):
        return "cut", go_on
    return "failed", f"{error.splitlines()[0] if error else 'no message'} ({go_on})"


def _progress(part: Path) -> str:
    try:
        beat = json.loads((part / "progress.json").read_text(encoding="utf-8"))
        return f"step {beat['step']} of {beat['steps']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _checkpoint(part: Path, accumulated: int) -> str | None:
    """Says where a part would go on; None where nothing in it looks like a checkpoint.

    Args:
        part: the run's folder.
        accumulated: batches of an optimiser's step.
    """
    try:
        names = sorted(os.listdir(part / "checkpoints"), reverse=True)
    except OSError:
        return None
    for name in names:
        found = _CHECKPOINT.fullmatch(name)
        try:
            with (part / "checkpoints" / name).open("rb") as stream:
                ours = found and stream.read(len(_MAGIC)) == _MAGIC
        except OSError:
            continue
        if ours:
            return "from its predictions" if found[2] == "1" else f"from step {int(found[1]) // accumulated}"
    return None


def _wanted(inputs: Any) -> frozenset[tuple[str, str]]:
    """Returns paper and task of each input, from the lists of overrides in a configuration."""
    lists = [one for one in inputs.values() if isinstance(one, list)] if isinstance(inputs, Mapping) else []
    words = [dict(str(word).partition("=")[::2] for word in one) for one in lists]
    return frozenset((one["paper"], one["task"]) for one in words if "paper" in one and "task" in one)


def _split(place: str) -> tuple[str, str]:
    """Splits PAPER/TASK where the first part has a file under conf/paper, and at the first slash where none has."""
    words = place.split("/")
    for count in range(len(words) - 1, 0, -1):
        paper = "/".join(words[:count])
        if (paths.CONF / "paper" / f"{paper}.yaml").is_file():
            return paper, "/".join(words[count:])
    return words[0], "/".join(words[1:])


def removals(stock: Stock, *, older_than: float = DAY, products: bool = False) -> list[Removal]:
    """Returns what no record needs.

    Args:
        stock: what lies under runs_dir.
        older_than: seconds for which a run that was cut, and could be gone on with, is left alone.
        products: whether products and predictions go of runs whose record is kept, where no other run starts from them.
    """
    ended = {run.identity for run in stock.runs if run.digest} | stock.kept.keys()
    found = [
        Removal(path, "left by a removal that was interrupted", measured(path, stock.problems)[0])
        for path in stock.half_removed
    ]
    for path in stock.put_aside:
        if _PUT_ASIDE.fullmatch(path.name)[1] in ended:
            found.append(Removal(path, "replaced by a rerun", measured(path, stock.problems)[0]))
    wanted = {pair for run in stock.runs for pair in run.wants}
    for run in stock.runs:
        if run.part:
            found += _of_a_part(run, older_than)
        elif products and run.digest and run.digest == stock.kept.get(run.identity):
            found += [] if run.users or (run.paper, run.task) in wanted else _products(run)
    return found


def _of_a_part(run: Run, older_than: float) -> list[Removal]:
    if run.state == "running":
        return []
    if not run.resumable:
        return [Removal(run.folder, f"{run.state}, and nothing to go on from", run.size, run)]
    if time.time() - run.changed > older_than:
        return [Removal(run.folder, f"{run.state}, and not gone on with", run.size, run)]
    return _parts_of(run, (CURVES_OF_WANDB,), "W&B's files of a run that has not ended")


def _products(run: Run) -> list[Removal]:
    return _parts_of(run, PRODUCTS, "its record is kept, and no run starts from it")


def _parts_of(run: Run, names: Sequence[str], why: str) -> list[Removal]:
    places = [run.folder / name for name in names]
    return [
        Removal(place, why, measured(place, [])[0], run)
        for place in places
        if place.is_dir() and not place.is_symlink()
    ]


def remove(
    what: Collection[Removal], places: Places, *, older_than: float = DAY, products: bool = False
) -> Iterator[Removal | UserError]:
    """Removes what nobody needs. All is looked at once more before, and a run is locked while it loses something.

    Args:
        what: as `removals` found it, maybe some time ago.
        places: where runs and kept records lie.
        older_than, products: as for `removals`.

    Yields:
        for each, itself when it is gone, or what went wrong with it.
    """
    now = {one.path: one for one in removals(take_stock(places), older_than=older_than, products=products)}
    for one in what:
        try:
            if one.path not in now:
                raise UserError(f"{one.path} stays", "it is needed now, or is gone already")
            _remove(now[one.path])
        except Busy as busy:
            yield UserError(f"{one.path} stays", str(busy))
        except UserError as error:
            yield error
        except OSError as error:
            yield UserError(f"{error.filename or one.path} cannot be removed", error.strerror or str(error))
        else:
            yield one


def _remove(one: Removal) -> None:
    """Renames a folder, so that for everybody else it is gone at once and whole, and removes it."""
    aside = one.path
    with contextlib.nullcontext() if one.run is None else held(one.run.lock, wait=False):
        if one.run is not None and one.run.part and measured(one.run.folder, [])[1] != one.run.changed:
            raise UserError(f"{one.path} stays", "it was gone on with meanwhile")
        if not _HALF_REMOVED.fullmatch(one.path.name):
            aside = one.path.with_name(f".{one.path.name}.removed")
            one.path.rename(aside)
        if one.run is not None and one.path == one.run.folder:
            one.path.with_name(f".{one.run.identity}.log.txt").unlink(missing_ok=True)
    shutil.rmtree(aside)
