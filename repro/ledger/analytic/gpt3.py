"""GPT-3's numbers that need no training, from the tables of arXiv v4 and the statistics that were released with it.

Recomputed are the sizes of Tables 2.1 and D.1 from the shapes, training compute from sizes and tokens, the epochs of
Table 2.2 from its weights, the SuperGLUE averages of Tables 3.8 and H.1, the overlap statistics of Table C.1, the
people of Appendix E, and what the text says of the tables. Inputs that are cells of published tables are read there;
the shapes of Table 2.1, the mixture of Table 2.2 and numbers that only the text has stand below.

Table 2.1 cannot be built as printed: XL's 24 heads of 128 are not its width of 2048, and 13B's width of 5140 is not
its 40 heads of 128. The sizes of Table D.1 fit widths of 2048 and 5120.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from repro.ledger.arithmetic import change, difference, gpt2_parameters, percent, ratio, total
from repro.ledger.formula import Cells, Check, Quantity, formula
from repro.ledger.published import published

CELLS = Cells("gpt3")
ZERO, ONE, FEW = (f"GPT-3 175B, {shots}-shot" for shots in ("zero", "one", "few"))
SOTA, TUNED, BERT = "state of the art", "fine-tuned state of the art", "fine-tuned BERT-Large"
VOCABULARY, CONTEXT = 50257, 2048
TOKENS = 300
"""Billions of tokens that every model is trained on."""

FROM_ENGLISH = ["En→Fr", "En→De", "En→Ro"]
TO_ENGLISH = ["Fr→En", "De→En", "Ro→En"]
SUPERGLUE = [
    "BoolQ acc.",
    "CB acc.",
    "CB F1",
    "COPA acc.",
    "RTE acc.",
    "WiC acc.",
    "WSC acc.",
    "MultiRC acc.",
    "MultiRC F1a",
    "ReCoRD acc.",
    "ReCoRD F1",
]

ENGLISH_WORDS, ALL_WORDS = 181_014_683_608, 195_380_885_914
"""Words of the training data, from dataset_statistics/languages_by_word_count.csv of github.com/openai/gpt-3."""


@dataclass(frozen=True)
class Shape:
    """A model as Table 2.1 prints it."""

    name: str
    parameters: str
    layers: int
    width: int
    heads: int
    head_size: int


SHAPES = (
    Shape("Small", "125M", 12, 768, 12, 64),
    Shape("Medium", "350M", 24, 1024, 16, 64),
    Shape("Large", "760M", 24, 1536, 16, 96),
    Shape("XL", "1.3B", 24, 2048, 24, 128),
    Shape("2.7B", "2.7B", 32, 2560, 32, 80),
    Shape("6.7B", "6.7B", 32, 4096, 32, 128),
    Shape("13B", "13.0B", 40, 5140, 40, 128),
    Shape("175B", "175.0B", 96, 12288, 96, 128),
)
SIZES = [shape.name for shape in SHAPES]


@dataclass(frozen=True)
class Source:
    """A data set of the training mixture as Table 2.2 prints it: billions of tokens, weight, epochs in 300B tokens."""

    name: str
    tokens: float
    weight: float
    epochs: str


MIXTURE = (
    Source("Common Crawl", 410, 0.60, "0.44"),
    Source("WebText2", 19, 0.22, "2.9"),
    Source("Books1", 12, 0.08, "1.9"),
    Source("Books2", 55, 0.08, "0.43"),
    Source("Wikipedia", 3, 0.03, "3.4"),
)


# Formulas


@formula(
    "vocabulary width + positions width + layers (4 width attention + 3 attention + 8 width^2 + 10 width) + 2 width",
    unit="parameters",
)
def wide_attention_parameters(*, layers: int, width: int, attention: int, vocabulary: int, positions: int) -> float:
    """All parameters of a GPT-2-shaped decoder whose heads together are wider, or narrower, than the model."""
    projections = 4 * width * attention + 3 * attention + width
    feed_forward_and_norms = 8 * width**2 + 5 * width + 4 * width
    return vocabulary * width + positions * width + layers * (projections + feed_forward_and_norms) + 2 * width


@formula("heads head_size")
def heads_width(heads: int, head_size: int) -> float:
    """The width of all heads together, which is the model's."""
    return heads * head_size


@formula("trained weight / tokens", unit="epochs")
def epochs(*, trained: float, weight: float, tokens: float) -> float:
    """How often a data set of the mixture is seen."""
    return trained * weight / tokens


