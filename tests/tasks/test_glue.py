"""GLUE from official files, the hub and the world, to batches, predictions and scores."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
import torch
import yaml
from datasets import Dataset
from scipy import stats
from torch import nn

from repro import paths, world
from repro.errors import UserError
from repro.tasks import glue
from repro.tasks.glue import FORMS, GLUE

FIXTURES = Path(__file__).parents[1] / "fixtures"
SIZES = {
    "mnli": (6, 4),
    "sst2": (5, 3),
    "mrpc": (6, 4),
    "cola": (4, 4),
    "qnli": (4, 3),
    "qqp": (4, 3),
    "rte": (6, 4),
    "stsb": (6, 4),
    "wnli": (4, 3),
}
METRICS = {
    "mnli": {"accuracy"},
    "sst2": {"accuracy"},
    "mrpc": {"accuracy", "f1"},
    "cola": {"matthews"},
    "qnli": {"accuracy"},
    "qqp": {"accuracy", "f1"},
    "rte": {"accuracy"},
    "stsb": {"pearson", "spearman"},
    "wnli": {"accuracy"},
}


def make(name: str, **settings) -> GLUE:
    """Makes the task as its configuration says, on the fixtures unless told otherwise."""
    settings = {"source": "files", "data_dir": FIXTURES, "batch_size": 4, "max_length": 32} | settings
    files = yaml.safe_load((paths.CONF / "task" / "glue" / f"{name}.yaml").read_text())["files"]
    return GLUE(name=name, suite="glue", files=files | settings.pop("files", {}), **settings)


def broken(tmp_path: Path, name: str, change, **settings) -> GLUE:
    """Makes the task on a copy of its validation file with the text changed."""
    file = FIXTURES / make(name).files["validation"]
    (tmp_path / "dev.tsv").write_bytes(change(file.read_text("utf-8")).encode())
    return make(name, data_dir=tmp_path, files={"validation": "dev.tsv"}, **settings)


class Overlap(nn.Module):
    """Stands for a network: one learnt number times how many tokens of a text are even."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, classes))

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        even = ((input_ids % 2 == 0) * attention_mask).sum(1, keepdim=True).float()
        return SimpleNamespace(logits=even * self.weight)


@pytest.mark.parametrize("name", FORMS)
def test_from_official_files_to_a_score(name, tokenizer_folder, tmp_path):
    task = make(name, folder=tokenizer_folder)
    task.setup()
    assert (len(task.splits["train"].dataset), len(task.splits["validation"].dataset)) == SIZES[name]
    network = Overlap(task.head["num_labels"])
    for batch in task.train_dataloader():
        task.loss(network, batch).backward()
    assert torch.isfinite(network.weight.grad).all()
    predictions = [row for batch in task.split_dataloader("validation") for row in task.predict(network, batch)]
    scores = task.score(predictions, "validation")
    assert scores.keys() == METRICS[name]
    assert task.main_metric in scores
    for file in (tmp_path / "saved.jsonl", tmp_path / "official.tsv"):
        task.write_predictions(predictions, file, "validation")
        assert make(name).score(make(name).read_predictions(file, "validation"), "validation") == scores
    assert task.splits["train"].dataset.cache_files == []


def test_rows_are_read_as_they_stand():
    assert make("mrpc").examples("train").rows[2] == {
        "id": 2,
        "sentence1": 'He called it " a quiet year " .',
        "sentence2": "He said that nobody came .",
        "label": 0,
    }
    assert make("cola").examples("validation").rows[3] == {
        "id": 3,
        "sentence1": "Was a coin found the .",
        "sentence2": None,
        "label": 0,
    }
    assert [row["label"] for row in make("mnli").examples("validation").rows] == [0, 2, 0, 1]
    assert [row["label"] for row in make("rte").examples("validation").rows] == [0, 1, 0, 1]
    assert make("stsb").examples("train").rows[5]["label"] == 0.666666666666667


def test_broken_rows_of_qqp_are_counted_and_keep_their_number(tokenizer_folder):
    task = make("qqp", folder=tokenizer_folder)
    assert [row["id"] for row in task.examples("validation").rows] == [0, 2, 3]
    assert task.split("validation").source == "glue/QQP/dev.tsv (1 broken rows left out)"


