"""The verb `score`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from repro.__main__ import main

FIXTURES = Path(__file__).parents[1] / "fixtures"
LOCAL = ("--scale", "local", "--data-dir", str(FIXTURES))


@pytest.fixture
def official(tmp_path) -> str:
    (tmp_path / "MRPC.tsv").write_text("index\tprediction\n0\t1\n1\t1\n2\t1\n3\t0\n")
    return str(tmp_path / "MRPC.tsv")


def test_metrics_and_count_are_printed_aligned(official, capsys):
    assert main(["score", "glue/mrpc", official, *LOCAL]) == 0
    assert capsys.readouterr().out == (
        "glue/mrpc validation (glue/MRPC/dev.tsv)\naccuracy     75.00\nf1           80.00\nexamples         4\n"
    )


def test_json_is_one_object(official, capsys):
    assert main(["score", "glue/mrpc", official, "--json", *LOCAL]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["scores"] == {"accuracy": 75.0, "f1": 80.0}
    assert (printed["task"], printed["split"], printed["examples"]) == ("glue/mrpc", "validation", 4)
    assert len(printed["digest"]) == 64


def test_overrides_name_other_places_and_files(official, capsys):
    words = ["scale=local", f"data_dir={FIXTURES}", "task.files.validation=glue/RTE/dev.tsv"]
    assert main(["score", "glue/mrpc", official, *words]) == 2
    assert "line 1: there is no column '#1 String'" in capsys.readouterr().err


def test_a_runs_saved_predictions_give_the_same(tmp_path, capsys):
    rows = [{"id": key, "prediction": one, "scores": [0.1, 0.2]} for key, one in enumerate([1, 1, 1, 0])]
    (tmp_path / "validation-best.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["score", "glue/mrpc", str(tmp_path / "validation-best.jsonl"), *LOCAL]) == 0
    assert "f1           80.00" in capsys.readouterr().out


def test_the_generated_world_is_the_default(tmp_path, capsys, monkeypatch):
    from repro import world

    rows = [{"id": key, "sentence1": "a", "sentence2": "b", "label": key % 2} for key in range(4)]
    monkeypatch.setattr(world, "glue", lambda task, split: rows)
    (tmp_path / "p.tsv").write_text("index\tprediction\n0\t0\n1\t1\n2\t0\n3\t0\n")
    assert main(["score", "glue/mrpc", str(tmp_path / "p.tsv"), "--split", "test"]) == 0
    assert "accuracy     75.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["glue/mrcp", "FILE"], "task=glue/mrcp is not known: did you mean glue/mrpc?"),
        (["glue/mrpc", "FILE", "--split", "validatoin", *LOCAL], "no split validatoin with labels: did you mean vali"),
        (["glue/mrpc", "FILE", "--scale", "locla"], "scale=locla is not known: did you mean local?"),
        (["glue/mrpc", "FILE", "data_dri=x"], "data_dri is no key of scoring glue/mrpc: did you mean data_dir?"),
        (["glue/mrpc", "no/such.tsv", *LOCAL], "no/such.tsv can't be read: No such file or directory"),
        (["glue/mrpc", "FILE", "--scale", "local", "--data-dir", "/nowhere"], "/nowhere/glue/MRPC/dev.tsv is missing"),
    ],
)
def test_mistakes_are_named_without_a_traceback(words, message, official, capsys):
    assert main(["score", *(official if word == "FILE" else word for word in words)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_no_network_library_is_loaded(official):
    import subprocess
    import sys

    code = (
        f"import sys; from repro.__main__ import main; main(['score', 'glue/mrpc', {official!r}, *{LOCAL!r}]); "
        "assert not {'transformers.modeling_utils', 'datasets'} & sys.modules.keys()"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
