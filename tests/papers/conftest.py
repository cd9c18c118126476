"""Very small networks of three families, and a task that needs no data."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

torch.set_num_threads(1)
ENCODER = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "initializer_range": 0.2,
}
GPT2 = {
    "vocab_size": 40,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 20,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
OPTIM = {
    "lr": 0.01,
    "weight_decay": 0.1,
    "betas": [0.9, 0.999],
    "eps": 1e-8,
    "warmup_ratio": 0.1,
    "schedule": "linear",
    "clip": 1.0,
}


class StubTask:
    """Classification on a batch's own labels."""

    folder = None

    def loss(self, network: nn.Module, batch: dict) -> torch.Tensor:
        return network(**{key: value for key, value in batch.items() if key != "index"}).loss

    def predict(self, network: nn.Module, batch: dict) -> list[dict]:
        logits = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        return [
            {"id": int(number), "prediction": int(row.argmax())}
            for number, row in zip(batch["index"], logits, strict=True)
        ]

    def score(self, rows: list[dict], split: str) -> dict[str, float]:
        assert split == "validation"
        return {"accuracy": 100 * sum(row["prediction"] == row["id"] % 2 for row in rows) / len(rows)}


def make_network(family: str, labels: int = 2, seed: int = 0) -> PreTrainedModel:
    """A network of the family "bert", "roberta", "gpt2" or "mlm" (BERT's masked-lm form), always the same."""
    build = {
        "bert": lambda: BertForSequenceClassification(BertConfig(**ENCODER, num_labels=labels)),
        "roberta": lambda: RobertaForSequenceClassification(
            RobertaConfig(**ENCODER, pad_token_id=0, num_labels=labels)
        ),
        "gpt2": lambda: GPT2ForSequenceClassification(GPT2Config(**GPT2, num_labels=labels)),
        "mlm": lambda: BertForMaskedLM(BertConfig(**ENCODER)),
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build[family]()


def make_batch(size: int = 6, length: int = 10, seed: int = 1) -> dict[str, torch.Tensor]:
    """Random words; the label is whether the second one is odd; the last two places of the first row are padding."""
    words = torch.randint(5, 40, (size, length), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(words)
    words[0, -2:], mask[0, -2:] = 0, 0
    return {"input_ids": words, "attention_mask": mask, "labels": words[:, 1] % 2, "index": torch.arange(size)}


@pytest.fixture
def paper() -> Callable:
    """Builds and configures a paper around a tiny network: paper(LoRA, "bert", rank=4, ...)."""

    def build(
        kind: type,
        /,
        family: str = "bert",
        *,
        labels: int = 2,
        inputs: dict | None = None,
        seed: int = 7,
        optim: dict | None = None,
        **settings: object,
    ):
        module = kind(
            task=StubTask(),
            load=lambda: {"network": make_network(family, labels)},
            inputs=inputs or {},
            optim={**OPTIM, **(optim or {})},
            seed=seed,
            **settings,
        )
        module.configure_model()
        return module

    return build


@pytest.fixture
def toy() -> SimpleNamespace:
    """The pieces above, for tests that need them one by one."""
    return SimpleNamespace(network=make_network, batch=make_batch, task=StubTask, optim=OPTIM)
