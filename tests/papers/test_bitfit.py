from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import BertForSequenceClassification

from repro.errors import UserError
from repro.papers.bitfit import BitFit

LAYER = {
    "attention.self.query.bias",
    "attention.self.key.bias",
    "attention.self.value.bias",
    "attention.output.dense.bias",
    "attention.output.LayerNorm.bias",
    "intermediate.dense.bias",
    "output.dense.bias",
    "output.LayerNorm.bias",
}


def learning(module):
    return {name for name, parameter in module.network.named_parameters() if parameter.requires_grad}


def move(module, by):
    with torch.no_grad():
        for name, parameter in module.network.named_parameters():
            if name in learning(module):
                parameter.add_(by)


def test_the_biases_and_the_head_learn_and_nothing_else(paper):
    biases = {f"bert.encoder.layer.{number}.{name}" for number in (0, 1) for name in LAYER}
    head = {f"{name}.{part}" for name in ("bert.pooler.dense", "classifier") for part in ("weight", "bias")}
    assert learning(paper(BitFit)) == biases | {"bert.embeddings.LayerNorm.bias"} | head
    head = {f"classifier.{name}.{part}" for name in ("dense", "out_proj") for part in ("weight", "bias")}
    assert {name for name in learning(paper(BitFit, "roberta")) if not name.startswith("roberta.")} == head


def test_gpt2_has_eleven_widths_of_biases_a_layer_and_one_at_the_end(paper):
    module = paper(BitFit, "gpt2")  # q, k, v, o: 4; feed-forward 4 + 1; two LayerNorms
    assert module.trainable_parameters() - module.head_parameters() == 2 * 11 * 16 + 16
    assert {name for name in learning(module) if "bias" not in name} == {"score.weight"}


def test_a_step_moves_biases_alone(paper, toy):
    module, before = paper(BitFit), toy.network("bert").state_dict()
    module.loss(toy.batch()).backward()
    torch.optim.SGD(module.network.parameters(), lr=0.5).step()
    moved = {name for name, value in module.network.state_dict().items() if not torch.equal(value, before[name])}
    # a shift of all keys changes no softmax: the gradient of their bias is zero, but for rounding
    keys = {f"bert.encoder.layer.{number}.attention.self.key.bias" for number in (0, 1)}
    assert learning(module) - keys <= moved <= learning(module)


def test_a_product_comes_back_to_the_bit(paper, toy, tmp_path):
    module, batch = paper(BitFit), toy.batch()
    move(module, 0.1)
    module.save_product(tmp_path)
    again = paper(BitFit, seed=8, inputs={"start": tmp_path})
    for name, value in module.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value), name
    assert again.predict(batch) == module.predict(batch)
    with safe_open(tmp_path / "learnt.safetensors", "pt") as tensors:
        assert set(tensors.keys()) == learning(module)
    assert json.loads((tmp_path / "learnt.json").read_text())["method"] == "bitfit"


def test_a_start_with_other_classes_gives_the_biases_and_leaves_the_classifier(paper, tmp_path):
    first = paper(BitFit, labels=3)
    move(first, 1.0)
    first.save_product(tmp_path)
    second = paper(BitFit, labels=2, inputs={"start": tmp_path})
    fresh = paper(BitFit, labels=2)
    assert torch.equal(
        second.network.bert.embeddings.LayerNorm.bias, fresh.network.bert.embeddings.LayerNorm.bias + 1.0
    )
    assert torch.equal(second.network.classifier.bias, fresh.network.classifier.bias)


def test_the_network_stays_one_that_transformers_saves_and_loads(paper, toy, tmp_path):
    module, batch = paper(BitFit), toy.batch()
    move(module, 0.1)
    module.merged().save_pretrained(tmp_path)
    network = BertForSequenceClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(network(batch["input_ids"]).logits, module.network.eval()(batch["input_ids"]).logits)


def test_products_of_another_network_or_method_are_refused(paper, toy, tmp_path):
    module = paper(BitFit)
    module.save_product(tmp_path)
    with pytest.raises(UserError, match=r"learnt.json: this was learnt on another network"):
        paper(BitFit, "roberta", inputs={"start": tmp_path})
    other = BitFit(
        task=toy.task(), load=lambda: {"network": toy.network("bert", seed=1)}, inputs={}, optim=toy.optim, seed=0
    )
    other.configure_model()  # the same shapes, other weights
    with pytest.raises(UserError, match=r"learnt.json: this was learnt on another network"):
        other.load_product(tmp_path)
    config = tmp_path / "learnt.json"
    config.write_text(config.read_text().replace('"bitfit"', '"adapter"'))
    with pytest.raises(UserError, match=r"learnt.json: method is 'adapter', this run has 'bitfit'"):
        module.load_product(tmp_path)


def test_broken_products_are_named(paper, tmp_path):
    module = paper(BitFit)
    with pytest.raises(UserError, match=r"learnt.json is missing"):
        module.load_product(tmp_path)
    module.save_product(tmp_path)
    (tmp_path / "learnt.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"learnt.safetensors cannot be read"):
        module.load_product(tmp_path)
    (tmp_path / "learnt.safetensors").unlink()
    with pytest.raises(UserError, match=r"learnt.safetensors is missing"):
        module.load_product(tmp_path)
    (tmp_path / "learnt.json").write_text("{")
    with pytest.raises(UserError, match=r"learnt.json cannot be read"):
        module.load_product(tmp_path)


def test_a_product_without_a_bias_is_refused(paper, tmp_path):
    module = paper(BitFit)
    module.save_product(tmp_path)
    tensors = load_file(tmp_path / "learnt.safetensors")
    del tensors["bert.encoder.layer.1.output.dense.bias"]
    save_file(tensors, tmp_path / "learnt.safetensors")
    with pytest.raises(UserError, match=r"lacks bert.encoder.layer.1.output.dense.bias"):
        module.load_product(tmp_path)


def test_a_network_without_biases_is_refused(paper):
    class Plain(nn.Module):
        base_model_prefix = "body"

        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 4, bias=False)

    with pytest.raises(UserError, match="Linear has no biases"):
        paper(BitFit).adapt({"network": Plain()})


def test_what_learns_is_kept_and_put_back(paper):
    module = paper(BitFit)
    state = module.trainable_state()
    assert set(state) == learning(module)
    move(module, 1.0)
    module.load_trainable_state(state)
    assert all(torch.equal(module.network.get_parameter(name), value) for name, value in state.items())