@formula("multiplier forward active", unit="flops")
def flops_each(*, multiplier: float, forward: float, active: float) -> float:
    """Training flops a parameter and token: forward flops of an active parameter, three times with the way back."""
    return multiplier * forward * active


@formula("1e6 millions 1e9 billions each", unit="flops")
def training_flops(*, millions: float, billions: float, each: float) -> float:
    """Training compute of a model of so many million parameters on so many billion tokens, without attention."""
    return millions * 1e6 * billions * 1e9 * each


@formula("flops / (1e15 86400)", unit="PF-days")
def petaflop_days(flops: float) -> float:
    """Compute in petaflop/s-days."""
    return flops / (1e15 * 86400)


@formula("mean of eight tasks; CB, MultiRC and ReCoRD with the mean of their two metrics")
def superglue_average(scores: Sequence[float]) -> float:
    """SuperGLUE's average from the eleven scores, in the order of SUPERGLUE."""
    return math.fsum(eight(scores)) / 8


@formula("number of tasks with left > right")
def tasks_won(left: Sequence[float], right: Sequence[float]) -> float:
    """On how many tasks the left one is better."""
    return sum(one > other for one, other in zip(left, right, strict=True))


@formula("sum(new - old) / n")
def mean_gain(new: Sequence[float], old: Sequence[float]) -> float:
    """How much more the new ones are than the old ones on average."""
    return sum(one - other for one, other in zip(new, old, strict=True)) / len(new)


@formula("(score - chance) / (best - chance)")
def gap_closed(*, score: float, best: float, chance: float) -> float:
    """Which share of the way from chance to the best a score has gone."""
    return (score - chance) / (best - chance)


@formula("(dirty dirty_count + clean clean_count) / (dirty_count + clean_count)")
def weighted_mean(*, dirty: float, dirty_count: float, clean: float, clean_count: float) -> float:
    """The score on all examples from the scores on two parts of them."""
    return (dirty * dirty_count + clean * clean_count) / (dirty_count + clean_count)


@formula("tasks shots", unit="examples")
def examples_shown(*, tasks: int, shots: int) -> float:
    """Examples that a model is shown over some tasks."""
    return tasks * shots


def eight(scores: Sequence[float]) -> list[float]:
    """Returns one score for each of SuperGLUE's eight tasks: the mean of two metrics where there are two."""
    boolq, cb, cb_f1, copa, rte, wic, wsc, multirc, multirc_f1a, record, record_f1 = scores
    return [boolq, (cb + cb_f1) / 2, copa, rte, wic, wsc, (multirc + multirc_f1a) / 2, (record + record_f1) / 2]


# Reading the tables

Entry = tuple[str, str, str, Quantity] | tuple[str, str, str, Quantity, str, str]
"""What follows the id of a check: place, what, printed, recomputed; kind and why where they differ."""


def numbered(first: int, entries: Iterable[Entry]) -> list[Check]:
    """Makes checks with the ids A001, A002, ... in a row.

    Args:
        first: number of the first one.
        entries: what follows the id, in the order of the ids.
    """
    return [Check(f"A{number:03}", *entry) for number, entry in enumerate(entries, first)]


def rows(table: str) -> list[str]:
    """Returns the rows of a published table, in order."""
    return list(dict.fromkeys(fact.row for fact in published("gpt3") if fact.table == table))


def gap(table: str, left: str, right: str, column: str) -> Quantity:
    """Returns how much more one row of a published table has than another."""
    return difference(CELLS.value(table, left, column), CELLS.value(table, right, column))


def best_unsupervised(pair: str) -> float:
    """Returns the best BLEU of Table 3.4's unsupervised systems on a language pair."""
    found = [fact for fact in published("gpt3") if fact.table == "T34" and fact.column == pair]
    return max(fact.value for fact in found if fact.row.endswith(", unsupervised"))


def parameters(shape: Shape, width: int) -> Quantity:
    """Returns the parameters of a model of Table 2.1 with a width that may not be the printed one."""
    return gpt2_parameters(layers=shape.layers, width=width, vocabulary=VOCABULARY, positions=CONTEXT)


# Sizes and shapes

FITTING_WIDTH = 5120
"""13B's width that is 40 heads of 128, and that Table D.1 fits."""

