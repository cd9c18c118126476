"""Adapters against forward passes written out here, and against counts worked out by hand."""

from __future__ import annotations

import json

import lightning
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import (
    BartConfig,
    BartForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

from repro.errors import UserError
from repro.papers.adapter import Adapter, blocks
from repro.papers.bitfit import BitFit

FAMILIES = ("bert", "roberta", "gpt2")
KINDS = ("houlsby", "lin", "pfeiffer", "drop")
METHOD = {"bottleneck": 4, "nonlinearity": "released", "sigma": 0.02}
ENDS = {  # the ends of the feed-forward part and of attention in a block
    "bert": ("bert.encoder.layer.{}.output", "bert.encoder.layer.{}.attention.output"),
    "roberta": ("roberta.encoder.layer.{}.output", "roberta.encoder.layer.{}.attention.output"),
    "gpt2": ("transformer.h.{}.mlp.dropout", "transformer.h.{}.attn.resid_dropout"),
}
HEADS = {"bert": ("bert.pooler.", "classifier."), "roberta": ("classifier.",), "gpt2": ("score.",)}
PARTS = ("down.weight", "down.bias", "up.weight", "up.bias")
TINY = {"vocab_size": 40, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "pad_token_id": 0}


def logits(network, batch):
    with torch.no_grad():
        return network.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits


def learning(module):
    return {name for name, parameter in module.network.named_parameters() if parameter.requires_grad}


def randomise(module, seed=3):
    """Gives the adapters values, as training would."""
    torch.manual_seed(seed)
    for _, adapter in module.adapters():
        for parameter in adapter.parameters():
            parameter.data.normal_(std=0.3)
    return module


def of_layers(toy, layers, **settings):
    """Adapters in a BERT of so many layers."""
    network = BertForSequenceClassification(BertConfig(**TINY, num_hidden_layers=layers))
    module = Adapter(
        task=toy.task(), load=lambda: {"network": network}, inputs={}, optim=toy.optim, seed=0, **METHOD | settings
    )
    module.configure_model()
    return module


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_adapters_and_the_head_learn_and_nothing_else(kind, family, paper):
    ends = ENDS[family] if kind == "houlsby" else ENDS[family][:1]
    parts = (*PARTS, "LayerNorm.weight", "LayerNorm.bias") if kind == "lin" else PARTS
    wanted = {f"{end.format(number)}.adapter.{part}" for end in ends for number in (0, 1) for part in parts}
    module = paper(Adapter, family, kind=kind, **METHOD)
    found = {name for name in learning(module) if not name.startswith(HEADS[family])}
    assert found == wanted
    assert all(
        name in learning(module) for name, _ in module.network.named_parameters() if name.startswith(HEADS[family])
    )


@pytest.mark.parametrize(
    ("kind", "count"),
    # an adapter: 2 * 16 * 4 + 4 + 16 = 148; lin has a LayerNorm of 32 with each
    [("houlsby", 4 * 148), ("lin", 2 * 148 + 2 * 32), ("pfeiffer", 2 * 148), ("drop", 2 * 148)],
)
def test_counts_are_those_of_the_formula(kind, count, paper):
    for family in FAMILIES:
        module = paper(Adapter, family, kind=kind, **METHOD)
        assert module.trainable_parameters() - module.head_parameters() == count


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_that_adds_nothing_leaves_every_bit_and_every_frozen_name(kind, family, paper, toy):
    module, base, batch = paper(Adapter, family, kind=kind, **METHOD), toy.network(family), toy.batch()
    near = (logits(module.network, batch) - logits(base, batch)).abs().max()
    assert 0 < near < 0.02  # near the pre-trained function, not on it
    for _, adapter in module.adapters():
        adapter.up.weight.data.zero_()
    assert torch.equal(logits(module.network, batch), logits(base, batch))
    if family != "gpt2":  # GPT-2's dropout has no parameters
        assert set(base.state_dict()) < set(module.network.state_dict())
    frozen = {name: value for name, value in module.network.named_parameters() if not value.requires_grad}
    assert all(torch.equal(value, base.get_parameter(name)) for name, value in frozen.items())


def test_the_start_is_a_gaussian_of_the_given_deviation_and_zero_biases(toy):
    adapter = of_layers(toy, 1, kind="houlsby", bottleneck=8, sigma=0.5).network.bert.encoder.layer[0].output.adapter
    weights = torch.cat([adapter.down.weight.flatten(), adapter.up.weight.flatten()])
    assert 0.35 < weights.std() < 0.65  # 128 numbers: 0.5 within 4.8 standard errors of 0.03
    assert not adapter.down.bias.any()
    assert not adapter.up.bias.any()


def bottleneck(adapter, z, f):
    """W_up f(W_down z + b) + b, by matrix products."""
    return f(z @ adapter.down.weight.T + adapter.down.bias) @ adapter.up.weight.T + adapter.up.bias


def norm(z, layer):
    """LayerNorm by its definition."""
    centred = z - z.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + layer.eps).sqrt() * layer.weight + layer.bias


