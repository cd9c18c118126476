"""Anybody's texts as a task."""

from __future__ import annotations

import pytest
from sklearn.metrics import f1_score

from repro.__main__ import main
from repro.errors import UserError
from repro.metrics.classification import macro_f1
from repro.runs.compose import cell
from repro.runs.expand import expand, read
from repro.tasks.custom import Custom

FILES = {"train": "train.tsv", "validation": "validation.tsv", "test": None}


@pytest.fixture
def task(tmp_path):
    """Returns a function that writes train and validation, rows of cells by their columns, and makes the task."""

    def make(train: str, validation: str = "", *, ending: str = "tsv", files: dict | None = None, **settings):
        names = {split: file and file.replace("tsv", ending) for split, file in (FILES | (files or {})).items()}
        sign = "," if ending == "csv" else "\t"
        for split, content in (("train", train), ("validation", validation or train)):
            (tmp_path / f"{split}.{ending}").write_text(content.replace("|", sign))
        return Custom(name="custom", suite="glue", source="files", data_dir=tmp_path, files=names, **settings)

    return make


@pytest.mark.parametrize("ending", ["tsv", "csv"])
def test_pairs_and_single_texts_are_read_by_the_default_columns(task, ending):
    pairs = task("sentence1|sentence2|label\na b|c|yes\nd|e f|no\n", ending=ending)
    assert pairs.form.texts == ("sentence1", "sentence2")
    assert pairs.form.classes == ("no", "yes")
    assert pairs.examples("train").rows == [
        {"id": 0, "sentence1": "a b", "sentence2": "c", "label": 1},
        {"id": 1, "sentence1": "d", "sentence2": "e f", "label": 0},
    ]
    single = task("label|id|sentence1\nyes|7|a b\nno|8|d\n", ending=ending)
    assert single.form.texts == ("sentence1",)
    assert [row["sentence2"] for row in single.examples("train").rows] == [None, None]


def test_columns_and_classes_are_named(task):
    made = task("verdict|question|answer\n1|a|b\n2|c|d\n", texts=["answer", "question"], label="verdict")
    assert made.examples("train").rows[1] == {"id": 1, "sentence1": "d", "sentence2": "c", "label": 1}
    made = task("sentence1|label\na|2\nb|1\n", classes=[3, 2, 1])
    assert [row["label"] for row in made.examples("train").rows] == [1, 2]
    assert made.head["num_labels"] == 3


def test_classes_that_are_numbers_stand_in_their_order(task):
    assert task("sentence1|label\na|10\nb|9\nc|-1\n").form.classes == ("-1", "9", "10")
    assert task("sentence1|label\na|10\nb|9\nc|b\n").form.classes == ("10", "9", "b")


def test_numbers_are_learnt_where_there_are_no_classes(task):
    made = task("sentence1|label\na|-2.5\nb|1e3\n", classes=[])
    assert made.head == {"architecture": "sequence-classification", "num_labels": 1, "problem_type": "regression"}
    assert [row["label"] for row in made.examples("train").rows] == [-2.5, 1000.0]
    assert made.metric_names() == ("pearson", "spearman")
    with pytest.raises(UserError, match=r"validation.tsv, line 2: label 'x' is no number: glue/custom has numbers"):
        task("sentence1|label\na|1\n", "sentence1|label\na|x\n", classes=[]).examples("validation")


def test_two_classes_have_the_f1_of_the_second_and_more_have_the_mean(task):
    assert task("sentence1|label\na|0\nb|1\n").metric_names() == ("accuracy", "f1")
    made = task("sentence1|label\na|0\nb|1\nc|2\nd|2\ne|1\n")
    predictions = [{"id": number, "prediction": one} for number, one in enumerate([0, 2, 2, 2, 1])]
    expected = 100 * f1_score([0, 1, 2, 2, 1], [0, 2, 2, 2, 1], average="macro")
    assert made.score(predictions, "train") == pytest.approx({"accuracy": 80.0, "macro_f1": expected})
    assert macro_f1([0, 0, 3], [0, 1, 3]) == pytest.approx(100 * f1_score([0, 1, 3], [0, 0, 3], average="macro"))


def test_a_test_split_is_scored_where_there_is_one(task):
    assert task("sentence1|label\na|0\nb|1\n").scored_splits() == ["validation"]
    made = task("sentence1|label\na|0\nb|1\n", files={"test": "train.tsv"})
    assert made.scored_splits() == ["validation", "test"]


