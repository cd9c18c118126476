"""A run's name changes with what can change its result, and with nothing else."""

from __future__ import annotations

import copy
import os

import pytest

from repro.records import identity
from repro.records.identity import configuration_identity, content_digest, file_digest, versions, without

CONFIG = {
    "seed": 0,
    "optim": {"lr": 16},
    "task": {"_target_": "repro.tasks.glue.GLUE", "name": "mrpc", "data_dir": "here"},
    "trainer": {"max_epochs": 3, "devices": 1},
    "runs_dir": "runs",
    "outside_identity": ["outside_identity", "runs_dir", "task.data_dir", "trainer.devices"],
}


def name(config=CONFIG, **others):
    return configuration_identity(config, **({"inputs": {}, "given": {}, "data": {}, "network": None} | others))


def changed(path, value):
    config = copy.deepcopy(CONFIG)
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return config


@pytest.mark.parametrize(
    ("path", "value"),
    [(("seed",), 1), (("optim", "lr"), 17), (("task", "name"), "rte"), (("trainer", "max_epochs"), 4)],
)
def test_what_can_change_a_result_changes_the_identity(path, value):
    assert name(changed(path, value)) != name()


@pytest.mark.parametrize(
    ("path", "value"),
    [(("runs_dir",), "there"), (("task", "data_dir"), "there"), (("trainer", "devices"), 2), (("optim", "lr"), 16.0)],
)
def test_what_cannot_change_a_result_leaves_the_identity(path, value):
    assert name(changed(path, value)) == name()


def test_inputs_data_and_given_folders_are_part_of_the_identity():
    names = {
        name(),
        name(inputs={"start": "abc"}),
        name(given={"start": "abc"}),
        name(data={"train": "abc"}),
        name(network="abc"),
    }
    assert len(names) == 5


def test_an_identity_is_twelve_hex_digits():
    assert len(name()) == 12
    int(name(), 16)


def test_versions_are_read_from_the_source_of_a_class_its_bases_and_what_its_file_imports():
    found = versions("repro.tasks.glue.GLUE")
    assert {"GLUE", "Task", "repro.metrics.classification", "repro.world"} <= found.keys()
    assert all(isinstance(number, int) for number in found.values())
    assert versions("lightning.Trainer") == {}


def test_a_raised_version_changes_the_identity(monkeypatch):
    before = name()
    monkeypatch.setattr(identity, "versions", lambda target: {"GLUE": 99})
    assert name() != before


def test_without_takes_dotted_keys():
    assert without({"a": {"b": 1, "c": 2}, "d": 3}, ["a.b", "d"]) == {"a": {"c": 2}}


def test_a_folder_is_known_by_its_content_and_not_by_its_place(tmp_path):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "config.json").write_text("{}")
    assert content_digest(tmp_path / "one", tmp_path) == content_digest(tmp_path / "two", tmp_path)
    (tmp_path / "two" / "config.json").write_text("{ }")
    assert content_digest(tmp_path / "one", tmp_path) != content_digest(tmp_path / "two", tmp_path)
    assert content_digest("roberta-base", tmp_path) == "roberta-base"


def test_the_remembered_digest_of_a_large_file_follows_its_content(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(b"a" * (1 << 20))
    first = file_digest(file, tmp_path / "cache")
    assert file_digest(file, tmp_path / "cache") == first
    file.write_bytes(b"b" * (1 << 20))
    os.utime(file, ns=(1, 1))
    assert file_digest(file, tmp_path / "cache") != first