def added(kind, end, h, x):
    """What a kind's adapter adds at the end of a sublayer of BERT's; h: what the sublayer gives, x: its input."""
    if kind == "houlsby":
        return bottleneck(end.adapter, h, lambda z: z * torch.sigmoid(z))
    if kind == "lin":
        return bottleneck(end.adapter, norm(h, end.adapter.LayerNorm), functional.relu)
    return bottleneck(end.adapter, norm(x + h, end.LayerNorm), functional.relu)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_of_bert_gives_what_its_forward_pass_written_out_gives(kind, paper):
    layer = randomise(paper(Adapter, "bert", kind=kind, **METHOD)).network.eval().bert.encoder.layer[0]
    for one in (layer.output.LayerNorm, layer.attention.output.LayerNorm):
        one.weight.data.uniform_(0.5, 2.0)
    x = torch.randn(3, 7, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        context = layer.attention.self(x)[0]  # heads side by side, before the output projection
        h = context @ layer.attention.output.dense.weight.T + layer.attention.output.dense.bias
        more = added(kind, layer.attention.output, h, x) if kind == "houlsby" else 0
        y = norm(x + h + more, layer.attention.output.LayerNorm)
        wide = functional.gelu(y @ layer.intermediate.dense.weight.T + layer.intermediate.dense.bias)
        h = wide @ layer.output.dense.weight.T + layer.output.dense.bias
        wanted = norm(y + h + added(kind, layer.output, h, y), layer.output.LayerNorm)
        found = layer(x)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert (found - norm(y + h, layer.output.LayerNorm)).abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_of_gpt2_gives_what_its_forward_pass_written_out_gives(kind, paper):
    block = randomise(paper(Adapter, "gpt2", kind=kind, **METHOD)).network.eval().transformer.h[0]
    x = torch.randn(3, 7, 16, generator=torch.Generator().manual_seed(2))
    mlp, attn = block.mlp, block.attn
    f = (lambda z: z * torch.sigmoid(z)) if kind == "houlsby" else functional.relu
    with torch.no_grad():
        found = block(x)
        heads = [part.view(3, 7, 2, 8).transpose(1, 2) for part in attn.c_attn(norm(x, block.ln_1)).split(16, dim=-1)]
        context = functional.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).reshape(3, 7, 16)
        h = context @ attn.c_proj.weight + attn.c_proj.bias  # Conv1D: (in, out)
        y = x + h + (bottleneck(attn.resid_dropout.adapter, h, f) if kind == "houlsby" else 0)
        wide = functional.gelu(norm(y, block.ln_2) @ mlp.c_fc.weight + mlp.c_fc.bias, approximate="tanh")
        h = wide @ mlp.c_proj.weight + mlp.c_proj.bias
        adapter = mlp.dropout.adapter
        z = norm(h, adapter.LayerNorm) if kind == "lin" else h
    torch.testing.assert_close(found, y + h + bottleneck(adapter, z, f), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "dropped", "first"),
    [(12, 0.6667, 8), (4, 0.6667, 3), (4, 0, 0), (4, 0.25, 1), (2, 0.5, 1), (3, 0.1, 0)],
)
def test_the_first_layers_have_no_adapter(layers, dropped, first, toy):
    module = of_layers(toy, layers, kind="drop", dropped=dropped)
    assert [name for name, _ in module.adapters()] == [
        f"bert.encoder.layer.{number}.output.adapter" for number in range(first, layers)
    ]
    assert not any(f"layer.{number}." in name for number in range(first) for name in learning(module))
    kinds = {type(layer.output).__name__ for layer in module.network.bert.encoder.layer[:first]}
    assert kinds <= {"BertOutput"}  # as transformers made them


