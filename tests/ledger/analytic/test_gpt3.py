"""GPT-3's recomputed numbers against numbers worked out by hand, and its published tables against each other."""

from __future__ import annotations

from collections import Counter

import pytest

from repro.ledger.analytic import gpt3
from repro.ledger.formula import Cells
from repro.ledger.published import published

CELLS = Cells("gpt3")


@pytest.fixture(scope="module")
def found():
    return {check.id: check for check in gpt3.checks()}


def test_there_are_319_numbers_in_order_and_none_changed(found):
    assert list(found) == [f"A{number:03}" for number in range(1, 320)]
    assert not [check.id for check in found.values() if check.changed()]


def test_the_known_differences_are_of_these_kinds(found):
    kinds = Counter(check.kind for check in found.values())
    assert kinds == {"": 263, "error": 19, "rounding": 21, "wording": 13, "unexplained": 3}


def test_small_is_gpt2_with_twice_the_positions():
    # GPT-2's smallest checkpoint has 124,439,808 parameters at 1024 positions of width 768.
    small = gpt3.SHAPES[0]
    assert gpt3.parameters(small, small.width) == 124_439_808 + 1024 * 768


def test_heads_as_wide_as_the_model_give_the_usual_count():
    shape = gpt3.SHAPES[0]
    sizes = {"layers": 12, "width": 768, "vocabulary": 50257, "positions": 2048}
    assert gpt3.wide_attention_parameters(attention=768, **sizes) == gpt3.parameters(shape, 768)


def test_wider_heads_add_to_the_four_projections_alone():
    # 5 words and 7 positions of width 2: 24; q, k, v: 3 (2 x 3 + 3) = 27; output: 3 x 2 + 2 = 8;
    # feed-forward 2 x 8 + 8 and 8 x 2 + 2: 42; two norms: 8; last norm: 4.
    sizes = {"layers": 1, "width": 2, "vocabulary": 5, "positions": 7}
    assert gpt3.wide_attention_parameters(attention=3, **sizes) == 24 + 27 + 8 + 42 + 8 + 4


def test_the_misprinted_shapes_are_found(found):
    assert (found["A023"].recomputed, found["A023"].printed) == (3072, "2048")
    assert (found["A026"].recomputed, found["A026"].printed) == (5120, "5140")


def test_epochs_are_the_tokens_taken_over_the_tokens_there_are():
    # 22 % of 300 are 66, and 66 / 19 = 3.4737.
    assert gpt3.epochs(trained=300, weight=0.22, tokens=19) == pytest.approx(3.473684, abs=1e-6)


def test_the_largest_model_takes_3640_petaflop_days(found):
    # 174.6e9 x 300e9 x 6 = 3.1428e23; a petaflop/s-day is 1e15 x 86,400 = 8.64e19; the quotient is 3,637.5.
    assert gpt3.trained("GPT-3 175B") == pytest.approx(3.1428e23, rel=1e-12)
    assert found["A068"].recomputed == pytest.approx(3637.5, rel=1e-12)
    assert found["A068"].printed == "3.64E+03"


def test_flops_a_parameter_are_six_and_the_printed_factors_of_t5_are_not_its_three(found):
    assert (found["A070"].recomputed, found["A069"].recomputed) == (6, 1.5)


def test_superglue_averages_two_metrics_of_a_task_first():
    # BERT-Large, 69.0 on the leaderboard: 77.4 + 79.65 + 70.6 + 71.7 + 69.6 + 64.6 + 47.05 + 71.65 = 552.25.
    scores = [77.4, 83.6, 75.7, 70.6, 71.7, 69.6, 64.6, 24.1, 70.0, 71.3, 72.0]
    assert gpt3.superglue_average(scores) == pytest.approx(552.25 / 8)


def test_few_shot_is_better_than_bert_on_four_of_eight_tasks():
    # Worse on BoolQ, CB, RTE and WiC; better on COPA, WSC, MultiRC and ReCoRD.
    few = [76.4, 63.8, 92.0, 69.0, 49.4, 80.1, 52.95, 90.65]
    bert = [77.4, 79.65, 70.6, 71.7, 69.6, 64.6, 47.05, 71.65]
    assert gpt3.tasks_won(few, bert) == 4
    assert gpt3.tasks_won(bert, bert) == 0


