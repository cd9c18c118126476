"""What names a run: a hash of everything that can change its result, and of nothing else."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from repro import paths
from repro.records.canonical import digest

LENGTH = 12
_CODE = Path(paths.__file__).parent


def configuration_identity(
    config: Mapping[str, Any],
    *,
    inputs: Mapping[str, str],
    given: Mapping[str, str],
    data: Mapping[str, str],
    network: str | None,
    hardware: Mapping[str, str | int] | None = None,
) -> str:
    """Names a run.

    Args:
        config: the resolved configuration; its key ``outside_identity`` lists what is left out.
        inputs: the identities of the runs it starts from, by name.
        given: digests of the folders that a user gave in place of an input, by name.
        data: digests of the data files it reads, by split.
        network: digest of the folder of weights it starts from, if it is one.
        hardware: what it runs on, where that can change what it measures.

    Returns:
        12 hexadecimal digits.
    """
    inside = without(config, config["outside_identity"])
    made_with: dict[str, int] = {}
    config_named = _named(inside, made_with)
    if config["task"].get("source", "world") != "world":  # a change of the world moves no real data
        made_with = {name: number for name, number in made_with.items() if not name.startswith("repro.world")}
    named = {"config": config_named, "inputs": dict(inputs), "given": dict(given), "data": dict(data)}
    named |= {"hardware": dict(hardware)} if hardware else {}
    return digest(named | {"network": network, "versions": made_with})[:LENGTH]


def without(config: Mapping[str, Any], keys: list[str]) -> dict[str, Any]:
    """Returns config less the keys, which may be dotted (``trainer.devices``)."""
    kept = {name: value for name, value in config.items() if name not in keys}
    for name, value in kept.items():
        inner = [key.partition(".")[2] for key in keys if key.startswith(f"{name}.")]
        if inner and isinstance(value, Mapping):
            kept[name] = without(value, inner)
    return kept


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration without the folders of one machine, for a record."""
    return without(config, [*paths.NAMES, "task.data_dir", "network.path"])


def _named(value: Any, made_with: dict[str, int]) -> Any:
    """Replaces each `_target_` by the class's name, and collects the versions of what stands behind it."""
    if isinstance(value, Mapping):
        found = {key: _named(one, made_with) for key, one in value.items()}
        if isinstance(found.get("_target_"), str):
            made_with |= versions(found["_target_"])
            found["_target_"] = found["_target_"].rpartition(".")[2]
        return found
    return [_named(one, made_with) for one in value] if isinstance(value, list) else value


@functools.cache
def versions(target: str) -> dict[str, int]:
    """Returns the versions behind a class or function of ours, read from the source without importing it.

    Counted are the class and its bases (``version = 1`` in the class), and every module of ours that their files
    import, as far as it says ``version = ...``: metrics, decoders, the world.

    Args:
        target: a dotted name, such as ``repro.tasks.glue.GLUE``; one of another package has no version here.
    """
    module, _, name = target.rpartition(".")
    tree = _source(module)
    if tree is None:
        return {}
    found = _module_version(module)
    imported, modules = _imports(module)
    for other in (*modules, *imported.values()):
        found |= _module_version(other)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            number = _version(node.body)
            found |= {} if number is None else {name: number}
            for base in node.bases:
                if isinstance(base, ast.Name):
                    found |= versions(imported.get(base.id, f"{module}.{base.id}"))
    return found


@functools.cache
def _imports(module: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Returns what a file imports, wherever it does: names with what they stand for, and modules."""
    names, modules = {}, []
    todo: list[ast.AST] = [_source(module)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.append(node.module)
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        for part in ("body", "orelse", "finalbody", "handlers"):  # statements alone: expressions import nothing
            inner = getattr(node, part, ())
            todo += inner if isinstance(inner, list) else ()
    return names, tuple(modules)


def _module_version(module: str) -> dict[str, int]:
    tree = _source(module)
    number = None if tree is None else _version(tree.body)
    return {} if number is None else {module: number}


def _version(body: list[ast.stmt]) -> int | None:
    for node in body:
        names = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(one, ast.Name) and one.id == "version" for one in names) and isinstance(
            node.value, ast.Constant
        ):
            return node.value.value
    return None


@functools.cache
def _source(module: str) -> ast.Module | None:
    first, *rest = module.split(".")
    place = _CODE.joinpath(*rest)
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8")) if first == "repro" and file.is_file() else None


def data_digests(task: Mapping[str, Any], cache_dir: Path) -> dict[str, str]:
    """Returns the digest of each data file that a task reads, by split; what is generated or on the hub has none.

    Args:
        task: the task's configuration: ``source``, ``data_dir`` and ``files`` by split.
        cache_dir: where digests of large files are remembered.

    Raises:
        UserError: a file is missing.
    """
    if task.get("source") != "files":
        return {}
    return {
        split: file_digest(paths.find_data(Path(task["data_dir"]).expanduser(), file), cache_dir)
        for split, file in (task.get("files") or {}).items()
        if file is not None
    }


def content_digest(place: str | Path | None, cache_dir: Path) -> str | None:
    """Returns the digest of a folder's names and contents, the name itself where it is no folder, None for None."""
    if place is None:
        return None
    folder = Path(place).expanduser()
    if not folder.is_dir():
        return str(place)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return digest({file.relative_to(folder).as_posix(): file_digest(file, cache_dir) for file in files})


def file_digest(file: Path, cache_dir: Path) -> str:
    """Returns the SHA-256 of a file's content; that of a large file is remembered by path, size and time of change."""
    status = file.stat()
    if status.st_size < 1 << 20:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    key = hashlib.sha256(json.dumps([str(file.resolve()), status.st_size, status.st_mtime_ns]).encode()).hexdigest()
    remembered = Path(cache_dir).expanduser() / "digests" / key
    if remembered.is_file() and len(text := remembered.read_text()) == 64:
        return text
    with file.open("rb") as stream:
        text = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        remembered.parent.mkdir(parents=True, exist_ok=True)
        aside = remembered.with_suffix(f".{os.getpid()}")
        aside.write_text(text)
        aside.replace(remembered)
    except OSError:
        pass
    return text
