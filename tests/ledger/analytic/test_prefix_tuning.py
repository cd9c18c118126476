"""Numbers of Prefix-Tuning worked out by hand, and what other people counted on the released code."""

from __future__ import annotations

import pytest

from repro.ledger.analytic.prefix_tuning import (
    BART_INPUTS,
    BART_LARGE,
    GPT2_INPUTS,
    GPT2_LARGE,
    GPT2_MEDIUM,
    bart_parameters,
    checks,
    prefix_parameters,
    trained_parameters,
)
from repro.ledger.arithmetic import adapter_parameters, gpt2_parameters


@pytest.fixture(scope="module")
def found():
    return {check.id: check for check in checks()}


def test_a_prefix_stores_a_key_and_a_value_in_every_layer():
    # one position of GPT-2 medium: 24 layers * (1,024 + 1,024) = 49,152; five of them 245,760
    assert prefix_parameters(length=1, **GPT2_MEDIUM) == 49152
    assert prefix_parameters(length=5, **GPT2_MEDIUM) == 245760
    # GPT-2 large: 36 * 2,560 = 92,160 a position, 460,800 for five
    assert prefix_parameters(length=5, **GPT2_LARGE) == 460800
    # BART large: 12 * 2,048 = 24,576 in one prefix, 73,728 in three, 7,372,800 at length 100
    assert prefix_parameters(length=1, sets=3, **BART_LARGE) == 73728
    assert prefix_parameters(length=100, sets=3, **BART_LARGE) == 7372800


def test_what_learns_is_the_small_matrix_and_the_mlp():
    # GPT-2 medium, length 5: 5*1,024 = 5,120; 1,024*512 + 512 = 524,800; 512*49,152 + 49,152 = 25,214,976
    assert trained_parameters(length=5, width=1024, hidden=512, outputs=49152, sets=1) == 5120 + 524800 + 25214976
    # five positions more cost 5,120
    assert trained_parameters(length=10, width=1024, hidden=512, outputs=49152, sets=1) == 25750016
    # GPT-2 large, length 5: 6,400 + 655,872 + 47,278,080
    assert trained_parameters(length=5, width=1280, hidden=512, outputs=92160, sets=1) == 47940352


def test_the_networks_have_the_sizes_that_their_checkpoints_have():
    # counted on the checkpoints by transformers: gpt2-medium, gpt2-large, bart-large
    assert gpt2_parameters(**GPT2_MEDIUM, **GPT2_INPUTS) == 354823168
    assert gpt2_parameters(**GPT2_LARGE, **GPT2_INPUTS) == 774030080
    assert bart_parameters(**BART_LARGE, **BART_INPUTS) == 406291456


def test_an_adapter_has_two_matrices_two_biases_and_perhaps_a_norm():
    # width 1,024, bottleneck 100: 204,800 + 100 + 1,024 = 205,924, with its LayerNorm 207,972; 24 of them
    assert adapter_parameters(adapters=1, width=1024, bottleneck=100) == 205924
    assert adapter_parameters(adapters=24, width=1024, bottleneck=100, norms=24) == 4991328


def test_the_mean_gain_belongs_to_the_first_version(found):
    # arXiv v1: 3.4 + 4.9 + 4.0 = 12.3; ACL: 4.0 + 4.8 + 4.0 = 12.8
    assert found["A21"].recomputed == pytest.approx(12.3 / 3)
    assert found["A22"].recomputed == pytest.approx(12.8 / 3)
    assert found["A21"].agrees()
    assert not found["A22"].agrees()


@pytest.mark.parametrize(
    ("id", "value"),
    [
        ("A10", 1.8146579),  # 737,280,000 / 406,291,456
        ("A20", 15.292108),  # 6,213,052,800 / 406,291,456
        ("A23", 36),
        ("A26", 4.3831169),  # 675 / 154
        ("A27", 12.1462789),  # 1,419.9 / 116.9
        ("A33", 51426),
        ("A36", 226711),
    ],
)
def test_shares_ratios_and_sums_by_hand(found, id, value):
    assert found[id].recomputed == pytest.approx(value, rel=1e-7)


def test_the_prefix_of_xsum_is_two_percent_at_length_100_and_not_at_200(found):
    assert found["A10"].agrees()
    assert not found["A11"].agrees()
    assert found["A11"].kind == "error"


def test_no_agreement_has_changed(found):
    assert len(found) == 38
    assert not [id for id, check in found.items() if check.changed()]
