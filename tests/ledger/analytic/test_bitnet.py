"""BitNet's energy model and small formulas, against numbers worked out by hand or known from elsewhere."""

from __future__ import annotations

import pytest

from repro.ledger.analytic import bitnet
from repro.ledger.analytic.bitnet import Operations, operations

# One layer, width 4, 2 heads, 3 tokens. By product, for a token: query, key, value, output 4 x 4, feed-forward 4 x 16
# and 16 x 4: 4 * 16 + 64 + 64 = 192 products; outputs 4 * 4 + 16 + 4 = 36; inputs 4 * 4 + 4 + 16 = 36.
# Scores, for a head: 3 x 3 sums of 2 products, one addition each: 18 and 9; as much again for the values; twice for
# the heads: 72 products and 36 additions.
TINY = {"layers": 1, "width": 4, "heads": 2, "tokens": 3}


def test_a_transformer_multiplies_and_adds_at_one_precision():
    # 3 * 192 + 72 products; 3 * (192 - 36) sums, 3 * 36 biases, 36 of attention.
    assert operations(**TINY, one_bit=False) == Operations(multiplications=648, additions=612)


def test_bitnet_only_scales_and_sums_its_linear_layers_at_int8():
    # 3 * (36 + 36) scalings and the 72 of attention; 3 * 36 biases and the 36 of attention; 468 sums at INT8.
    assert operations(**TINY, one_bit=True) == Operations(multiplications=288, additions=144, additions_int8=468)


def test_layers_count_alike_and_attention_grows_with_the_square_of_the_tokens():
    one, three = (operations(**{**TINY, "layers": n}, one_bit=True) for n in (1, 3))
    assert three.additions_int8 == 3 * one.additions_int8
    assert three.multiplications == 3 * one.multiplications
    # Six tokens: 6 * 72 scalings and 4 * 72 products of attention.
    assert operations(**{**TINY, "tokens": 6}, one_bit=True).multiplications == 720


def test_energy_is_each_operation_times_its_own():
    # 288 * 2 + 144 * 3 + 468 * 5 = 576 + 432 + 2340
    assert bitnet.energy(**TINY, one_bit=True, multiply=2, add=3, add_int8=5) == 3348
    assert bitnet.energy(**TINY, one_bit=False, multiply=2, add=3) == 3132
    assert bitnet.joules(5e12) == pytest.approx(5.0)


def test_a_forward_pass_takes_process_and_precision_from_table_2():
    # 6.7B, 16 bits: 32 (12 * 512 * 4096^2 + 2 * 512^2 * 4096) = 3,367,254,360,064 products of 0.34 pJ.
    assert bitnet.forward_energy("6.7B", one_bit=False, part="MUL") == pytest.approx(3_367_254_360_064 * 0.34)
    # The same at 32 bits and 45nm, 3.7 pJ each.
    wide = bitnet.forward_energy("6.7B", one_bit=False, precision="FP32", node="45nm", part="MUL")
    assert wide == pytest.approx(3_367_254_360_064 * 3.7)
    both = bitnet.forward_energy("125M", one_bit=True)
    parts = [bitnet.forward_energy("125M", one_bit=True, part=part) for part in ("MUL", "ADD")]
    assert both == pytest.approx(sum(parts))


def test_bitnet_saves_more_the_larger_it_is_and_most_on_multiplications():
    saved = {
        part: [
            bitnet.forward_energy(size, one_bit=False, part=part) / bitnet.forward_energy(size, one_bit=True, part=part)
            for size in bitnet.SHAPES
        ]
        for part in ("", "MUL", "ADD")
    }
    assert saved[""] == sorted(saved[""])
    assert all(multiplied > added for multiplied, added in zip(saved["MUL"], saved["ADD"], strict=True))


def test_parameters_are_those_of_gpt2_without_its_norms():
    # GPT-2 small has 124,439,808; its 25 LayerNorms of 2 * 768 are 38,400 of them.
    found = bitnet.parameters(layers=12, width=768, vocabulary=50257, positions=1024, biases=9 * 768)
    assert found == 124_439_808 - 38_400


def test_losses_are_in_bits():
    assert bitnet.bits(16) == 4
    assert bitnet.fitted_loss(100, 2, -0.5, 3) == pytest.approx(3.2)  # 2 / sqrt(100) + 3


def test_the_nearest_percentage_is_that_of_whole_answers():
    assert bitnet.nearest_percent(50.4, 5) == 60  # 2.52 of 5, so 3
    assert bitnet.nearest_percent(66.7, 285) == pytest.approx(66.6667, abs=1e-4)  # 190 of 285


def test_the_winograd_scores_are_not_those_of_273_schemas():
    rows = [(table, row) for table in ("T3", "T4") for row in bitnet._rows(table) if row != "Random"]
    scores = [bitnet.CELLS.value(table, row, "WG") for table, row in rows]
    assert len(scores) == 19
    missed = {
        items: sum(abs(bitnet.nearest_percent(score, items) - score) > 0.05 + 1e-9 for score in scores)
        for items in (273, 285)
    }
    assert missed == {273: 9, 285: 0}


def test_what_differs_from_the_printed_numbers():
    differing = {check.id: check.kind for check in bitnet.checks() if not check.agrees()}
    names = {f"A_N{number}": "error" for number in range(1, 7)}
    assert differing == {"A_E10": "error", "A_E34": "error", **names, "A_G2": "wording", "A_RAND": "error"}
