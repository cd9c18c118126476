from __future__ import annotations

import json
import math
from pathlib import Path

import peft
import pytest
import torch
import transformers

from repro.errors import UserError
from repro.models.load import head_modules
from repro.papers.lora import LoRA, LowRank, check_peft_config

FAMILIES = {"bert": ["query", "value"], "roberta": ["attention.self.query", "value"], "gpt2": ["c_attn"]}
METHOD = {"rank": 4, "alpha": 8, "dropout": 0.0}


def logits(network, batch):
    with torch.no_grad():
        return network.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits


def randomise(module, seed=3):
    """Gives B values, as training would."""
    torch.manual_seed(seed)
    for _, low in module.adapted():
        low.B.data.normal_(std=0.3)


def in_peft(network, family, **more):
    config = peft.LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=FAMILIES[family],
        task_type="SEQ_CLS",
        modules_to_save=head_modules(network),
        fan_in_fan_out=family == "gpt2",
        **more,
    )
    return peft.get_peft_model(network, config)


def same_matrices(module, theirs):
    """Copies our A and B into peft's network, and pairs the learning parameters of both by name."""
    pairs = {}
    names = dict(theirs.named_parameters())
    for name, low in module.adapted():
        for letter, ours in (("A", low.A), ("B", low.B)):
            other = names[f"base_model.model.{name}.lora_{letter}.default.weight"]
            other.data.copy_(ours)
            pairs[f"{name}.{letter}"] = (ours, other)
    for name, ours in module.network.named_parameters():
        for head in head_modules(module.network):
            if name.startswith(f"{head}."):
                rest = name.removeprefix(head)
                pairs[name] = (ours, names[f"base_model.model.{head}.modules_to_save.default{rest}"])
    assert len(pairs) == sum(1 for parameter in theirs.parameters() if parameter.requires_grad)
    return pairs


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapted_network_starts_bit_equal_to_its_base(family, paper, toy):
    batch = toy.batch()
    assert torch.equal(
        logits(paper(LoRA, family, targets=FAMILIES[family], **METHOD).network, batch),
        logits(toy.network(family), batch),
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_lora_gives_the_same_logits_and_unmerging_restores_every_bit(family, paper, toy):
    module, batch = paper(LoRA, family, targets=FAMILIES[family], **METHOD), toy.batch()
    randomise(module)
    unmerged = logits(module.network, batch)
    before = {name: value.clone() for name, value in module.network.state_dict().items()}
    module.merge()
    module.merge()
    torch.testing.assert_close(logits(module.network, batch), unmerged, rtol=0, atol=1e-6)
    for _, low in module.adapted():
        assert not torch.equal(
            low.W0.weight, before[next(n for n, m in module.network.named_modules() if m is low) + ".W0.weight"]
        )
    module.unmerge()
    assert all(torch.equal(value, before[name]) for name, value in module.network.state_dict().items())
    assert (unmerged - logits(toy.network(family), batch)).abs().max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_gradients_and_a_step_equal_those_of_peft(family, paper, toy):
    module, theirs, batch = (
        paper(LoRA, family, targets=FAMILIES[family], **METHOD),
        in_peft(toy.network(family), family),
        toy.batch(),
    )
    randomise(module)
    pairs = same_matrices(module, theirs)
    torch.testing.assert_close(logits(module.network, batch), logits(theirs, batch), rtol=0, atol=1e-6)
    loss, loss_theirs = module.loss(batch), toy.task().loss(theirs, batch)
    loss.backward()
    loss_theirs.backward()
    for name, (a, b) in pairs.items():
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-7, msg=name)
        assert a.grad.abs().max() > 0
    for which in (0, 1):
        torch.optim.AdamW([pair[which] for pair in pairs.values()], lr=0.01).step()
    for name, (a, b) in pairs.items():
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_peft_loads_our_folder(family, paper, toy, tmp_path):
    module, batch = paper(LoRA, family, targets=FAMILIES[family], **METHOD), toy.batch()
    randomise(module)
    module.save_product(tmp_path)
    theirs = peft.PeftModel.from_pretrained(toy.network(family, seed=0), tmp_path)
    torch.testing.assert_close(logits(theirs, batch), logits(module.network, batch), rtol=0, atol=1e-6)
    assert {path.name for path in tmp_path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}


