"""`table`: equal bytes from wherever the records come, and a table in spite of broken ones."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time

import pytest

from repro import paths
from repro.cli import table
from repro.errors import UserError
from repro.ledger.published import papers, published
from repro.records.record import write_record


@pytest.fixture
def runs(make_record, places):
    written = []
    for task in ("mrpc", "rte"):
        for seed in range(2):
            record = make_record(task=task, seed=seed, score=80.0 + seed)
            written.append(write_record(record, places.runs_dir / "lora/glue" / task / record.identity / "record.json"))
    return written


def printed(capsys, *arguments):
    code = table.main(["lora", *arguments])
    return code, capsys.readouterr()


FORMS = ["terminal", "md", "tex", "csv", "json", "html"]


def fake_project(monkeypatch, runs, tmp_path):
    """Lets W&B's client answer with the runs' records."""
    from repro.runs import wandb_source

    class Stored:
        name, size = "record.json", 1

        def __init__(self, source):
            self.source = source

        def download(self, root, replace):
            os.makedirs(root, exist_ok=True)
            return open(shutil.copy(self.source, os.path.join(root, self.name)))

    class Run:
        def __init__(self, record):
            self.id, self.files = record.identity, lambda names: [Stored(kept[record.identity])]

    class Api:
        def runs(self, path, per_page):
            return [Run(record) for record in runs]

    kept = {one.identity: shutil.copy(one.path, tmp_path / f"{one.identity}.json") for one in runs}
    monkeypatch.setattr(wandb_source, "_api", Api)


@pytest.mark.parametrize("form", FORMS)
def test_offline_wandb_folders_and_a_wandb_project_give_equal_bytes(runs, places, tmp_path, capsys, monkeypatch, form):
    for number, record in enumerate(runs):
        files = tmp_path / "elsewhere" / "wandb" / f"offline-run-{number}" / "files"
        files.mkdir(parents=True)
        shutil.copy(record.path, files / "record.json")
    fake_project(monkeypatch, runs, tmp_path)
    local = printed(capsys, "--format", form)
    assert local[0] == 0
    assert "80.5" in local[1].out
    shutil.rmtree(places.runs_dir)
    assert printed(capsys, "--format", form)[1].out != local[1].out
    assert printed(capsys, "--format", form, "--from", str(tmp_path / "elsewhere")) == local
    assert printed(capsys, "--format", form, "--from", "wandb:we/lab") == local


def test_broken_records_are_named_and_the_table_is_made(runs, capsys):
    whole = printed(capsys)[1].out
    for number, record in enumerate(runs[:3]):
        bad = record.path.parent.parent / f"bad{number}" / "record.json"
        bad.parent.mkdir()
        text = record.path.read_text()
        bad.write_text(
            [
                text[:300],
                text.replace("80.0", "99.0").replace("81.0", "99.0"),
                json.dumps({**json.loads(text), "schema": 7}),
            ][number]
        )
    code, said = printed(capsys)
    assert code == 1
    assert said.out == whole
    assert all(f"bad{number}/record.json" in said.err for number in range(3))


def test_a_number_that_is_none_is_named(runs, capsys):
    bad = runs[0].path.parent.parent / "nan" / "record.json"
    bad.parent.mkdir()
    bad.write_text(runs[0].path.read_text().replace("80.0", "NaN"))
    code, said = printed(capsys)
    assert code == 1
    assert "nan/record.json holds a number that is not finite" in said.err


def test_a_record_that_fits_two_rows_is_named_and_stands_in_neither(runs, capsys, monkeypatch):
    from dataclasses import replace

    from repro.ledger import report
    from repro.ledger.published import published

    facts = [fact for fact in published("lora") if fact.table == "T2" and fact.column == "MRPC"]
    one = next(fact for fact in facts if fact.condition.get("paper") == "lora")
    monkeypatch.setattr(report, "published", lambda _: (one, replace(one, row="again")))
    code, said = printed(capsys)
    assert code == 1
    assert f"{runs[0].path} fits 2 rows of T2: {one.row} and again" in said.err
    assert "80.5" not in said.out


@pytest.fixture
def facts(tmp_path, monkeypatch):
    """A copy of the published numbers, which a test may break."""
    for name in ("lora", "gqa", "bitnet"):
        shutil.copytree(paths.FACTS / name, tmp_path / "facts" / name)
    monkeypatch.setattr(paths, "FACTS", tmp_path / "facts")
    published.cache_clear()
    yield tmp_path / "facts"
    published.cache_clear()


@pytest.mark.parametrize("form", [*FORMS, "--write"])
def test_a_broken_line_of_one_paper_leaves_the_others(facts, runs, places, tmp_path, capsys, form):
    file = facts / "gqa" / "published.csv"
    file.write_text(file.read_text() + "gqa,T1\n")
    asked = ["--write"] if form == "--write" else ["--format", form, "--out", str(tmp_path / "out")]
    assert table.main(asked) == 1
    said = capsys.readouterr()
    assert f"{file} line" in said.err
    assert "lora" in said.out
    made = places.results_dir if form == "--write" else tmp_path / "out"
    assert sorted(one.name.partition(".")[0] for one in made.iterdir()) == ["bitnet", "lora"]


def test_other_files_of_a_paper_that_are_broken_are_named(facts, runs, capsys):
    (facts / "gqa" / "tables.yaml").write_text("{")
    (facts / "bitnet" / "claims.yaml").write_text("- {")
    assert table.main(["--format", "json"]) == 1
    said = capsys.readouterr()
    assert "gqa/tables.yaml is no YAML" in said.err
    assert "bitnet/claims.yaml is no YAML" in said.err
    assert [one["paper"] for one in json.loads(said.out)] == ["lora"]


def test_a_scale_can_be_chosen(runs, capsys):
    assert "ours, tiny" in printed(capsys, "--scale", "tiny", "--format", "md")[1].out
    assert "ours" not in printed(capsys, "--scale", "local", "--format", "md")[1].out


def test_write_makes_the_pages_and_again_touches_nothing(runs, places, capsys):
    places.results_dir.mkdir()
    top = places.results_dir.parent / "README.md"
    top.write_text("# Top\n<!-- table lora -->\n<!-- /table -->\nend\n")
    assert table.main(["--write"]) == 0
    page = (places.results_dir / "lora" / "README.md").read_text()
    assert "## Scale tiny" in page
    assert "ours, tiny (tiny/encoder), 2 seeds" in page
    assert "## Scale paper" not in page
    assert "not reproduced" in page or "not run" in page
    assert "numbers recomputed" in page
    assert {one.name for one in places.results_dir.iterdir()} == set(papers())
    assert "ours, tiny" in top.read_text()
    assert top.read_text().endswith("<!-- /table -->\nend\n")
    assert "BitFit" not in top.read_text()
    before = {file: file.stat().st_mtime_ns for file in [top, *places.results_dir.rglob("*.*")]}
    capsys.readouterr()
    began = time.perf_counter()
    assert table.main(["--write"]) == 0
    assert time.perf_counter() - began < 2.0
    assert capsys.readouterr().out.endswith("\n0 files written\n")
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_figures_are_written_in_two_forms_and_the_page_shows_them(make_record, places):
    curves = {"file": "m", "digest": "c", "points": {"validation/accuracy": [[10, 50.0], [20, 60.0]]}}
    record = make_record(curves=curves)
    write_record(record, places.runs_dir / "lora" / record.identity / "record.json")
    assert table.main(["lora", "--write"]) == 0
    folder = places.results_dir / "lora"
    assert {"curves-T2-tiny.svg", "curves-T2-tiny.png"} <= {file.name for file in folder.iterdir()}
    assert "](curves-T2-tiny.svg)" in (folder / "README.md").read_text()
    assert table.main(["lora", "--format", "html", "--out", str(folder)]) == 0
    drawn = (folder / "lora.html").read_text()
    (folder / "curves-T2-tiny.svg").unlink()
    assert table.main(["lora", "--format", "html", "--out", str(folder)]) == 0
    assert (folder / "lora.html").read_text() == drawn


def test_a_page_beside_the_kept_records_leads_to_them_and_another_names_them(make_record, places, tmp_path, capsys):
    record = make_record()
    write_record(record, places.results_dir / "records" / record.file_name)
    assert table.main(["lora", "--format", "html", "--out", str(places.results_dir / "lora")]) == 0
    link = f'href="../records/{record.file_name}"'
    page = places.results_dir / "lora" / "lora.html"
    assert link in page.read_text()
    assert (page.parent / "../records" / record.file_name).is_file()
    assert table.main(["lora", "--format", "html", "--out", str(tmp_path)]) == 0
    assert link not in (tmp_path / "lora.html").read_text()
    assert record.file_name in (tmp_path / "lora.html").read_text()


@pytest.mark.parametrize("form", FORMS)
def test_out_writes_what_is_printed(runs, tmp_path, capsys, form):
    text = printed(capsys, "--format", form)[1].out
    assert printed(capsys, "--format", form, "--out", str(tmp_path / "deep" / "er"))[0] == 0
    ending = table.ENDINGS[form]
    assert (tmp_path / "deep" / "er" / f"lora.{ending}").read_text() == text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lroa"], "did you mean lora"),
        (["lora", "--from", "nowhere"], "nowhere is no folder"),
        (["--format", "html"], "name one paper, or --out FOLDER"),
        (["--write", "--out", "x"], "leave out --out"),
        (["--write", "--scale", "tiny"], "leave out --out, --scale"),
        (["lora", "--from", "wandb:lab"], "wandb:ENTITY/PROJECT"),
    ],
)
def test_a_mistake_is_named(places, arguments, said):
    with pytest.raises(UserError, match=said):
        table.main(arguments)


def test_a_folder_without_records_is_named(places, tmp_path):
    with pytest.raises(UserError, match="no offline W&B run"):
        table.main(["lora", "--from", str(tmp_path)])


def seconds_and_imports(*arguments):
    """Runs the verb in a process of its own; returns its processor's seconds (those on the wall are other tests' too),
    and what it printed, heavy imports on stderr.
    """
    heavy = ("torch", "lightning", "transformers", "hydra", "wandb", "matplotlib", "pandas")
    code = (
        f"import sys; from repro.cli import table; table.main({list(arguments)}); "
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=paths.ROOT, env=os.environ, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


def test_all_papers_and_a_thousand_records_take_less_than_two_seconds(make_record, places, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for paper in ("lora", "finetune", "frozen", "prefix_tuning"):
        for task in ("mrpc", "rte", "mnli", "qnli", "qqp"):
            for seed in range(50):
                record = make_record(paper=paper, task=task, seed=seed, scale="local", network="none")
                write_record(record, places.runs_dir / paper / "glue" / task / record.identity / "record.json")
    seconds, done = min(seconds_and_imports() for _ in range(2))
    assert done.stderr.strip() == "[]"
    assert "50 seeds" in done.stdout
    assert seconds < 2.0
    assert not set(done.stdout) & set(map(chr, range(32))) - {"\n"}
