"""The world's text: what is masked, what is asked, and how it is scored."""

from __future__ import annotations

import pytest
import torch

from repro import world
from repro.errors import UserError
from repro.models.load import load_network, make_folder
from repro.tasks.text import WorldText


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    settings = {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 64,
    }
    return make_folder(settings, world.vocabulary(), tmp_path_factory.mktemp("encoder"))


def made(folder, **settings):
    return WorldText(
        **(
            {
                "name": "text",
                "suite": "world",
                "folder": folder,
                "documents": 200,
                "world_seed": 1000,
                "masked": [0.05, 0.4],
                "last": 0.5,
                "batch_size": 16,
                "max_length": 64,
            }
            | settings
        )
    )


class Recorder(torch.nn.Module):
    """Stands where a network does, and keeps what it is shown."""

    def __init__(self, network):
        super().__init__()
        self.network, self.config, self.seen = network, network.config, []

    def base_model(self, **batch):
        self.seen.append(batch["input_ids"])
        return self.network.base_model(**batch)

    def cls(self, hidden):
        self.seen.append(hidden)
        return self.network.cls(hidden)


@pytest.fixture(scope="module")
def network(folder):
    torch.manual_seed(0)
    return load_network(folder, architecture="masked-lm", weights="random")


def test_documents_are_seen_in_the_order_of_the_curriculum(folder):
    task = made(folder)
    batches = list(task.train_dataloader().batch_sampler)
    assert sorted(place for batch in batches for place in batch) == list(range(200))
    longer = made(folder, documents=16 * 32 * 2)
    pools = [max(batch) // (16 * 32) for batch in longer.train_dataloader().batch_sampler]
    assert pools == sorted(pools)


def test_with_last_alone_only_the_last_word_is_masked(folder, network):
    task, seen = made(folder, last=1.0), Recorder(network)
    batch = next(iter(task.train_dataloader()))
    task.loss(seen, batch)
    changed = seen.seen[0] != batch["input_ids"]
    ends = batch["attention_mask"].sum(1) - 2
    assert changed.sum() == len(ends)
    assert torch.equal(changed.int().argmax(1), ends)
    assert (seen.seen[0][changed] == task.tokenizer.mask_token_id).all()


def test_words_are_masked_at_the_shares_of_their_segments_and_specials_never(folder, network):
    torch.manual_seed(0)
    task, seen = made(folder, last=0.0, documents=1000, batch_size=1000), Recorder(network)
    batch = next(iter(task.train_dataloader()))
    task.loss(seen, batch)
    words = batch["input_ids"] >= 5
    asked = len(seen.seen[1])
    wanted = sum(
        share * int((words & (batch["token_type_ids"] == segment)).sum()) for segment, share in enumerate((0.05, 0.4))
    )
    assert asked == pytest.approx(wanted, rel=0.05)
    assert task.weight(batch) == asked  # so are the losses of several processes weighed
    mask = seen.seen[0] == task.tokenizer.mask_token_id
    assert int(mask.sum()) == pytest.approx(
        0.5 * asked, rel=0.08
    )  # half of them by [MASK], the others kept or replaced
    assert not (mask & ~words).any()
    assert not ((seen.seen[0] != batch["input_ids"]) & ~words).any()


def test_the_same_words_are_asked_of_every_network(folder):
    first, second = made(folder).examples("validation"), made(folder, documents=10).examples("validation")
    assert first.digest == second.digest


def test_predictions_stand_at_the_masked_words_and_are_scored_by_hand_worked_shares(folder, network):
    task = made(folder)
    rows = [row for batch in task.split_dataloader("validation") for row in task.predict(network.eval(), batch)]
    references = task.references("validation")
    assert {row["id"]: len(row["prediction"]) for row in rows} == {
        key: len(one["words"]) for key, one in references.items()
    }
    perfect = [{"id": key, "prediction": one["words"]} for key, one in references.items()]
    assert set(task.score(perfect, "validation").values()) == {100.0}
    first = min(references)
    total = sum(len(one["words"]) for one in references.values())
    perfect[0] = {"id": first, "prediction": ["nothing"] * len(references[first]["words"])}
    assert task.score(perfect, "validation")["masked_accuracy"] == pytest.approx(
        100 * (1 - len(references[first]["words"]) / total)
    )


def test_measure_counts_copied_words_by_hand():
    reference = {"words": ["a", "b", "c"], "second": [False, True, True], "copied": [False, True, False]}
    scores = WorldText.measure(None, [["a", "x", "c"]], [reference])
    assert scores == {"masked_accuracy": pytest.approx(200 / 3), "second_accuracy": 50.0, "copied_accuracy": 0.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"masked": [0.1]}, "task.masked"),
        ({"masked": [0.1, 2]}, "task.masked"),
        ({"last": 3}, "task.last=3 is no share"),
    ],
)
def test_a_wrong_setting_is_named(folder, settings, message):
    with pytest.raises(UserError, match=message):
        made(folder, **settings)


@pytest.mark.slow
def test_no_test_sentence_is_among_the_documents_that_the_shipped_encoder_saw():
    from repro.paths import TINY
    from repro.records.record import read_record
    from repro.world.splits import TASKS, normalised

    record = read_record(TINY / "encoder" / "record.json")
    settings = {key: record.config["task"][key] for key in ("documents", "world_seed")}
    examples = made(None, **settings).examples("train")
    assert examples.digest == record.data["train"]["digest"]
    seen = {normalised(row[key]) for row in examples.rows for key in ("first", "second")}
    for task in TASKS:
        rows = world.glue(task, "test")
        held_out = {normalised(row[key]) for row in rows for key in ("sentence1", "sentence2") if row[key]}
        assert not held_out & seen, task
