"""`table`: equal bytes from wherever the records come, and a table in spite of broken ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from repro import paths
from repro.cli import table
from repro.errors import UserError
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


@pytest.mark.parametrize("form", ["terminal", "md"])
def test_offline_wandb_folders_give_equal_bytes(runs, places, tmp_path, capsys, form):
    for number, record in enumerate(runs):
        files = tmp_path / "elsewhere" / "wandb" / f"offline-run-{number}" / "files"
        files.mkdir(parents=True)
        shutil.copy(record.path, files / "record.json")
    local = printed(capsys, "--format", form)
    assert printed(capsys, "--format", form, "--from", str(tmp_path / "elsewhere")) == local
    shutil.rmtree(places.runs_dir)
    assert printed(capsys, "--format", form)[1].out != local[1].out


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


def test_a_scale_can_be_chosen(runs, capsys):
    assert "ours, tiny" in printed(capsys, "--scale", "tiny", "--format", "md")[1].out
    assert "ours" not in printed(capsys, "--scale", "local", "--format", "md")[1].out


def test_write_makes_the_pages_and_again_changes_nothing(runs, places, capsys):
    places.results_dir.mkdir()
    top = places.results_dir.parent / "README.md"
    top.write_text("# Top\n<!-- table lora -->\n<!-- /table -->\nend\n")
    assert table.main(["lora", "--write"]) == 0
    page = (places.results_dir / "lora" / "README.md").read_text()
    assert "## Scale tiny" in page
    assert "ours, tiny (tiny/encoder), 2 seeds" in page
    assert "No record yet." in page.split("## Scale paper")[1]
    assert "ours, tiny" in top.read_text()
    assert top.read_text().endswith("<!-- /table -->\nend\n")
    assert "BitFit" not in top.read_text()
    capsys.readouterr()
    table.main(["lora", "--write"])
    assert capsys.readouterr().out.count("as it was") == 2


@pytest.mark.parametrize(
    ("arguments", "said"), [(["lroa"], "did you mean lora"), (["lora", "--from", "nowhere"], "nowhere is no folder")]
)
def test_a_mistake_is_named(places, arguments, said):
    with pytest.raises(UserError, match=said):
        table.main(arguments)


def test_a_folder_without_records_is_named(places, tmp_path):
    with pytest.raises(UserError, match="no offline W&B run"):
        table.main(["lora", "--from", str(tmp_path)])


def test_it_is_quick_and_imports_nothing_heavy(runs):
    code = (
        "import sys; from repro.cli import table; table.main(['lora']); "
        "sys.exit(str([m for m in ('torch', 'lightning', 'transformers', 'hydra') if m in sys.modules] or ''))"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=paths.ROOT, env=os.environ, check=False
    )
    assert done.stderr.strip() == ""
    assert time.perf_counter() - began < 2.0
    assert not set(done.stdout) & set(map(chr, range(32))) - {"\n"}
