"""The verb `predict`: a run's predictions for files of one's own."""

from __future__ import annotations

import csv
import json

import pytest

from repro import paths
from repro.__main__ import main


def texts(own_files):
    with (own_files / "dev.csv").open(encoding="utf-8", newline="") as file:
        return [row["review"] for row in csv.DictReader(file)]


def recorded(folder):
    return [json.loads(line) for line in (folder / "predictions" / "validation-best.jsonl").read_text().splitlines()]


def test_the_file_that_the_run_was_scored_with_gives_what_it_recorded(trained, own_files, tmp_path, capsys):
    run = trained("lora")
    assert main(["predict", str(run), str(own_files / "dev.csv"), "--out", str(tmp_path / "p.jsonl")]) == 0
    assert (tmp_path / "p.jsonl").read_bytes() == (run / "predictions" / "validation-best.jsonl").read_bytes()
    assert capsys.readouterr().out == f"{tmp_path}/p.jsonl: 40 predictions of the run {run.name} (glue/custom)\n"


def test_a_file_without_labels_gives_the_labels_by_name_in_the_official_form(trained, own_files, tmp_path, capsys):
    file = tmp_path / "asked.tsv"
    file.write_text("\n".join(["review", *texts(own_files)]) + "\n", encoding="utf-8")
    assert main(["predict", str(trained("finetune")), str(file), "--batch-tokens", "70"]) == 0
    expected = [f"{row['id']}\t{('bad', 'good')[row['prediction']]}" for row in recorded(trained("finetune"))]
    assert capsys.readouterr().out.splitlines() == ["index\tprediction", *expected]
    assert main(["predict", str(trained("finetune")), str(file), "--out", str(tmp_path / "p.tsv")]) == 0
    assert (tmp_path / "p.tsv").read_text().splitlines() == ["index\tprediction", *expected]


def test_columns_are_named_where_they_are_called_otherwise(trained, own_files, tmp_path, capsys):
    renamed = (own_files / "dev.csv").read_text().replace("review,verdict", "comment,stars", 1)
    (tmp_path / "theirs.csv").write_text(renamed)
    words = ["predict", str(trained("lora")), str(tmp_path / "theirs.csv")]
    assert main([*words, "--columns", "comment", "--out", str(tmp_path / "p.jsonl")]) == 0
    assert [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()] == recorded(trained("lora"))
    capsys.readouterr()
    for columns, message in (
        ([], "theirs.csv, line 1: there is no column 'review': "),
        (["--columns", "commnt"], "theirs.csv, line 1: there is no column 'commnt': did you mean comment?"),
        (["--columns", "comment,stars"], "2 columns were named (comment, stars): glue/custom takes 1: review"),
    ):
        assert main([*words, *columns, "--out", str(tmp_path / "q.jsonl")]) == 2
        written = capsys.readouterr().err
        assert message in written
        assert written.count("\n") == 1
    assert not (tmp_path / "q.jsonl").exists()


def test_a_run_without_labels_predicts_no_file(tmp_path, capsys):
    (tmp_path / "a.tsv").write_text("sentence\nthe king sleeps\n")
    assert main(["predict", str(paths.TINY / "encoder"), str(tmp_path / "a.tsv")]) == 2
    assert "world/text predicts no file" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--batch-tokens", "0"], ["--batch-tokens", "many"]])
def test_a_batch_is_a_whole_number_of_tokens(words, capsys):
    with pytest.raises(SystemExit):
        main(["predict", "run", "file", *words])
    assert "--batch-tokens" in capsys.readouterr().err
