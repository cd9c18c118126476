"""GQA's numbers that need no training: averages, parameters, bytes of the cache, lengths and steps of uptraining.

The tables hold four models, the figures a few points more, read from their drawings. The paper prints no parameter
count and no cache size: those here are what follows from the published T5 1.1 shapes, to be held against what is built.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from repro.ledger.arithmetic import difference, mean, ratio
from repro.ledger.formula import Cells, Check, Quantity, formula

CELLS = Cells("gqa")
ROWS = ["MHA-Large", "MHA-XXL", "MQA-XXL", "GQA-8-XXL"]
SEVEN = ["CNN", "arXiv", "PubMed", "MediaSum", "MultiNews", "WMT", "TriviaQA"]
THREE = ["CNN", "MultiNews", "TriviaQA"]


@dataclass(frozen=True)
class T5:
    """A size of T5 1.1: as many layers in the encoder as in the decoder, heads of 64."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    head_size: int = 64


SIZES = {
    "small": T5(8, 512, 1024, 6),
    "base": T5(12, 768, 2048, 12),
    "large": T5(24, 1024, 2816, 16),
    "xl": T5(24, 2048, 5120, 32),
    "xxl": T5(24, 4096, 10240, 64),
}
LENGTHS = {"summarisation": (2048, 512), "CNN and WMT": (512, 256), "TriviaQA": (2048, 32)}
"""Input and output lengths of the tasks (section 3.1)."""
BFLOAT16_BYTES = 2


# Formulas


@formula("the number drawn")
def drawn(value: float) -> float:
    """A number read from a figure's drawing."""
    return value


@formula(
    "2 vocabulary width + 2 (width + buckets heads)"
    " + layers (4 width heads head_size + 3 width feed_forward + 2 width)"
    " + layers (4 width (heads + groups) head_size + 3 width feed_forward + 3 width)",
    unit="parameters",
)
def t5_parameters(
    *,
    layers: int,
    width: int,
    feed_forward: int,
    heads: int,
    groups: int,
    head_size: int,
    vocabulary: int = 32128,
    buckets: int = 32,
) -> float:
    """All parameters of a T5 1.1 whose decoder, but not its encoder, has grouped key and value heads.

    Embedding and output layer are apart; no layer has biases; gated feed-forwards have three matrices; a stack has one
    table of relative positions, with one value for each query head, and a last norm.
    """
    projection = width * heads * head_size
    grouped_projection = width * groups * head_size
    feed = 3 * width * feed_forward
    encoder_layer = 4 * projection + feed + 2 * width
    decoder_layer = 2 * (2 * projection + 2 * grouped_projection) + feed + 3 * width
    stack = width + buckets * heads
    return 2 * vocabulary * width + layers * (encoder_layer + decoder_layer) + 2 * stack


@formula("2 samples layers groups head_size (input_length + output_length) bytes_a_number", unit="bytes")
def cache_bytes(
    *,
    layers: int,
    groups: int,
    head_size: int,
    input_length: int,
    output_length: int,
    bytes_a_number: int = BFLOAT16_BYTES,
    samples: int = 1,
) -> float:
    """The key-value cache of a decoder: of its own outputs, and of the inputs for cross-attention (section 2.2)."""
    return 2 * samples * layers * groups * head_size * (input_length + output_length) * bytes_a_number


@formula("bytes / 2^30", unit="GiB")
def gibibytes(size: float) -> float:
    """Bytes in binary gigabytes."""
    return size / 2**30


@formula("alpha original_steps", unit="steps")
def uptraining_steps(alpha: float, original_steps: int) -> float:
    """The steps of uptraining, a proportion of those of pre-training (section 2.1)."""
    return alpha * original_steps


@formula("steps sequences length", unit="tokens")
def tokens_seen(steps: float, sequences: int, length: int) -> float:
    """The input tokens of some steps."""
    return steps * sequences * length


@formula("1 / sqrt(max(step, 10000))")
def t5_learning_rate(step: int) -> float:
    """T5's learning rate in pre-training, and so in uptraining."""
    return 1 / math.sqrt(max(step, 10_000))


@formula("length - masked + spans + 1", unit="tokens")
def masked_inputs(length: int) -> float:
    """The input tokens of span corruption: what is not masked, one sentinel for each span, and the end."""
    masked, spans = _noise(length)
    return length - masked + spans + 1


@formula("masked + spans + 1", unit="tokens")
def masked_targets(length: int) -> float:
    """The target tokens of span corruption: what is masked, one sentinel before each span, and the end."""
    masked, spans = _noise(length)
    return masked + spans + 1


@formula("the longest text with at most `inputs` input tokens", unit="tokens")
def longest_text(inputs: int) -> float:
    """The longest text whose inputs after span corruption fit; a masked span keeps one token of about three."""
    return max(length for length in range(inputs, 2 * inputs) if masked_inputs(length) <= inputs)


