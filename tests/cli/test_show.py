"""`show`: what a run was, and its curves."""

from __future__ import annotations

import json

import pytest

from repro.cli import show
from repro.errors import UserError
from repro.ledger.curves import plot
from repro.records.record import write_record


@pytest.fixture
def run(make_record, places):
    record = make_record(notes=["starts from the encoder"], deviates=["optim.lr"])
    return write_record(record, places.runs_dir / "lora/glue/mrpc" / record.identity / "record.json")


def test_it_shows_settings_scores_curves_and_places(run, capsys):
    lines = [{"step": step, "epoch": 0, "train/loss": 2.0 - step / 10} for step in range(10)] + [
        {"step": 5, "validation/accuracy": 71.5}
    ]
    (run.path.parent / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert show.main([run.identity[:6]]) == 0
    text = capsys.readouterr().out
    for wanted in (
        "lora on glue/mrpc: finished",
        run.identity,
        "deviates  optim.lr",
        "note      starts from the encoder",
        "accuracy 80.00",
        "optim.lr: 0.001",
        'paper.targets: ["query", "value"]',
        "train/loss (10 points)",
        "validation/accuracy (1 points)",
        str(run.path),
    ):
        assert wanted in text
    assert not set(text) & set(map(chr, range(32))) - {"\n"}


def test_a_kept_record_shows_its_curves_from_the_points_in_it(tmp_path, make_record, capsys):
    points = {"train/loss": [[1, 0.7], [2, 0.5], [3, 0.4]]}
    record = write_record(
        make_record(curves={"file": "metrics.jsonl", "digest": "c", "points": points}), tmp_path / "kept.json"
    )
    show.main([str(record.path)])
    assert "train/loss (3 points)" in capsys.readouterr().out


def test_it_shows_what_the_run_took(tmp_path, make_record, capsys):
    measures = {"train_flops": 1_234_567_890, "energy_joules": 840.5, "energy_source": "estimate: 84.1 CPU seconds"}
    record = write_record(make_record(measures=measures | {"predict_flops": None}), tmp_path / "kept.json")
    show.main([str(record.path)])
    text = capsys.readouterr().out
    for line in (
        "train_flops             1,234,567,890",
        "joules           840.5",
        "source           estimate: 84.1 CPU",
    ):
        assert line in text
    assert "predict_flops" not in text


def test_a_record_from_before_energy_and_operations_were_measured_shows_the_others(run, capsys):
    show.main([run.identity])
    text = capsys.readouterr().out
    assert "trainable_parameters    28,800" in text
    assert "flops" not in text


def test_a_broken_line_of_the_curves_is_named(run):
    (run.path.parent / "metrics.jsonl").write_text('{"step": 1, "train/loss": 1.0}\n{"step": 2, "tra')
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2"):
        show.main([run.identity])


def test_an_unknown_run_is_refused(places):
    with pytest.raises(UserError, match="there is no run abc"):
        show.main(["abc"])


def test_a_falling_line_is_drawn_from_the_upper_left_to_the_lower_right():
    # 4 x 8 dots, two below each other in every column: dots 1, 2, 6 and 8 of a character
    assert plot([(0, 7.0), (3, 0.0)], width=2, height=2) == ["7 ┤\u28a3\u2800", "0 ┤\u2800\u28a3", "   step 03"]
