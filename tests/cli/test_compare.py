"""`compare`: two runs on the same examples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from repro import paths, world
from repro.__main__ import main
from repro.cli import compare
from repro.metrics.sufficient import place_of
from repro.records.identity import file_digest
from repro.records.record import write_record
from repro.tasks.glue import GLUE

TRUE = [1, 1, 1, 1, 0, 0, 0, 0]
FIRST = [1, 1, 1, 0, 0, 0, 0, 0]  # 7 of 8 right; F1 2 * 3 / (2 * 3 + 1) = 85.71
SECOND = [1, 1, 0, 0, 1, 0, 0, 1]  # 4 of 8 right; F1 2 * 2 / (2 * 2 + 2 + 2) = 50
SIMILAR = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 2.5, 1.5]


@pytest.fixture
def small_world(monkeypatch):
    """Replaces the world's examples by eight pairs of sentences, whatever the task and split."""

    def rows(task, split):
        labels = SIMILAR if task == "stsb" else TRUE
        return [
            {"id": place, "sentence1": f"{split} the {place}", "sentence2": "a cat sat", "label": label}
            for place, label in enumerate(labels)
        ]

    monkeypatch.setattr(world, "glue", rows)


@pytest.fixture
def made(small_world, make_record, places):
    """Returns a function that writes a finished run's folder: its record and its predictions."""

    def make(predictions, task="mrpc", split="test", kept=False, **fields):
        about = GLUE(name=task, suite="glue", source="world")
        lines = [{"id": place, "prediction": one} for place, one in enumerate(predictions)]
        config = {"task": {"_target_": "repro.tasks.glue.GLUE", "name": task, "suite": "glue", "source": "world"}}
        config |= {"outside_identity": [], "paper": {"rank": len(fields)}}
        plain = make_record(task=task, config=config | {"made": str(predictions) + split}, **fields)
        folder = places.runs_dir / plain.paper / plain.task / plain.identity
        (folder / "predictions").mkdir(parents=True)
        file = folder / "predictions" / f"{split}-best.jsonl"
        about.write_predictions(lines, file, split)
        if kept:
            about.write_statistics(lines, file, split)
        record = make_record(
            task=task,
            config=plain.config,
            identity=plain.identity,
            scores={f"{split}-best": about.score(lines, split)},
            predictions={f"{split}-best": file_digest(file, places.cache_dir)},
            data={split: {"source": "world", "digest": about.examples(split).digest, "rows": 8}},
            **fields,
        )
        return write_record(record, folder / "record.json")

    return make


def printed(capsys, *words):
    code = main(["compare", *map(str, words)])
    return code, capsys.readouterr()


def test_scores_difference_wins_and_disagreements_are_printed(made, capsys):
    first, second = made(FIRST), made(SECOND, paper="finetune", seed=1)
    code, said = printed(capsys, first.identity, second.identity)
    assert code == 0
    text = said.out
    assert f"A  {first.identity}  lora, roberta-base at scale tiny (tiny/encoder), seed 0, best epoch" in text
    assert "differing in paper, made, seed" in text
    assert "glue/mrpc, test split, 8 examples" in text
    table = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith(("accuracy", "f1"))}
    assert table["accuracy"][1:4] == ["87.50", "50.00", "+37.50"]
    assert table["f1"][1:4] == ["85.71", "50.00", "+35.71"]
    # A alone is right on 3 of 8: binomial(8, 3/8) is 0 in 2.3% of the draws, at most 5 in 96.4%, at most 6 in 99.4%
    assert table["accuracy"][4] in ("+0.00", "+12.50")
    assert table["accuracy"][5:] == ["to", "+75.00"]
    assert "A better 3 (37.5%), B better 0 (0.0%), ties 5 (62.5%)  (better: right where the other is wrong)" in text
    assert "3 of 8 predictions differ; 3 of them:" in text
    assert "4: reference 0, A 0, B 1\n  #1 String: test the 4\n  #2 String: a cat sat\n" in text


def test_kept_statistics_give_the_same_and_are_not_made_anew(made, capsys):
    first, second = made(FIRST), made(SECOND, seed=1)
    without = printed(capsys, first.identity, second.identity)[1].out
    assert "A, B: statistics made anew from the predictions\n" in without
    task = GLUE(name="mrpc", suite="glue", source="world")
    for record, predictions in ((first, FIRST), (second, SECOND)):
        file = record.path.parent / "predictions" / "test-best.jsonl"
        before = file.read_bytes()
        task.write_statistics([{"id": place, "prediction": one} for place, one in enumerate(predictions)], file, "test")
        assert file.read_bytes() == before  # the digest in the record stays
    assert printed(capsys, first.identity, second.identity)[1].out == without.replace(
        "A, B: statistics made anew from the predictions\n", ""
    )
    place_of(first.path.parent / "predictions" / "test-best.jsonl").unlink()
    assert "\nA: statistics made anew" in printed(capsys, first.identity, second.identity)[1].out


def test_statistics_of_other_predictions_are_not_believed(made, capsys):
    first, second = made(FIRST, kept=True), made(SECOND, seed=1, kept=True)
    file = place_of(first.path.parent / "predictions" / "test-best.jsonl")
    head, *lines = file.read_text().splitlines()
    wrong = json.dumps(json.loads(head) | {"predictions": "of another run"})
    file.write_text("\n".join([wrong, *[line.replace("[1]", "[0]") for line in lines]]) + "\n")
    text = printed(capsys, first.identity, second.identity)[1].out
    assert "\nA: statistics made anew" in text
    assert "87.50" in text


