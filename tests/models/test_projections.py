from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from repro.errors import UserError
from repro.models.linear import LINEAR, matrix
from repro.models.projections import ENDS, FUSED, WORDS, matrices, projection

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 40,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2, "vocab_size": 40}
BART = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "vocab_size": 40}
BART |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "max_position_embeddings": 20}
BART |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
OTHERS = {
    "t5": T5,
    "bart": BART,
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24, "vocab_size": 40},
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 40, "bos_token_id": 1, "eos_token_id": 2},
    "opt": SMALL | {"ffn_dim": 24, "word_embed_proj_dim": 16},
    "electra": SMALL | {"embedding_size": 16},
    "llama": SMALL | {"num_key_value_heads": 2},
    "mistral": SMALL | {"num_key_value_heads": 2, "head_dim": 8},
    "qwen2": SMALL | {"num_key_value_heads": 2},
}


def network(family: str) -> nn.Module:
    settings = OTHERS.get(family, SMALL)
    with torch.device("meta"):
        return AutoModel.from_config(AutoConfig.for_model(family, **settings))


@pytest.mark.parametrize("family", sorted({*ENDS, *FUSED}))
def test_the_four_words_name_the_four_square_matrices_of_each_attention(family):
    made = network(family)
    linear = {name: module for name, module in made.named_modules() if isinstance(module, LINEAR)}
    attentions = {"t5": 3, "bart": 3}.get(family, 1)  # of the encoder, of the decoder, and between them
    everything = matrices(WORDS, made, linear)
    squares = sum(len(parts) if parts else 1 for parts in everything.values())
    assert squares == 4 * attentions, everything
    for word in WORDS:
        for name, parts in matrices([word], made, linear).items():
            d, k = matrix(linear[name]).shape
            assert (d, k) == ((48, 16) if parts else (16, 16)), name
            assert not {"fc1", "fc2", "mlp", "ffn", "intermediate", "wi", "wo"} & set(name.split(".")), name


def test_the_words_in_any_order_are_the_same_matrices():
    made = network("gpt2")
    linear = {name: module for name, module in made.named_modules() if isinstance(module, LINEAR)}
    assert matrices(["value", "query", "value"], made, linear) == {"h.0.attn.c_attn": (0, 2)}
    both = matrices(["output", "key"], made, linear)
    assert both == {"h.0.attn.c_attn": (1,), "h.0.attn.c_proj": ()}
    assert list(both) == list(matrices(["key", "output"], made, linear))  # as in the network
    assert matrices(["c_proj"], made, linear) == {
        "h.0.attn.c_proj": (),
        "h.0.mlp.c_proj": (),
    }  # a name's end, not a word


def test_a_network_without_a_family_is_searched_by_the_ends_of_names():
    plain = nn.ModuleDict({"query": nn.Linear(4, 4), "output": nn.Linear(4, 4)})
    assert projection("output", plain) == ("output", None)
    assert matrices(["query"], plain, dict(plain.named_children())) == {"query": ()}
    with pytest.raises(UserError, match="no module of this network is called 'value': there are query, output"):
        matrices(["value"], plain, dict(plain.named_children()))