DIFFERS_IN_2_1 = {
    ("Medium", 1024): ("wording", "350M is the model's name: the shape has 355.9M, and Table D.1 says 356M"),
    ("13B", FITTING_WIDTH): ("error", "13.0B follows from the misprinted width 5140 alone: width 5120 has 12.9B"),
    ("175B", 12288): ("wording", "175B is the model's name: the shape has 174.6B, as Table D.1 says"),
}
DIFFERS_IN_D_1 = {
    ("XL", 2048): ("rounding", "printed to three digits"),
    ("2.7B", 2560): ("rounding", "printed to three digits"),
    ("6.7B", 4096): ("rounding", "printed to three digits"),
    ("13B", FITTING_WIDTH): ("rounding", "printed to four digits"),
    ("175B", 12288): ("rounding", "printed to four digits"),
    ("13B", 5140): ("error", "the width that Table 2.1 prints would give 12,953M: 5140 is a misprint of 5120"),
}


def sizes_as_named() -> Iterator[Entry]:
    """Table 2.1: the sizes, of 13B with the printed and the fitting width, of XL with the printed heads too."""
    for shape in SHAPES:
        for width in [shape.width, FITTING_WIDTH] if shape.name == "13B" else [shape.width]:
            what = f"parameters of GPT-3 {shape.name}, width {width}"
            known = DIFFERS_IN_2_1.get((shape.name, width), ())
            yield ("Table 2.1", what, shape.parameters, parameters(shape, width), *known)
    xl = SHAPES[SIZES.index("XL")]
    yield (
        "Table 2.1",
        "parameters of GPT-3 XL with 24 heads of 128",
        xl.parameters,
        wide_attention_parameters(
            layers=xl.layers,
            width=xl.width,
            attention=xl.heads * xl.head_size,
            vocabulary=VOCABULARY,
            positions=CONTEXT,
        ),
        "error",
        "24 heads of 128 would give 1.5B: the printed size belongs to 16 heads of 128",
    )


def sizes_in_millions() -> Iterator[Entry]:
    """Table D.1: the sizes, of 13B with the fitting and the printed width."""
    for shape in SHAPES:
        printed = f"{CELLS.printed('TD1', f'GPT-3 {shape.name}', 'params (M)')}M"
        for width in [FITTING_WIDTH, shape.width] if shape.name == "13B" else [shape.width]:
            what = f"parameters of GPT-3 {shape.name}, width {width}"
            known = DIFFERS_IN_D_1.get((shape.name, width), ())
            yield ("Table D.1", what, printed, parameters(shape, width), *known)


def widths() -> Iterator[Entry]:
    """Table 2.1: whether the heads fill the width."""
    known = {
        "XL": ("error", "24 heads of 128 are 3072 wide: heads or head size are misprinted"),
        "13B": ("error", "40 heads of 128 are 5120 wide: the width is misprinted"),
    }
    for shape in SHAPES:
        recomputed = heads_width(shape.heads, shape.head_size)
        yield ("Table 2.1", f"width of GPT-3 {shape.name}", str(shape.width), recomputed, *known.get(shape.name, ()))


# Data and compute


def data() -> Iterator[Entry]:
    """Table 2.2 and what the text says of the training data."""
    known = {
        "WebText2": ("error", "a weight of 22 % gives 3.5 epochs; 2.9 would need 18.4 %"),
        "Books1": ("rounding", "weight and tokens are rounded: 7.6 % would give 1.9"),
        "Books2": ("rounding", "the weight is rounded: 7.9 % would give 0.43"),
        "Wikipedia": ("rounding", "weight and tokens are rounded: 3.4 % would give 3.4"),
    }
    for source in MIXTURE:
        seen = epochs(trained=TOKENS, weight=source.weight, tokens=source.tokens)
        yield ("Table 2.2", f"epochs of {source.name}", source.epochs, seen, *known.get(source.name, ()))
    crawl = MIXTURE[0]
    yield (
        "Appendix C",
        "share of the filtered Common Crawl that was trained on",
        "40%",
        percent(TOKENS * crawl.weight, crawl.tokens),
        "error",
        "Table 2.2 gives 44 %",
    )
    yield (
        "section 3.3",
        "English words in the training data, from the released statistics",
        "93%",
        percent(ENGLISH_WORDS, ALL_WORDS),
    )


