from __future__ import annotations

import json
import math
from pathlib import Path

import peft
import pytest
import torch
import torch.nn.functional as F
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers.pytorch_utils import Conv1D

from repro.errors import UserError
from repro.models.flops import costs
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


# Parts of GPT-2's fused matrix.

PARTS = {
    "qv": ["query", "value"],
    "v": ["value"],
    "qk": ["key", "query"],
    "qkv": ["query", "key", "value"],
    "qvo": ["query", "value", "output"],
}


def merged_linear(W0, A, B, x, enabled, scale, dropout=0.0):
    """MergedLinear as its authors have it: a grouped convolution, whose outputs are put between zeros."""
    seen = F.dropout(x, dropout) if dropout else x
    z = F.linear(seen, A).transpose(-2, -1)
    update = F.conv1d(z, B.unsqueeze(-1), groups=sum(enabled)).transpose(-2, -1)
    h = W0(x)
    rows = torch.tensor(enabled).repeat_interleave(h.shape[-1] // len(enabled))
    return h + scale * torch.zeros_like(h).index_copy(-1, rows.nonzero()[:, 0], update)


@pytest.mark.parametrize("parts", [(0, 2), (0,), (1, 2), (0, 1, 2)])
def test_parts_of_a_fused_matrix_are_those_of_merged_linear(parts):
    torch.manual_seed(0)
    W0 = Conv1D(48, 16)
    low = LowRank(W0, 3, 6, 0.25, "released", 0.02, parts)
    assert low.A.shape == (3 * len(parts), 16)
    assert low.B.shape == (16 * len(parts), 3)
    assert low.A.abs().max() <= 1 / math.sqrt(16)
    assert torch.equal(low(torch.ones(2, 16)), W0(torch.ones(2, 16)))
    low.B.data.normal_()
    x, enabled = torch.randn(2, 5, 16), [part in parts for part in range(3)]
    for training, dropout in ((True, 0.25), (False, 0.0)):
        torch.manual_seed(5)
        ours = low.train(training)(x)
        torch.manual_seed(5)  # one mask, of the common input
        theirs = merged_linear(W0, low.A, low.B, x, enabled, 2.0, dropout)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)
        weights = torch.randn_like(ours)
        grads = [torch.autograd.grad((one * weights).sum(), [low.A, low.B]) for one in (ours, theirs)]
        for a, b in zip(*grads, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("targets", PARTS.values(), ids=PARTS)
def test_merged_parts_give_the_same_logits_and_unmerging_restores_every_bit(targets, paper, toy):
    module, batch = paper(LoRA, "gpt2", targets=targets, **METHOD), toy.batch()
    assert torch.equal(logits(module.network, batch), logits(toy.network("gpt2"), batch))
    randomise(module)
    unmerged = logits(module.network, batch)
    before = {name: value.clone() for name, value in module.network.state_dict().items()}
    module.merge()
    torch.testing.assert_close(logits(module.network, batch), unmerged, rtol=0, atol=1e-6)
    for name, low in module.adapted():
        if low.parts:
            change = low.W0.weight - before[f"{name}.W0.weight"]
            moved = [part for part in range(3) if change[:, part * 16 : (part + 1) * 16].any()]  # (in, out)
            assert tuple(moved) == low.parts, name
    module.unmerge()
    assert all(torch.equal(value, before[name]) for name, value in module.network.state_dict().items())
    assert (unmerged - logits(toy.network("gpt2"), batch)).abs().max() > 1e-3


def test_each_part_has_the_papers_number_of_parameters(paper):
    for targets, matrices in ((["query", "value"], 2), (["value"], 1), (["query", "key", "value", "output"], 4)):
        module = paper(LoRA, "gpt2", targets=targets, **METHOD)
        assert module.trainable_parameters() - module.head_parameters() == matrices * 2 * 2 * 16 * 4  # 2 L d r each


def test_parts_cost_what_square_matrices_cost(paper):
    plain, adapted = (
        costs(paper(LoRA, "gpt2", targets=targets, **METHOD).network)[0]
        for targets in (["output"], ["output", "query", "value"])
    )
    # of each of two layers and two parts, two products of 2 * 16 * 4 operations a token
    assert adapted.token - plain.token == 2 * 2 * 2 * (2 * 16 * 4)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_output_is_the_projection_of_attention_and_not_of_the_feed_forward_part(family, paper):
    module = paper(LoRA, family, targets=["query", "key", "value", "output"], **METHOD)
    layers = [f"{family}.encoder.layer.{number}.attention" for number in (0, 1)]
    assert [name for name, _ in module.adapted()] == [
        f"{layer}.{name}" for layer in layers for name in ("self.query", "self.key", "self.value", "output.dense")
    ]
    module = paper(LoRA, "gpt2", targets=["output"], **METHOD)
    assert [name for name, _ in module.adapted()] == [f"transformer.h.{number}.attn.c_proj" for number in (0, 1)]


def test_deberta_has_names_of_its_own(toy):
    config = transformers.DebertaV2Config(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24
    )
    module = LoRA(
        task=toy.task(),
        load=lambda: {"network": transformers.DebertaV2ForSequenceClassification(config)},
        inputs={},
        optim=toy.optim,
        seed=0,
        targets=["query", "value", "output"],
        **METHOD,
    )
    module.configure_model()
    ends = ("attention.self.query_proj", "attention.self.value_proj", "attention.output.dense")
    assert [name for name, _ in module.adapted()] == [f"deberta.encoder.layer.0.{end}" for end in ends]


@pytest.mark.parametrize(
    ("family", "targets"),
    [*(("gpt2", targets) for targets in PARTS.values()), ("bert", ["output"]), ("roberta", ["value", "output"])],
)
def test_peft_loads_parts_and_so_do_we(family, targets, paper, toy, tmp_path):
    module, batch = paper(LoRA, family, targets=targets, **METHOD), toy.batch()
    randomise(module)
    module.save_product(tmp_path)
    theirs = peft.PeftModel.from_pretrained(toy.network(family), tmp_path)
    torch.testing.assert_close(logits(theirs, batch), logits(module.network, batch), rtol=0, atol=1e-6)
    again = paper(LoRA, family, targets=targets, inputs={"start": tmp_path}, seed=99, **METHOD)
    for (name, a), (_, b) in zip(module.adapted(), again.adapted(), strict=True):
        assert torch.equal(a.A, b.A), name
        assert torch.equal(a.B, b.B), name
    theirs.save_pretrained(tmp_path / "theirs")  # by way of peft
    again = paper(LoRA, family, targets=targets, inputs={"start": tmp_path / "theirs"}, seed=99, **METHOD)
    assert torch.equal(logits(again.network, batch), logits(module.network, batch))


def test_two_parts_are_one_adapter_of_twice_the_rank(paper, tmp_path):
    module = paper(LoRA, "gpt2", targets=["value", "query"], **METHOD)
    randomise(module)
    module.save_product(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert [config[key] for key in ("r", "lora_alpha", "target_modules")] == [8, 16, ["c_attn"]]
    stored = load_file(tmp_path / "adapter_model.safetensors")
    low = dict(module.adapted())["transformer.h.0.attn.c_attn"]
    B = stored["base_model.model.transformer.h.0.attn.c_attn.lora_B.weight"]
    wanted = torch.zeros(48, 8)
    wanted[:16, :4], wanted[32:, 4:] = low.B[:16].detach(), low.B[16:].detach()  # of the query, of the value
    assert torch.equal(B, wanted)
    mixed = paper(LoRA, "gpt2", targets=["query", "value", "output"], **METHOD)
    mixed.save_product(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert [config[key] for key in ("r", "rank_pattern", "alpha_pattern")] == [4, {"c_attn": 8}, {"c_attn": 16}]


@pytest.mark.parametrize(
    ("stored", "wanted", "message"),
    [
        (["c_attn"], ["query", "value"], r"lora_B.weight is not zero beside the blocks of query and value"),
        (["query", "key"], ["query", "value"], r"is not zero beside the blocks of query and value"),
        (["query", "value"], ["c_attn"], r"r is 8, this run has paper.rank=4: say paper.rank=8"),
        (["query", "value"], ["value"], r"r is 8, this run has paper.rank=4"),
        (["value"], ["query", "value"], r"r is 4, this run has paper.rank=4, and 2 parts of one matrix make 8"),
        (["query", "value", "output"], ["query", "value"], r"alpha_pattern is {'c_attn': 16}"),
        (["output", "value"], ["query", "value", "output"], r"rank_pattern is None, this run has {'c_attn': 8}"),
    ],
)
def test_a_folder_with_other_parts_is_refused(stored, wanted, message, paper, tmp_path):
    rank = 8 if stored == ["c_attn"] else 4
    module = paper(LoRA, "gpt2", targets=stored, rank=rank, alpha=2 * rank, dropout=0.0)
    randomise(module)
    module.save_product(tmp_path)
    with pytest.raises(UserError, match=message):
        paper(LoRA, "gpt2", targets=wanted, inputs={"start": tmp_path}, **METHOD)


def test_a_matrix_is_named_whole_or_in_parts(paper, toy):
    with pytest.raises(UserError, match=r"names transformer.h.0.attn.c_attn whole and in parts: say c_attn"):
        paper(LoRA, "gpt2", targets=["c_attn", "query"], **METHOD)
    with pytest.raises(UserError, match=r"c_attn is a 48 x 16 matrix: the rank is at most 16"):
        paper(LoRA, "gpt2", targets=["query"], rank=17, alpha=8, dropout=0.0)
    crossed = transformers.GPT2Config(
        vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=20, add_cross_attention=True
    )
    module = LoRA(
        task=toy.task(),
        load=lambda: {"network": transformers.GPT2LMHeadModel(crossed)},
        inputs={},
        optim=toy.optim,
        seed=0,
        targets=["query"],
        **METHOD,
    )
    with pytest.raises(UserError, match=r"crossattention.c_attn is a 32 x 16 matrix and holds no query, key, value"):
        module.configure_model()


# Of which network an adapter is.


def base_of(folder):
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        return file.metadata().get("base")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_of_another_base_is_refused(family, paper, toy, tmp_path, monkeypatch):
    module = paper(LoRA, family, targets=FAMILIES[family], **METHOD)
    module.merge()
    module.save_product(tmp_path / "merged")
    module.unmerge()
    module.save_product(tmp_path / "ours")
    assert base_of(tmp_path / "merged") == base_of(tmp_path / "ours") == module.base
    start = {"inputs": {"start": tmp_path / "ours"}, "targets": FAMILIES[family], **METHOD}
    paper(LoRA, family, labels=3, **start)  # another head is no other base

    def on_another():
        networks = {"network": toy.network(family, seed=1)}
        return LoRA(task=toy.task(), load=lambda: networks, optim=toy.optim, seed=0, **start)

    with pytest.raises(UserError, match=r"ours.adapter_model.safetensors belongs to other pre-trained weights"):
        on_another().configure_model()
    tensors = load_file(tmp_path / "ours" / "adapter_model.safetensors")
    save_file(tensors, tmp_path / "ours" / "adapter_model.safetensors", {"format": "pt"})  # as older runs left it
    on_another().configure_model()


def test_the_same_adapter_is_the_same_file(paper, tmp_path):
    for name in "abcdefgh":  # the order of metadata varies from one call to the next where nobody sets it
        paper(LoRA, targets=["query"], **METHOD).save_product(tmp_path / name)
    assert len({(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in "abcdefgh"}) == 1
    with safe_open(tmp_path / "a" / "adapter_model.safetensors", framework="pt") as file:
        assert set(file.metadata()) == {"base", "format"}


def test_an_adapter_with_other_names_or_shapes_is_refused(paper, toy, tmp_path):
    in_peft(toy.network("roberta"), "roberta", init_lora_weights=False).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"lacks bert.encoder.layer.0.attention.self.query.lora_A.weight"):
        paper(LoRA, targets=["query", "value"], inputs={"start": tmp_path}, **METHOD)
    file, key = tmp_path / "adapter_model.safetensors", "roberta.encoder.layer.0.attention.self.query.lora_A.weight"
    tensors = load_file(file)
    save_file(tensors | {f"base_model.model.{key}": torch.zeros(4, 24)}, file)
    with pytest.raises(UserError, match=rf"{key} has the shape \(4, 24\), this run wants \(4, 16\)"):
        paper(LoRA, "roberta", targets=["query", "value"], inputs={"start": tmp_path}, **METHOD)


def test_dora_as_peft_writes_it_is_refused_by_its_name(paper, toy, tmp_path):
    in_peft(toy.network("bert"), "bert", use_dora=True).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"adapter_config.json: use_dora is True: it is more than plain"):
        paper(LoRA, targets=["query", "value"], inputs={"start": tmp_path}, **METHOD)


def test_parts_learn_in_mixed_precision_too():
    torch.manual_seed(0)
    low = LowRank(Conv1D(48, 16), 3, 6, 0.0, "released", 0.02, (0, 2))
    low.B.data.normal_()
    x, exact = torch.randn(2, 5, 16), []
    for mixed in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            h = low(x)
        assert h.dtype == (torch.bfloat16 if mixed else torch.float32)
        exact.append((h.float(), *torch.autograd.grad(h.float().square().sum(), [low.A, low.B])))
    for a, b in zip(*exact, strict=True):
        assert (a - b).norm() < 0.02 * a.norm()  # eight bits of a number