@pytest.mark.parametrize("family", FAMILIES)
def test_we_load_the_folder_of_peft(family, paper, toy, tmp_path):
    theirs, batch = in_peft(toy.network(family), family, init_lora_weights=False), toy.batch()
    theirs.save_pretrained(tmp_path)
    module = paper(LoRA, family, targets=FAMILIES[family], inputs={"start": tmp_path}, **METHOD)
    torch.testing.assert_close(logits(module.network, batch), logits(theirs, batch), rtol=0, atol=1e-6)
    assert (logits(module.network, batch) - logits(toy.network(family), batch)).abs().max() > 1e-3


def test_a_target_that_also_names_a_part_of_the_head_leaves_the_head_alone(paper, toy, tmp_path):
    module, batch = paper(LoRA, targets=["dense"], **METHOD), toy.batch()
    adapted = {name for name, _ in module.adapted()}
    assert len(adapted) == 6  # attention output, intermediate and output of two layers, not bert.pooler.dense
    randomise(module)
    module.save_product(tmp_path)
    theirs = peft.PeftModel.from_pretrained(toy.network("bert"), tmp_path)
    names = [name for name, _ in theirs.named_parameters() if "lora_A" in name]
    assert {name.removeprefix("base_model.model.").removesuffix(".lora_A.default.weight") for name in names} == adapted
    torch.testing.assert_close(logits(theirs, batch), logits(module.network, batch), rtol=0, atol=1e-6)


def test_the_released_start_is_uniform_and_the_published_one_gaussian():
    torch.manual_seed(0)
    W0 = torch.nn.Linear(400, 300)
    released = LowRank(W0, 64, 64, 0.0, "released", 0.02)
    published = LowRank(W0, 64, 64, 0.0, "published", 0.02)
    assert released.A.abs().max() <= 1 / math.sqrt(400)  # U(-1/sqrt(in), 1/sqrt(in))
    assert released.A.std().item() == pytest.approx(1 / math.sqrt(3 * 400), rel=0.02)
    assert published.A.std().item() == pytest.approx(0.02, rel=0.02)
    assert published.A.abs().max() > 0.06  # a Gaussian has tails
    assert not released.B.any()
    assert not published.B.any()


def test_only_a_b_and_the_head_learn_and_their_number_is_the_papers(paper):
    module = paper(LoRA, targets=["query", "value"], **METHOD)
    learning = {name for name, parameter in module.network.named_parameters() if parameter.requires_grad}
    assert all(name.endswith((".A", ".B")) or name.startswith(("bert.pooler.", "classifier.")) for name in learning)
    # 2 * L * d * r: two matrices in each of 2 layers, d 16, r 4; pooler 16 * 16 + 16, classifier 16 * 2 + 2
    assert module.trainable_parameters() - module.head_parameters() == 2 * 4 * 16 * 4 == 512
    assert module.head_parameters() == 272 + 34
    assert set(module.trainable_state()) == learning


def test_roberta_base_has_the_papers_number_of_parameters(toy):
    with torch.device("meta"):
        network = transformers.RobertaForSequenceClassification(
            transformers.RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1)
        )
        module = LoRA(
            task=toy.task(),
            load=lambda: {"network": network},
            inputs={},
            optim=toy.optim,
            seed=0,
            rank=8,
            alpha=16,
            dropout=0.0,
            targets=["query", "value"],
        )
        module.configure_model()
    assert module.trainable_parameters() - module.head_parameters() == 294_912  # Table 2: 0.3M
    assert module.head_parameters() == 590_592 + 2 * 769  # dense 768 x 768 + 768, and the classes


def test_dropout_acts_on_the_low_rank_branch_alone():
    W0 = torch.nn.Linear(8, 8)
    low = LowRank(W0, 2, 2, 0.5, "released", 0.02)
    x = torch.ones(4, 8)
    assert torch.equal(low.train()(x), W0(x))  # B is zero: what the branch sees cannot show
    low.B.data.fill_(1.0)
    torch.manual_seed(0)
    seen = torch.nn.functional.dropout(x, 0.5)
    torch.manual_seed(0)
    torch.testing.assert_close(low(x), W0(x) + seen @ low.A.T @ low.B.T)
    torch.testing.assert_close(low.eval()(x), W0(x) + x @ low.A.T @ low.B.T)


