from __future__ import annotations

import json
import shutil

import peft
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from repro.errors import UserError
from repro.models.adapter_bank import AdapterBank, Replaced, Updated
from repro.models.base_digest import base_digest

ENCODER = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}
GPT2 = {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 20, "pad_token_id": 0}
GPT2 |= {"initializer_range": 0.2, "bos_token_id": 1, "eos_token_id": 2}
FAMILIES = {
    "bert": (BertForSequenceClassification, BertConfig, ENCODER, ["bert.pooler", "classifier"]),
    "roberta": (RobertaForSequenceClassification, RobertaConfig, ENCODER, ["classifier"]),
    "gpt2": (GPT2ForSequenceClassification, GPT2Config, GPT2, ["score"]),
}
# name: classes, rank, alpha, targets of an encoder, targets of GPT-2
ADAPTERS = {
    "sst2": (2, 2, 4, ["query", "value"], ["c_attn"]),
    "mnli": (3, 5, 3, ["key", "dense"], ["attn.c_proj", "c_fc"]),
    "stsb": (1, 3, 16, ["query", "attention.output.dense"], ["c_attn", "c_proj"]),
}


def network(family, labels=2, seed=0):
    """Always the same body, whatever the head."""
    kind, config, settings, _ = FAMILIES[family]
    torch.manual_seed(seed)
    base = kind(config(**settings, num_labels=2))
    made = kind(config(**settings, num_labels=labels))
    body = {name: value for name, value in base.base_model.state_dict().items() if not name.startswith("pooler")}
    made.base_model.load_state_dict(body, strict=False)
    return made.eval()


def write(folder, family, name, seed=5):
    """Makes an adapter with peft, at random. Returns its network, to compare with."""
    labels, rank, alpha, encoder, gpt2 = ADAPTERS[name]
    torch.manual_seed(seed)
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=gpt2 if family == "gpt2" else encoder,
        task_type="SEQ_CLS",
        modules_to_save=FAMILIES[family][3],
        fan_in_fan_out=family == "gpt2",
        init_lora_weights=False,
    )
    theirs = peft.get_peft_model(network(family, labels, seed=0), config).eval()
    for key, parameter in theirs.named_parameters():
        if "modules_to_save" in key:
            nn.init.normal_(parameter, std=0.3)
    theirs.save_pretrained(folder / name)
    return theirs


