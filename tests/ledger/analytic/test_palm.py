"""PaLM's formulas against numbers worked out by hand, and its published numbers against some typed from the paper."""

from __future__ import annotations

import pytest

from repro.ledger.analytic import palm
from repro.ledger.published import published

FACTS = {(fact.table, fact.row, fact.column): fact for fact in published("palm")}
CHECKS = {check.id: check for check in palm.checks()}


def test_the_sizes_are_those_of_counting_by_hand():
    # queries and output 2 x 2 x 256, key and value 2 x 2 x 256, three matrices of 2 x 8, tokens 3 x 2
    assert palm.palm_parameters(layers=1, heads=1, width=2, vocabulary=3) == 2102
    # two norms of width 2
    assert palm.palm_parameters(layers=1, heads=1, width=2, vocabulary=3, norms=2) == 2106
    # 8B: 32 (33,554,432 + 2,097,152 + 201,326,592) + 1,048,576,000
    assert palm.palm_parameters(**palm.PALM["PaLM 8B"]) == 8_631_877_632


def test_the_operations_of_a_token_are_those_of_counting_by_hand():
    assert palm.flops_per_token(10) == 60
    assert palm.flops_per_token(10, layers=1, heads=2, head_width=3, length=4) == 60 + 288
    # one head of 256 on one token: 60 + 12 x 256, again half of 20 and 4 x 256
    assert palm.flops_with_rematerialisation(10, layers=1, heads=1, again=0.5, length=1) == 60 + 3072 + 10 + 1024


def test_utilisation_and_compute():
    assert palm.utilisation(2, 3, 12) == 50  # 6 of 12 FLOP/s
    assert palm.throughput(sequences=4, seconds=2, length=5) == 10
    assert palm.petaflops_days(1.728e20) == pytest.approx(2)  # a day is 86,400 s
    assert palm.zettaflops(parameters=1, tokens=1000) == 6  # 6 x 10^9 x 10^12
    assert palm.emissions([(500, 1000), (1000, 500)], watts=1000, pue=1.1, tonnes_per_mwh=0.5) == pytest.approx(550)


@pytest.mark.parametrize(("value", "printed"), [(3568.8, 3570), (29591, 29600), (496.6, 497)])
def test_three_digits_are_kept(value, printed):
    assert palm.three_digits(value) == printed


def test_the_training():
    assert palm.tokens_of_schedule([(2, 3), (4, 5)], length=10) == 260
    assert palm.learning_rate(100) == 0.01  # constant for 10,000 steps
    assert palm.learning_rate(40_000) == 0.005
    assert palm.gradients_per_host(2**30, hosts=2) == 1
    assert palm.burst(1, pairs=5, seconds=0.5) == pytest.approx(0.16)  # 80 Gb in half a second, both ways 160 Gb/s
    assert palm.share(7, 39) == pytest.approx(2.73)


def test_the_scores():
    assert palm.wins([1, 2, 3], [0, 2, 4]) == 1  # a tie is no win
    assert palm.positive([0.1, 0.0, -0.1, 2]) == 2
    assert palm.negative([0.1, 0.0, -0.1, 2]) == 1
    assert palm.normalised(62.5, 25) == 50
    assert palm.normalised(20, 25) < 0
    assert palm.weighted_mean([1, 4], [2, 1]) == 2
    assert palm.projection(small=13, medium=25) == 37


def test_a_line_through_three_points():
    # (0, 0), (1, 2), (2, 1): the products about the means are 1, the squares 2 and 2
    assert palm.slope([0, 1, 2], [0, 2, 1]) == 0.5
    assert palm.r_squared([0, 1, 2], [0, 2, 1]) == 0.25
    assert palm.r_squared([0, 1, 2], [1, 3, 5]) == 1


@pytest.mark.parametrize(
    ("name", "recomputed", "agrees"),
    [
        ("A003", 540.354281472, True),  # kept beside Table 1 with the shapes
        ("A004", 540.356474880, False),  # 119 norms of 18,432 more
        ("A043", 7.75, True),  # 5.85 + 1.9
        ("A044", 5.8, False),  # 3.9 + 1.9
        ("A047", 37.037037, False),  # 100 / 2.7
        ("A052", 28, True),  # all but CoQA, 81.5 against 85.0
        ("A074", 90.65, False),  # 725.2 / 8
        ("A076", 50, True),  # 87 - 37
        ("A105", 1, True),  # SVAMP, 69.4 against 57.4
        ("A108", 16.8, False),  # 31.8 - 15.0
        ("A115", 733.2 / 9, False),
        ("A137", 5.12721, True),  # 2527.2 / 492.9
    ],
)
def test_an_entry_is_the_number_worked_out_by_hand(name, recomputed, agrees):
    assert float(CHECKS[name].recomputed) == pytest.approx(recomputed, rel=1e-6)
    assert CHECKS[name].agrees() == agrees


def test_the_entries_are_numbered_and_differ_only_where_it_is_said():
    assert list(CHECKS) == [f"A{number:03}" for number in range(1, 142)]
    assert [name for name, check in CHECKS.items() if not check.agrees()] == list(palm.DIFFERS)


def test_the_tasks_of_the_averages_are_the_columns_of_table_40():
    columns = {column for table, _, column in FACTS if table == "T40"}
    assert columns == {*palm.NLG, *palm.NLU}
    assert (len(palm.NLG), len(palm.NLU), len(palm.ENGLISH)) == (9, 21, 29)


@pytest.mark.parametrize(
    ("table", "row", "column", "printed"),
    [
        ("T1", "PaLM 62B", "parameters", "62.50B"),
        ("T3", "PaLM 540B on 6144 TPU v4", "MFU %", "46.2"),
        ("T4", "PaLM 540B, few-shot", "LAMBADA", "89.7"),
        ("T4", "earlier best, few-shot", "LAMBADA", "87.2"),
        ("T6", "PaLM 540B", "average", "69.3"),
        ("T10", "PaLM 540B, chain of thought and calculator", "GSM8K", "58"),
        ("T12", "PaLM-Coder 540B", "HumanEval pass@100", "88.4"),
        ("T14", "PaLM 540B, few-shot", "De-En", "47.5"),
        ("T22", "PaLM 540B", "training FLOPs", "2.56e+24"),
        ("T40", "PaLM 8B, 1-shot", "Winograd", "85.3"),
        ("T42", "persian_idioms", "average human, normalised", "-6.7"),
        ("TX3", "PaLM 540B, spans seen once", "memorised %", "0.75"),
    ],
)
def test_a_number_is_as_the_paper_prints_it(table, row, column, printed):
    assert FACTS[table, row, column].printed == printed


def test_few_shot_asks_for_the_shots_of_the_task():
    assert FACTS["T4", "PaLM 540B, few-shot", "LAMBADA"].condition == {
        "paper": "palm",
        "model": "palm-540b",
        "task": "lambada",
        "config.task.shots": 8,
    }
    assert FACTS["T40", "PaLM 8B, few-shot", "LAMBADA"].condition["config.task.shots"] == 5
    assert not FACTS["T4", "earlier best, few-shot", "LAMBADA"].condition


def test_numbers_with_one_condition_are_one_number():
    printed = {}
    for fact in FACTS.values():
        if fact.condition and fact.table == "T40":
            key = (*fact.condition.items(), fact.metric)
            assert printed.setdefault(key, fact.value) == fact.value, fact
