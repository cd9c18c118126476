"""GQA's formulas, against numbers worked out by hand, T5's own configuration, and the T5 of transformers."""

from __future__ import annotations

import pytest

from repro.ledger.analytic import gqa

TINY = {"layers": 1, "width": 8, "feed_forward": 16, "heads": 2, "head_size": 4, "vocabulary": 10, "buckets": 4}


def test_only_the_key_and_value_heads_of_the_decoder_are_grouped():
    # Embedding and output 2 * 80; encoder layer 4 * 64 + 3 * 128 + 2 * 8 = 656; two stacks of a norm, 8, and 4 x 2
    # positions: 32. Decoder layer: two attentions of query and output 2 * 64, key and value 2 * 8 * groups * 4; then
    # 3 * 128 + 3 * 8 = 408.
    assert gqa.t5_parameters(**TINY, groups=1) == 160 + 656 + 32 + 2 * (128 + 64) + 408
    assert gqa.t5_parameters(**TINY, groups=2) == 160 + 656 + 32 + 2 * (128 + 128) + 408


def test_with_all_its_heads_it_is_the_t5_of_transformers():
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(
        vocab_size=10,
        d_model=8,
        d_kv=4,
        d_ff=16,
        num_layers=1,
        num_heads=2,
        relative_attention_num_buckets=4,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    network = transformers.T5ForConditionalGeneration(config)
    parts = [network.shared, network.encoder.block, network.encoder.final_layer_norm]
    parts += [network.decoder.block, network.decoder.final_layer_norm, network.lm_head]
    # Part by part, since some versions of transformers tie the output layer, which T5 1.1 has apart.
    assert gqa.t5_parameters(**TINY, groups=2) == sum(one.numel() for part in parts for one in part.parameters())


def test_grouping_takes_both_attentions_of_every_decoder_layer():
    # XXL: 24 layers, 2 attentions, keys and values, 4096 x 64 a head; 56 heads go with 8 groups.
    assert gqa.parameters("xxl") - gqa.parameters("xxl", 8) == 24 * 2 * 2 * 4096 * 64 * 56


def test_the_cache_holds_keys_and_values_of_outputs_and_inputs():
    # 2 * 2 layers * 3 groups * 4 numbers * (5 + 6) positions * 2 bytes
    sizes = {"layers": 2, "groups": 3, "head_size": 4, "input_length": 5, "output_length": 6}
    assert gqa.cache_bytes(**sizes) == 1056
    assert gqa.cache_bytes(**sizes, samples=7, bytes_a_number=4) == 1056 * 14
    assert gqa.cache("xxl", 64, (2048, 512)) == 64 * gqa.cache("xxl", 1, (2048, 512))
    assert gqa.gibibytes(2**31) == 2


def test_span_corruption_masks_15_percent_in_spans_of_three():
    # 20 tokens: 3 masked in 1 span; 17 stay with one sentinel and the end; 3 with a sentinel and the end.
    assert (gqa.masked_inputs(20), gqa.masked_targets(20)) == (19, 5)
    assert gqa.longest_text(19) == 20
    # T5's own configuration: texts of 568 tokens for inputs of 512 and targets of 114.
    assert (gqa.longest_text(512), gqa.masked_inputs(568), gqa.masked_targets(568)) == (568, 512, 114)


def test_uptraining_is_a_proportion_of_the_steps():
    assert gqa.uptraining_steps(0.1, 500) == 50
    assert gqa.tokens_seen(50, 4, 8) == 1600


def test_the_learning_rate_is_constant_and_then_falls_with_the_root_of_the_step():
    assert gqa.t5_learning_rate(100) == gqa.t5_learning_rate(10_000) == pytest.approx(0.01)
    assert gqa.t5_learning_rate(4_000_000) == pytest.approx(0.0005)


def test_the_share_of_a_gap():
    assert gqa.recovered(3, low=1, high=5) == 0.5


def test_what_differs_from_the_printed_numbers():
    differing = {check.id: check.kind for check in gqa.checks() if not check.agrees()}
    rounding = dict.fromkeys(("A04", "A13", "A15"), "rounding")
    assert differing == {"A03": "error", **rounding, "A23": "wording", "A24": "wording"}
