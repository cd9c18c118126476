"""Our count of floating-point operations, against torch's counter and against numbers worked out by hand."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from repro.models.flops import Cost, FlopCounter, costs
from repro.papers.adapter import KINDS, Adapter
from repro.papers.bitfit import BitFit
from repro.papers.finetune import Finetune
from repro.papers.lora import LoRA

ENCODER = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}
WORDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GPT2 = {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40, **WORDS}
DEBERTA = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8}
FAMILIES = {
    "bert": (BertForSequenceClassification, BertConfig(**ENCODER)),
    "roberta": (RobertaForSequenceClassification, RobertaConfig(**ENCODER, **WORDS)),
    "deberta": (DebertaV2ForSequenceClassification, DebertaV2Config(**ENCODER, **DEBERTA)),
    "bert masked-lm": (BertForMaskedLM, BertConfig(**ENCODER)),
    "gpt2": (GPT2ForSequenceClassification, GPT2Config(**GPT2)),
    "gpt2 lm": (GPT2LMHeadModel, GPT2Config(**GPT2)),
}
OPTIM = {"lr": 0.01, "weight_decay": 0.0, "betas": [0.9, 0.999], "eps": 1e-8, "warmup_steps": 0, "schedule": "constant"}
TARGETS = {
    "bert": ["query", "value"],
    "roberta": ["query", "value"],
    "deberta": ["query_proj", "value_proj"],
    "gpt2": ["c_attn"],
}
LORA = {"rank": 4, "alpha": 8, "dropout": 0.1}


def built(family: str, attention: str = "eager") -> nn.Module:
    kind, config = FAMILIES[family]
    if family == "deberta":  # it has one attention, written out
        return kind(copy.deepcopy(config))
    return kind._from_config(copy.deepcopy(config), attn_implementation=attention)


def adapted(family: str, method: str, attention: str = "eager") -> nn.Module:
    """A network in training, as a paper adapts it."""
    base = {
        "task": None,
        "load": lambda: {"network": built(family, attention)},
        "inputs": {},
        "optim": OPTIM,
        "seed": 0,
    }
    if method == "lora":
        paper = LoRA(**base, **LORA, targets=TARGETS[family.split()[0]])
    elif method in KINDS:
        paper = Adapter(**base, kind=method, bottleneck=4, nonlinearity="released", sigma=0.02)
    elif method == "bitfit":
        paper = BitFit(**base)
    else:
        paper = Finetune(**base, trains=method)
    paper.configure_model()
    return paper.network


def batch(rows: int = 5, length: int = 11) -> dict[str, torch.Tensor]:
    words = torch.randint(5, 40, (rows, length))
    mask = torch.ones_like(words)
    mask[0, -2:] = 0
    return {"input_ids": words * mask, "attention_mask": mask}


def counted(call) -> int:
    """What torch's counter sees. On a CPU it sees a fused attention only where that is made of plain products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def compare(network: nn.Module) -> None:
    """Forward, and forward with backward, of two shapes."""
    ours = FlopCounter(network)
    for inputs in (batch(), batch(2, 30)):
        with torch.no_grad():
            forward = counted(lambda: network(**inputs))  # noqa: B023 (called at once)
        assert ours.taken() == forward > 0
        both = counted(lambda: network(**inputs).logits.sum().backward())  # noqa: B023
        assert ours.taken() == both > forward
        assert ours.taken() == 0


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("method", ["all", "lora", "head"])
@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_classification_costs_what_torch_counts(family, method, attention):
    compare(adapted(family, method, attention))


@pytest.mark.parametrize("method", ["all", "lora", "head"])
def test_what_a_batch_shares_is_counted_once(method):
    network = adapted("deberta", method)  # projects its relative positions once a batch
    compare(network)
    assert costs(network)[0].batch > 0


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ["bert masked-lm", "gpt2 lm"])
def test_language_models_with_tied_decoders_cost_what_torch_counts(family, attention):
    compare(adapted(family, "all", attention))


def test_lora_in_a_language_model_costs_what_torch_counts():
    compare(adapted("gpt2 lm", "lora"))


def test_the_cost_of_bert_is_what_the_formulas_give_by_hand():
    # width 16, feed-forward 24, 2 layers: 4 16^2 + 2 16 24 = 1,792 weights a layer, 2 operations each;
    # attention: 2 layers, 2 products, 2 16 operations a pair; pooler (16^2) and classifier (16 2) on the first token
    forward, backward = costs(adapted("bert", "all"))
    assert forward == Cost(batch=0, row=2 * (256 + 32), token=2 * 2 * 1792, pair=2 * 2 * 2 * 16)
    assert (backward.row, backward.token, backward.pair) == (2 * forward.row, 2 * forward.token, 2 * forward.pair)
    # decoder and transform of the masked-lm form
    assert costs(adapted("bert masked-lm", "all"))[0].place == 2 * (16 * 40 + 16 * 16)


def test_a_frozen_body_has_no_backward_pass():
    # only the head learns: the pooler's weight, the classifier's weight and its input
    assert costs(adapted("bert", "head"))[1] == Cost(row=2 * 256 + 2 * 2 * 32)