@pytest.mark.parametrize(
    ("train", "validation", "settings", "message"),
    [
        ("text|label\na|0\n", "", {}, r"train\.tsv, line 1: there is no column 'sentence1'"),
        ("sentence1|labels\na|0\n", "", {}, r"train\.tsv, line 1: there is no column 'label': did you mean labels\?"),
        (
            "sentence1|label\na|0\nb|1\n",
            "sentence1|label\na|0\nb|2\n",
            {},
            r"validation\.tsv, line 3: label '2' is out",
        ),
        ("sentence1|label\na|0\n", "", {}, r"train\.tsv has one label, 0: there is nothing to learn"),
        ("sentence1|label\na|0\nb|\n", "", {}, r"train\.tsv, line 3: the label is empty"),
        ("sentence1|label\na|1\nb|2.5\n", "", {}, r"line 3: the label 2\.5 is a number: say task\.classes=\[\]"),
        ("sentence1|label\n", "", {}, r"train\.tsv has no rows"),
        ("sentence1|label\na|0\nb|1\n", "", {"classes": ["0"]}, r"task\.classes=\['0'\] is one class"),
        ("sentence1|label\na|0\nb|1\n", "", {"texts": "sentence1"}, r"is no list: write task\.texts=\[sentence1\]"),
        ("sentence1|label\na|0\nb|1\n", "", {"texts": []}, r"task\.texts names 0 columns"),
        ("sentence1|label\na|0\nb|1\n", "", {"files": {"validation": None}}, r"task\.files\.validation has no value"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(train, validation, settings, message, task):
    with pytest.raises(UserError, match=message):
        task(train, validation, **settings).examples("validation")


def test_a_file_that_is_no_utf8_or_missing_is_named(task, tmp_path):
    task("sentence1|label\na|0\nb|1\n")
    (tmp_path / "train.tsv").write_bytes(b"sentence1\tlabel\na\t0\n\xff\t1\n")
    with pytest.raises(UserError, match=r"train\.tsv, line 3: this is no UTF-8"):
        Custom(name="custom", suite="glue", source="files", data_dir=tmp_path, files=FILES)
    (tmp_path / "train.tsv").unlink()
    with pytest.raises(UserError, match=r"train\.tsv is missing: .*data_dir=FOLDER"):
        Custom(name="custom", suite="glue", source="files", data_dir=tmp_path, files=FILES)


def test_it_is_in_no_suite_and_yet_in_any_sweep(own_files):
    cells, notes = expand(["paper=lora", "task=glue"])
    assert "glue/custom" not in {grid["task"] for grid in cells}
    cells, notes = expand(["paper=lora,finetune", "task=glue/custom", "seed=0,1"], multirun=True)
    assert (len(cells), notes) == (4, [])


@pytest.mark.parametrize("scale", ["tiny", "local"])
@pytest.mark.parametrize("paper", ["lora", "finetune", "bitfit", "adapter"])
def test_recipes_fit_and_what_is_said_of_glue_is_not_said_of_it(paper, scale, own_files, tmp_path):
    files = ("task.files.train=train.csv", "task.files.validation=dev.csv", f"data_dir={own_files}")
    network = ("network=hf", f"network.path={tmp_path}") if scale == "local" else ()
    one = cell((f"paper={paper}", "task=glue/custom", f"scale={scale}", *files, *network))
    assert one.config["departs"] == []
    assert one.config["task"]["source"] == "files"
    own = read(f"recipe/{one.choices['recipe']}")["by_task"]
    assert one.config["trainer"]["max_epochs"] == own["epochs"]["custom"]
    assert one.config["optim"]["lr"] == own.get("lr", {"custom": 4e-3})["custom"]  # adapters: by kind, not by task


def test_its_predictions_are_scored_like_any(own_files, tmp_path, capsys):
    (tmp_path / "p.tsv").write_text("\n".join(["index\tprediction", *(f"{n}\tgood" for n in range(40))]) + "\n")
    words = [f"data_dir={own_files}", "task.files.train=train.csv", "task.files.validation=dev.csv"]
    words += ["task.texts=[review]", "task.label=verdict"]
    assert main(["score", "glue/custom", str(tmp_path / "p.tsv"), *words]) == 0
    share = (own_files / "dev.csv").read_text().count(",good") / 40
    assert f"accuracy  {100 * share:>8.2f}" in capsys.readouterr().out
