"""LLaVA's numbers that need no training.

Recomputed are the differences and means of Tables 4, 5 and 8, ScienceQA averages from the scores of subjects and grades
(Table 7), sizes of the data, of the networks and of the checkpoint, and steps and hours of training. How many test
questions a class of ScienceQA has is printed nowhere: GROUPS and CONTEXTS hold the only sizes that fit nearly all
percentages of the benchmark's published systems.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from repro.ledger.arithmetic import difference, mean, percent, ratio, total
from repro.ledger.formula import Cells, Check, Quantity, formula
from repro.ledger.published import published

CELLS = Cells("llava")


@dataclass(frozen=True)
class LanguageModel:
    """The shape of a LLaMA network."""

    layers: int
    width: int
    hidden: int
    vocabulary: int = 32_000


@dataclass(frozen=True)
class VisionEncoder:
    """The shape of a CLIP vision transformer."""

    layers: int = 24
    width: int = 1024
    hidden: int = 4096
    image: int = 224
    patch: int = 14


VICUNA_13B = LanguageModel(layers=40, width=5120, hidden=13_824)
VICUNA_7B = LanguageModel(layers=32, width=4096, hidden=11_008)
CLIP = VisionEncoder()

# ScienceQA: test questions by class, questions by split.
GROUPS = {"subjects": {"NAT": 2252, "SOC": 889, "LAN": 1100}, "grades": {"G1-6": 2724, "G7-12": 1517}}
CONTEXTS = {"text": 2046, "image": 2017, "neither": 1435}
SCIENCEQA = {"train": 12_726, "validation": 4241, "test": 4241}
CLASSES = ["NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12"]
GPT4 = "GPT-4, text only, 2-shot"

# Training data: pairs of stage 1, samples of stage 2 as the paper rounds them and as released.
CAPTIONS = 595_000
SAMPLES = {"conversation": 58_000, "detailed description": 23_000, "complex reasoning": 77_000}
RELEASED_SAMPLES = 157_712

# Tables 4, 5 and 8: columns, rows, differences as printed.
BENCH = ["Conversation", "Detail description", "Complex reasoning", "All"]
FULL = "LLaVA-13B, full data"
DETAIL_COMPLEX = "LLaVA-13B, detail + complex"
MIXED = "LLaVA-13B, conv + 5% detail + 10% complex"
CONVERSATION = "LLaVA-13B, conversation"
UNTUNED = "LLaVA-13B, no instruction tuning"
DIFFERENCES = {  # Table 4: the differences to full data as printed, in the order of BENCH
    DETAIL_COMPLEX: ["-1.6", "-2.0", "-5.7", "-3.2"],
    MIXED: ["-2.1", "-7.1", "-5.0", "-4.4"],
    CONVERSATION: ["-6.6", "-16.2", "-12.4", "-11.3"],
    UNTUNED: ["-61.1", "-51.3", "-78.0", "-63.6"],
}
MISPRINTED = {
    (MIXED, "Detail description"),
    (MIXED, "All"),
    (CONVERSATION, "Detail description"),
    (CONVERSATION, "Complex reasoning"),
}
NEAR_THE_MEAN = {  # where All, a ratio of means over all reviews, rounds to the mean of the three categories
    ("T4", DETAIL_COMPLEX),
    ("T4", UNTUNED),
    ("T5", "OpenFlamingo"),
}
REVIEWS = {"T4": 90, "T5": 60}
ABLATIONS = [  # Table 8: row, column, the difference to the best variant as printed, what it is
    ("Best variant (13B, reasoning first, stage 1)", "Last", "-0.96", "features of the last layer"),
    ("Predict answer first", "Last", "-1.15", "answer first"),
    ("Training from scratch (no stage 1)", "Before", "-5.11", "no stage 1"),
    ("7B model size", "Before", "-1.08", "7B"),
]


@formula("100 sum(round(score size / 100)) / sum(sizes)", unit="%")
def grouped_accuracy(*, scores: Sequence[float], sizes: Sequence[int]) -> float:
    """The accuracy over groups of questions, each group's percentage turned back into a whole number of answers."""
    right = sum(round(score * size / 100) for score, size in zip(scores, sizes, strict=True))
    return 100 * right / sum(sizes)