def test_deberta_has_adapters_too(toy):
    config = DebertaV2Config(**TINY, num_hidden_layers=2, relative_attention=True, pos_att_type=["c2p", "p2c"])
    network, batch = DebertaV2ForSequenceClassification(config), toy.batch()
    before = logits(network, batch)
    module = Adapter(
        task=toy.task(),
        load=lambda: {"network": network},
        inputs={},
        optim=toy.optim,
        seed=0,
        kind="houlsby",
        **METHOD,
    )
    module.configure_model()
    assert module.trainable_parameters() - module.head_parameters() == 4 * (2 * 8 * 4 + 4 + 8)
    for _, adapter in module.adapters():
        adapter.up.weight.data.zero_()
    assert torch.equal(logits(module.network, batch), before)


@pytest.mark.parametrize(
    "network",
    [
        lambda: BartForSequenceClassification(
            BartConfig(
                vocab_size=40, d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8,
                encoder_attention_heads=2, decoder_attention_heads=2,
            )
        ),
        lambda: DistilBertForSequenceClassification(
            DistilBertConfig(vocab_size=40, dim=8, hidden_dim=8, n_heads=2, n_layers=1)
        ),
    ],
)  # fmt: skip
def test_blocks_of_another_shape_are_refused(network):
    with pytest.raises(UserError, match=r"blocks of \w+ are of no shape that is known here: take a BERT"):
        blocks(network())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "houlsbi"}, r"paper.kind is 'houlsbi': did you mean houlsby"),
        ({"bottleneck": 0}, r"paper.bottleneck is 0: a bottleneck is a whole number"),
        ({"bottleneck": 2.5}, r"paper.bottleneck is 2.5"),
        ({"bottleneck": True}, r"paper.bottleneck is True"),
        ({"bottleneck": 17}, r"paper.bottleneck is 17, but bert.encoder.layer.0.output is 16 wide: .* at most 16"),
        ({"kind": "drop", "dropped": 1}, r"paper.dropped is 1: it is a share"),
        ({"kind": "drop", "dropped": -0.1}, r"paper.dropped is -0.1"),
        ({"kind": "drop", "dropped": "half"}, r"paper.dropped is half"),
        ({"kind": "drop", "dropped": 0.9}, r"paper.dropped is 0.9: of 2 layers none would have an adapter"),
        ({"kind": "pfeiffer", "dropped": 0.5}, r"paper.dropped is 0.5, but paper.kind is pfeiffer"),
        ({"nonlinearity": "relo"}, r"paper.nonlinearity is 'relo': did you mean relu"),
        ({"sigma": 0}, r"paper.sigma is 0: it is a positive number"),
    ],
)
def test_wrong_settings_say_so(settings, message, paper):
    with pytest.raises(UserError, match=message):
        paper(Adapter, **{**METHOD, "kind": "pfeiffer", **settings})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_product_comes_back_to_the_bit(kind, family, paper, toy, tmp_path):
    module, batch = randomise(paper(Adapter, family, kind=kind, **METHOD)), toy.batch()
    module.save_product(tmp_path)
    again = paper(Adapter, family, kind=kind, seed=8, inputs={"start": tmp_path}, **METHOD)
    assert torch.equal(logits(again.network, batch), logits(module.network, batch))
    config = json.loads((tmp_path / "learnt.json").read_text())
    assert (config["kind"], config["bottleneck"], config["dropped"]) == (kind, 4, 0)
    assert config["nonlinearity"] == ("swish" if kind == "houlsby" else "relu")