def test_mnli_has_two_validation_splits_and_goes_without_the_second_when_told():
    assert make("mnli").scored_splits() == ["validation", "validation_mismatched"]
    assert make("mnli", files={"validation_mismatched": None}).scored_splits() == ["validation"]


def test_a_missing_official_file_is_an_error_and_another_may_be_named(tmp_path):
    elsewhere = make("qqp", files={"validation": "glue/QQP/dev_sample.tsv"})
    with pytest.raises(UserError, match=r"dev_sample\.tsv is missing"):
        elsewhere.examples("validation")
    assert len(make("qqp", files={"validation": "glue/QQP/train.tsv"}).examples("validation").rows) == 4


def test_the_digest_of_a_split_is_that_of_its_rows():
    rows = (
        '{"id":0,"label":1,"sentence1":"a funny story ","sentence2":null}\n'
        '{"id":1,"label":0,"sentence1":"badly told and dull ","sentence2":null}\n'
        '{"id":2,"label":1,"sentence1":"a joy ","sentence2":null}\n'
    )
    import hashlib

    assert make("sst2").examples("validation").digest == hashlib.sha256(rows.encode()).hexdigest()


def test_the_first_rows_of_train_may_be_enough():
    assert [row["id"] for row in make("rte", train_size=2).examples("train").rows] == [0, 1]
    with pytest.raises(UserError, match=r"task\.train_size=7: glue/rte has 6 rows: give fewer"):
        make("rte", train_size=7).examples("train")


def test_rows_of_train_may_be_drawn_by_the_seed_and_more_of_them_hold_the_fewer():
    drawn = {
        (seed, size): [row["id"] for row in make("rte", train_size=size, draw=True, seed=seed).examples("train").rows]
        for seed in range(20)
        for size in (2, 3)
    }
    assert all(set(drawn[seed, 2]) < set(drawn[seed, 3]) for seed in range(20))
    assert all(ids == sorted(ids) for ids in drawn.values())
    assert {one for (_, size), ids in drawn.items() if size == 2 for one in ids} == set(range(6))
    with pytest.raises(UserError, match=r"task\.draw=yes is no truth value"):
        make("rte", draw="yes")


def test_a_batch_is_padded_to_its_longest_and_no_further(tokenizer_folder):
    task = make("mrpc", folder=tokenizer_folder)
    examples = [task.split("train").dataset[place] for place in (0, 3)]
    batch = task.collate(examples)
    assert batch["input_ids"].shape == (2, 3 + 9 + 9)
    text = "[CLS] The bakery opens at six . [SEP] The bakery closes at six . [SEP]" + " [PAD]" * 6
    assert " ".join(task.tokenizer.convert_ids_to_tokens(batch["input_ids"][1])) == text
    assert batch["attention_mask"][1].tolist() == [1] * 15 + [0] * 6
    assert batch["token_type_ids"][1].tolist() == [0] * 8 + [1] * 7 + [0] * 6
    assert (batch["labels"].tolist(), batch["index"].tolist()) == ([1, 0], [0, 3])


def test_a_batch_equals_the_tokenizers_own_padding_on_either_side(tokenizer_folder):
    task = make("rte", folder=tokenizer_folder)
    rows = task.examples("train").rows
    for side in ("left", "right"):
        task.tokenizer.padding_side = side
        peer = task.tokenizer(
            [row["sentence1"] for row in rows],
            [row["sentence2"] for row in rows],
            padding=True,
            truncation=True,
            max_length=32,
            return_tensors="pt",
        )
        batch = task.collate(task.split("train").dataset.to_list())
        for key in ("input_ids", "attention_mask", "token_type_ids"):
            assert torch.equal(batch[key], peer[key])


def test_long_texts_are_cut(tokenizer_folder):
    task = make("mrpc", folder=tokenizer_folder, max_length=12)
    assert max(map(len, task.split("train").dataset["input_ids"])) == 12


def test_a_tokenizer_without_segment_ids_gives_batches_without_them(tokenizer_folder):
    task = make("sst2", folder=tokenizer_folder)
    task.tokenizer.model_input_names = ["input_ids", "attention_mask"]
    assert "token_type_ids" not in next(iter(task.train_dataloader()))


