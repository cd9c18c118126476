from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from repro.errors import UserError
from repro.papers.finetune import Finetune
from repro.papers.pretrain import MaskedLM, start_copying


def test_a_frozen_network_trains_its_head_alone(paper):
    module = paper(Finetune, trains="head")
    assert (
        module.trainable_parameters() == module.head_parameters() == 272 + 34
    )  # pooler 16 * 16 + 16, classifier 16 * 2 + 2
    everything = paper(Finetune)
    assert everything.trainable_parameters() == everything.total_parameters()


def test_the_product_is_a_checkpoint_that_transformers_loads(paper, toy, tmp_path):
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "tokenizer.json").write_text("{}")
    module, batch = paper(Finetune), toy.batch()
    module.task.folder = tmp_path / "task"
    module.save_product(tmp_path / "product")
    assert sorted(path.name for path in (tmp_path / "product").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "product")
    assert torch.equal(network(batch["input_ids"]).logits, module.network.eval()(batch["input_ids"]).logits)


def test_a_start_with_other_classes_gives_the_body_and_leaves_the_head(paper, tmp_path):
    first = paper(Finetune, labels=3)
    first.network.bert.encoder.layer[1].output.dense.weight.data.fill_(2.0)
    first.save_product(tmp_path)
    second = paper(Finetune, labels=2, inputs={"start": tmp_path})
    assert (second.network.bert.encoder.layer[1].output.dense.weight == 2).all()
    assert second.network.classifier.weight.shape == (2, 16)
    with pytest.raises(UserError, match=r"model.safetensors lacks roberta\."):
        paper(Finetune, "roberta", inputs={"start": tmp_path})


def mlm(paper, **settings):
    return paper(MaskedLM, "mlm", **({"value_start": "default", "match_start": None} | settings))


def test_pretraining_leaves_half_precision_and_keeps_training_in_single(paper, tmp_path):
    module = mlm(paper)
    module.save_product(tmp_path)
    product = AutoModelForMaskedLM.from_pretrained(tmp_path, dtype="auto")
    assert {parameter.dtype for parameter in product.parameters()} == {torch.float16}
    assert {parameter.dtype for parameter in module.network.parameters()} == {torch.float32}
    for name, parameter in module.network.named_parameters():
        assert torch.equal(product.get_parameter(name), parameter.half()), name
    again = mlm(paper, inputs={"start": tmp_path})
    assert torch.equal(again.network.cls.predictions.bias, product.cls.predictions.bias.float())


def test_an_orthogonal_start_copies_what_is_attended_to(paper, toy):
    network = mlm(paper, value_start="orthogonal").network
    for layer in network.bert.encoder.layer:
        product = layer.attention.output.dense.weight @ layer.attention.self.value.weight
        torch.testing.assert_close(product, torch.eye(16), rtol=0, atol=1e-5)
    with pytest.raises(UserError, match="no BERT-shaped attention"):
        start_copying(toy.network("gpt2"))


def test_a_matching_start_scores_a_word_highest_against_itself(paper):
    network = mlm(paper, match_start=0.7).network
    for layer in network.bert.encoder.layer:
        query, key = layer.attention.self.query.weight, layer.attention.self.key.weight
        torch.testing.assert_close(query @ key.t(), 0.49 * torch.eye(16), rtol=0, atol=1e-5)
    with pytest.raises(UserError, match=r"paper.match_start is 0"):
        mlm(paper, match_start=0)


def test_wrong_settings_say_so(paper):
    with pytest.raises(UserError, match=r"paper.trains is 'body': say all or head"):
        paper(Finetune, trains="body")
    with pytest.raises(UserError, match="GPT2LMHeadModel has none"):
        paper_without_head(paper)
    with pytest.raises(UserError, match=r"paper.value_start is 'identity'"):
        mlm(paper, value_start="identity")


def paper_without_head(paper):
    from transformers import GPT2Config, GPT2LMHeadModel

    module = paper(Finetune)
    module.part = "head"
    module.adapt({"network": GPT2LMHeadModel(GPT2Config(vocab_size=10, n_embd=8, n_layer=1, n_head=1))})