def compute() -> Iterator[Entry]:
    """Table D.1 and the caption of Figure 2.2."""
    for row in rows("TD1"):
        flops = trained(row)
        for column, recomputed in (("total train flops", flops), ("PF-days", petaflop_days(flops))):
            yield ("Table D.1", f"{column} of {row}", f"{CELLS.value('TD1', row, column):.2E}", recomputed)
    halved = ("error", "T5's forward flops, 1 = 2 x 0.5, hold the active half already: 3 x 2 x 0.5 is meant")
    for row, models, known in (("T5-Small", "T5", halved), ("GPT-3 175B", "all others", ())):
        each = flops_each(
            multiplier=CELLS.value("TD1", row, "multiplier for backward"),
            forward=CELLS.value("TD1", row, "forward flops an active param a token"),
            active=CELLS.value("TD1", row, "fraction active"),
        )
        printed = CELLS.printed("TD1", row, "flops a param a token")
        yield ("Table D.1", f"flops a parameter and token from their factors, {models}", printed, each, *known)
    larger, smaller = (CELLS.value("TD1", row, "params (M)") for row in ("GPT-3 2.7B", "RoBERTa-Large"))
    yield (
        "Figure 2.2 caption",
        "parameters of GPT-3 2.7B against RoBERTa-Large",
        "10x",
        ratio(larger, smaller),
        "wording",
        "the caption says almost 10x of what is 7.5x",
    )
    yield (
        "Figure 2.2 caption",
        "PF-days of GPT-3 2.7B",
        "50",
        petaflop_days(trained("GPT-3 2.7B")),
        "wording",
        "the caption says roughly 50 of this model and of RoBERTa-Large, which has 49.3",
    )


def trained(row: str) -> Quantity:
    """Returns the training compute of a model of Table D.1 from the other columns of its row."""
    return training_flops(
        millions=CELLS.value("TD1", row, "params (M)"),
        billions=CELLS.value("TD1", row, "tokens (B)"),
        each=CELLS.value("TD1", row, "flops a param a token"),
    )


# What the text says of the scores


def language_and_questions() -> Iterator[Entry]:
    """Sections 1 to 3.2."""
    before = "GPT-2, zero-shot state of the art before"
    small = [CELLS.value("TH1", f"LAMBADA acc., {shots}-shot", "Small") for shots in ("zero", "few")]
    t5, ssm = (f"{name}, fine-tuned, closed-book" for name in ("T5-11B", "T5-11B+SSM"))
    yield ("section 1", "175B against the largest dense model before, of 17B", "10x", ratio(175, 17))
    yield ("section 3.1.1", "PTB: perplexity less than GPT-2's", "15", gap("T31", before, ZERO, "PTB perplexity"))
    yield ("section 3.1.2", "LAMBADA: zero-shot over state of the art", "8%", gap("T32", ZERO, SOTA, "LAMBADA acc."))
    yield ("section 3.1.2", "LAMBADA: few-shot over state of the art", "18%", gap("T32", FEW, SOTA, "LAMBADA acc."))
    yield (
        "section 3.1.2",
        "LAMBADA: what few-shot costs the smallest model",
        "20%",
        difference(*small),
        "wording",
        "the text says almost 20 %, it is a little more",
    )
    yield ("section 3.1.2", "LAMBADA: few-shot over zero-shot", "10%", gap("T32", FEW, ZERO, "LAMBADA acc."))
    yield ("section 3.1.4", "StoryCloze: few-shot behind the best", "4.1%", gap("T32", SOTA, FEW, "StoryCloze acc."))
    yield ("section 3.2", "TriviaQA: zero-shot over T5-11B", "14.2%", gap("T33", ZERO, t5, "TriviaQA"))
    yield ("section 3.2", "TriviaQA: zero-shot over T5-11B+SSM", "3.8%", gap("T33", ZERO, ssm, "TriviaQA"))
    yield ("section 3.2", "TriviaQA: one-shot over zero-shot", "3.7%", gap("T33", ONE, ZERO, "TriviaQA"))
    yield ("section 3.2", "TriviaQA: few-shot over one-shot", "3.2%", gap("T33", FEW, ONE, "TriviaQA"))