def test_loss_is_transformers_own(tokenizer_folder):
    from transformers import BertConfig, BertForSequenceClassification

    for name in ("mnli", "stsb"):
        task = make(name, folder=tokenizer_folder)
        head = {key: value for key, value in task.head.items() if key != "architecture"}
        network = BertForSequenceClassification(
            BertConfig(
                vocab_size=400, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, **head
            )
        ).eval()
        batch = next(iter(task.train_dataloader()))
        expected = network(**{key: value for key, value in batch.items() if key != "index"}).loss
        assert task.loss(network, batch).item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_diverged_network_still_gives_predictions(tokenizer_folder):
    for name, expected in (("mnli", 0), ("stsb", 0.0)):
        task = make(name, folder=tokenizer_folder)
        network = Overlap(task.head["num_labels"])
        nn.init.constant_(network.weight, float("nan"))
        predictions = [row for batch in task.val_dataloader() for row in task.predict(network, batch)]
        assert {row["prediction"] for row in predictions} == {expected}
        task.score(predictions, "validation")


def test_scores_are_what_scipy_says_whatever_the_order():
    task, numbers = make("stsb"), [4.0, 2.0, 4.5, 0.1]
    predictions = [{"id": key, "prediction": one} for key, one in enumerate(numbers)]
    scores = task.score(reversed(predictions), "validation")
    assert scores["pearson"] == pytest.approx(100 * stats.pearsonr(numbers, [5, 1.2, 4.6, 0]).statistic)
    assert scores["spearman"] == pytest.approx(80.0)