def batch(size=7, length=9, seed=1):
    words = torch.randint(5, 40, (size, length), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(words)
    words[0, -2:], mask[0, -2:] = 0, 0
    return {"input_ids": words, "attention_mask": mask}


def alone(theirs, inputs):
    with torch.no_grad():
        return theirs(**inputs).logits


@pytest.fixture(params=FAMILIES)
def made(request, tmp_path):
    """A family, a bank of three adapters and peft's network of each."""
    theirs = {name: write(tmp_path, request.param, name, seed) for seed, name in enumerate(ADAPTERS)}
    bank = AdapterBank(network(request.param), {name: tmp_path / name for name in ADAPTERS})
    return request.param, bank, theirs, tmp_path


def test_each_adapter_alone_gives_the_logits_of_peft(made):
    family, bank, theirs, _ = made
    plain = alone(network(family), batch())
    torch.testing.assert_close(bank(**batch()).logits, plain, rtol=0, atol=0)
    for name in ("mnli", "sst2", "stsb", "mnli"):
        bank.use(name)
        logits = bank(**batch()).logits
        assert logits.shape == (7, ADAPTERS[name][0])
        torch.testing.assert_close(logits, alone(theirs[name], batch()), rtol=0, atol=1e-5)
        assert (logits[:, :1] - plain[:, :1]).abs().max() > 1e-2
    bank.use(None)
    assert torch.equal(bank(**batch()).logits, plain)


def test_a_batch_with_several_adapters_is_each_example_with_its_own(made):
    family, bank, theirs, _ = made
    adapters = ["sst2", "mnli", "sst2", None, "stsb", "mnli", "stsb"]
    logits = bank(**batch(), adapters=adapters).logits
    assert logits.shape == (7, 3)
    for row, name in enumerate(adapters):
        one = {key: value[row : row + 1] for key, value in batch().items()}
        wanted = alone(theirs[name] if name else network(family), one)[0]
        torch.testing.assert_close(logits[row, : len(wanted)], wanted, rtol=0, atol=1e-5)
        assert (logits[row, len(wanted) :] == -torch.inf).all()
        assert logits[row].argmax() == wanted.argmax()
    same = bank(**batch(), adapters=["sst2", None] * 3 + ["sst2"]).logits
    assert same.shape == (7, 2)  # as many classes as both have
    assert same.isfinite().all()


def test_one_call_with_adapters_leaves_the_choice_alone(made):
    _, bank, theirs, _ = made
    bank.use("mnli")
    bank(**batch(), adapters=["sst2"] * 7)
    bank(**batch(), adapters=["sst2"] * 6 + ["stsb"])
    torch.testing.assert_close(bank(**batch()).logits, alone(theirs["mnli"], batch()), rtol=0, atol=1e-5)
    with pytest.raises(IndexError):
        bank(input_ids=batch()["input_ids"] + 40, adapters=["sst2"] * 6 + ["stsb"])  # no such words
    torch.testing.assert_close(bank(**batch()).logits, alone(theirs["mnli"], batch()), rtol=0, atol=1e-5)


def test_no_matrix_of_the_network_is_copied_and_removing_all_adapters_leaves_it_as_it_was(made):
    family, _, _, folder = made
    base = network(family)
    before = {name: (module, dict(module.named_parameters())) for name, module in base.named_modules()}
    bank = AdapterBank(base, {"a": folder / "sst2", "b": folder / "mnli"})
    inner = [module.inner for module in base.modules() if isinstance(module, Updated | Replaced)]
    assert all(any(one is module for module, _ in before.values()) for one in inner)
    bank.use("a")
    bank.remove("a")
    torch.testing.assert_close(bank(**batch()).logits, alone(network(family), batch()), rtol=0, atol=0)
    bank.remove("b")
    assert {name: module for name, module in base.named_modules()} == {name: one for name, (one, _) in before.items()}
    assert bank.names == []


def test_an_adapter_that_is_added_later_is_as_one_of_the_beginning(made):
    _, bank, theirs, folder = made
    bank(**batch(), adapters=["sst2", "mnli"] * 3 + ["stsb"])  # what is stacked has to be stacked anew
    bank.remove("mnli")
    bank.add("late", folder / "mnli")
    logits = bank(**batch(), adapters=["late", "sst2"] * 3 + ["stsb"]).logits
    for name, known, start, classes in (("late", "mnli", 0, 3), ("sst2", "sst2", 1, 2)):
        wanted = alone(theirs[known], batch())[start:6:2]
        torch.testing.assert_close(logits[start:6:2, :classes], wanted, rtol=0, atol=1e-5, msg=name)


def test_what_an_added_adapter_does_not_touch_knows_of_it_too(made):
    family, _, theirs, folder = made
    bank = AdapterBank(network(family), {"sst2": folder / "sst2"})
    bank(**batch(), adapters=["sst2"] * 6 + [None])
    bank.add("mnli", folder / "mnli")  # of other matrices
    logits = bank(**batch(), adapters=["sst2", "mnli"] * 3 + [None]).logits
    for start, wanted in ((0, theirs["sst2"]), (1, theirs["mnli"]), (6, network(family))):
        classes = 3 if start == 1 else 2
        wanted = alone(wanted, batch())[start : start + 6 : 2]
        torch.testing.assert_close(logits[start : start + 6 : 2, :classes], wanted, rtol=0, atol=1e-5)


def test_a_bank_in_double_precision_moves_its_adapters_too(made):
    _, bank, theirs, _ = made
    adapters = ["sst2", "mnli"] * 3 + ["stsb"]
    bank(**batch(), adapters=adapters)
    bank.double()
    bank.use("sst2")
    assert bank(**batch()).logits.dtype == torch.float64
    logits = bank(**batch(), adapters=adapters).logits
    assert logits.dtype == torch.float64
    torch.testing.assert_close(logits[1:6:2], alone(theirs["mnli"].double(), batch())[1:6:2], rtol=0, atol=1e-7)


def test_a_causal_network_gives_each_example_the_words_of_its_own_adapter(tmp_path):
    def causal():
        torch.manual_seed(0)
        return GPT2LMHeadModel(GPT2Config(**GPT2)).eval()

    theirs = {}
    for seed, rank in enumerate((2, 6)):
        torch.manual_seed(10 + seed)
        config = peft.LoraConfig(
            r=rank, lora_alpha=9, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False
        )
        theirs[f"e{seed}"] = peft.get_peft_model(causal(), config).eval()
        theirs[f"e{seed}"].save_pretrained(tmp_path / f"e{seed}")
    bank = AdapterBank(causal(), {name: tmp_path / name for name in theirs})
    adapters = ["e0", "e1", "e1", "e0", "e1", "e0", "e0"]
    logits = bank(**batch(), adapters=adapters).logits
    for row, name in enumerate(adapters):
        torch.testing.assert_close(logits[row], alone(theirs[name], batch())[row], rtol=0, atol=1e-5)


def test_ranks_and_alphas_of_single_modules_are_read(tmp_path):
    torch.manual_seed(3)
    config = peft.LoraConfig(
        r=2,
        lora_alpha=4,
        target_modules=["query", "value"],
        rank_pattern={"layer.1.attention.self.query": 5},
        alpha_pattern={"value": 32},
        init_lora_weights=False,
    )
    theirs = peft.get_peft_model(network("bert"), config).eval()
    theirs.save_pretrained(tmp_path / "p")
    bank = AdapterBank(network("bert"), {"p": tmp_path / "p"})
    bank.use("p")
    torch.testing.assert_close(bank(**batch()).logits, alone(theirs, batch()), rtol=0, atol=1e-5)


def test_what_is_asked_wrongly_says_so(made):
    _, bank, _, folder = made
    for call, message in (
        (lambda: bank.add("sst2", folder / "sst2"), "there is an adapter called 'sst2' already"),
        (lambda: bank.use("sst"), "no adapter called 'sst': did you mean sst2"),
        (lambda: bank.remove("cola"), "no adapter called 'cola'"),
        (lambda: bank(**batch(), adapters=["sst2"] * 6 + ["mnl"]), "no adapter called 'mnl': did you mean mnli"),
        (lambda: bank(**batch(), adapters=["sst2"] * 3), "the batch has 7 examples, and adapters is"),
        (lambda: bank(**batch(), adapters="sst2"), "the batch has 7 examples, and adapters is 'sst2'"),
        (lambda: bank(**batch(), labels=torch.zeros(7)), "an adapter bank computes no loss"),
        (lambda: bank.add("x", folder / "nowhere"), "adapter_config.json is missing"),
    ):
        with pytest.raises(UserError, match=message):
            call()
    assert bank.names == list(ADAPTERS)


def changed(folder, to, *, config=None, tensors=None, base=None):
    """A copy of an adapter with other settings, tensors or digest."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    file = to / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | (config or {})))
    stored = load_file(to / "adapter_model.safetensors")
    stored = (tensors or (lambda one: one))(stored)
    save_file(stored, to / "adapter_model.safetensors", {"format": "pt", **({"base": base} if base else {})})
    return to


def test_a_folder_of_another_network_or_kind_is_refused_and_nothing_of_it_stays(tmp_path):
    write(tmp_path, "bert", "sst2")
    write(tmp_path, "roberta", "mnli")
    base = network("bert")
    bank = AdapterBank(base)
    modules = list(base.named_modules())
    query = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_"

    def without(stored):
        return {key: value for key, value in stored.items() if key != f"{query}B.weight"}

    def wider(stored):
        return stored | {f"{query}A.weight": torch.zeros(2, 24)}

    def thinner(stored):
        return stored | {f"{query}A.weight": torch.zeros(1, 16)}

    def magnitude(stored):
        return stored | {f"{query}magnitude_vector": torch.zeros(16)}

    def head(stored):
        return stored | {"base_model.model.classifier.weight": torch.zeros(2, 24)}

    first = tmp_path / "sst2"
    for number, (folder, message) in enumerate(
        (
            (tmp_path / "mnli", "adapts roberta.encoder.layer.0.*which BertForSequenceClassification does not have"),
            (changed(first, tmp_path / "c1", config={"use_dora": True}), "adapter_config.json: use_dora is True"),
            (changed(first, tmp_path / "c2", config={"use_rslora": True}), "adapter_config.json: use_rslora is True"),
            (changed(first, tmp_path / "c3", config={"bias": "all"}), "adapter_config.json: bias is 'all'"),
            (changed(first, tmp_path / "c4", config={"r": 4}), "shapes .2, 16. and .16, 2., .* gives the rank 4"),
            (changed(first, tmp_path / "c5", config={"lora_alpha": "x"}), "lora_alpha of bert.* is 'x'"),
            (changed(first, tmp_path / "c6", config={"modules_to_save": None}), "holds bert.pooler.dense.bias"),
            (changed(first, tmp_path / "c7", config={"alpha_pattern": {"(": 1}}), "alpha_pattern is"),
            (changed(first, tmp_path / "t1", tensors=without), "lacks bert.*self.query.lora_B.weight"),
            (changed(first, tmp_path / "t2", tensors=wider), r"query is of shape \(16, 24\), .* is \(16, 16\)"),
            (changed(first, tmp_path / "t3", tensors=thinner), r"shapes \(1, 16\) and \(16, 2\)"),
            (changed(first, tmp_path / "t4", tensors=magnitude), "holds bert.*lora_magnitude_vector"),
            (changed(first, tmp_path / "t5", tensors=head), r"classifier.weight has the shape \(2, 24\)"),
            (changed(first, tmp_path / "b1", base="0" * 64), "belongs to other pre-trained weights"),
        )
    ):
        with pytest.raises(UserError, match=message):
            bank.add("new", folder)
        assert bank.names == [], number
        assert list(base.named_modules()) == modules, number
    bank.add("new", changed(first, tmp_path / "b2", base=base_digest(network("bert"))))


def test_an_update_and_a_whole_copy_of_one_module_need_two_banks(tmp_path):
    write(tmp_path, "bert", "sst2")
    config = peft.LoraConfig(r=2, target_modules=["classifier"], init_lora_weights=False)
    peft.get_peft_model(network("bert"), config).save_pretrained(tmp_path / "low")
    bank = AdapterBank(network("bert"), {"sst2": tmp_path / "sst2"})
    with pytest.raises(UserError, match="classifier one adapter of a bank has an update, and another one a whole copy"):
        bank.add("low", tmp_path / "low")


def test_the_digest_is_of_the_body_alone_and_of_its_values_in_both_precisions(tmp_path):
    digest = base_digest(network("bert"))
    head = network("bert", labels=3)
    nn.init.normal_(head.bert.pooler.dense.weight)
    assert digest == base_digest(head)
    assert digest == base_digest(network("bert").bfloat16())
    assert digest != base_digest(network("bert", seed=1))
    assert digest != base_digest(network("roberta"))
    assert base_digest(network("bert").half()) is None
    assert base_digest(network("bert").to("meta")) is None
    other = network("bert")
    with torch.no_grad():
        other.bert.encoder.layer[1].output.dense.bias += 0.1
    assert digest != base_digest(other)
    write(tmp_path, "bert", "sst2")
    with safe_open(tmp_path / "sst2" / "adapter_model.safetensors", framework="pt") as file:
        assert "base" not in file.metadata()  # peft's folders have none, and are read