def test_lora_goes_back_only_as_far_as_something_learns():
    # Layer 1 goes back whole, for its activations alone: 1,792 weights. In layer 0 nothing below query and value
    # learns: back through what stands above them (output 16^2, feed-forward 2 16 24), not through query, key and value.
    # The branches: A (4 x 16) and B (16 x 4) on query and value; gradients of A and B, of B's input, of A's input.
    forward, backward = costs(adapted("bert", "lora"))
    branch = 16 * 4
    assert forward.token == 2 * (2 * 1792 + 2 * 2 * 2 * branch)
    assert backward.token == 2 * (1792 + 256 + 768 + 2 * 2 * 3 * branch + 2 * branch)
    # attention: four gradients a layer, without that of layer 0's frozen keys
    assert backward.pair == 2 * 16 * (4 + 3)


@pytest.mark.parametrize("method", ["houlsby", "lin", "pfeiffer", "bitfit"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_adapters_and_biases_cost_what_torch_counts(family, method):
    compare(adapted(family, method))


def test_adapters_cost_two_thin_products_each():
    # houlsby: four adapters of two matrices of 16 * 4
    plain, whole = costs(adapted("bert", "head"))[0], costs(adapted("bert", "houlsby"))[0]
    assert whole.token - plain.token == 2 * 4 * 2 * 16 * 4


def test_an_output_layer_that_is_asked_for_a_few_places_costs_those_alone():
    network = adapted("bert masked-lm", "all")
    ours, inputs = FlopCounter(network), batch()
    places = torch.rand(inputs["input_ids"].shape) < 0.3

    def call():
        hidden = network.base_model(**inputs).last_hidden_state
        network.cls(hidden[places]).sum().backward()

    assert ours.taken() == 0
    assert counted(call) == ours.taken() > 0


def test_a_step_over_a_cache_attends_to_what_is_in_it():
    network = built("gpt2 lm").eval()
    ours, inputs = FlopCounter(network), batch()
    with torch.no_grad():
        cache = network(**inputs).past_key_values
        ours.taken()
        mask = torch.ones(5, 12, dtype=torch.long)
        step = counted(
            lambda: network(
                input_ids=inputs["input_ids"][:, :1], attention_mask=mask, past_key_values=cache, use_cache=True
            )
        )
    assert ours.taken() == step > 0


def test_embeddings_given_in_place_of_words_cost_the_same():
    network, words = built("gpt2 lm"), batch()
    ours = FlopCounter(network)
    embedded = network.get_input_embeddings()(words["input_ids"])
    network(attention_mask=torch.ones(5, 30), inputs_embeds=embedded[:, :7], past_key_values=None)
    given = ours.taken()
    network(input_ids=words["input_ids"][:, :7])
    assert ours.taken() == given > 0


def test_counting_changes_neither_results_nor_generators():
    network, inputs = adapted("bert", "lora"), batch()
    torch.manual_seed(3)
    before = network(**inputs).logits
    torch.manual_seed(3)
    FlopCounter(network)
    assert torch.equal(network(**inputs).logits, before)


def test_it_can_be_had_where_no_gradients_are():
    network = adapted("bert", "all")
    with torch.inference_mode():
        assert costs(network) == costs(network)
        assert costs(network)[1].token > 0


def test_a_copied_network_has_a_count_of_its_own():
    network = built("bert")
    ours = FlopCounter(network)
    copy.deepcopy(network)(**batch())
    assert ours.taken() == 0


@torch.no_grad()
def unlearnt(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return x @ kernel[..., 0].t()


class Odd(nn.Module):
    """A network of the test's own."""

    def __init__(self, forward) -> None:
        super().__init__()
        self.words, self.kernel = nn.Embedding(40, 8), nn.Parameter(torch.rand(6, 8, 1))
        self.own = forward

    def forward(self, input_ids, attention_mask):
        return self.own(self.words(input_ids), self.kernel)


@pytest.mark.parametrize(
    "forward",
    [
        lambda x, kernel: F.conv1d(x.mT, kernel),
        lambda x, kernel: x @ kernel[..., 0].t(),
        lambda x, kernel: x[..., :6] + unlearnt(x, kernel),
        lambda x, kernel: torch.baddbmm(x @ x.mT, x, x.mT),
        lambda x, kernel: torch.addmm(x.flatten(0, 1)[:, :6], x.flatten(0, 1), kernel[..., 0].t()),
    ],
)
def test_other_products_cost_what_torch_counts(forward):
    network = Odd(forward)
    ours = FlopCounter(network)
    assert counted(lambda: network(**batch()).sum().backward()) == ours.taken() > 0


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda x, kernel: torch.einsum("blw,owk->blo", x, kernel), "einsum, for which there is no formula"),
        (lambda x, kernel: x[:, :5] @ x[:, :5].mT, "no polynomial"),  # what is farther is cut off
    ],
)
def test_what_follows_no_formula_is_refused(forward, message):
    with pytest.raises(ValueError, match=message):
        FlopCounter(Odd(forward))
