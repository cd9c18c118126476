"""LLaVA's formulas on numbers worked out by hand, and what they say of the paper."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from repro.ledger.analytic import llava
from repro.ledger.published import published

CHECKS = {check.id: check for check in llava.checks()}


def test_scores_of_classes_are_turned_back_into_answers():
    # 90.36% of 2,252 is 2,035 answers, 95.95% of 889 is 853, 88.00% of 1,100 is 968: 3,856 of 4,241.
    by_subject = llava.grouped_accuracy(scores=[90.36, 95.95, 88.00], sizes=[2252, 889, 1100])
    # 90.93% of 2,724 is 2,477 answers, 90.90% of 1,517 is 1,379: 3,856 again.
    by_grade = llava.grouped_accuracy(scores=[90.93, 90.90], sizes=[2724, 1517])
    assert by_subject == by_grade == pytest.approx(385_600 / 4241)


def test_an_answer_is_whole_before_it_is_counted():
    # 33% of 3 is one answer, 26% of 4 is one: 2 of 7, not 2.03 of 7.
    assert llava.grouped_accuracy(scores=[33, 26], sizes=[3, 4]) == pytest.approx(200 / 7)


def test_a_llama_of_one_layer():
    # Two tables of 5 x 2, four matrices of 2 x 2, three of 2 x 3, two norms of 2, the last norm: 20 + 16 + 18 + 4 + 2.
    assert llava.llama_parameters(layers=1, width=2, hidden=3, vocabulary=5) == 60


def test_llama_has_the_parameters_that_its_released_files_hold():
    assert llava.llama_parameters(**asdict(llava.VICUNA_7B)) == 6_738_415_616
    assert llava.llama_parameters(**asdict(llava.VICUNA_13B)) == 13_015_864_320


def test_a_vision_encoder_of_one_layer():
    # Convolution 3 x 2, class 2, positions 5 x 2, norm 4; attention 4 x 6, feed-forward 9 + 8, norms 8; norm 4.
    assert llava.clip_parameters(layers=1, width=2, hidden=3, patch=1, patches=4) == 6 + 2 + 10 + 4 + 24 + 17 + 8 + 4


def test_clip_has_the_parameters_that_its_released_file_holds():
    assert CHECKS["A63"].recomputed == 303_179_776


def test_a_projection_with_and_without_bias():
    assert llava.linear_parameters(inputs=3, outputs=2) == 8
    assert llava.linear_parameters(inputs=3, outputs=2, bias=False) == 6
    assert CHECKS["A64"].recomputed - CHECKS["A66"].recomputed == 5120


def test_an_image_of_224_pixels_is_16_by_16_patches():
    assert llava.patch_tokens(image=224, patch=14) == 256
    assert llava.patch_tokens(image=15, patch=4) == 9  # the rest of 3 pixels is no patch


def test_an_epoch_ends_with_a_smaller_batch():
    assert llava.training_steps(samples=10, batch=4, epochs=2) == 6


def test_questions_with_text_and_image_are_those_counted_twice():
    # Of 5 questions 1 has neither: 4 have something, 3 a text and 3 an image, so 2 have both.
    assert llava.both_contexts(text=3, image=3, neither=1, questions=5) == 2


def test_questions_and_hours_are_products():
    assert llava.bench_questions(images=30, questions=3) == 90  # printed in section 5.1
    assert llava.device_hours(devices=8, hours=10) == 80


def test_a_checkpoint_in_half_precision_is_larger_than_printed_before_compression():
    # (13,015,864,320 + 1024 x 5120 + 5120) x 2
    assert CHECKS["A61"].recomputed == 26_042_224_640
    assert CHECKS["A61"].kind == "wording"


def test_four_differences_of_table_4_are_misprinted():
    # 68.4 - 75.3, 80.5 - 85.1, 59.8 - 75.3, 84.9 - 96.5
    expected = {"A06": -6.9, "A08": -4.6, "A10": -15.5, "A11": -11.6}
    found = {name: float(check.recomputed) for name, check in CHECKS.items() if check.kind == "error"}
    assert found == pytest.approx(expected)


def test_all_is_not_the_mean_of_the_three_categories():
    # (54.6 + 29.1 + 32.9) / 3 = 116.6 / 3
    assert CHECKS["A23"].recomputed == pytest.approx(38.8667, abs=1e-4)
    assert CHECKS["A23"].printed == "38.1"
    assert not CHECKS["A23"].agrees()


def test_averages_of_table_7_are_held_against_two_printed_decimals():
    assert CHECKS["A29"].printed == "88.40"
    assert [name for name in map("A{}".format, range(29, 49)) if CHECKS[name].why] == ["A30"]


def test_what_is_printed_nowhere_is_marked_so():
    assert [name for name, check in CHECKS.items() if not check.printed] == [f"A{n}" for n in range(62, 84)]


def test_released_predictions_have_one_right_answer_less_than_the_table():
    assert CHECKS["A49"].recomputed == pytest.approx(100 * 3855 / 4241)
    assert round(100 * 3856 / 4241, 2) == 90.92


def test_the_rows_that_nobody_can_rerun_have_no_condition():
    facts = [fact for fact in published("llava") if fact.table in ("T5", "T7", "TR2")]
    rerun = {fact.row.split(" ")[0].rstrip(",") for fact in facts if fact.condition}
    assert rerun == {"LLaVA-13B"}