def _noise(length: int) -> tuple[int, int]:
    """How many tokens are masked, 15%, and in how many spans of about three."""
    masked = round(0.15 * length)
    return masked, round(masked / 3)


@formula("(new - low) / (high - low)")
def recovered(new: float, low: float, high: float) -> float:
    """The share of a gap that something new closes."""
    return (new - low) / (high - low)


def parameters(size: str, groups: int | None = None) -> Quantity:
    """Returns the parameters of a T5 1.1, with all key and value heads or with some groups of them."""
    shape = SIZES[size]
    return t5_parameters(**asdict(shape), groups=groups or shape.heads)


def cache(size: str, groups: int, lengths: tuple[int, int], samples: int = 1) -> Quantity:
    """Returns the bytes of the cache of a T5 1.1."""
    shape = SIZES[size]
    return cache_bytes(
        layers=shape.layers,
        groups=groups,
        head_size=shape.head_size,
        input_length=lengths[0],
        output_length=lengths[1],
        samples=samples,
    )


def _named(size: str, groups: int) -> str:
    """MHA, MQA or GQA-8."""
    return {1: "MQA", SIZES[size].heads: "MHA"}.get(groups, f"GQA-{groups}")


# Averages and seconds

MISPRINT = "the cells give 46.757, which rounds to 46.8; Figure 3 draws 46.571: the average or a cell is misprinted"
ROUNDED = "Figure 3 draws 47.136; the seven cells are rounded to 0.1, and give 47.157"
CELLS_ROUNDED = "the three cells of Table 1 are rounded to 0.1"


def _table_1() -> Iterator[Check]:
    """Averages of the rows, and the printed numbers beside those drawn in Figure 3."""
    differs = {"MQA-XXL": ("error", MISPRINT), "GQA-8-XXL": ("rounding", ROUNDED)}
    for number, row in enumerate(ROWS, 1):
        kind, why = differs.get(row, ("", ""))
        average = mean(CELLS.values("T1", row, SEVEN))
        what = f"average of the seven tasks, {row}"
        yield Check(f"A{number:02}", "Table 1", what, CELLS.printed("T1", row, "average"), average, kind, why)
    columns = (("average", "average", "average"), ("T_infer (s)", "time (s)", "seconds a sample"))
    pairs = [(printed, figure, name, row) for printed, figure, name in columns for row in ROWS]
    for number, (printed, figure, name, row) in enumerate(pairs, 5):
        point = drawn(CELLS.value("TF3", row, figure))
        what = f"{name} of {row}, printed and drawn"
        yield Check(f"A{number:02}", "Table 1 and Figure 3", what, CELLS.printed("T1", row, printed), point)


LINES = {"GQA-64-XXL (MHA)": 2.531, "GQA-1-XXL (MQA)": 0.489}
"""The horizontal lines of Figure 6, seconds, beside the points of the same models."""


def _figures() -> Iterator[Check]:
    """The averages of Figure 5 that follow from Table 1, and the lines of Figure 6."""
    points = (
        ("A13", "MHA-XXL", "MHA-XXL", CELLS_ROUNDED),
        ("A14", "GQA-8-XXL", "GQA-8-XXL, alpha 0.05", ""),
        ("A15", "MQA-XXL", "MQA-XXL, alpha 0.05", f"{CELLS_ROUNDED}; so CNN, MultiNews and TriviaQA are no misprints"),
    )
    for id, row, point, why in points:
        average, kind = mean(CELLS.values("T1", row, THREE)), "rounding" if why else ""
        what = f"average of CNN, MultiNews and TriviaQA, {row}"
        yield Check(id, "Figure 5 and Table 1", what, CELLS.printed("TF5", point, "average"), average, kind, why)
    for number, (row, line) in enumerate(LINES.items(), 16):
        what = f"seconds of {row}, point and line"
        yield Check(f"A{number}", "Figure 6", what, CELLS.printed("TF6", row, "time (s)"), drawn(line))


# Pre-training that uptraining continues

INPUT_LENGTH = 512
SEQUENCES = 2048
"""Of a batch in T5's pre-training; this paper does not say it."""
PRETRAINING_STEPS = 1_000_000
ALPHA = 0.05
CHIP_DAYS = 600
"""What uptraining of XXL took (section 3.1)."""


def _span_corruption() -> Iterator[Check]:
    """Lengths of T5's span corruption, and the learning rate where pre-training ends."""
    text = int(longest_text(INPUT_LENGTH))
    yield Check("A18", "not printed", "longest text whose masked inputs are 512 tokens", "", longest_text(INPUT_LENGTH))
    place = "not in the paper: T5X configuration, length of"
    yield Check("A19", f"{place} inputs", "input tokens of that text", "512", masked_inputs(text))
    yield Check("A20", f"{place} targets", "target tokens of that text", "114", masked_targets(text))
    what = "T5's learning rate after pre-training, which is that of fine-tuning"
    yield Check("A21", "section 3.1", what, "0.001", t5_learning_rate(PRETRAINING_STEPS))


