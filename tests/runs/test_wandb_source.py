"""Records from a W&B project, with an object that answers as W&B's client does."""

from __future__ import annotations

import inspect
import io
import shutil
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.records.record import write_record
from repro.records.store import read_all
from repro.runs.wandb_source import fetch_records


class FakeFile:
    def __init__(self, source: Path) -> None:
        self.source, self.name, self.size = source, "record.json", source.stat().st_size

    def download(self, root=".", replace=False, exist_ok=False, api=None) -> io.TextIOWrapper:
        target = Path(root) / self.name
        if target.exists() and not replace:
            raise ValueError("File already exists, pass replace=True to overwrite")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.source, target)
        return target.open()


class FakeRun:
    def __init__(self, name: str, sources: list[Path]) -> None:
        self.id, self._sources = name, sources

    def files(self, names=None, pattern=None, per_page=50):
        return [FakeFile(source) for source in self._sources if source.name in names]


class FakeApi:
    """Answers as `wandb.Api` does: a project that does not exist is noticed when its runs are first asked for."""

    def __init__(self, projects: dict[str, list[FakeRun]]) -> None:
        self.projects = projects

    def runs(self, path=None, filters=None, order="+created_at", per_page=50, include_sweeps=False, lazy=True):
        if path not in self.projects:
            raise ValueError(f"Could not find project {path}")
        yield from self.projects[path]


@pytest.fixture
def written(make_record, tmp_path):
    return [
        write_record(record := make_record(seed=seed), tmp_path / "server" / record.identity / "record.json")
        for seed in range(12)
    ]


def project(written, *more):
    return FakeApi({"we/lab": [*(FakeRun(one.identity, [one.path]) for one in written), *more]})


def test_the_records_of_a_project_are_those_that_were_written(written, tmp_path):
    files, without = fetch_records("we/lab", tmp_path / "cache", project(written))
    assert read_all(files) == sorted(written, key=lambda one: one.identity)
    assert without == []
    again, _ = fetch_records("we/lab", tmp_path / "cache", project(written))
    assert again == files


def test_a_run_without_a_record_is_named_and_left_out(written, tmp_path):
    empty = tmp_path / "empty" / "record.json"
    empty.parent.mkdir()
    empty.touch()
    api = project(written, FakeRun("still-running", []), FakeRun("empty", [empty]))
    files, without = fetch_records("we/lab", tmp_path / "cache", api)
    assert len(files) == 12
    assert [line.partition(" has ")[0] for line in without] == ["wandb:we/lab/empty", "wandb:we/lab/still-running"]


class Unreachable(FakeRun):
    def files(self, names=None, pattern=None, per_page=50):
        from wandb.errors import CommError

        raise CommError("the connection\nwas lost")


@pytest.mark.parametrize(
    ("name", "runs", "said"),
    [
        ("we/none", [], "wandb:we/none cannot be read.*Could not find project.*check the entity"),
        (
            "we/lab",
            [Unreachable("a", [])],
            "wandb:we/lab cannot be read.*the connection was lost.*check the connection",
        ),
        ("we/lab", [FakeRun("a", [])], "wandb:we/lab has 1 runs and none with a record.json"),
        ("lab", [], "wandb:lab is no project.*wandb:ENTITY/PROJECT"),
        ("a/b/c", [], "wandb:a/b/c is no project"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_one_line(tmp_path, name, runs, said):
    with pytest.raises(UserError, match=said) as caught:
        fetch_records(name, tmp_path, FakeApi({"we/lab": runs}))
    assert "\n" not in str(caught.value)


def test_the_object_answers_as_the_installed_wandb_does():
    import wandb
    from wandb.apis.public import File, Run

    pairs = ((FakeApi.runs, wandb.Api.runs), (FakeRun.files, Run.files), (FakeFile.download, File.download))
    for ours, theirs in pairs:
        expected, real = (inspect.signature(one).parameters for one in (ours, theirs))
        assert list(expected) == list(real), theirs
        assert [one.default for one in expected.values()] == [one.default for one in real.values()], theirs
    assert "timeout" in inspect.signature(wandb.Api.__init__).parameters
    real = File(None, {"name": "record.json", "sizeBytes": "3"})
    assert (real.name, int(real.size)) == ("record.json", 3)
    assert "id" in dir(Run)


def test_wandb_is_imported_only_to_ask_it():
    import subprocess
    import sys

    code = "import sys, repro.runs.wandb_source; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
