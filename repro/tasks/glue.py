"""GLUE: nine tasks on one or two sentences, from its official files, the hub, or the generated world.

Source: Wang et al. 2019, GLUE; columns as in the official files, labels numbered as in the hub's nyu-mll/glue.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from repro.errors import UserError, did_you_mean
from repro.metrics.baselines import BagOfWords, Majority
from repro.metrics.classification import METRICS
from repro.paths import find_data
from repro.tasks.base import Examples, Task, is_number
from repro.tasks.hub import load_from_hub
from repro.tasks.tables import columns_of, read_table
from repro.tasks.tsv import Row, read_tsv

HUB = "nyu-mll/glue"
ENTAILMENT = ("entailment", "not_entailment")
ZERO_ONE = ("0", "1")


@dataclass(frozen=True)
class Form:
    """What GLUE says of one task.

    Attributes:
        texts: columns of the one or two texts in the official files.
        label: column of the label.
        metrics: official ones; the best epoch is chosen by the first.
        classes: labels as the official files write them, by class index; none for a regression.
        span: the least and the largest number of a regression.
        hub_texts: columns of the texts on the hub, where they have other names.
        header: all columns of a file that has no header line.
        skip_short: whether the official files have broken rows, with too few columns.
        hub_splits: names of splits on the hub, where they have others.
        in_world: whether the generated world has examples of it.
    """

    texts: tuple[str, ...]
    label: str = "label"
    metrics: tuple[str, ...] = ("accuracy",)
    classes: tuple[str, ...] = ZERO_ONE
    span: tuple[float, float] = (0, 5)
    hub_texts: tuple[str, ...] | None = None
    header: tuple[str, ...] | None = None
    skip_short: bool = False
    hub_splits: tuple[tuple[str, str], ...] = ()
    in_world: bool = True


TWO = ("sentence1", "sentence2")
FORMS = {
    "mnli": Form(
        TWO,
        "gold_label",
        classes=("entailment", "neutral", "contradiction"),
        hub_texts=("premise", "hypothesis"),
        hub_splits=(("validation", "validation_matched"),),
    ),
    "sst2": Form(("sentence",)),
    "mrpc": Form(("#1 String", "#2 String"), "Quality", metrics=("accuracy", "f1"), hub_texts=TWO),
    "cola": Form(("sentence",), metrics=("matthews",), header=("source", "label", "mark", "sentence")),
    "qnli": Form(("question", "sentence"), classes=ENTAILMENT),
    "qqp": Form(("question1", "question2"), "is_duplicate", metrics=("accuracy", "f1"), skip_short=True),
    "rte": Form(TWO, classes=ENTAILMENT),
    "stsb": Form(TWO, "score", metrics=("pearson", "spearman"), classes=()),
    "wnli": Form(TWO, in_world=False),
}


class GLUE(Task):
    """One of the nine tasks.

    Args:
        name: a key of FORMS.
        source: "world" (the generated world), "files" (official TSVs) or "hub" (nyu-mll/glue).
        data_dir: folder of the official files.
        files: for each split the place of its file under data_dir; null to go without a split.
        form: of a task that is none of the nine.
        **settings: of `Task`.

    Raises:
        UserError: an unknown name or source.
    """

    version = 1

    def __init__(
        self,
        *,
        name: str,
        source: str,
        data_dir: Path | str = "data",
        files: Mapping[str, str | None] | None = None,
        form: Form | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(name=name, **settings)
        if form is None and name not in FORMS:
            raise UserError(f"GLUE has no task {name}", did_you_mean(name, FORMS))
        if source not in SOURCES:
            raise UserError(f"source={source} is not known", did_you_mean(source, SOURCES))
        self.form, self.source, self.data_dir = form or FORMS[name], source, Path(data_dir).expanduser()
        self.files = {split: file for split, file in (files or {}).items() if file}
        self.main_metric = self.form.metrics[0]
        self.regression = not self.form.classes
        self.generated = source == "world"
        self._fitted: dict[str, Any] = {}

    @property
    def head(self) -> dict[str, Any]:
        """A classifier; for stsb one output, trained by the mean squared error."""
        kind = "regression" if self.regression else "single_label_classification"
        classes = len(self.form.classes) or 1
        return {"architecture": "sequence-classification", "num_labels": classes, "problem_type": kind}

    def scored_splits(self) -> list[str]:
        """The world has labels for test; GLUE itself keeps them, and mnli has a second validation split instead."""
        if self.source == "world":
            return ["validation", "test"]
        more = "validation_mismatched" in self.files if self.source == "files" else bool(self.form.hub_splits)
        return ["validation", *(["validation_mismatched"] if more else [])]

    def read(self, split: str) -> Examples:
        """Reads a split from its source: rows {"id", "sentence1", "sentence2", "label"}."""
        return SOURCES[self.source](self, split)

    def unlabelled(self, file: Path, columns: Sequence[str] = ()) -> Examples:
        """Reads the texts of a file; labels in it are not looked at. Ids are the numbers of its rows, from 0."""
        names, wanted = columns_of(file), len(self.form.texts)
        if columns and len(columns) != wanted:
            raise UserError(
                f"{len(columns)} columns were named ({', '.join(columns)})",
                f"{self.title} takes {wanted}: {', '.join(self.form.texts)}",
            )
        texts = columns or self.form.texts
        if not columns and self.form.hub_texts and set(self.form.hub_texts) <= set(names):
            texts = self.form.hub_texts
        headless = self.form.header is not None and file.suffix.lower() != ".csv" and not set(texts) <= set(names)
        rows, skipped = read_table(
            file, texts, header=self.form.header if headless else None, skip_short=self.form.skip_short
        )
        return Examples([_example(row.number, row.cells, 0) for row in rows], file.name, skipped)

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list]:
        """Tokenises one or two segments, cut to max_length from the longer one."""
        if self.max_length is None:
            raise UserError(f"task.max_length of {self.title} has no value", "give one, such as task.max_length=128")
        second = [row["sentence2"] for row in rows] if len(self.form.texts) == 2 else None
        return dict(
            self.tokenizer(
                [row["sentence1"] for row in rows],
                second,
                truncation=True,
                max_length=self.max_length,
                return_attention_mask=False,
            )
        )

    def collate(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Pads to the longest example.

        Returns:
            input_ids, attention_mask and, if the tokenizer has them, token_type_ids (examples, tokens); labels and
            index (examples,)
        """
        lengths = torch.tensor([len(one["input_ids"]) for one in examples])
        longest = int(lengths.max())
        right = self.tokenizer.padding_side == "right"
        places = torch.arange(longest) if right else torch.arange(longest - 1, -1, -1)
        mask = places < lengths[:, None]  # (examples, tokens)
        batch = {"attention_mask": mask.long()}
        for key, padding in (("input_ids", self.tokenizer.pad_token_id or 0), ("token_type_ids", 0)):
            if key in examples[0]:
                batch[key] = torch.full(mask.shape, padding)
                batch[key][mask] = torch.tensor([token for one in examples for token in one[key]])
        kind = torch.float if self.regression else torch.long
        batch["labels"] = torch.tensor([one["label"] for one in examples], dtype=kind)
        batch["index"] = torch.tensor([one["id"] for one in examples])
        return batch

    def loss(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy; for stsb the squared error."""
        logits = _logits(network, batch)
        if self.regression:
            return functional.mse_loss(logits.squeeze(-1), batch["labels"])
        return functional.cross_entropy(logits, batch["labels"])

    def predict(self, network: nn.Module, batch: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """Returns the best class and all logits, or the number. What is not finite (a diverged network) counts as 0."""
        logits = torch.nan_to_num(_logits(network, batch), nan=0.0, posinf=0.0, neginf=0.0)
        predictions = logits.squeeze(-1) if self.regression else logits.argmax(dim=-1)
        columns = (batch["index"].tolist(), predictions.tolist(), logits.tolist())
        return [{"id": key, "prediction": one, "scores": scores} for key, one, scores in zip(*columns, strict=True)]

    def checked(self, prediction: Any, place: str) -> Any:
        """A class index, or for stsb any finite number."""
        if self.regression:
            if not is_number(prediction):
                raise UserError(f"{place}: prediction {prediction!r} is no number", f"{self.title} has numbers")
            return float(prediction)
        if type(prediction) is not int or not 0 <= prediction < len(self.form.classes):
            named = ", ".join(f"{place} ({name})" for place, name in enumerate(self.form.classes))
            raise UserError(f"{place}: prediction {prediction!r} is out of range", f"{self.title} has {named}")
        return prediction

    def measure(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """The task's official metrics."""
        return {metric: METRICS[metric](predictions, references) for metric in self.form.metrics}

    def metric_names(self) -> tuple[str, ...]:
        return self.form.metrics

    def texts(self, row: Mapping[str, Any]) -> dict[str, str]:
        """One or two sentences, named as in the official files."""
        sentences = (row["sentence1"], row["sentence2"])
        return {name: text for name, text in zip(self.form.texts, sentences, strict=False) if text is not None}

    def said(self, prediction: Any) -> str:
        """The label as the official files write it, or a similarity with two decimals."""
        return f"{prediction:.2f}" if self.regression else self.form.classes[prediction]

    def read_official(self, path: Path) -> list[tuple[str, dict[str, Any]]]:
        """Reads `index<TAB>prediction`: the number of the row in the split's file, and the label as GLUE writes it."""
        rows, _ = read_tsv(path, ("index", "prediction"))
        return [(row.place, {"id": _index(row), "prediction": self._label(row.cells[1], row.place)}) for row in rows]

    def write_official(self, predictions: Sequence[Mapping[str, Any]], path: Path) -> None:
        """Writes what `read_official` reads."""
        name = repr if self.regression else self.form.classes.__getitem__
        lines = [f"{one['id']}\t{name(one['prediction'])}" for one in predictions]
        path.write_text("\n".join(["index\tprediction", *lines]) + "\n", encoding="utf-8")

    def baselines(self, split: str) -> dict[str, dict[str, float]]:
        """Scores the majority and bags of words without and with overlap features, all fitted on train."""
        rows = self.examples(split).rows
        found = {}
        for name, model in self._baseline_models().items():
            predicted = zip(rows, model.predict(_segments(rows)), strict=True)
            found[name] = self.score([{"id": row["id"], "prediction": one} for row, one in predicted], split)
        return found

    def _baseline_models(self) -> dict[str, Majority | BagOfWords]:
        if not self._fitted:
            train = self.examples("train").rows
            texts, labels = _segments(train), [row["label"] for row in train]
            self._fitted = {
                "majority": Majority(regression=self.regression).fit(texts, labels),
                "bag_of_words": BagOfWords(regression=self.regression).fit(texts, labels),
            }
            overlapping = self._fitted["bag_of_words"]  # one segment overlaps with nothing
            if len(self.form.texts) == 2:
                overlapping = BagOfWords(regression=self.regression, overlap=True).fit(texts, labels)
            self._fitted["bag_of_words_overlap"] = overlapping
        return self._fitted

    def _from_world(self, split: str) -> Examples:
        from repro import world

        if not self.form.in_world:
            raise UserError(
                f"the generated world has no {self.name}", "scale=local reads GLUE's own files (data_dir=FOLDER)"
            )
        return Examples(world.glue(self.name, split), f"generated world {world.version}")

    def _from_files(self, split: str) -> Examples:
        if split not in self.files:
            raise UserError(f"{self.title} has no file for {split}", f"task.files.{split}=FILE names it")
        file = find_data(self.data_dir, self.files[split])
        form = self.form
        rows, skipped = read_table(file, (*form.texts, form.label), header=form.header, skip_short=form.skip_short)
        labels = [self._label(row.cells[-1], row.place, "label") for row in rows]
        examples = [_example(row.number, row.cells[:-1], label) for row, label in zip(rows, labels, strict=True)]
        return Examples(examples, self.files[split], skipped)

    def _from_hub(self, split: str) -> Examples:
        there = dict(self.form.hub_splits).get(split, split)
        dataset = load_from_hub(HUB, self.name, there)
        texts = self.form.hub_texts or self.form.texts
        rows = [_example(number, [row[text] for text in texts], row["label"]) for number, row in enumerate(dataset)]
        return Examples(rows, f"{HUB} {self.name} {there}")

    def _label(self, text: str, place: str, what: str = "prediction") -> int | float:
        """Returns the class index or number that a file writes as text."""
        if self.regression:
            try:
                number = float(text)
            except ValueError:
                number = math.nan
            least, most = self.form.span
            if not math.isfinite(number) or (what == "label" and not least <= number <= most):
                kind, span = ("similarity", f" from {least} to {most}") if math.isfinite(most) else ("number", "")
                raise UserError(f"{place}: {what} {text!r} is no {kind}", f"{self.title} has numbers{span}")
            return number
        if text not in self.form.classes:
            raise UserError(
                f"{place}: {what} {text!r} is out of range", f"{self.title} has {', '.join(self.form.classes)}"
            )
        return self.form.classes.index(text)


SOURCES = {"world": GLUE._from_world, "files": GLUE._from_files, "hub": GLUE._from_hub}


def _example(number: int, texts: Sequence[str], label: int | float) -> dict[str, Any]:
    return {"id": number, "sentence1": texts[0], "sentence2": texts[1] if len(texts) == 2 else None, "label": label}


def _segments(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str | None]]:
    return [(row["sentence1"], row["sentence2"]) for row in rows]


def _index(row: Row) -> int:
    try:
        return int(row.cells[0])
    except ValueError:
        raise UserError(
            f"{row.place}: index {row.cells[0]!r} is no whole number", "it is the number of the row, from 0"
        ) from None


def _logits(network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Returns the network's output in single precision, (examples, classes)."""
    inputs = {key: value for key, value in batch.items() if key not in ("labels", "index")}
    return network(**inputs).logits.float()
