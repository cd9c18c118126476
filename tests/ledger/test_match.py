"""Which record stands beside which number, worked by hand."""

from __future__ import annotations

import pytest

from repro.errors import UserError
from repro.ledger.match import alike, check_alike, differences, matches
from repro.ledger.published import published

CELL = {"paper": "lora", "model": "roberta-base", "task": "glue/mrpc"}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (CELL, True),
        ({**CELL, "config.paper.rank": 8}, True),
        ({**CELL, "config.paper.rank": 8.0}, True),
        ({**CELL, "config.paper.targets": ["query", "value"]}, True),
        ({**CELL, "inputs.network.paper.groups": 2}, True),
        ({**CELL, "task": "glue"}, True),
        ({**CELL, "network": "tiny/encoder"}, True),
        ({**CELL, "task": "glue/rte"}, False),
        ({**CELL, "task": "glu"}, False),
        ({**CELL, "config.paper.rank": 4}, False),
        ({**CELL, "config.paper.rank": "8"}, False),
        ({**CELL, "config.paper.nothing": None}, False),
        ({**CELL, "inputs.network.paper.groups": 4}, False),
        ({**CELL, "inputs.start.paper.rank": 8}, False),
    ],
)
def test_a_record_matches_when_each_key_of_the_condition_has_its_value(make_record, condition, expected):
    assert matches(make_record(), condition) is expected


@pytest.mark.parametrize(
    ("deviates", "named", "expected"),
    [
        (["paper.rank"], {}, False),
        (["paper.rank"], {"config.paper.rank": 8}, True),
        (["paper.rank"], {"config.paper": None}, False),
        (["network"], {}, False),
        (["network"], {"network": "tiny/encoder"}, True),
        (["trainer.max_steps", "paper.rank"], {"config.paper.rank": 8}, False),
    ],
)
def test_every_key_that_a_record_deviates_in_must_be_named(make_record, deviates, named, expected):
    assert matches(make_record(deviates=deviates), {**CELL, **named}) is expected


def test_the_name_of_a_paper_does_not_name_its_settings(make_record):
    assert not matches(make_record(deviates=["paper.alpha"]), CELL)


def test_a_record_that_deviates_stands_beside_no_published_number(make_record):
    record = make_record(deviates=["trainer.max_steps"])
    assert not any(matches(record, fact.condition) for fact in published("lora"))
    assert any(matches(make_record(), fact.condition) for fact in published("lora"))


def test_records_that_differ_in_the_seed_and_folders_alone_are_averaged(make_record):
    assert check_alike([make_record(seed=seed) for seed in range(5)]) is None
    assert len(alike([make_record(seed=seed) for seed in range(5)])) == 1


def test_records_that_differ_in_more_are_refused_with_the_keys(make_record):
    one, two = make_record(seed=0), make_record(seed=1)
    config = {**two.config, "optim": {"lr": 0.002}}
    with pytest.raises(UserError, match=r"differ in config\.optim\.lr, data\.train are not averaged"):
        check_alike([one, make_record(seed=1, config=config, data={"train": {"digest": "other"}})])
    assert differences([one, two]) == []
    assert differences([one, make_record(seed=1, inputs={"network": {"identity": "another"}})]) == [
        "inputs.network.identity"
    ]


def test_a_seed_that_is_there_twice_is_refused(make_record):
    with pytest.raises(UserError, match="seed 3 is there more than once"):
        check_alike([make_record(seed=3, identity="a" * 12), make_record(seed=3, identity="b" * 12)])


def test_alike_parts_by_everything_but_the_seed(make_record):
    found = alike([make_record(seed=1), make_record(seed=0, network="minilm"), make_record(seed=0)])
    assert sorted([one.seed for one in group] for group in found) == [[0], [0, 1]]


STAGE = {"paper": "lora", "stage": "subspace", "task": "mrpc"}


@pytest.mark.parametrize(("named", "expected"), [({}, False), ({"stage": "subspace"}, True), ({"stage": "x"}, False)])
def test_a_record_of_a_stage_stands_only_where_the_stage_is_named(make_record, named, expected):
    assert matches(make_record(**STAGE), {**CELL, **named}) is expected
    assert not matches(make_record(), {**CELL, "stage": "subspace"})


def test_a_record_of_a_stage_stands_in_no_row_of_the_papers_runs(make_record):
    facts = [fact for fact in published("lora") if "stage" not in fact.condition]
    assert any(matches(make_record(task="mnli"), fact.condition) for fact in facts)
    assert not any(matches(make_record(**STAGE | {"task": "mnli"}), fact.condition) for fact in facts)


def followed(make_record, seed, rank=8, word=True):
    """A record of a stage whose input has the stage's own seed."""
    source = make_record(seed=seed)
    config = {**source.config, "paper": {"rank": rank}}
    words = ["paper=lora", *([f"seed={seed}"] if word else [])]
    return make_record(
        seed=seed,
        config=source.config | {"inputs": {"first": words}, "outside_identity": ["inputs", "runs_dir"]},
        inputs={"first": {"identity": f"{seed}{rank}", "config": config}},
    )


def test_inputs_that_follow_the_seed_may_differ_in_it_and_in_nothing_else(make_record):
    assert check_alike([followed(make_record, seed) for seed in range(3)]) is None
    with pytest.raises(UserError, match=r"differ in inputs\.first\.config\.paper\.rank are not averaged"):
        check_alike([followed(make_record, 0), followed(make_record, 1, rank=4)])
    with pytest.raises(UserError, match=r"differ in inputs\.first\.identity are not averaged"):
        check_alike([followed(make_record, seed, word=False) for seed in range(2)])