def test_a_start_with_other_classes_gives_a_and_b_and_leaves_the_head(paper, tmp_path):
    for family in ("bert", "roberta"):
        first = paper(LoRA, family, labels=3, targets=["query", "value"], **METHOD)
        randomise(first)
        head = dict(first.network.named_parameters())
        head["bert.pooler.dense.bias" if family == "bert" else "classifier.dense.bias"].data.fill_(5.0)
        first.save_product(tmp_path / family)
        second = paper(
            LoRA, family, labels=2, targets=["query", "value"], inputs={"start": tmp_path / family}, **METHOD
        )
        for (name, a), (_, b) in zip(first.adapted(), second.adapted(), strict=True):
            assert torch.equal(a.A, b.A), name
            assert torch.equal(a.B, b.B), name
        if family == "bert":  # the pooler fits and is kept, as DeBERTa's is in the released code
            assert (second.network.bert.pooler.dense.bias == 5).all()
            assert second.network.classifier.weight.shape == (2, 16)
        else:  # RoBERTa's head is one module and goes whole
            assert not second.network.classifier.dense.bias.any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rank": 0}, "paper.rank is 0"),
        ({"rank": -2}, "paper.rank is -2"),
        ({"rank": 17}, "encoder.layer.0.attention.self.query is a 16 x 16 matrix: the rank is at most 16"),
        ({"alpha": 0}, "paper.alpha is 0"),
        ({"dropout": 1.0}, "paper.dropout is 1.0"),
        ({"dropout": -0.1}, "paper.dropout is -0.1"),
        ({"targets": []}, "paper.targets is []"),
        ({"targets": "query"}, "paper.targets is 'query'"),
        ({"targets": ["query", "c_attn"]}, "called 'c_attn': there are query, key, value, dense"),
        ({"targets": ["uery"]}, "called 'uery'"),
        ({"init": "gaussian"}, "paper.init is 'gaussian': say released or published"),
    ],
)
def test_a_wrong_setting_says_so(wrong, message, paper):
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        paper(LoRA, **{**METHOD, "targets": ["query"], **wrong})


def test_an_adapter_that_is_not_plain_lora_is_refused_by_its_key(paper, toy, tmp_path):
    in_peft(toy.network("bert"), "bert", init_lora_weights=False).save_pretrained(tmp_path)
    file = tmp_path / "adapter_config.json"
    config = json.loads(file.read_text())
    check_peft_config(config, file, rank=4, alpha=8)
    for key, value in {
        "use_dora": True,
        "use_rslora": True,
        "rank_pattern": {"query": 2},
        "alpha_pattern": {"query": 2},
        "bias": "all",
        "init_lora_weights": "pissa",
        "peft_type": "IA3",
        "lora_bias": True,
        "of_the_future": 1,
    }.items():
        with pytest.raises(UserError, match=rf"adapter_config.json: {key} is"):
            check_peft_config({**config, key: value}, file, rank=4, alpha=8)
    with pytest.raises(UserError, match=r"lora_alpha is 8, this run has paper.alpha=16"):
        check_peft_config(config, file, rank=4, alpha=16)
    with pytest.raises(UserError, match=r"r is 4, this run has paper.rank=8"):
        check_peft_config(config, file, rank=8, alpha=8)
    with pytest.raises(
        UserError, match=r"adapter_model.safetensors lacks bert.encoder.layer.0.attention.self.key.lora_A.weight"
    ):
        paper(LoRA, targets=["key"], inputs={"start": tmp_path}, **METHOD)
    with pytest.raises(UserError, match=r"has no bert.encoder.layer.0.attention.self.value.lora_A.weight"):
        paper(LoRA, targets=["query"], inputs={"start": tmp_path}, **METHOD)
    file.write_text("{\n nothing")
    with pytest.raises(UserError, match=r"adapter_config.json, line 2"):
        paper(LoRA, targets=["query", "value"], inputs={"start": tmp_path}, **METHOD)
    with pytest.raises(UserError, match=r"nowhere.adapter_config.json is missing"):
        paper(LoRA, targets=["query"], inputs={"start": Path("nowhere")}, **METHOD)


def test_the_product_names_no_path_of_this_machine(paper, toy, tmp_path):
    toy.network("bert").save_pretrained(tmp_path / "base")
    network = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    module = LoRA(
        task=toy.task(),
        load=lambda: {"network": network},
        inputs={},
        optim=toy.optim,
        seed=0,
        targets=["query"],
        **METHOD,
    )
    module.configure_model()
    module.save_product(tmp_path / "product")
    assert str(tmp_path) not in (tmp_path / "product" / "adapter_config.json").read_text()