def test_one_metric_and_the_number_of_examples_can_be_chosen(made, capsys):
    first, second = made(FIRST, kept=True), made(SECOND, seed=1, kept=True)
    text = printed(capsys, "--metric", "f1", first.identity, second.identity, "--examples", "1")[1].out
    assert "accuracy" not in text
    assert "3 of 8 predictions differ; 1 of them:" in text
    assert text.count("reference") == 1
    assert "predictions differ" not in printed(capsys, first.identity, second.identity, "--examples", "0")[1].out


def test_numbers_are_compared_by_their_nearness_the_furthest_apart_first(made, capsys):
    near = [one + 0.1 for one in SIMILAR]
    far = [one + (2.0 if place == 3 else -0.5) for place, one in enumerate(SIMILAR)]
    text = printed(capsys, made(near, "stsb").identity, made(far, "stsb", seed=1).identity)[1].out
    assert "A better 8 (100.0%), B better 0" in text
    assert "nearer to the reference" in " ".join(text.split())
    assert text.index("3: reference 3.00, A 3.10, B 5.00") < text.index("0: reference 0.00, A 0.10, B -0.50")
    assert "pearson   100.00" in text


def test_a_run_and_itself_differ_by_nothing(made, capsys):
    one = made(FIRST)
    text = printed(capsys, one.identity, one.identity)[1].out
    assert "one and the same cell" in text
    assert "+0.00 to +0.00" in text
    assert text.endswith("0 of 8 predictions differ\n")


def test_validation_is_taken_where_one_has_no_test(made, capsys):
    first, second = made(FIRST, split="validation"), made(SECOND, split="validation", seed=1)
    assert "validation split" in printed(capsys, first.identity, second.identity)[1].out


def refused(capsys, *words):
    code, said = printed(capsys, *words)
    assert code == 2
    assert len(said.err.splitlines()) == 1
    return said.err


def test_runs_that_cannot_be_compared_are_named(made, capsys):
    one, other = made(FIRST).identity, made(SIMILAR, "stsb").identity
    assert f"{one} is of glue/mrpc, {other} of glue/stsb" in refused(capsys, one, other)
    second = made(SECOND, seed=1).identity
    assert f"{one} has no predictions of split tset: did you mean test?" in refused(
        capsys, one, second, "--split", "tset"
    )
    assert "there is no metric accurcy here: did you mean accuracy?" in refused(
        capsys, one, second, "--metric", "accurcy"
    )
    assert "data_dri is no place: did you mean data_dir?" in refused(capsys, one, second, "data_dri=x")


def test_other_data_are_named_by_their_digests(made, monkeypatch, capsys):
    first = made(FIRST)
    monkeypatch.setattr(
        world,
        "glue",
        lambda *_: [{"id": n, "sentence1": "b", "sentence2": "c", "label": one} for n, one in enumerate(TRUE)],
    )
    second = made(SECOND, seed=1)
    error = refused(capsys, first.identity, second.identity)
    assert f"the test examples differ: digest {first.data['test']['digest'][:12]} in {first.identity}" in error
    assert f"{second.data['test']['digest'][:12]} in {second.identity}" in error
    third = made(FIRST, seed=2)
    assert main(["compare", second.identity, third.identity]) == 0
    monkeypatch.setattr(
        world,
        "glue",
        lambda *_: [{"id": n, "sentence1": "d", "sentence2": "c", "label": one} for n, one in enumerate(TRUE)],
    )
    capsys.readouterr()
    assert "test of glue/mrpc is not what it was" in refused(capsys, second.identity, third.identity)


def test_a_kept_record_has_no_predictions(made, tmp_path, capsys):
    one = made(FIRST)
    kept = write_record(one, tmp_path / "kept.json")
    assert "has no predictions" in refused(capsys, one.identity, kept.path)


def test_changed_predictions_and_wrong_scores_are_refused(made, capsys):
    first, second = made(FIRST), made(SECOND, seed=1)
    file = second.path.parent / "predictions" / "test-best.jsonl"
    file.write_text(file.read_text().replace('"prediction": 1', '"prediction": 0'))
    assert f"{file} is not what the run wrote" in refused(capsys, first.identity, second.identity)
    third = made(SECOND, seed=2, kept=True)
    kept = place_of(third.path.parent / "predictions" / "test-best.jsonl")
    kept.write_text(kept.read_text().replace('"accuracy": [0]', '"accuracy": [1]'))
    assert "its predictions give accuracy 100.0000, its record 50.0000" in refused(
        capsys, first.identity, third.identity
    )


def test_with_kept_statistics_the_scores_come_at_once_and_without_torch(made, places):
    first, second = made(FIRST, kept=True), made(SECOND, seed=1, kept=True)
    code = (
        "import sys; from repro.__main__ import main; "
        f"main(['compare', {first.identity!r}, {second.identity!r}, '--examples', '0']); "
        "sys.exit(str([name for name in ('torch', 'lightning', 'transformers') if name in sys.modules] or ''))"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=paths.ROOT, env=os.environ, check=False
    )
    assert done.stderr.strip() == ""
    assert "+37.50" in done.stdout
    assert time.perf_counter() - began < 2.0


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_the_screen(made, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    text = printed(capsys, made(FIRST).identity, made(SECOND, paper="finetune", seed=1).identity)[1].out
    assert max(map(len, text.splitlines())) <= width


def test_parts_that_differ_as_a_whole_are_named_once():
    keys = ["config.network.name", "config.optim.lr", "config.paper.rank", "inputs.start.identity", "paper", "network"]
    assert compare._apart(keys) == ["paper", "network", "optim.lr", "inputs.start"]