def test_a_start_with_other_classes_gives_the_adapters_and_leaves_the_classifier(paper, tmp_path):
    first = randomise(paper(Adapter, labels=3, kind="pfeiffer", **METHOD))
    first.save_product(tmp_path)
    second = paper(Adapter, labels=2, kind="pfeiffer", inputs={"start": tmp_path}, **METHOD)
    for (_, one), (_, other) in zip(first.adapters(), second.adapters(), strict=True):
        assert torch.equal(one.down.weight, other.down.weight)
    fresh = paper(Adapter, labels=2, kind="pfeiffer", **METHOD)
    assert torch.equal(second.network.classifier.weight, fresh.network.classifier.weight)


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        ("roberta", {}, r"learnt.json: this was learnt on another network"),
        ("bert", {"bottleneck": 5}, r"learnt.json: bottleneck is 4, this run has 5"),
        ("bert", {"kind": "houlsby"}, r"learnt.json: kind is 'drop', this run has 'houlsby'"),
        ("bert", {"dropped": 0.5}, r"learnt.json: dropped is 0, this run has 0.5"),
        ("bert", {"nonlinearity": "gelu"}, r"learnt.json: nonlinearity is 'relu', this run has 'gelu'"),
    ],
)
def test_products_of_another_network_or_of_other_settings_are_refused(family, settings, message, paper, tmp_path):
    method = {"kind": "drop", **METHOD}
    paper(Adapter, **method).save_product(tmp_path)
    with pytest.raises(UserError, match=message):
        paper(Adapter, family, inputs={"start": tmp_path}, **{**method, **settings})


def test_a_product_of_another_depth_is_refused(toy, tmp_path):
    of_layers(toy, 2, kind="pfeiffer").save_product(tmp_path)
    with pytest.raises(UserError, match=r"this was learnt on another network"):
        of_layers(toy, 3, kind="pfeiffer").load_product(tmp_path)


def test_what_learns_is_kept_and_put_back(paper, toy):
    module, batch = randomise(paper(Adapter, kind="lin", **METHOD)), toy.batch()
    state, before = module.trainable_state(), logits(module.network, batch)
    assert set(state) == learning(module)
    randomise(module, seed=4)
    assert not torch.equal(logits(module.network, batch), before)
    module.load_trainable_state(state)
    assert torch.equal(logits(module.network, batch), before)


class Keep(lightning.Callback):
    """Leaves a checkpoint after the first of two epochs."""

    def __init__(self, file):
        self.file = file

    def on_train_epoch_end(self, trainer, module):
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(self.file)


def fit(module, batches, *callbacks, resume=None):
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=2, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(module, DataLoader(batches, batch_size=None), ckpt_path=resume)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("method", "settings"),
    [(Adapter, {"kind": "houlsby", **METHOD}), (Adapter, {"kind": "lin", **METHOD}), (BitFit, {})],
)
def test_a_resumed_run_has_the_same_weights(method, settings, paper, toy, tmp_path):
    batches, file = [toy.batch(seed=seed) for seed in range(4)], tmp_path / "half.ckpt"
    whole = fit(paper(method, **settings), batches, Keep(file))
    stored = torch.load(file, weights_only=False)["state_dict"]
    assert set(stored) == {f"network.{name}" for name in learning(whole)}  # what is frozen is not kept
    resumed = fit(paper(method, **settings), batches, resume=file)
    assert resumed.steps == 8
    end, again = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in end.items())
    assert any(not torch.equal(value, end[name.removeprefix("network.")]) for name, value in stored.items())
