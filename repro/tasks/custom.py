"""Anybody's labelled texts, or pairs of texts, in the form of GLUE's tasks: a file for each split, with a header.

Classes are scored by accuracy and F1 (of the second of two classes; of more, the mean over the classes), numbers by
Pearson's and Spearman's correlation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.errors import UserError
from repro.paths import find_data
from repro.tasks.glue import GLUE, TWO, Form
from repro.tasks.tables import columns_of, read_table


class Custom(GLUE):
    """A task on one's own files.

    Args:
        data_dir: folder of the files.
        files: for train, validation and (or null) test the file: CSV where the name ends so, else TSV.
        texts: columns of the one or two texts; None for sentence1 and, where train has it, sentence2.
        label: column of the label.
        classes: the labels as the files write them, by class index; None for those of train, sorted, numbers by their
            size; an empty list where labels are numbers to be approached.
        **settings: of `GLUE`.

    Raises:
        UserError: train is missing, or has other columns, or its labels are of one class or look like no classes.
    """

    version = 1

    def __init__(
        self,
        *,
        data_dir: Path | str,
        files: Mapping[str, str | None],
        texts: Sequence[str] | None = None,
        label: str = "label",
        classes: Sequence[str | int | float] | None = None,
        **settings: Any,
    ) -> None:
        for split in ("train", "validation"):
            if not files.get(split):
                raise UserError(f"task.files.{split} has no value", f"name a file, such as task.files.{split}=FILE.csv")
        for key, value in (("texts", texts), ("classes", classes)):
            if isinstance(value, str):
                raise UserError(f"task.{key}={value} is no list", f"write task.{key}=[{value}]")
        train = Path(data_dir).expanduser(), files["train"]
        texts = _texts(find_data(*train)) if texts is None else tuple(texts)
        if len(texts) not in (1, 2):
            raise UserError(f"task.texts names {len(texts)} columns", "a task has one text or two")
        if classes is None:
            classes = _classes(find_data(*train), texts, label)
        elif len(classes) == 1:
            raise UserError(f"task.classes={list(classes)} is one class", "give two or more, or [] for numbers")
        named = tuple(map(str, classes))
        form = Form(
            texts, label, metrics=_metrics(len(named)), classes=named, span=(-math.inf, math.inf), in_world=False
        )
        super().__init__(data_dir=data_dir, files=files, form=form, **settings)

    def scored_splits(self) -> list[str]:
        """Validation, and test where there is a file for it."""
        return ["validation", *(["test"] if "test" in self.files else [])]


def _metrics(classes: int) -> tuple[str, str]:
    if not classes:
        return ("pearson", "spearman")
    return ("accuracy", "f1" if classes == 2 else "macro_f1")


def _texts(train: Path) -> tuple[str, ...]:
    """Returns sentence1, and sentence2 where the file has it."""
    return TWO if TWO[1] in columns_of(train) else TWO[:1]


def _classes(train: Path, texts: Sequence[str], label: str) -> list[str]:
    """Returns the labels of a file in their order.

    Raises:
        UserError: a column is missing, a label is empty, there is one class, or some are numbers that are not whole.
    """
    rows, _ = read_table(train, (*texts, label))
    places = {row.cells[-1]: row.place for row in reversed(rows)}
    if "" in places:
        raise UserError(f"{places['']}: the label is empty", "leave the row out, or give it a label")
    numbers = {text: number for text in places if (number := _number(text)) is not None}
    if len(numbers) < len(places):
        found = sorted(places)
    elif all(number.is_integer() for number in numbers.values()):
        found = sorted(places, key=numbers.__getitem__)
    else:
        odd = next(text for text, number in numbers.items() if not number.is_integer())
        raise UserError(
            f"{places[odd]}: the label {odd} is a number", "say task.classes=[] to learn numbers, or task.classes=[...]"
        )
    if len(found) < 2:
        raise UserError(f"{train} has one label, {found[0]}", "there is nothing to learn: add rows of another one")
    return found


def _number(text: str) -> float | None:
    try:
        return number if math.isfinite(number := float(text)) else None
    except ValueError:
        return None
