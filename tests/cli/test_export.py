"""The verb `export`: what a run trained, in the forms that transformers and PEFT read."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from repro import load_run
from repro.__main__ import main
from repro.models.load import load_network, save_checkpoint

TEXTS = ["the story is not good , said the king", "what a happy day !", "it"]


def logits(network, tokenizer):
    with torch.no_grad():
        return network.eval()(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits


@pytest.mark.parametrize("paper", ["lora", "finetune", "bitfit"])
def test_a_plain_checkpoint_gives_the_logits_of_the_run(paper, trained, tmp_path, capsys):
    assert main(["export", str(trained(paper)), str(tmp_path / "out")]) == 0
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ours = load_run(trained(paper))
    assert type(network).__name__ == "BertForSequenceClassification"
    assert not any("lora" in name for name in network.state_dict())
    assert tokenizer(TEXTS).input_ids == ours.tokenizer(TEXTS).input_ids
    assert (logits(network, tokenizer) - logits(*ours)).abs().max() < 1e-5
    assert network.config.id2label == {0: "bad", 1: "good"}
    assert network.config.label2id == {"bad": 0, "good": 1}
    assert f"out: a BertForSequenceClassification of the run {trained(paper).name}" in capsys.readouterr().out


def test_an_adapter_is_read_by_peft_on_the_base_that_it_names(trained, tmp_path):
    from peft import PeftModel

    assert main(["export", str(trained("lora")), str(tmp_path / "out"), "--form", "adapter"]) == 0
    named = json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"]
    base = AutoModelForSequenceClassification.from_pretrained(named, num_labels=2, dtype=torch.float32)
    network = PeftModel.from_pretrained(base, tmp_path / "out")
    ours = load_run(trained("lora"))
    assert (logits(network, AutoTokenizer.from_pretrained(tmp_path / "out")) - logits(*ours)).abs().max() < 1e-5


def test_a_regression_has_no_names_of_labels(trained, tmp_path, own_files):
    lines = (own_files / "train.csv").read_text().splitlines()
    numbers = [line.replace(",good", ",1.5").replace(",bad", ",-2") for line in lines]
    for name in ("train", "dev"):
        (tmp_path / f"{name}.csv").write_text("\n".join(numbers[:41]) + "\n")
    run = trained("finetune", "task.classes=[]", f"data_dir={tmp_path}", "trainer.max_epochs=1")
    assert main(["export", str(run), str(tmp_path / "out")]) == 0
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert (network.config.problem_type, network.config.num_labels) == ("regression", 1)
    assert network.config.id2label == {0: "LABEL_0"}


def test_what_a_form_cannot_hold_is_refused_and_nothing_is_left(trained, tmp_path, capsys):
    for paper, form, message in (
        ("adapter", "merged", "what Adapter adds fits into no weight of the network: repro.load_run(RUN) gives"),
        ("finetune", "adapter", "(finetune) left no PEFT adapter: --form merged"),
    ):
        assert main(["export", str(trained(paper)), str(tmp_path / "out"), "--form", form]) == 2
        assert message in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_never_written_to(trained, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert main(["export", str(trained("lora")), str(tmp_path / "out"), "--form", "adapter"]) == 0
    before = {file: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    for name in ("out", "out/adapter_config.json"):
        assert main(["export", str(trained("lora")), str(tmp_path / name)]) == 2
        assert "is there and not empty: nothing is overwritten" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("family", ["roberta", "deberta-v2"])
@pytest.mark.parametrize("paper", ["lora", "finetune"])
def test_any_encoder_is_adapted_and_exported(family, paper, trained, tmp_path):
    from repro.models.load import make_folder

    settings = {"model_type": family, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    settings |= {"intermediate_size": 48, "max_position_embeddings": 80, "initializer_range": 0.2}
    folder = make_folder(settings, " ".join(TEXTS).split(), tmp_path / family)
    network = load_network(folder, architecture="masked-lm", weights="random")
    save_checkpoint(network, folder)
    run = trained(paper, "network=hf", f"network.path={folder}", "trainer.max_steps=3")
    assert main(["export", str(run), str(tmp_path / "out")]) == 0
    there = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    ours = load_run(run)
    assert (logits(there, ours.tokenizer) - logits(*ours)).abs().max() < 1e-5
    if paper == "lora":
        assert sum(type(one).__name__ == "LowRank" for one in load_run(run).network.modules()) == 2 * 2
