"""What tasks and documents promise: the same bytes as ever, no leakage, balance, a closed vocabulary."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import cache

import pytest

from repro import world
from repro.errors import UserError
from repro.world.splits import SPLITS, TASKS, normalised

# bump world.version whenever one of these changes
DIGESTS = {
    "mnli": "28efc0226ef8",
    "sst2": "b24e210c9121",
    "mrpc": "5ed3455865d4",
    "cola": "73cc2c8baa40",
    "qnli": "4b89750144ad",
    "qqp": "f7f343dff33b",
    "rte": "3c05ccad1aee",
    "stsb": "7e7c1de60b9f",
    "documents": "f60a9d6834ce",
}


@cache
def rows(task: str, split: str) -> list[dict]:
    return world.glue(task, split)


@cache
def text() -> list[tuple[str, str]]:
    return world.documents(0, 20000)


def sentences(task: str, split: str) -> set[str]:
    return {normalised(row[key]) for row in rows(task, split) for key in ("sentence1", "sentence2") if row[key]}


@cache
def seen_before() -> set[str]:
    """All sentences of training, validation and documents."""
    labelled = set().union(*(sentences(task, split) for task in TASKS for split in ("train", "validation")))
    return labelled | {normalised(segment) for document in text() for segment in document}


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


@pytest.mark.parametrize("task", TASKS)
def test_tasks_are_the_same_bytes_as_ever(task):
    assert digest([rows(task, split) for split in SPLITS]) == DIGESTS[task]


def test_documents_are_the_same_bytes_as_ever():
    assert digest(text()) == DIGESTS["documents"]
    assert len(world.documents(0, 50)) == 50
    assert world.documents(1, 50) != world.documents(0, 50)


@pytest.mark.parametrize("task", TASKS)
def test_sizes_fields_and_balance(task):
    assert len(rows(task, "test")) == 2000
    assert 500 <= len(rows(task, "validation")) <= 1000
    for split in SPLITS:
        assert [row["id"] for row in rows(task, split)] == list(range(len(rows(task, split))))
        labels = Counter(row["label"] for row in rows(task, split))
        if task == "stsb":
            assert min(labels) == 0.0
            assert max(labels) == 5.0
        else:
            classes = 3 if task == "mnli" else 2
            assert set(labels) == set(range(classes))
            assert min(labels.values()) > 0.85 * len(rows(task, split)) / classes
    single = task in ("sst2", "cola")
    assert all((row["sentence2"] is None) == single for row in rows(task, "test"))


@pytest.mark.parametrize("task", TASKS)
def test_no_test_sentence_occurs_in_any_train_split_or_in_the_documents(task):
    assert not sentences(task, "test") & seen_before()


def test_validation_pairs_are_not_in_train():
    for task in TASKS:
        pairs = {(row["sentence1"], row["sentence2"]) for row in rows(task, "train")}
        assert not any((row["sentence1"], row["sentence2"]) in pairs for row in rows(task, "validation"))


def test_vocabulary_is_closed_and_has_no_idle_word():
    vocabulary = world.vocabulary()
    assert len(vocabulary) >= 2000
    assert vocabulary == sorted(set(vocabulary))
    assert all(word == word.lower() for word in vocabulary)
    said = {word for document in text() for segment in document for word in segment.split()}
    for task in TASKS:
        for split in SPLITS:
            said |= {
                word
                for row in rows(task, split)
                for key in ("sentence1", "sentence2")
                for word in (row[key] or "").split()
            }
    assert said == set(vocabulary)


def test_unknown_tasks_and_splits_are_named_with_a_mend():
    with pytest.raises(UserError, match="did you mean mrpc"):
        world.glue("mrpcc", "train")
    with pytest.raises(UserError, match="did you mean test"):
        world.glue("mrpc", "tset")


def test_a_generator_that_repeats_itself_stops(monkeypatch):
    monkeypatch.setitem(TASKS, "sst2", lambda rng, held_out: ("the same", None, 1))
    with pytest.raises(RuntimeError, match="too few"):
        world.glue("sst2", "test")


def test_rows_that_somebody_changed_are_not_given_to_the_next_one():
    world.glue("rte", "validation")[0]["sentence1"] = "changed"
    assert world.glue("rte", "validation")[0]["sentence1"] != "changed"
    assert normalised("  The  red_boat's 2 sails, étoilés! ") == "the red boat s 2 sails étoilés"