def _uptraining() -> Iterator[Check]:
    """Steps, tokens, cost and last learning rate of uptraining, and the parameters that it starts without."""
    steps = uptraining_steps(ALPHA, PRETRAINING_STEPS)
    tokens = tokens_seen(steps, SEQUENCES, INPUT_LENGTH)
    last = t5_learning_rate(PRETRAINING_STEPS + int(steps))
    numbers = (
        ("A63", "steps of uptraining at alpha 0.05", steps),
        ("A64", "input tokens of uptraining at alpha 0.05, with 2048 sequences a batch", tokens),
        ("A65", "chip-days of the whole pre-training, if 600 are 5% of it", ratio(CHIP_DAYS, ALPHA)),
        ("A66", "learning rate where uptraining ends", last),
        ("A67", "parameters that GQA-8 takes from XXL", difference(parameters("xxl"), parameters("xxl", 8))),
        ("A68", "parameters that MQA takes from XXL", difference(parameters("xxl"), parameters("xxl", 1))),
    )
    for id, what, value in numbers:
        yield Check(id, "not printed", what, "", value)


# Parameters and caches


def _parameters() -> Iterator[Check]:
    """The published sizes, and what grouping in the decoder makes of them."""
    published = {"small": "77M", "base": "250M", "large": "800M", "xl": "3B", "xxl": "11B"}
    differs = {"base": "the list says about 250 million", "large": "the list says about 800 million"}
    place = "not in the paper: T5's list of checkpoints"
    for number, (size, printed) in enumerate(published.items(), 22):
        kind, why = ("wording", differs[size]) if size in differs else ("", "")
        yield Check(f"A{number}", place, f"parameters of T5 1.1 {size}", printed, parameters(size), kind, why)
    grouped = [(size, groups) for size, few in (("base", 4), ("large", 8), ("xxl", 8)) for groups in (1, few, 0)]
    for number, (size, groups) in enumerate(grouped, 27):
        name = _named(size, groups or SIZES[size].heads)
        what = f"parameters of T5 1.1 {size} with {name} in the decoder"
        yield Check(f"A{number}", "not printed", what, "", parameters(size, groups))


def _caches() -> Iterator[Check]:
    """The bytes of the cache at the lengths of the tasks, one sample in bfloat16, and their ratios."""
    models = [(size, lengths) for size in ("large", "xxl") for lengths in LENGTHS]
    kinds = [(size, lengths, groups) for size, lengths in models for groups in (SIZES[size].heads, 8, 1)]
    for number, (size, lengths, groups) in enumerate(kinds, 36):
        what = f"bytes of the cache of a sample, T5 1.1 {size}, {_named(size, groups)}, lengths of {lengths}"
        yield Check(f"A{number}", "not printed", what, "", cache(size, groups, LENGTHS[lengths]))
    longest = LENGTHS["summarisation"]
    mha, gqa, mqa = (cache("xxl", groups, longest) for groups in (64, 8, 1))
    yield Check("A54", "not printed; section 2.2 gives H", "cache of MHA over that of MQA, XXL", "", ratio(mha, mqa))
    yield Check("A55", "not printed", "cache of MHA over that of GQA-8, XXL", "", ratio(mha, gqa))
    for id, groups in (("A56", 64), ("A57", 8)):
        size = gibibytes(cache("xxl", groups, longest, samples=32))
        what = f"GiB of the cache of 32 samples, XXL, {_named('xxl', groups)} (a TPUv4 chip has 32)"
        yield Check(id, "not printed", what, "", size)


def _comparisons() -> Iterator[Check]:
    """How much faster, and how much of the gap is closed."""
    mha, mqa, gqa = (CELLS.value("T1", row, "T_infer (s)") for row in ROWS[1:])
    printed = {row: CELLS.value("T1", row, "average") for row in ROWS}
    rounded = {row: round(mean(CELLS.values("T1", row, SEVEN)), 3) for row in ROWS}
    shares = [recovered(one["GQA-8-XXL"], one["MQA-XXL"], one["MHA-XXL"]) for one in (printed, rounded)]
    numbers = (
        ("A58", "times that GQA-8 is faster than MHA, XXL", ratio(mha, gqa)),
        ("A59", "times that MQA is faster than MHA, XXL", ratio(mha, mqa)),
        ("A60", "time of GQA-8 over that of MQA, XXL", ratio(gqa, mqa)),
        ("A61", "share of the gap from MQA to MHA that GQA-8 closes, printed averages", shares[0]),
        ("A62", "the same share, averages of the cells to three decimals", shares[1]),
    )
    for id, what, value in numbers:
        yield Check(id, "not printed", what, "", value)


def checks() -> list[Check]:
    """Returns the numbers: averages, figures, lengths, parameters, caches, comparisons, uptraining."""
    parts = (_table_1, _figures, _span_corruption, _parameters, _caches, _comparisons, _uptraining)
    return [check for part in parts for check in part()]
