"""InstructGPT's formulas on numbers worked out by hand, and what they say of the paper."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from repro.ledger.analytic import instructgpt
from repro.ledger.arithmetic import gpt2_parameters
from repro.ledger.published import published

CHECKS = {check.id: check for check in instructgpt.checks()}


def test_all_completions_of_a_prompt_are_compared():
    assert instructgpt.comparisons(prompts=2, completions=4) == 12  # 4 completions make 3 + 2 + 1 pairs
    assert instructgpt.comparisons(prompts=64, completions=9) == 64 * 36


def test_a_grid_of_two_points_in_a_decade():
    points = [instructgpt.grid_point(first=3, steps=steps, per_decade=2) for steps in range(3)]
    assert points == pytest.approx([3, 9.486833, 30])  # 3 times the root of 10


def test_gamma_is_thirteen_ninths_of_a_decade():
    # 27.8 to the ninth power is 9.92e12, 27.9 to the ninth 1.02e13: 10^(13/9) is between them.
    assert 27.8**9 < 1e13 < 27.9**9
    assert 27.8 < CHECKS["A19"].recomputed < 27.9


def test_the_fourth_learning_rate_is_the_geometric_middle_of_the_grid():
    # The root of 2.55e-6 x 2.55e-5 = 6.5025e-11 is 8.0638e-6.
    assert CHECKS["A21"].recomputed ** 2 == pytest.approx(6.5025e-11)
    assert CHECKS["A21"].kind == "rounding"


def test_three_quarters_are_a_reduction_by_25_percent():
    assert instructgpt.reduction(new=3, old=4) == 25


def test_toxicity_falls_by_less_than_the_text_says():
    # 0.196 / 0.233 = 0.8412
    assert CHECKS["A28"].recomputed == pytest.approx(15.88, abs=0.005)
    assert CHECKS["A28"].printed == "25%"
    assert not CHECKS["A28"].agrees()


def test_tokens_of_sequences_of_one_length():
    assert instructgpt.tokens(sequences=10, length=5, epochs=2) == 100


def test_a_token_that_is_learnt_from_costs_three_passes_forward():
    assert instructgpt.passes(learnt=0, read=3) == instructgpt.passes(learnt=1) == 6


def test_one_petaflop_day():
    # 2 operations for each of 5e14 parameters is 1e15 a token, and a day has 86,400 seconds.
    assert instructgpt.petaflop_days(flops=2, parameters=5e14, tokens=86_400) == pytest.approx(1)


def test_compute_of_ppo_is_that_of_58_operations_a_token():
    # (48 for 8 pretraining examples + 6 + 2 + 2) x 1.75e11 x 524,288,000 tokens = 5.3215e21, over 8.64e19
    assert CHECKS["A33"].recomputed == pytest.approx(61.59, abs=0.005)


def test_the_1_3b_model_counted_by_hand():
    # A layer 12 x 4,194,304 + 13 x 2,048 = 50,358,272; 24 of them, the last norm 4,096, embeddings 52,305 x 2,048.
    count = gpt2_parameters(**asdict(instructgpt.GPT_1B))
    assert count == CHECKS["A36"].recomputed == 1_208_598_528 + 4_096 + 107_120_640


def test_data_sets_of_table_9_are_the_sums_of_table_6():
    expected = {"A01": 12_725, "A02": 1653, "A03": 33_207, "A04": 17_887, "A05": 12_845, "A06": 1533}
    assert {name: int(CHECKS[name].recomputed) for name in expected} == expected
    assert all(CHECKS[name].agrees() for name in expected)


def test_rates_in_the_text_are_not_those_of_the_figures():
    # 69 of 154 and 24 of 154
    assert CHECKS["A24"].recomputed == pytest.approx(44.805, abs=0.001)
    assert CHECKS["A25"].recomputed == pytest.approx(15.584, abs=0.001)
    assert {name for name, check in CHECKS.items() if check.kind == "error"} == {"A24", "A25"}


def test_about_twice_holds_for_the_mean_of_the_prompts_only():
    # (0.689 + 0.494 + 0.315) / (0.251 + 0.226 + 0.242) = 1.498 / 0.719; 0.689 / 0.251
    assert CHECKS["A26"].recomputed == pytest.approx(2.0834, abs=1e-4)
    assert CHECKS["A27"].recomputed == pytest.approx(2.7450, abs=1e-4)
    assert (CHECKS["A26"].agrees(), CHECKS["A27"].agrees()) == (True, False)


def test_table_14_has_twelve_models_in_each_of_33_rows():
    rows: dict[str, set[str]] = {}
    for fact in published("instructgpt"):
        if fact.table == "T14":
            rows.setdefault(fact.row, set()).add(fact.column)
    assert len(rows) == 33
    assert all(len(models) == 12 for models in rows.values())


def test_no_run_stands_beside_the_misprinted_row_of_table_14():
    def row(name: str) -> list:
        return [fact for fact in published("instructgpt") if (fact.table, fact.row) == ("T14", name)]

    tldr, cnn = row("TL;DR, ROUGE-L"), row("CNN/DM, ROUGE-L")
    assert [fact.printed for fact in tldr] == [fact.printed for fact in cnn]
    assert not any(fact.condition for fact in tldr)
    assert all(fact.condition and fact.flags for fact in cnn)
    assert any("misprint" in flag for flag in tldr[0].flags)


def test_cells_of_table_14_that_differ_have_different_conditions():
    found = [
        (fact.metric, *sorted(map(str, fact.condition.items())))
        for fact in published("instructgpt")
        if fact.table == "T14" and fact.condition
    ]
    assert len(found) == len(set(found)) == 384
