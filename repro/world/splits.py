"""Splits of the eight GLUE-shaped tasks."""

from __future__ import annotations

import functools
import random
import re

from repro.errors import UserError, did_you_mean
from repro.world import pairs

SEED = 7
TASKS = {
    "mnli": pairs.mnli,
    "sst2": pairs.sst2,
    "mrpc": pairs.mrpc,
    "cola": pairs.cola,
    "qnli": pairs.qnli,
    "qqp": pairs.qqp,
    "rte": pairs.rte,
    "stsb": pairs.stsb,
}
TRAIN_SIZE = {
    "mnli": 3000,
    "sst2": 1500,
    "mrpc": 2000,
    "cola": 2500,
    "qnli": 2500,
    "qqp": 2000,
    "rte": 2000,
    "stsb": 2000,
}
_WORD = re.compile(r"[^\W_]+")
VALIDATION_SIZE, TEST_SIZE = 600, 2000
SPLITS = ("train", "validation", "test")


def normalised(sentence: str) -> str:
    """Lower case, letters and digits only, single blanks: what counts as the same sentence between splits."""
    return " ".join(_WORD.findall(sentence.lower()))


def glue(task: str, split: str) -> list[dict]:
    """The examples of one split, always the same.

    Args:
        task: mnli, sst2, mrpc, cola, qnli, qqp, rte or stsb.
        split: train, validation or test. People of the test split occur in no other and in no document.

    Returns:
        rows {"id", "sentence1", "sentence2", "label"}; sentence2 is None in single-sentence tasks; labels are class
        indices in the order of the Hugging Face GLUE data set, for stsb a number from 0 to 5. No pair occurs twice.

    Raises:
        UserError: for an unknown task or split.
    """
    if task not in TASKS:
        raise UserError(f"the world has no task {task!r}", did_you_mean(task, TASKS))
    if split not in SPLITS:
        raise UserError(f"the world's tasks have no split {split!r}", did_you_mean(split, SPLITS))
    return [dict(row) for row in _rows(task, split)]


@functools.lru_cache(maxsize=4)
def _rows(task: str, split: str) -> list[dict]:
    count = {"train": TRAIN_SIZE[task], "validation": VALIDATION_SIZE, "test": TEST_SIZE}[split]
    seen = {_key(row) for row in _rows(task, "train")} if split == "validation" else set()
    rng = random.Random(f"{SEED}/{task}/{split}")
    rows: list[dict] = []
    for _ in range(20 * count):
        first, second, label = TASKS[task](rng, split == "test")
        row = {"id": len(rows), "sentence1": first, "sentence2": second, "label": label}
        if (key := _key(row)) not in seen:
            seen.add(key)
            rows.append(row)
        if len(rows) == count:
            return rows
    raise RuntimeError(f"{task}/{split}: too few different examples")


def _key(row: dict) -> tuple[str, str]:
    return normalised(row["sentence1"]), normalised(row["sentence2"] or "")
