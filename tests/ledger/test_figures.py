"""Figures: the same bytes each time, and drawn only when what they show has changed."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from repro.ledger.figures import claims_forest, encoded, training_curves
from repro.ledger.published import about, published
from repro.ledger.tables import table_facts


def planned(records):
    return training_curves(about("lora", "baselines")[0], table_facts(published("lora"))["T2"], records, "tiny")


def with_curve(make_record, paper, seed, last):
    return make_record(
        paper=paper,
        task="mrpc",
        seed=seed,
        curves={"file": "m", "digest": "c", "points": {"validation/accuracy": [[10, 50.0], [20, last]]}},
    )


def test_a_figure_is_the_same_bytes_whatever_the_order_of_the_records(make_record):
    records = [with_curve(make_record, paper, seed, 60.0 + seed) for paper in ("lora", "finetune") for seed in (0, 1)]
    one, other = planned(records), planned(records[::-1])
    assert ElementTree.fromstring(one.svg()).tag.endswith("svg")
    assert one.svg() == other.svg()
    assert one.inputs == other.inputs
    assert encoded(one.draw(), "png", one.inputs) == encoded(other.draw(), "png", other.inputs)


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_figure_holds_no_date_and_no_version(make_record, form):
    import matplotlib

    figure = planned([with_curve(make_record, "lora", 0, 60.0)])
    drawn = encoded(figure.draw(), form, figure.inputs)
    assert figure.inputs.encode() in drawn
    assert b"<dc:date>" not in drawn
    assert b"Software" not in drawn
    assert matplotlib.__version__.encode() not in drawn


def test_another_curve_is_another_figure(make_record):
    one, other = (planned([with_curve(make_record, "lora", 0, last)]) for last in (60.0, 61.0))
    assert one.inputs != other.inputs
    assert one.svg() != other.svg()


def test_records_without_curves_give_no_figure(make_record):
    assert planned([make_record()]) is None


def test_a_figure_is_drawn_only_when_its_inputs_have_changed(make_record, tmp_path):
    figure = planned([with_curve(make_record, "lora", 0, 60.0)])
    assert [changed for _, changed in figure.write(tmp_path)] == [True, True]
    undrawable = replace(figure, draw=lambda: pytest.fail("drawn anew"))
    assert [changed for _, changed in undrawable.write(tmp_path)] == [False, False]
    assert undrawable.svg(tmp_path) == figure.svg()
    other = planned([with_curve(make_record, "lora", 0, 61.0)])
    assert [changed for _, changed in other.write(tmp_path)] == [True, True]
    (tmp_path / f"{other.name}.png").unlink()
    assert [changed for _, changed in other.write(tmp_path)] == [False, True]


def test_the_forest_has_the_contrasts_of_one_scale(make_judged):
    judged = [make_judged(scale="tiny"), make_judged(scale="local", network="minilm", estimate=3.0)]
    tiny = claims_forest(judged, "tiny")
    assert tiny.name == "claims-tiny"
    assert tiny.svg() == claims_forest(judged[:1], "tiny").svg()
    assert claims_forest(judged, "local").inputs != tiny.inputs
    assert claims_forest(judged, "paper") is None
    assert claims_forest([make_judged(scale="tiny", estimate=None)], "tiny") is None
