"""Text of the generated world, for masked language modelling (Devlin et al., NAACL 2019).

A document has two segments. In training words are masked anew each time they are seen; in validation the masked
places are part of the data, so that every network is asked for the same words. Each segment has its own share of
masked words: more in the second makes a network look for them in the first. In a share of the documents the last word
alone is masked: there stands what follows from the rest (an answer, a quality). The documents come in the order of
the world's curriculum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from repro import world
from repro.errors import UserError
from repro.tasks.base import Examples, Task, is_number
from repro.tasks.batches import Rule

VALIDATION = 2000
KEPT, RANDOM = 0.2, 0.3
"""Of the masked words: the shares that stand as they are, and that are replaced by a random word; the others by [MASK].
More than BERT's 0.1 and 0.1: to tell a wrong word from a right one is what a small network learns least from [MASK]."""


class WorldText(Task):
    """Documents of the world with masked words.

    Args:
        documents: how many to train on.
        world_seed: of the documents; those of the validation split are of the next one.
        masked: share of the words that are masked, in the first and in the second segment.
        last: share of the documents in which the last word alone is masked.
        base: what every task takes.

    Raises:
        UserError: a setting is out of range.
    """

    version = 1
    main_metric = "masked_accuracy"

    def __init__(self, *, documents: int, world_seed: int, masked: Sequence[float], last: float, **base: Any) -> None:
        super().__init__(**base)
        if len(masked) != 2 or not all(is_number(share) and 0 < share < 1 for share in masked):
            raise UserError(
                f"task.masked={list(masked)} is no pair of shares",
                "give two numbers between 0 and 1, such as [0.1,0.4]",
            )
        if not is_number(last) or not 0 <= last <= 1:
            raise UserError(f"task.last={last} is no share", "give a number from 0 to 1")
        self.documents, self.world_seed, self.masked, self.last = documents, world_seed, tuple(masked), last

    @property
    def head(self) -> dict[str, Any]:
        return {"architecture": "masked-lm"}

    def rule(self) -> Rule:
        return Rule(self.batch_size, in_order=True)

    def scored_splits(self) -> list[str]:
        return ["validation"]

    def read(self, split: str) -> Examples:
        """Generates a split: {"id", "first", "second"}, in validation with the "masked" places of both segments."""
        if split == "train":
            rows = [
                {"id": number, "first": first, "second": second}
                for number, (first, second) in enumerate(world.documents(self.world_seed, self.documents))
            ]
            return Examples(rows, f"the world's text, seed {self.world_seed}")
        chance = np.random.default_rng(self.world_seed + 1)
        rows = []
        for number, (first, second) in enumerate(world.documents(self.world_seed + 1, VALIDATION)):
            words = [first.split(), second.split()]
            places = [
                [place for place in range(len(one)) if chance.random() < share] or [int(chance.integers(len(one)))]
                for one, share in zip(words, self.masked, strict=True)
            ]
            rows.append({"id": number, "first": first, "second": second, "masked": places})
        return Examples(rows, f"the world's text, seed {self.world_seed + 1}")

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list]:
        encoded = self.tokenizer(
            [row["first"] for row in rows], [row["second"] for row in rows], truncation=True, max_length=self.max_length
        )
        columns = {"input_ids": encoded["input_ids"], "token_type_ids": encoded["token_type_ids"]}
        if "masked" in rows[0]:
            columns["places"] = [self._places(row) for row in rows]
        return columns

    def _places(self, row: Mapping[str, Any]) -> list[int]:
        """Returns the tokens of a row's masked words: one token a word, [CLS] first, [SEP] between the segments."""
        first, second = row["masked"]
        return [1 + place for place in first] + [2 + len(row["first"].split()) + place for place in second]

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Pads to the longest document.

        Returns:
            input_ids, token_type_ids, attention_mask and asked (documents, tokens); index (documents,)
        """
        longest = max(len(one["input_ids"]) for one in examples)
        shape = len(examples), longest
        batch = {
            "input_ids": torch.full(shape, self.tokenizer.pad_token_id),
            "token_type_ids": torch.zeros(shape, dtype=torch.long),
            "attention_mask": torch.zeros(shape, dtype=torch.long),
            "index": torch.tensor([one["id"] for one in examples]),
        }
        asked = torch.zeros(shape, dtype=torch.bool)
        for row, one in enumerate(examples):
            length = len(one["input_ids"])
            batch["input_ids"][row, :length] = torch.tensor(one["input_ids"])
            batch["token_type_ids"][row, :length] = torch.tensor(one["token_type_ids"])
            batch["attention_mask"][row, :length] = 1
            asked[row, one.get("places", [])] = True
        return batch | {"asked": asked}

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Masks words anew, and returns the mean cross-entropy of the network's guesses at them."""
        tokens = batch["input_ids"]
        special = len(self.tokenizer.all_special_ids)  # they stand first in the vocabulary
        share = torch.tensor(self.masked, device=tokens.device)[batch["token_type_ids"]]
        masked = (torch.rand(tokens.shape, device=tokens.device) < share) & (tokens >= special)
        kind = torch.rand(tokens.shape, device=tokens.device)
        alone = torch.rand(len(tokens), 1, device=tokens.device) < self.last  # (examples, 1)
        end = (
            torch.arange(tokens.shape[1], device=tokens.device) == batch["attention_mask"].sum(1, keepdim=True) - 2
        )  # before [SEP]
        masked = torch.where(alone, end, masked)
        kind = torch.where(alone, 1.0, kind)
        random = torch.randint(special, network.config.vocab_size, tokens.shape, device=tokens.device)
        shown = torch.where(masked & (kind >= KEPT + RANDOM), self.tokenizer.mask_token_id, tokens)
        shown = torch.where(masked & (kind < RANDOM), random, shown)
        self._asked = masked.sum()
        return F.cross_entropy(self._logits(network, batch, shown, masked), tokens[masked])

    def weight(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The words that were masked."""
        return self._asked

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        asked = batch["asked"]
        shown = batch["input_ids"].masked_fill(asked, self.tokenizer.mask_token_id)
        words = self.tokenizer.convert_ids_to_tokens(self._logits(network, batch, shown, asked).argmax(-1).tolist())
        counts = asked.sum(1).tolist()
        ends = np.cumsum(counts)
        return [
            {"id": number, "prediction": words[end - count : end]}
            for number, count, end in zip(batch["index"].tolist(), counts, ends.tolist(), strict=True)
        ]

    @staticmethod
    def _logits(network: nn.Module, batch: Mapping[str, Tensor], shown: Tensor, places: Tensor) -> Tensor:
        """Returns the logits of the places alone: (places, vocabulary); the others are never computed."""
        hidden = network.base_model(
            input_ids=shown, attention_mask=batch["attention_mask"], token_type_ids=batch["token_type_ids"]
        ).last_hidden_state
        return network.cls(hidden[places])

    def reference(self, row: Mapping[str, Any]) -> dict[str, list]:
        words = [row["first"].split(), row["second"].split()]
        asked = [[one[place] for place in places] for one, places in zip(words, row["masked"], strict=True)]
        return {
            "words": asked[0] + asked[1],
            "second": [False] * len(asked[0]) + [True] * len(asked[1]),
            "copied": [False] * len(asked[0]) + [word in self._shown(row) for word in asked[1]],
        }

    @staticmethod
    def _shown(row: Mapping[str, Any]) -> set[str]:
        return {word for place, word in enumerate(row["first"].split()) if place not in row["masked"][0]}

    def checked(self, prediction: Any, place: str) -> list[str]:
        if not isinstance(prediction, list) or not all(isinstance(word, str) for word in prediction):
            raise UserError(f"{place}: {prediction!r} is no list of words", "give one word for each masked one")
        return prediction

    def measure(self, predictions: Sequence[list[str]], references: Sequence[Mapping[str, list]]) -> dict[str, float]:
        """Returns the accuracy on all masked words, on the second segment's, and on those that stand in the first."""
        right = np.array(
            [
                given == word
                for words, one in zip(predictions, references, strict=True)
                for given, word in zip(words, one["words"], strict=True)
            ]
        )
        masks = {"masked_accuracy": np.ones(len(right), dtype=bool)} | {
            f"{name}_accuracy": np.array([flag for one in references for flag in one[name]])
            for name in ("second", "copied")
        }
        return {name: 100 * float(right[mask].mean()) for name, mask in masks.items() if mask.any()}