def test_labels_are_written_as_glue_writes_them(tmp_path):
    for name, written in (("rte", "entailment not_entailment"), ("sst2", "0 1"), ("mnli", "entailment neutral")):
        task = make(name)
        rows = [{"id": row["id"], "prediction": min(row["id"], 1)} for row in task.examples("validation").rows]
        task.write_predictions(rows, tmp_path / "out.tsv", "validation")
        header, *lines = (tmp_path / "out.tsv").read_text().splitlines()
        assert header == "index\tprediction"
        assert lines[:2] == [f"{place}\t{label}" for place, label in enumerate(written.split())]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "mrpc",
            lambda text: text.replace("Quality", "quality"),
            r"dev\.tsv, line 1: there is no column 'Quality': did you mean quality\?",
        ),
        ("mrpc", lambda text: text.replace("\t102\t", "\t"), r"dev\.tsv, line 4: 4 columns instead of 5"),
        (
            "mrpc",
            lambda text: text.replace("\n0\t101", "\n2\t101"),
            r"dev\.tsv, line 3: label '2' is out of range: glue/mrpc has 0, 1",
        ),
        (
            "rte",
            lambda text: text.replace("not_entailment", "neutral"),
            r"dev\.tsv, line 3: label 'neutral' is out of range",
        ),
        (
            "stsb",
            lambda text: text.replace("4.600", "5.1"),
            r"dev\.tsv, line 4: label '5.1' is no similarity: glue/stsb has numbers from 0 to 5",
        ),
        ("stsb", lambda text: text.replace("4.600", "nan"), r"dev\.tsv, line 4: label 'nan' is no similarity"),
        ("cola", lambda text: "sentence\n", r"dev\.tsv, line 1: 1 columns instead of 4"),
        ("cola", lambda text: "", r"dev\.tsv has no rows"),
        ("qqp", lambda text: text.splitlines()[0] + "\nonly\tthis\n", r"dev\.tsv has no whole row"),
        ("sst2", lambda text: "sentence\tlabel\n", r"dev\.tsv has no rows"),
    ],
)
def test_a_broken_file_is_named_with_the_line(tmp_path, name, change, message):
    with pytest.raises(UserError, match=message):
        broken(tmp_path, name, change).examples("validation")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "file"}, r"source=file is not known: did you mean files\?"),
        ({"batch_size": 0}, r"task\.batch_size=0 is no positive whole number"),
        ({"max_length": 12.5}, r"task\.max_length=12\.5 is no positive"),
        ({"train_size": "all"}, r"task\.train_size=all is no positive"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        make("mrpc", **settings)


def test_an_unknown_task_or_split_is_named():
    with pytest.raises(UserError, match=r"GLUE has no task mnl: did you mean mnli\?"):
        GLUE(name="mnl", suite="glue", source="files")
    with pytest.raises(UserError, match="glue/mrpc has no split test with labels: there are train, validation"):
        make("mrpc").examples("test")


def test_a_folder_without_tokenizer_is_named(tmp_path):
    with pytest.raises(UserError, match=r"has no tokenizer that can be read"):
        make("mrpc", folder=tmp_path).setup()
    with pytest.raises(UserError, match=r"glue/mrpc was given no tokenizer"):
        make("mrpc").setup()


GOOD = [{"id": 0, "prediction": 1}, {"id": 1, "prediction": 0}, {"id": 2, "prediction": 1}, {"id": 3, "prediction": 1}]


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (GOOD[:3], "^3 predictions for 4 examples of validation of glue/mrpc: the first that lacks one is 3"),
        (
            [*GOOD, {"id": 4, "prediction": 1}],
            "prediction 5: validation of glue/mrpc has no example 4: its ids are 0 to 3",
        ),
        ([*GOOD, GOOD[0]], "prediction 5: a second prediction for example 0"),
        (
            [{"id": 0, "prediction": 2}, *GOOD[1:]],
            r"prediction 1: prediction 2 is out of range: glue/mrpc has 0 \(0\), 1",
        ),
        ([{"id": 0, "prediction": True}, *GOOD[1:]], "prediction 1: prediction True is out of range"),
        ([{"id": 0}, *GOOD[1:]], "prediction 1: no id and prediction"),
        ([{"id": [0], "prediction": 1}, *GOOD[1:]], r"prediction 1: validation of glue/mrpc has no example \[0\]"),
    ],
)
def test_predictions_must_be_one_for_each_example(predictions, message):
    with pytest.raises(UserError, match=message):
        make("mrpc").score(predictions, "validation")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mrpc", "index\tprediction\n0\t1\n1\t0\n", r"p\.tsv: 2 predictions for 4 examples"),
        ("mrpc", "index\tprediction\n0\t1\n0\t0\n", r"p\.tsv, line 3: a second prediction for example 0"),
        ("mrpc", "index\tprediction\n9\t1\n", r"p\.tsv, line 2: validation of glue/mrpc has no example 9"),
        ("mrpc", "index\tprediction\n0\tyes\n", r"p\.tsv, line 2: prediction 'yes' is out of range"),
        ("mrpc", "index\tprediction\nfirst\t1\n", r"p\.tsv, line 2: index 'first' is no whole number"),
        ("mrpc", "0\t1\n1\t0\n", r"p\.tsv, line 1: there is no column 'index'"),
        (
            "rte",
            "index\tprediction\n0\t1\n",
            r"p\.tsv, line 2: prediction '1' is out of range: glue/rte has entailment, not_entailment",
        ),
        ("stsb", "index\tprediction\n0\tinf\n", r"p\.tsv, line 2: prediction 'inf' is no similarity"),
        ("stsb", '{"id": 0, "prediction": "4"}\n', r"p\.tsv, line 1: prediction '4' is no number"),
        ("mrpc", '{"id": 0, "prediction": 1}\n{"id": 1, "pred\n', r"p\.tsv, line 2: this is no JSON"),
    ],
)
def test_a_wrong_file_of_predictions_is_named_with_the_line(tmp_path, name, content, message):
    (tmp_path / "p.tsv").write_text(content)
    with pytest.raises(UserError, match=message):
        make(name).read_predictions(tmp_path / "p.tsv", "validation")


def test_baselines_are_fitted_on_train_and_scored_like_predictions():
    scores = make("mrpc").baselines("validation")
    assert scores["majority"] == make("mrpc").score([{"id": key, "prediction": 0} for key in range(4)], "validation")
    assert scores.keys() == {"majority", "bag_of_words", "bag_of_words_overlap"}
    assert make("stsb").baselines("validation")["majority"] == {"pearson": 0.0, "spearman": 0.0}
    one_sentence = make("sst2").baselines("validation")
    assert one_sentence["bag_of_words"] == one_sentence["bag_of_words_overlap"]


