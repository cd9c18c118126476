"""Curves drawn from records."""

from __future__ import annotations

from xml.etree import ElementTree

from repro.ledger.figures import training_curves
from repro.ledger.published import about, published
from repro.ledger.tables import table_facts


def drawn(records):
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
    first = drawn(records)
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert drawn(records[::-1]) == first


def test_another_curve_is_another_figure(make_record):
    assert drawn([with_curve(make_record, "lora", 0, 60.0)]) != drawn([with_curve(make_record, "lora", 0, 61.0)])


def test_records_without_curves_give_no_figure(make_record):
    assert drawn([make_record()]) is None