@formula("images questions", unit="questions")
def bench_questions(*, images: int, questions: int) -> float:
    """Questions of a benchmark that asks as many of every image."""
    return images * questions


@formula("2 vocabulary width + layers (4 width^2 + 3 width hidden + 2 width) + width", unit="parameters")
def llama_parameters(*, layers: int, width: int, hidden: int, vocabulary: int) -> float:
    """All parameters of a LLaMA: untied embeddings, SwiGLU, RMSNorm, no biases."""
    return 2 * vocabulary * width + layers * (4 * width**2 + 3 * width * hidden + 2 * width) + width


@formula("floor(image / patch)^2", unit="tokens")
def patch_tokens(*, image: int, patch: int) -> float:
    """Patches of a square image."""
    return (image // patch) ** 2


@formula(
    "3 patch^2 width + (patches + 1) width + width + 2 width"
    " + layers (4 (width^2 + width) + 2 width hidden + hidden + width + 4 width) + 2 width",
    unit="parameters",
)
def clip_parameters(*, layers: int, width: int, hidden: int, patch: int, patches: float) -> float:
    """A CLIP vision transformer without its projection to the space that it shares with text.

    A convolution without bias, a class token, learnt positions, a LayerNorm before and one after the layers.
    """
    embeddings = 3 * patch**2 * width + width + (patches + 1) * width
    layer = 4 * (width**2 + width) + (width * hidden + hidden) + (hidden * width + width) + 4 * width
    return embeddings + 2 * width + layers * layer + 2 * width


@formula("inputs outputs + outputs (with bias)", unit="parameters")
def linear_parameters(*, inputs: int, outputs: int, bias: bool = True) -> float:
    """A linear layer: equation 1's W has no bias, the released one has."""
    return inputs * outputs + (outputs if bias else 0)


@formula("2 parameters", unit="bytes")
def half_precision_bytes(parameters: float) -> float:
    """The size of a checkpoint in 16 bits a number."""
    return 2 * parameters


@formula("ceil(samples / batch) epochs", unit="steps")
def training_steps(*, samples: int, batch: int, epochs: int) -> float:
    """Optimiser steps where the last batch of an epoch may be smaller."""
    return math.ceil(samples / batch) * epochs


@formula("devices hours", unit="hours")
def device_hours(*, devices: int, hours: float) -> float:
    """Hours of one device."""
    return devices * hours


@formula("text + image + neither - questions", unit="questions")
def both_contexts(*, text: int, image: int, neither: int, questions: int) -> float:
    """Questions that have a text and an image: they are counted in both classes."""
    return text + image + neither - questions


def checks() -> list[Check]:
    """Returns the numbers, in the order of the paper's tables, then what is printed nowhere."""
    parts = (_table_4(), _table_5(), _table_7(), _table_8(), _sizes(), _unprinted_networks(), _unprinted_rest())
    return [check for part in parts for check in part]


def _table_4() -> list[Check]:
    places = [(row, column) for row in DIFFERENCES for column in BENCH]
    printed = [said for line in DIFFERENCES.values() for said in line]
    found = []
    for n, ((row, column), said) in enumerate(zip(places, printed, strict=True), start=1):
        ours = difference(CELLS.value("T4", row, column), CELLS.value("T4", FULL, column))
        why = "the cells give another difference: it is misprinted, or a cell is of another revision"
        differs = ("error", why) if (row, column) in MISPRINTED else ()
        what = f"difference to full data, {row.removeprefix('LLaVA-13B, ')}, {column}"
        found.append(Check(f"A{n:02d}", "Table 4", what, said, ours, *differs))
    return found + [_all_as_mean(f"A{n}", "T4", row) for n, row in enumerate(_rows("T4"), start=17)]


def _table_5() -> list[Check]:
    def points(table: str, left: str, right: str) -> float:
        return difference(CELLS.value(table, left, "All"), CELLS.value(table, right, "All"))

    said = "points in the wild, printed with a percent sign"
    return [
        *(_all_as_mean(f"A{n}", "T5", row) for n, row in enumerate(_rows("T5"), start=22)),
        Check("A26", "section 5.1", f"gain over BLIP-2, {said}", "29%", points("T5", "LLaVA-13B", "BLIP-2")),
        Check(
            "A27", "section 5.1", f"gain over OpenFlamingo, {said}", "48%", points("T5", "LLaVA-13B", "OpenFlamingo")
        ),
        Check(
            "A28",
            "section 5.1",
            "gain of a little detail and reasoning data, All",
            "7",
            points("T4", MIXED, CONVERSATION),
        ),
    ]


def _all_as_mean(name: str, table: str, row: str) -> Check:
    why = f"All is the ratio of mean judge scores over {REVIEWS[table]} reviews, not the mean of the three ratios"
    return Check(
        name,
        f"Table {table[1:]}",
        f"All beside the plain mean of the three categories, {row}",
        CELLS.printed(table, row, "All"),
        mean(CELLS.values(table, row, BENCH[:3])),
        *(() if (table, row) in NEAR_THE_MEAN else ("unexplained", why)),
    )


def _rows(table: str) -> list[str]:
    return list(dict.fromkeys(fact.row for fact in published("llava") if fact.table == table))


def _table_7() -> list[Check]:
    why = "the scores of people, copied from another paper, are no counts over the 4,241 test questions"
    found = []
    for n, (row, kind) in enumerate(((row, kind) for row in _rows("T7") for kind in GROUPS), start=29):
        sizes = GROUPS[kind]
        ours = grouped_accuracy(scores=CELLS.values("T7", row, list(sizes)), sizes=list(sizes.values()))
        differs = ("unexplained", why) if (row, kind) == ("Human", "grades") else ()
        found.append(Check(f"A{n}", "Table 7", f"average from the {kind}, {row}", _average(row), ours, *differs))
    released = CELLS.value("TR1", "LLaVA-13B v0, released predictions", "Correct of 4,241")
    gain = difference(CELLS.value("T7", GPT4, "Average"), CELLS.value("T7", "GPT-3.5 with CoT", "Average"))
    return [
        *found,
        Check(
            "A49", "Table 7 beside the released prediction file, which is not in the paper",
            "accuracy of LLaVA-13B in the released file", _average("LLaVA-13B"), percent(released, SCIENCEQA["test"]),
            "unexplained", "the released file has 3,855 right, one fewer than 90.92 needs",
        ),
        Check("A50", "section 5.2", "gain of GPT-4 over GPT-3.5 with CoT", "7.52%", gain),
    ]  # fmt: skip


def _average(row: str) -> str:
    """Returns a row's average as the paper prints it, with two decimals."""
    return f"{CELLS.value('T7', row, 'Average'):.2f}"


def _table_8() -> list[Check]:
    best = CELLS.value("T8", ABLATIONS[0][0], "Before")
    return [
        Check(
            f"A{n}",
            "Table 8",
            f"{what} against the best variant",
            said,
            difference(CELLS.value("T8", row, column), best),
        )
        for n, (row, column, said, what) in enumerate(ABLATIONS, start=51)
    ]


def _sizes() -> list[Check]:
    checkpoint = half_precision_bytes(float(_llava_13b()))
    return [
        Check("A55", "section 3", "samples of the three kinds", "158K", total(list(SAMPLES.values()))),
        Check(
            "A56", "section 3 beside the released file, counted in the official repository",
            "samples of the released file", "158K", total([RELEASED_SAMPLES]),
        ),
        Check("A57", "section 5.2", "questions of ScienceQA", "21k", total(list(SCIENCEQA.values()))),
        Check("A58", "section 5.1", "questions of LLaVA-Bench (COCO)", "90", bench_questions(images=30, questions=3)),
        Check("A59", "section 5.2", "parameters of Vicuna-13B", "13B", llama_parameters(**asdict(VICUNA_13B))),
        Check("A60", "section 5.2", "parameters of Vicuna-7B", "7B", llama_parameters(**asdict(VICUNA_7B))),
        Check(
            "A61", "appendix D", "size of the 13B checkpoint", "25GB", checkpoint,
            "wording", "the printed size is after compression: 26.0 GB, or 24.3 GiB, before",
        ),
    ]  # fmt: skip


def _llava_13b() -> Quantity:
    """Returns the parameters of LLaVA-13B without the vision encoder, which the checkpoint does not hold."""
    projection = linear_parameters(inputs=CLIP.width, outputs=VICUNA_13B.width)
    return total([llama_parameters(**asdict(VICUNA_13B)), projection])


def _unprinted(name: str, what: str, ours: Quantity) -> Check:
    return Check(name, "not printed", what, "", ours)


def _unprinted_networks() -> list[Check]:
    patches = patch_tokens(image=CLIP.image, patch=CLIP.patch)
    vision = clip_parameters(
        layers=CLIP.layers, width=CLIP.width, hidden=CLIP.hidden, patch=CLIP.patch, patches=patches
    )
    large = linear_parameters(inputs=CLIP.width, outputs=VICUNA_13B.width)
    small = linear_parameters(inputs=CLIP.width, outputs=VICUNA_7B.width)
    bare = linear_parameters(inputs=CLIP.width, outputs=VICUNA_13B.width, bias=False)
    language = llama_parameters(**asdict(VICUNA_13B))
    whole = total([large, language, vision])
    return [
        _unprinted("A62", "patch tokens of an image of 224 pixels", patches),
        _unprinted("A63", "parameters of CLIP ViT-L/14's vision encoder, without the projection to text", vision),
        _unprinted("A64", "parameters of the projection, 13B, with bias", large),
        _unprinted("A65", "parameters of the projection, 7B, with bias", small),
        _unprinted("A66", "parameters of the projection, 13B, as equation 1 writes it", bare),
        _unprinted("A67", "parameters of LLaMA 13B", language),
        _unprinted("A68", "parameters of LLaMA 7B", llama_parameters(**asdict(VICUNA_7B))),
        _unprinted("A69", "percent of LLaVA-13B that stage 1 trains", percent(float(large), float(whole))),
    ]


def _unprinted_rest() -> list[Check]:
    stage_2 = training_steps(samples=RELEASED_SAMPLES, batch=32, epochs=3)
    science = training_steps(samples=SCIENCEQA["train"], batch=32, epochs=12)
    judge, alone = "LLaVA-13B + GPT-4 (judge)", "LLaVA-13B"
    gains = [(column, CELLS.value("T7", judge, column), CELLS.value("T7", alone, column)) for column in CLASSES]
    return [
        _unprinted("A70", "steps of stage 1, 595K pairs in batches of 128", ratio(CAPTIONS, 128)),
        _unprinted("A71", "steps of stage 2, 157,712 samples in batches of 32, 3 epochs", stage_2),
        _unprinted("A72", "steps on ScienceQA, 12,726 questions in batches of 32, 12 epochs", science),
        _unprinted("A73", "A100 hours of stage 1, at most", device_hours(devices=8, hours=4)),
        _unprinted("A74", "A100 hours of stage 2, at most", device_hours(devices=8, hours=10)),
        _unprinted(
            "A75",
            "test questions of ScienceQA with text and image",
            both_contexts(**CONTEXTS, questions=SCIENCEQA["test"]),
        ),
        *(
            _unprinted(f"A{n}", f"gain of LLaVA-13B with GPT-4 as judge, {column}", difference(new, old))
            for n, (column, new, old) in enumerate(gains, start=76)
        ),
    ]
