"""GLUE's official files, written from the hub's tables: the columns that are read here, under their official names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.paths import find_data
from repro.tasks.glue import FORMS, HUB, Form
from repro.tasks.hub import load_from_hub

FOLDERS = {
    "cola": "CoLA",
    "sst2": "SST-2",
    "mrpc": "MRPC",
    "stsb": "STS-B",
    "qqp": "QQP",
    "mnli": "MNLI",
    "qnli": "QNLI",
    "rte": "RTE",
    "wnli": "WNLI",
}
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
"""Names of splits on the hub, or their beginnings, and of the official files."""


def write(data_dir: Path) -> Iterator[str]:
    """Writes what is not there yet.

    Args:
        data_dir: the files go to data_dir/glue.

    Yields:
        what became of each file.

    Raises:
        UserError: the hub cannot be reached, or a file cannot be written.
    """
    for task, folder in FOLDERS.items():
        form = FORMS[task]
        for split in _splits(task):
            first, _, rest = split.partition("_")
            name = f"glue/{folder}/{SPLITS[first]}{f'_{rest}' if rest else ''}.tsv"
            if there := _there(data_dir, name):
                yield f"{there}: there already"
                continue
            lines, replaced = _lines(load_from_hub(HUB, task, split), form, labelled=first != "test")
            _write(data_dir / name, lines)
            note = f" ({replaced} tabs or line ends inside texts are spaces now)" if replaced else ""
            yield f"{data_dir / name}: {len(lines) - bool(form.header is None or first == 'test'):,} rows{note}"


def _splits(task: str) -> list[str]:
    several = ("matched", "mismatched")
    if task != "mnli":
        return list(SPLITS)
    return ["train", *(f"{split}_{part}" for split in ("validation", "test") for part in several)]


def _there(data_dir: Path, name: str) -> Path | None:
    try:
        return find_data(data_dir, name)
    except UserError:
        return None


def _lines(rows: Iterable[Mapping[str, Any]], form: Form, *, labelled: bool) -> tuple[list[str], int]:
    """Returns the lines of a file, and how many signs were replaced that would have broken it."""
    headless = labelled and form.header is not None
    lines = [] if headless else ["\t".join(["index", *form.texts, *([form.label] if labelled else [])])]
    replaced = 0
    for number, row in enumerate(rows):
        texts = [row[name] for name in form.hub_texts or form.texts]
        replaced += sum(text.count(sign) for text in texts for sign in "\t\n\r")
        texts = [text.translate(dict.fromkeys(map(ord, "\t\n\r"), " ")) for text in texts]
        label = _written(row["label"], form) if labelled else ""
        if headless:  # source, label, the linguists' mark, sentence
            cells = ["hub", label, "" if label == "1" else "*", *texts]
        else:
            cells = [str(number), *texts, *([label] if labelled else [])]
        lines.append("\t".join(cells))
    return lines, replaced


def _written(label: int | float, form: Form) -> str:
    """Returns a label as the official files have it; their numbers have three decimals."""
    return form.classes[label] if form.classes else f"{label:.3f}"


def _write(file: Path, lines: Iterable[str]) -> None:
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
        aside.replace(file)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise UserError(f"{file} can't be written", error.strerror or str(error)) from None
