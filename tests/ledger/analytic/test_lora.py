"""Numbers of LoRA worked out by hand, and counts that other people made."""

from __future__ import annotations

import pytest

from repro.ledger.analytic.lora import (
    BASE,
    GPT2_LARGE,
    GPT3,
    GPT3_INPUTS,
    LARGE,
    MEDIUM,
    ROBERTA_INPUTS,
    XXL,
    bias_parameters,
    block_parameters,
    checks,
    head_parameters,
    lora_parameters,
    prefix_embedding_parameters,
    prefix_layer_parameters,
    random_projection_norm,
    roberta_parameters,
    size,
    steps,
    steps_by_epoch,
)
from repro.ledger.arithmetic import adapter_parameters, gpt2_parameters


@pytest.fixture(scope="module")
def found():
    return {check.id: check for check in checks()}


@pytest.mark.parametrize(
    ("shape", "rank", "parameters"),
    [
        (BASE, 8, 294912),  # A and B of 768 * 8 each, two matrices, 12 layers: 4 * 6,144 * 12; PEFT prints 294,912 too
        (LARGE, 8, 786432),  # 4 * 8,192 * 24
        (XXL, 8, 2359296),  # 4 * 12,288 * 48
        (XXL, 16, 4718592),
        (MEDIUM, 4, 393216),  # 4 * 4,096 * 24
        (GPT2_LARGE, 4, 737280),  # 4 * 5,120 * 36
        (GPT3, 1, 4718592),  # 4 * 12,288 * 96
        (GPT3, 8, 37748736),
    ],
)
def test_lora_trains_two_thin_matrices_beside_each_of_two(shape, rank, parameters):
    assert lora_parameters(**shape, rank=rank) == parameters


def test_four_matrices_at_half_the_rank_have_as_many_parameters():
    assert lora_parameters(**GPT3, rank=2, matrices=4) == lora_parameters(**GPT3, rank=4) == 18874368


def test_prefixes_have_a_vector_for_each_special_token():
    # 264 tokens of 12,288; the same in each of 96 layers; 16 tokens in each of 96 layers
    assert prefix_embedding_parameters(width=12288, prefix=256, infix=8) == 3244032
    assert prefix_layer_parameters(**GPT3, prefix=256, infix=8) == 96 * 3244032
    assert prefix_layer_parameters(**GPT3, prefix=8, infix=8) == 18874368


def test_networks_have_the_sizes_that_their_checkpoints_have():
    # counted on the checkpoints by transformers, with pooler
    assert roberta_parameters(**BASE, **ROBERTA_INPUTS) == 124645632
    assert roberta_parameters(**LARGE, **ROBERTA_INPUTS) == 355359744
    # GPT-3: 96 * (12 * 150,994,944 + 159,744) = 173,961,510,912; 52,305 embeddings of 12,288; 24,576 at the end
    assert gpt2_parameters(**GPT3, **GPT3_INPUTS) == 173961510912 + 642723840 + 24576


def test_parts_of_networks():
    # 12 * 1,048,576 + 13 * 1,024 = 12,596,224 a block of GPT-2 medium
    assert block_parameters(layers=2, width=1024) == 25192448
    # 768 * 768 + 768 = 590,592, then 3 * 769 = 2,307
    assert head_parameters(width=768, classes=3) == 592899
    # 11 * 768 = 8,448 in each of 12 layers, and 768
    assert bias_parameters(**BASE, vectors=11, last=1) == 102144
    # bottleneck 64 in width 1,024: 131,072 + 64 + 1,024 = 132,160; 24 of them, and 24 LayerNorms of 2,048
    assert adapter_parameters(adapters=24, width=1024, bottleneck=64) == 3171840
    assert adapter_parameters(adapters=24, width=1024, bottleneck=64, norms=24) == 3220992


def test_sizes_norms_and_steps():
    assert size(count=393216, each=4, unit=2**20) == 1.5
    assert random_projection_norm(rank=4, norm=61.95, width=12288) == pytest.approx(0.0201660, rel=1e-5)
    # 5 * 42,061 = 210,305 = 8 * 26,288 + 1; an epoch alone is 8 * 5,257 + 5, so 5,258 steps
    assert steps(epochs=5, examples=42061, batch=8) == 26289
    assert steps_by_epoch(epochs=5, examples=42061, batch=8) == 26290


@pytest.mark.parametrize(
    ("id", "value"),
    [
        ("A05", 87.2375),  # 697.9 / 8
        ("A16", 86.35),  # 690.8 / 8
        ("A20", 87.2),
        ("A58", 37896192),  # 37,748,736 + 12 * 12,288
        ("A91", 2.249206),  # 32.6 / 1,449.4
        ("A98", 9285.387),  # 175,255.8 / 18.874368
        ("A104", 24.593968),  # 10.6 / 43.1
        ("A105", 32.615385),  # 10.6 / 32.5
        ("A107", 21.59375),  # 6.91 / 0.32
        ("A114", 3.386730),  # 3,551,244 / 1,048,576
        ("A119", 887042),  # 294,912 + 590,592 + 1,538
    ],
)
def test_averages_ratios_and_sums_by_hand(found, id, value):
    assert found[id].recomputed == pytest.approx(value, rel=1e-6)


def test_the_released_ranks_give_the_printed_count_of_deberta_and_the_printed_rank_does_not(found):
    assert found["A24"].agrees()
    assert not found["A23"].agrees()
    assert found["A23"].kind == "error"


def test_counts_that_differ_say_so_and_no_agreement_has_changed(found):
    assert len(found) == 122
    assert not [id for id, check in found.items() if check.changed()]
    assert {id for id, check in found.items() if check.kind == "unexplained"} >= {"A48", "A52", "A61", "A62", "A65"}


def test_a_module_names_the_matrices_that_the_formula_counts(found):
    assert found["A24"].module["settings"]["rank"] == 16
    assert found["A29"].module["settings"]["targets"] == ["value"]
    assert found["A37"].module["settings"]["targets"] == ["query", "value"]
    assert found["A40"].module["settings"]["targets"] == ["output"]
    for id, rank in (("A32", 1), ("A34", 2), ("A36", 4), ("A38", 64), ("A39", 2), ("A42", 2)):
        assert found[id].module["settings"]["rank"] == rank
        assert set(found[id].module["settings"]["targets"]) == {"query", "key", "value", "output"}