def test_the_world_gives_a_labelled_test_split(monkeypatch, tokenizer_folder):
    def drawn(task, split):
        return [{"id": 7 + one, "sentence1": f"The cup {split}", "sentence2": task, "label": one} for one in range(2)]

    monkeypatch.setattr(world, "glue", drawn)
    task = make("mrpc", source="world", folder=tokenizer_folder)
    task.setup()
    assert task.scored_splits() == ["validation", "test"]
    assert task.splits["test"].source == f"generated world {world.version}"
    assert [row["id"] for row in task.examples("test").rows] == [7, 8]
    assert task.score([{"id": 8, "prediction": 1}, {"id": 7, "prediction": 0}], "test") == {"accuracy": 100, "f1": 100}
    with pytest.raises(UserError, match="the generated world has no wnli: scale=local reads GLUE's own files"):
        make("wnli", source="world").examples("train")
    monkeypatch.setattr(world, "glue", lambda task, split: [])
    with pytest.raises(UserError, match=r"train of glue/rte is empty \(generated world"):
        make("rte", source="world").examples("train")


def test_the_hub_gives_the_rows_of_the_files(monkeypatch):
    asked = []

    def load(name, configuration, split):
        asked.append((name, configuration, split))
        row = {"premise": "No letter came .", "hypothesis": "A letter came .", "label": 2, "idx": 0}
        return Dataset.from_list([row])

    monkeypatch.setattr(glue, "load_from_hub", load)
    task = make("mnli", source="hub")
    assert task.scored_splits() == ["validation", "validation_mismatched"]
    rows = [task.examples(split).rows[0] for split in task.scored_splits()]
    assert rows[0] == {"id": 0, "sentence1": "No letter came .", "sentence2": "A letter came .", "label": 2}
    assert asked == [("nyu-mll/glue", "mnli", "validation_matched"), ("nyu-mll/glue", "mnli", "validation_mismatched")]


def test_a_hub_out_of_reach_is_said_with_what_would_do(monkeypatch):
    import huggingface_hub

    def unreachable():
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.utils, "get_session", unreachable)

    def load(*asked, **settings):
        assert datasets.config.HF_HUB_OFFLINE
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(UserError, match=r"nyu-mll/glue \(rte, train\) can't be had .* source=files data_dir=FOLDER"):
        make("rte", source="hub").examples("train")
    assert not datasets.config.HF_HUB_OFFLINE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "train", "validation"),
    [
        ("sst2", 67349, 872),
        ("mrpc", 3668, 408),
        ("cola", 8551, 1043),
        ("rte", 2490, 277),
        ("stsb", 5749, 1500),
        ("wnli", 635, 71),
    ],
)
def test_official_files_have_their_official_sizes(name, train, validation):
    if "REPRO_DATA_DIR" not in os.environ:
        pytest.skip("REPRO_DATA_DIR names no folder with GLUE")
    task = make(name, data_dir=os.environ["REPRO_DATA_DIR"])
    assert (len(task.examples("train").rows), len(task.examples("validation").rows)) == (train, validation)


@pytest.mark.parametrize("name", FORMS)
def test_texts_of_a_file_are_read_without_its_labels(name):
    task = make(name)
    labelled, found = task.examples("validation"), task.unlabelled(FIXTURES / task.files["validation"])
    assert [row | {"label": 0} for row in labelled.rows] == found.rows
    assert labelled.skipped == found.skipped


def test_texts_of_a_csv_are_found_under_the_hubs_names_or_named_ones(tmp_path):
    (tmp_path / "a.csv").write_text("sentence1,sentence2\na b,c\n")
    (tmp_path / "b.csv").write_text("other,one\na b,c\n")
    expected = {"id": 0, "sentence1": "a b", "sentence2": "c", "label": 0}
    assert make("mrpc").unlabelled(tmp_path / "a.csv").rows == [expected]
    assert make("mrpc").unlabelled(tmp_path / "b.csv", ["other", "one"]).rows == [expected]
    (tmp_path / "c.csv").write_text("sentence\na b\n")
    assert make("cola").unlabelled(tmp_path / "c.csv").rows == [expected | {"sentence2": None}]
