"""The published networks as their configurations have them, built without weights: for counting, not for running.

The shapes are those of the released config.json files. GPT-3 has none: its 175B network stands here as a GPT-2 of 96
layers, width 12,288 and 2,048 positions (Brown et al., 2020, Table 2.1), without its sparse attention, which has no
parameters of its own.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

from repro.errors import UserError, did_you_mean
from repro.models.load import ARCHITECTURES

ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
DEBERTA_V2 = {
    "vocab_size": 128100,
    "max_position_embeddings": 512,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 256,
    "position_biased_input": False,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "conv_kernel_size": 3,
    "conv_act": "gelu",
}
GPT2 = {"vocab_size": 50257, "n_positions": 1024}

# By name: transformers' model type, the settings, and the architecture that tasks put around it.
PUBLISHED: dict[str, tuple[str, dict[str, Any], str]] = {
    "roberta-base": (
        "roberta",
        {**ROBERTA, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
        "sequence-classification",
    ),
    "roberta-large": (
        "roberta",
        {**ROBERTA, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
        "sequence-classification",
    ),
    "deberta-v2-xxlarge": (
        "deberta-v2",
        {
            **DEBERTA_V2,
            "hidden_size": 1536,
            "num_hidden_layers": 48,
            "num_attention_heads": 24,
            "intermediate_size": 6144,
        },
        "sequence-classification",
    ),
    "gpt2": ("gpt2", {**GPT2, "n_embd": 768, "n_layer": 12, "n_head": 12}, "causal-lm"),
    "gpt2-medium": ("gpt2", {**GPT2, "n_embd": 1024, "n_layer": 24, "n_head": 16}, "causal-lm"),
    "gpt2-large": ("gpt2", {**GPT2, "n_embd": 1280, "n_layer": 36, "n_head": 20}, "causal-lm"),
    "gpt3-175b": ("gpt2", {**GPT2, "n_positions": 2048, "n_embd": 12288, "n_layer": 96, "n_head": 96}, "causal-lm"),
    "bart-large": ("bart", {"vocab_size": 50265, "d_model": 1024, "encoder_layers": 12, "decoder_layers": 12}, "body"),
}


def shape(name: str) -> dict[str, Any]:
    """Returns the settings of a published network, its model type among them, for `load.make_folder`.

    Raises:
        UserError: no network of that name is known here.
    """
    kind, settings, _ = _published(name)
    return {"model_type": kind, **settings}


def _published(name: str) -> tuple[str, dict[str, Any], str]:
    if name not in PUBLISHED:
        raise UserError(f"the shape of {name} is not known", did_you_mean(name, PUBLISHED))
    return PUBLISHED[name]


def published_network(name: str, *, whole: bool = False, classes: int = 0) -> nn.Module:
    """Builds a published network on the meta device: every parameter has its shape, and no memory.

    Args:
        name: a key of PUBLISHED.
        whole: the pre-trained body alone, with a pooler where it has one; else with the head of its tasks.
        classes: of a classification head; 0 where none is counted (two, if the network has such a head at all).
    Raises:
        UserError: no network of that name is known here.
    """
    kind, settings, architecture = _published(name)
    config = transformers.AutoConfig.for_model(kind, **settings)
    if classes:
        config.num_labels = classes
    body = whole or architecture == "body"
    with torch.device("meta"):
        return (transformers.AutoModel if body else ARCHITECTURES[architecture]).from_config(config)