def test_gains_over_unsupervised_translation_use_the_best_system_of_each_pair(found):
    # MASS is the best into English: 39.2 - 34.9 = 4.3, 40.6 - 35.2 = 5.4, 39.5 - 33.1 = 6.4; their mean is 16.1 / 3.
    assert [gpt3.best_unsupervised(pair) for pair in gpt3.TO_ENGLISH] == [34.9, 35.2, 33.1]
    assert gpt3.best_unsupervised("En→De") == 29.8
    assert found["A086"].recomputed == pytest.approx(16.1 / 3)


def test_mean_gain_is_the_mean_of_the_differences():
    assert gpt3.mean_gain([3, 9], [1, 3]) == 4


def test_the_gap_closed_is_counted_from_chance():
    # From 20 to 60 are 40; 50 is 30 of them.
    assert gpt3.gap_closed(score=50, best=60, chance=20) == 0.75


def test_the_score_on_all_weighs_its_parts_by_their_examples(found):
    # PIQA: 89.9 x 526 = 47,287.4 and 79.3 x 1,312 = 104,041.6; 151,329 / 1,838 = 82.33.
    assert found["A256"].recomputed == pytest.approx(151_329 / 1838)
    assert found["A256"].printed == "82.3"


def test_examples_shown_are_those_of_all_tasks():
    assert gpt3.examples_shown(tasks=8, shots=32) == 256


def test_no_bleu_and_no_empty_part_is_averaged(found):
    averaged = [check.what for check in found.values() if check.what.startswith("score on all")]
    assert len(averaged) == 42 - 6 - 1
    assert not [what for what in averaged if "→" in what or "Winogrande" in what]


def test_nine_benchmarks_are_mostly_flagged_and_a_share_is_of_42(found):
    # QuAC, SQuAD 2.0, DROP, symbol insertion, CoQA, ReCoRD, Winograd, BoolQ, MultiRC: 900 / 42.
    assert found["A106"].recomputed == pytest.approx(900 / 42)


def test_the_text_of_appendix_e_is_held_against_its_tables(found):
    # 76 + 80 + 80 + 81 + 79 + 80 + 76 + 81 + 80 = 713; Large: 81 - 24 = 57 people, and 46 + 28 + 2 = 76.
    assert (found["A108"].recomputed, found["A108"].printed) == (713, "718")
    assert (found["A117"].recomputed, found["A117"].printed) == (76, "57")


@pytest.mark.parametrize("table", ["T32", "T33", "T34", "T35", "T36", "T37", "T38", "T39", "T310"])
def test_what_stands_in_two_tables_is_equal_but_for_the_two_known_misprints(table):
    series = {
        (fact.condition["task"], fact.condition["config.task.shots"], fact.split, fact.metric): fact
        for fact in published("gpt3")
        if fact.table == "TH1" and fact.column == "175B"
    }
    other = {("T36", "PIQA", 0): 81.0, ("T37", "QuAC", 1): 43.4}
    for fact in published("gpt3"):
        if fact.table == table and fact.condition:
            shots = fact.condition["config.task.shots"]
            twin = series[fact.condition["task"], shots, fact.split, fact.metric]
            known = other.get((table, fact.column, shots))
            assert twin.value == known if known else abs(twin.value - fact.value) <= 0.5 * 10**-fact.decimals + 1e-9


def test_no_two_rows_of_a_table_stand_for_the_same_run():
    seen = Counter(
        (fact.table, fact.column, str(sorted(fact.condition.items())), fact.split, fact.metric)
        for fact in published("gpt3")
        if fact.condition
    )
    assert [place for place, times in seen.items() if times > 1] == []


def test_sizes_order_the_models_in_every_table_of_sizes():
    millions = [CELLS.value("TD1", f"GPT-3 {size}", "params (M)") for size in gpt3.SIZES]
    assert millions == sorted(millions)
    assert CELLS.values("TH1", "LAMBADA acc., zero-shot", gpt3.SIZES) == [
        42.7,
        54.3,
        60.4,
        63.6,
        67.1,
        70.3,
        72.5,
        76.2,
    ]
