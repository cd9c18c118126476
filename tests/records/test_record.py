"""A record is there whole or not at all, and a changed one is found out."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from repro.errors import UserError
from repro.records.record import read_record, write_record


def test_a_record_comes_back_as_it_was_written(make_record, tmp_path):
    written = write_record(make_record(), tmp_path / "a" / "record.json")
    assert read_record(tmp_path / "a" / "record.json") == written
    assert written == dataclasses.replace(make_record(), digest=written.digest)
    assert os.listdir(tmp_path / "a") == ["record.json"]


def test_a_score_that_is_not_finite_is_written_as_null(make_record, tmp_path):
    write_record(make_record(score=float("nan"), diverged=1), tmp_path / "record.json")
    assert read_record(tmp_path / "record.json").scores["test-best"] == {"accuracy": None}


def change(file, **new):
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, **new}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.write_text(file.read_text()[:-100]), "truncated"),
        (lambda file: file.write_text(""), "truncated"),
        (lambda file: file.write_text("[]"), "no schema"),
        (lambda file: file.write_text("[" * 100_000), "truncated or no JSON"),
        (lambda file: file.write_bytes(b"\xff\xfe\x00"), "truncated"),
        (lambda file: change(file, scores={"test-best": {"accuracy": 99.9}}), "changed after"),
        (lambda file: change(file, schema=2), "schema 2"),
        (lambda file: change(file, schema="1"), "schema '1'"),
        (lambda file: change(file, extra=1), "extra"),
        (lambda file: change(file, best_epoch=float("nan")), "not finite"),
        (
            lambda file: file.write_text(
                json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "scores"})
            ),
            "lacks the key scores",
        ),
        (lambda file: file.unlink(), "cannot be read"),
    ],
)
def test_a_damaged_record_is_refused_with_its_name(make_record, tmp_path, damage, said):
    file = tmp_path / "record.json"
    write_record(make_record(), file)
    damage(file)
    with pytest.raises(UserError, match=said) as caught:
        read_record(file)
    assert str(file) in str(caught.value)


def test_another_spelling_of_the_same_content_is_the_same_record(make_record, tmp_path):
    written = write_record(make_record(), tmp_path / "record.json")
    content = json.loads((tmp_path / "record.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps(content, sort_keys=True, indent=4))
    assert read_record(tmp_path / "record.json") == written


def test_what_was_there_stays_when_writing_fails(make_record, tmp_path, monkeypatch):
    file = tmp_path / "record.json"
    write_record(make_record(seed=1), file)
    before = file.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        write_record(make_record(seed=2), file)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["record.json"]
