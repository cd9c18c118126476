"""The forms of a network that are measured beside each other."""

from __future__ import annotations

import pytest
import torch

from repro.papers.adapter import Adapter
from repro.papers.finetune import Finetune
from repro.papers.lora import LoRA, LowRank

TARGETS = {"bert": ["query", "value"], "gpt2": ["query", "value"]}
METHOD = {"rank": 2, "alpha": 16, "dropout": 0.1, "init": "drawn", "sigma": 0.2}


def logits(network, batch):
    with torch.inference_mode():
        return network.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits


def weights(network):
    return {name: one.detach().clone() for name, one in network.named_parameters()}


@pytest.mark.parametrize("family", TARGETS)
def test_merged_lora_is_a_plain_network_that_answers_as_the_unmerged_one(paper, toy, family):
    module, batch = paper(LoRA, family, targets=TARGETS[family], **METHOD), toy.batch()
    forms = module.forms()
    merged, bare = forms["deployed"](), forms["bare"]()
    assert [type(one) for one in merged.modules()] == [type(one) for one in bare.modules()]
    wanted, without = logits(forms["unmerged"](), batch), logits(bare, batch)
    assert (logits(merged, batch) - wanted).abs().max() < 1e-5 * wanted.abs().max()
    assert (wanted - without).abs().max() > 0.01 * wanted.abs().max()  # B is not zero


@pytest.mark.parametrize("family", TARGETS)
def test_merging_a_copy_leaves_the_network_as_it_was_and_takes_no_memory_for_the_rest(paper, family):
    module = paper(LoRA, family, targets=TARGETS[family], **METHOD)
    before = weights(module.network)
    merged = module.forms()["deployed"]()
    assert any(isinstance(one, LowRank) for one in module.network.modules())
    assert all(torch.equal(one, before[name]) for name, one in module.network.named_parameters())
    ours = {one.data_ptr() for one in module.network.parameters()}
    own = [name for name, one in merged.named_parameters() if one.data_ptr() not in ours]
    assert own == [name.replace(".W0.", ".") for name in before if name.endswith(".W0.weight")]


@pytest.mark.parametrize("family", TARGETS)
def test_restored_weights_are_those_before_to_the_bit(paper, family):
    module = paper(LoRA, family, targets=TARGETS[family], **METHOD)
    forms = module.forms()
    restored, bare = weights(forms["restored"]()), weights(forms["bare"]())
    assert restored.keys() == bare.keys()
    assert all(torch.equal(restored[name], bare[name]) for name in bare)


def test_drawn_matrices_are_the_seeds_own(paper):
    first, again, other = (paper(LoRA, "gpt2", targets=["query"], seed=seed, **METHOD) for seed in (1, 1, 2))
    (_, one), (_, same), (_, another) = (next(module.adapted()) for module in (first, again, other))
    assert torch.equal(one.B, same.B)
    assert not torch.equal(one.B, another.B)
    assert one.B.std().item() == pytest.approx(0.2, rel=0.3)


def test_what_cannot_be_merged_is_served_as_it_is(paper, toy):
    module = paper(Adapter, "gpt2", kind="houlsby", bottleneck=4, nonlinearity="released", sigma=0.5)
    batch = toy.batch()
    forms = module.forms()
    assert set(forms) == {"deployed", "bare"}
    assert forms["deployed"]() is module.network
    bare = forms["bare"]()
    assert torch.equal(logits(bare, batch), logits(toy.network("gpt2"), batch))
    assert not torch.allclose(logits(bare, batch), logits(module.network, batch))


def test_the_bare_network_has_the_random_weights_that_the_paper_started_from(paper, toy):
    module = paper(Finetune, "gpt2")
    module.load = lambda: {"network": toy.network("gpt2", seed=torch.initial_seed())}
    module.network = None
    module.configure_model()
    torch.manual_seed(123)
    bare = weights(module.forms()["bare"]())
    assert all(torch.equal(one, bare[name]) for name, one in module.network.named_parameters())