def translation() -> Iterator[Entry]:
    """Section 3.3."""
    zero, one, few = (CELLS.values("T34", row, FROM_ENGLISH + TO_ENGLISH) for row in (ZERO, ONE, FEW))
    into_english = CELLS.values("T34", FEW, TO_ENGLISH)
    unsupervised = [best_unsupervised(pair) for pair in TO_ENGLISH]
    yield (
        "section 3.3",
        "translation: one-shot over zero-shot, mean of six directions",
        "7",
        mean_gain(one, zero),
        "wording",
        "the text says over 7, which holds for the mean",
    )
    yield ("section 3.3", "translation: few-shot over one-shot, mean of six directions", "4", mean_gain(few, one))
    yield (
        "Table 3.4 caption",
        "translation into English: few-shot over the best unsupervised, mean of three pairs",
        "5",
        mean_gain(into_english, unsupervised),
    )
    yield (
        "section 3.3",
        "En→Ro: few-shot behind unsupervised",
        "10",
        gap("T34", "MASS, unsupervised", FEW, "En→Ro"),
        "wording",
        "the text says over 10, which holds against MASS and against XLM",
    )
    yield (
        "section 3.3",
        "Ro→En: few-shot behind state of the art",
        "0.5",
        gap("T34", "state of the art, supervised", FEW, "Ro→En"),
        "wording",
        "the text says within 0.5",
    )


def reasoning_and_reading() -> Iterator[Entry]:
    """Sections 3.5 and 3.6."""
    yield ("section 3.5", "ARC Challenge: UnifiedQA over few-shot", "27%", gap("T36", TUNED, FEW, "ARC Challenge"))
    yield ("section 3.5", "ARC Easy: UnifiedQA over few-shot", "22%", gap("T36", TUNED, FEW, "ARC Easy"))
    yield (
        "section 3.5",
        "OpenBookQA: state of the art over few-shot",
        "20",
        gap("T36", TUNED, FEW, "OpenBookQA"),
        "wording",
        "the text says over 20 points",
    )
    yield ("section 3.6", "SQuAD 2.0: few-shot over zero-shot", "10", gap("T37", FEW, ZERO, "SQuAD 2.0"))
    yield (
        "section 3.6",
        "RACE-h: few-shot behind state of the art",
        "45%",
        gap("T37", TUNED, FEW, "RACE-h"),
        "error",
        "Table 3.7 gives 43.2 points on RACE-h and 35.0 on RACE-m",
    )


def synthetic_tasks() -> Iterator[Entry]:
    """Section 3.9: 3-digit problems found in the training data, SAT analogies, symbol insertion."""
    for operation, found, printed in (("additions", 17, "0.8%"), ("subtractions", 2, "0.1%")):
        yield ("section 3.9.1", f"3-digit {operation} found in the training data", printed, percent(found, 2000))
    larger, smaller = (CELLS.value("TH1", "SAT analogies acc., few-shot", size) for size in ("175B", "13B"))
    yield (
        "section 3.9.3",
        "SAT analogies: 175B over 13B, few-shot",
        "10%",
        difference(larger, smaller),
        "wording",
        "the text says over 10 %",
    )
    yield (
        "section 3.9.2",
        "symbol insertion: one-shot against few-shot",
        "0.5",
        ratio(*(CELLS.value("T310", row, "symbol insertion") for row in (ONE, FEW))),
        "error",
        "the text says that one-shot drops by half or more, which it does on none of the four tasks",
    )


def contamination() -> Iterator[Entry]:
    """Section 4 and Appendix C on Table C.1, and the length of the longer articles."""
    yield ("section 4", "PIQA: examples flagged", "29%", flagged("PIQA"))
    yield ("section 4", "PIQA: clean below all, points", "3", lost("PIQA"))
    yield ("section 4", "PIQA: clean below all, relative", "4%", lost_percent("PIQA"))
    yield (
        "section 4",
        "Winograd: examples flagged",
        "45%",
        flagged("Winograd"),
        "error",
        "Table C.1 marks 60 %; the text says 45 %, and that 132 of 273 were in the training data",
    )
    yield (
        "section 4",
        "Winograd: clean below all, relative",
        "2.6%",
        lost_percent("Winograd"),
        "unexplained",
        "Table C.1 gives 2.7 %, as do the counts behind it: 242 of 273 and 94 of 109",
    )
    yield ("section 4", "German translation: examples flagged", "25%", flagged("De→En"))
    yield ("Appendix C", "DROP: examples flagged", "94%", flagged("DROP"), "error", "Table C.1 gives 93.3 %")
    yield ("section 4", "LAMBADA: clean below all, points", "0.5", lost("LAMBADA"), "wording", "the text: within 0.5 %")
    overlaps = rows("TC1")
    mostly = [row for row in overlaps if flagged(row) > 50]
    yield (
        "section 4",
        "benchmarks with more than half of their examples flagged",
        "25%",
        percent(len(mostly), len(overlaps)),
        "wording",
        "the text says a quarter; 9 of 42 rows are 21 %",
    )
    longer = CELLS.value("TE2", "GPT-3 175B", "words, model articles")
    yield ("section 3.9.4", "words by which the longer articles are longer than 200", "298", difference(longer, 200))


