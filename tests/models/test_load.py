from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
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

from repro.errors import UserError
from repro.models.load import head_modules, load_network, make_folder

torch.set_num_threads(1)
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
SETTINGS = {
    "architectures": ["BertForMaskedLM"],
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
}


@pytest.fixture
def folder(tmp_path):
    """A masked-lm checkpoint in half precision."""
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig(**SIZES)).half().save_pretrained(tmp_path / "network")
    return tmp_path / "network"


def classifier(folder, **more):
    return load_network(folder, architecture="sequence-classification", **more)


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_half_precision_is_loaded_to_single_with_a_new_head(folder, capfd):
    network = classifier(folder, num_labels=3, problem_type="single_label_classification")
    stored = load_file(folder / "model.safetensors")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    name = "bert.encoder.layer.1.output.dense.weight"
    assert torch.equal(network.get_parameter(name), stored[name].float())
    assert network.classifier.weight.shape == (3, 16)
    assert network.config._attn_implementation == "sdpa"
    assert capfd.readouterr() == ("", "")  # no report, no bar


def test_random_weights_come_from_the_configuration_and_the_seed(folder):
    (folder / "model.safetensors").unlink()
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        networks.append(classifier(folder, weights="random", num_labels=2).bert.embeddings.word_embeddings.weight)
    assert torch.equal(networks[0], networks[1])
    assert not torch.equal(networks[0], networks[2])
    assert networks[0].dtype == torch.float32


def test_the_new_head_is_a_function_of_the_seed(folder):
    heads = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        heads.append(classifier(folder).classifier.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_head_modules_of_each_family():
    assert head_modules(BertForSequenceClassification(BertConfig(**SIZES))) == ["bert.pooler", "classifier"]
    assert head_modules(RobertaForSequenceClassification(RobertaConfig(**SIZES))) == ["classifier"]
    assert head_modules(DebertaV2ForSequenceClassification(DebertaV2Config(**SIZES))) == ["pooler", "classifier"]
    small = GPT2Config(vocab_size=10, n_embd=8, n_layer=1, n_head=1)
    assert head_modules(GPT2ForSequenceClassification(small)) == ["score"]
    assert head_modules(GPT2LMHeadModel(small)) == []  # tied to the embeddings: nothing new


def test_a_head_of_another_shape_is_new_and_a_body_of_another_shape_is_an_error(folder):
    network = classifier(folder, num_labels=3)
    network.save_pretrained(folder)
    assert classifier(folder, num_labels=2).classifier.weight.shape == (2, 16)
    with pytest.raises(
        UserError, match=r"model.safetensors: bert\..* has the shape .*24.*, the configuration wants .*32"
    ):
        classifier(folder, intermediate_size=32)


def test_a_body_that_the_checkpoint_lacks_is_an_error(folder):
    with pytest.raises(UserError, match=r"model.safetensors lacks bert.encoder.layer.2.attention.* and 15 more"):
        classifier(folder, num_hidden_layers=3)
    rewrite(folder, lambda tensors: tensors.pop("bert.encoder.layer.0.attention.self.query.bias"))
    with pytest.raises(
        UserError, match=r"model.safetensors lacks bert.encoder.layer.0.attention.self.query.bias: only the head"
    ):
        classifier(folder)


def test_missing_and_broken_files_are_named(folder, tmp_path):
    with pytest.raises(UserError, match=r"the network's folder .*nowhere is missing"):
        classifier(tmp_path / "nowhere")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:3000])
    with pytest.raises(UserError, match=r"network/model.safetensors cannot be read"):
        classifier(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"model.safetensors is missing: pickled weights .* are never read"):
        classifier(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config.json cannot be read"):
        classifier(folder, weights="random")
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"config.json is missing"):
        classifier(folder)


def test_wrong_words_are_named(folder):
    with pytest.raises(UserError, match="did you mean masked-lm"):
        load_network(folder, architecture="maskedlm")
    with pytest.raises(UserError, match=r"network.weights is 'pretrain': say pretrained or random"):
        classifier(folder, weights="pretrain")
    with pytest.raises(UserError, match="did you mean hidden_dropout_prob"):
        classifier(folder, hidden_dropout_probb=0.0)
    assert classifier(folder, cls_dropout=0.2).config.cls_dropout == 0.2


def test_a_hub_that_cannot_be_reached_stops_at_once_and_says_what_to_do(monkeypatch, tmp_path):
    import huggingface_hub

    def refuse(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"network nobody/no-such-model is no folder.* network=hf network.path=FOLDER"):
        classifier("nobody/no-such-model")


def test_a_new_folder_holds_a_configuration_and_a_word_level_tokenizer(tmp_path):
    words = ["the", "red", "fox", "sees", "kalo", "42", "."]
    assert make_folder(SETTINGS, words, tmp_path) == tmp_path
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["vocab_size"], config["architectures"], config["pad_token_id"]) == (12, ["BertForMaskedLM"], 0)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert (
        tokenizer.pad_token_id,
        tokenizer.unk_token_id,
        tokenizer.cls_token_id,
        tokenizer.sep_token_id,
        tokenizer.mask_token_id,
    ) == (0, 1, 2, 3, 4)
    pair = tokenizer("The red fox.", "Kalo sees snow")
    assert pair["input_ids"] == [2, 5, 6, 7, 11, 3, 9, 8, 1, 3]
    assert pair["token_type_ids"] == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert tokenizer("the [MASK] fox")["input_ids"] == [2, 5, 4, 7, 3]
    assert tokenizer.decode([5, 6, 7]) == "the red fox"
    assert tokenizer.model_max_length == 64
    assert len(tokenizer) == 12
    network = load_network(tmp_path, architecture="masked-lm", weights="random")
    assert network.get_input_embeddings().weight.shape == (12, 16)


def test_every_word_of_the_vocabulary_stays_whole(tmp_path):
    words = ["o'neil", "well-known", "it", "."]
    make_folder(SETTINGS, words, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.tokenize("O'Neil it well-known .") == ["o'neil", "it", "well-known", "."]


def test_an_unknown_kind_of_network_is_named(tmp_path):
    with pytest.raises(UserError, match=r"model_type is 'brt': did you mean bert"):
        make_folder({**SETTINGS, "model_type": "brt"}, ["a"], tmp_path)