def flagged(row: str) -> Quantity:
    """Returns the share of a benchmark's examples that Table C.1 marks as dirty."""
    return percent(CELLS.value("TC1", row, "dirty count"), CELLS.value("TC1", row, "total count"))


def lost(row: str) -> Quantity:
    """Returns the points by which a benchmark's clean examples are below all of them."""
    return difference(CELLS.value("TC1", row, "all"), CELLS.value("TC1", row, "clean"))


def lost_percent(row: str) -> Quantity:
    """Returns the same in percent of the score on all."""
    return percent(lost(row), CELLS.value("TC1", row, "all"))


# People who told articles apart

GENDERS = ["male", "female", "other"]


def participants() -> Iterator[Entry]:
    """Appendix E: sums over the experiments."""
    recruited, excluded, male = (
        total([CELLS.value("TE1", row, column) for row in rows("TE1")]) for column in ("recruited", "excluded", "male")
    )
    longer = [CELLS.value("TE2", row, "recruited") for row in rows("TE2")]
    yield (
        "Appendix E",
        "people recruited for articles of 200 words",
        "718",
        recruited,
        "error",
        "Table E.1 adds up to 713, in nine experiments where the text says six",
    )
    yield ("Appendix E", "people excluded", "97", excluded)
    yield ("Appendix E", "people kept, from the numbers of the text", "621", difference(718, 97))
    yield ("Appendix E", "people kept, by the genders of the text", "621", total([343, 271, 7]))
    yield (
        "Appendix E",
        "men",
        "343",
        male,
        "error",
        "Table E.1 adds up to 367: its 46:28:2 stands in four rows, so some are wrong",
    )
    yield ("Appendix E", "people recruited for articles of 500 words", "160", total(longer))


def genders() -> Iterator[Entry]:
    """Tables E.1 and E.2: the genders of an experiment against its people recruited less those excluded."""
    copied = ("error", "46:28:2 stands in four rows of Table E.1 and fits none of them: copied")
    known = {("TE1", f"GPT-3 {size}"): copied for size in ("Medium", "Large", "6.7B", "13B")}
    known["TE2", rows("TE2")[0]] = ("error", "the control's 32:37 of Table E.1 stands here too: copied")
    for table, place in (("TE1", "Table E.1"), ("TE2", "Table E.2")):
        for row in rows(table):
            kept = CELLS.value(table, row, "recruited") - CELLS.value(table, row, "excluded")
            counted = total(CELLS.values(table, row, GENDERS))
            yield (place, f"people by gender, {row}", f"{kept:.0f}", counted, *known.get((table, row), ()))


# SuperGLUE and other sums


def other_statements() -> Iterator[Entry]:
    """Numbers of captions and sections that belong to no series."""
    few, bert = (eight(CELLS.values("T38", row, SUPERGLUE)) for row in (FEW, BERT))
    anli = CELLS.value("TH1", "ANLI R3 acc., few-shot", "175B")
    sizes = [CELLS.value("TD1", f"GPT-3 {size}", "params (M)") for size in ("175B", "6.7B")]
    yield (
        "section 3.3",
        "words of other languages in the training data, from the released statistics",
        "7%",
        percent(ALL_WORDS - ENGLISH_WORDS, ALL_WORDS),
    )
    yield ("Figure 3.8 caption", "SuperGLUE examples shown in all", "256", examples_shown(tasks=8, shots=32))
    yield ("Figure 3.8 caption", "fine-tuning examples of BERT++, thousands", "630", total([392, 113, 125]))
    yield ("section 3.7", "SuperGLUE tasks with few-shot over BERT-Large", "4", tasks_won(few, bert))
    yield (
        "Figure 3.9 caption",
        "ANLI R3: share of the gap from chance to state of the art (48.3) that few-shot closes",
        "0.5",
        gap_closed(score=anli, best=48.3, chance=100 / 3),
    )
    yield (
        "section 4",
        "175B against the smaller model of the PIQA check, if that is 6.7B",
        "25x",
        ratio(*sizes),
        "wording",
        "a round figure; the smaller model is not named",
    )
    yield ("section 3.9.3", "SAT analogies: chance with five choices", "20%", percent(1, 5))


def averages() -> Iterator[Entry]:
    """The SuperGLUE averages of Tables 3.8 and H.1."""
    rounded = ("rounding", "the eleven scores are rounded, and the average is off by less than 0.06")
    known = {("zero", "Small"), ("one", "XL"), ("few", "Small")}
    for row in rows("T38"):
        average = superglue_average(CELLS.values("T38", row, SUPERGLUE))
        yield ("Table 3.8", f"SuperGLUE average, {row}", CELLS.printed("T38", row, "average"), average)
    for shots in ("zero", "one", "few"):
        for size in SIZES:
            scores = [CELLS.value("TH1", f"{score}, {shots}-shot", size) for score in SUPERGLUE]
            printed = CELLS.printed("TH1", f"SuperGLUE average, {shots}-shot", size)
            what = f"SuperGLUE average on dev, GPT-3 {size}, {shots}-shot"
            yield ("Table H.1", what, printed, superglue_average(scores), *(rounded if (shots, size) in known else ()))


# Table C.1: overlap with the training data


def clean_shares() -> Iterator[Entry]:
    """The clean share of each benchmark."""
    for row in rows("TC1"):
        share = percent(CELLS.value("TC1", row, "clean count"), CELLS.value("TC1", row, "total count"))
        yield ("Table C.1", f"clean share, {row}", f"{CELLS.printed('TC1', row, 'clean %')}%", share)


def clean_against_all() -> Iterator[Entry]:
    """How much more each benchmark's clean examples give than all of them, in percent."""
    known = {
        "QuAC": ("unexplained", "the row gives +22 %, more than rounding explains"),
        "DROP": ("unexplained", "the row gives -19 %, more than rounding explains"),
        "ANLI R1": ("rounding", "the scores of the row are rounded"),
        "reversed words": ("rounding", "the scores of the row are rounded"),
    }
    for row in rows("TC1"):
        recomputed = change(CELLS.value("TC1", row, "clean"), CELLS.value("TC1", row, "all"))
        printed = f"{CELLS.printed('TC1', row, 'clean against all, %')}%"
        yield ("Table C.1", f"clean against all, {row}", printed, recomputed, *known.get(row, ()))


def scores_on_all() -> Iterator[Entry]:
    """The score on all examples from its parts; not for BLEU, which is no mean over examples."""
    rounded = ("rounding", "the scores of the two parts are rounded")
    known = {"QuAC", "symbol insertion", "CoQA", "ANLI R3", "CB", "anagrams 2", "NQs", "StoryCloze"}
    for row in rows("TC1"):
        whole = CELLS.fact("TC1", row, "all")
        if whole.metric == "sacrebleu" or not CELLS.value("TC1", row, "dirty count"):
            continue
        mixed = weighted_mean(
            dirty=CELLS.value("TC1", row, "dirty"),
            dirty_count=CELLS.value("TC1", row, "dirty count"),
            clean=CELLS.value("TC1", row, "clean"),
            clean_count=CELLS.value("TC1", row, "clean count"),
        )
        yield (
            "Table C.1",
            f"score on all from its parts, {row}",
            whole.printed,
            mixed,
            *(rounded if row in known else ()),
        )


def counts() -> Iterator[Entry]:
    """The number of examples of each benchmark."""
    for row in rows("TC1"):
        both = total(CELLS.values("TC1", row, ["dirty count", "clean count"]))
        yield ("Table C.1", f"examples, {row}", CELLS.printed("TC1", row, "total count"), both)


def checks() -> list[Check]:
    """Returns the numbers, by topic."""
    return [
        *numbered(1, sizes_as_named()),
        *numbered(11, sizes_in_millions()),
        *numbered(20, widths()),
        *numbered(28, data()),
        *numbered(35, compute()),
        *numbered(73, language_and_questions()),
        *numbered(84, translation()),
        *numbered(89, reasoning_and_reading()),
        *numbered(94, synthetic_tasks()),
        *numbered(98, contamination()),
        *numbered(108, participants()),
        *numbered(114, genders()),
        *numbered(125, other_statements()),
        *numbered(132, averages()),
        *numbered(159, clean_shares()),
        *numbered(201, clean_against_all()),
        *numbered(243, scores_on_all()),
        *numbered(278, counts()),
    ]
