"""BitNet's numbers that need no training: energies, sizes, averages, losses in bits.

The energies of Table 1 and Figures 1, 3 and 4 come from one model: count the multiplications and additions of a forward
pass and multiply by the energy of one operation (Table 2). The paper gives the counts of one matrix product (equations
16 to 18), not the total; `operations` is the reading of it that gives the 14 energies drawn in Figures 3 and 4, the
8 ratios of Figure 1, and all of Table 1 but two cells.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from repro.ledger.arithmetic import difference, mean, ratio
from repro.ledger.formula import Cells, Check, Quantity, formula
from repro.ledger.published import published

CELLS = Cells("bitnet")
TOKENS = 512


@dataclass(frozen=True)
class Shape:
    """A size of Table 5; head counts matter to the energy through the additions of attention."""

    layers: int
    width: int
    heads: int


SHAPES = {
    "125M": Shape(12, 768, 12),
    "350M": Shape(24, 1024, 16),
    "760M": Shape(24, 1536, 16),
    "1.3B": Shape(24, 2048, 32),
    "2.7B": Shape(32, 2560, 32),
    "6.7B": Shape(32, 4096, 32),
    "13B": Shape(40, 5120, 40),
    "30B": Shape(48, 7168, 56),
}
LINEARS = ((1, 1), (1, 1), (1, 1), (1, 1), (1, 4), (4, 1))
"""Inputs and outputs, in widths, of the matrices of a layer: query, key, value, output, feed-forward in and out."""


# The energy model


@dataclass(frozen=True)
class Operations:
    """How many operations a forward pass takes: at the precision of activations, and of them the additions at INT8."""

    multiplications: int
    additions: int
    additions_int8: int = 0


def operations(*, layers: int, width: int, heads: int, tokens: int, one_bit: bool) -> Operations:
    """Counts the operations that the paper's energies count.

    Linear layers: for each output a sum of as many products as there are inputs (equations 16 and 17), and one bias.
    With weights of +1 and -1 the products vanish, the sums are at INT8, and what is left to multiply is the scaling of
    each input and output (equation 18). Both attention products, one head at a time, stay as they are; their sums are
    all counted with width / heads terms, though those of the second have one for each token. Embeddings, output layer,
    norms, softmax and residuals are not counted.

    Args:
        layers: of the decoder.
        width: of the residual stream; the feed-forward is four times as wide.
        heads: of attention.
        tokens: in the forward pass.
        one_bit: BitNet; else a Transformer with every operation at one precision.
    """
    products = sum(inputs * outputs for inputs, outputs in LINEARS) * width**2
    inputs = sum(inputs for inputs, _ in LINEARS) * width
    outputs = sum(outputs for _, outputs in LINEARS) * width
    attention_products = 2 * tokens**2 * width
    attention_sums = 2 * tokens**2 * heads * (width // heads - 1)
    linear_sums, biases = tokens * (products - outputs), tokens * outputs
    if one_bit:
        return Operations(
            multiplications=layers * (tokens * (inputs + outputs) + attention_products),
            additions=layers * (biases + attention_sums),
            additions_int8=layers * linear_sums,
        )
    return Operations(
        multiplications=layers * (tokens * products + attention_products),
        additions=layers * (linear_sums + biases + attention_sums),
    )


@formula("multiplications x multiply + additions x add + additions at INT8 x add_int8", unit="pJ")
def energy(
    *,
    layers: int,
    width: int,
    heads: int,
    tokens: int,
    one_bit: bool,
    multiply: float = 0.0,
    add: float = 0.0,
    add_int8: float = 0.0,
) -> float:
    """The energy of the arithmetic of a forward pass, from the energy of one operation in pJ; see `operations`."""
    count = operations(layers=layers, width=width, heads=heads, tokens=tokens, one_bit=one_bit)
    return count.multiplications * multiply + count.additions * add + count.additions_int8 * add_int8


@formula("picojoules / 10^12", unit="J")
def joules(picojoules: float) -> float:
    """An energy in joules."""
    return picojoules * 1e-12


def forward_energy(size: str, *, one_bit: bool, precision: str = "FP16", node: str = "7nm", part: str = "") -> Quantity:
    """Returns the energy of a forward pass at a size of Table 5, with the operations of Table 2.

    Args:
        size: as in Table 5.
        one_bit: BitNet, whose sums of weights are at INT8; else a Transformer.
        precision: of all other operations, as in Table 2.
        node: of the process, as in Table 2.
        part: "MUL" or "ADD" alone; both where empty.
    """
    parts = {}
    if part in ("", "MUL"):
        parts["multiply"] = CELLS.value("T2", precision, f"{node} MUL")
    if part in ("", "ADD"):
        parts["add"] = CELLS.value("T2", precision, f"{node} ADD")
        if one_bit:
            parts["add_int8"] = CELLS.value("T2", "INT8", f"{node} ADD")
    shape = SHAPES[size]
    return energy(layers=shape.layers, width=shape.width, heads=shape.heads, tokens=TOKENS, one_bit=one_bit, **parts)


TABLE_1_MISPRINTS = {
    "A_E10": "0.0341 J rounds to 0.03; the total drawn in Figure 3 and the ratio of Figure 1 fit that",
    "A_E34": "0.13495 J rounds to 0.13; only rounding twice, first to 0.135, gives 0.14",
}


def _table_1() -> Iterator[Check]:
    """The 36 energies: sizes, then bits of a weight, then process and operation."""
    kinds = (("Transformer", 32, "FP32"), ("Transformer", 16, "FP16"), ("BitNet", 1, "FP16"))
    parts = (("7nm", "MUL"), ("7nm", "ADD"), ("45nm", "MUL"), ("45nm", "ADD"))
    cells = itertools.product(("6.7B", "13B", "30B"), kinds, parts)
    for number, (size, (name, bits, precision), (node, part)) in enumerate(cells, 1):
        row, column, id = f"{name} {size}, {bits} {'bit' if bits == 1 else 'bits'}", f"{node} {part}", f"A_E{number:02}"
        why = TABLE_1_MISPRINTS.get(id, "")
        yield Check(
            id,
            "Table 1",
            f"{row}: energy of the {'multiplications' if part == 'MUL' else 'additions'} at {node}, J",
            CELLS.printed("T1", row, column),
            joules(forward_energy(size, one_bit=bits == 1, precision=precision, node=node, part=part)),
            kind="error" if why else "",
            why=why,
        )


FIGURES = {
    "125M": ("8.8x", "2.4147e10", "2.7436e9"),
    "350M": ("11.0x", "8.3720e10", "7.5869e9"),
    "760M": ("15.0x", "1.8358e11", "1.2208e10"),
    "1.3B": ("18.6x", "3.2206e11", "1.7338e10"),
    "2.7B": ("21.7x", "6.6563e11", "3.0723e10"),
    "6.7B": ("29.1x", "1.6835e12", "5.7867e10"),
    "13B": ("32.9x", "", "9.9436e10"),
    "30B": ("38.8x", "", "1.9736e11"),
}
"""The ratio that Figure 1 prints; the energies at which Figures 3 and 4 draw the Transformer and BitNet, in pJ."""


def _figure_energies() -> Iterator[Check]:
    """The ratios of Figure 1, and where the points of Figures 3 and 4 stand on the energy axis."""
    for number, (size, (printed, _, _)) in enumerate(FIGURES.items(), 1):
        saved = ratio(forward_energy(size, one_bit=False), forward_energy(size, one_bit=True))
        yield Check(
            f"A_R{number}", "Figure 1", f"energy of the FP16 Transformer over BitNet's at 7nm, {size}", printed, saved
        )
    for letter, name, one_bit in (("F", "FP16 Transformer", False), ("B", "BitNet", True)):
        for number, (size, drawn) in enumerate(FIGURES.items(), 1):
            if printed := drawn[2 if one_bit else 1]:
                yield Check(
                    f"A_X{letter}{number}",
                    "Figure 3 left, read from the drawing",
                    f"energy of the {name} {size} at 7nm, pJ",
                    printed,
                    forward_energy(size, one_bit=one_bit),
                )


# Sizes


@formula("layers (12 width^2 + biases) + (vocabulary + positions) width", unit="parameters")
def parameters(*, layers: int, width: int, vocabulary: int, positions: int = 0, biases: int = 0) -> float:
    """Weights of a decoder whose embedding is also its output layer, norms left out; biases are those of one layer."""
    return layers * (12 * width**2 + biases) + (vocabulary + positions) * width


BITNET_VOCABULARY = 16384
GPT3_VOCABULARY, GPT3_POSITIONS = 50257, 2048


def _sizes() -> Iterator[Check]:
    """The names of the sizes, with the paper's vocabulary and with that of GPT-3, from which the names come."""
    for number, (size, shape) in enumerate(SHAPES.items(), 1):
        found = parameters(layers=shape.layers, width=shape.width, vocabulary=BITNET_VOCABULARY)
        why = "" if size in ("13B", "30B") else "the shape and its name are GPT-3's, whose embeddings are larger"
        yield Check(
            f"A_N{number}",
            "Table 5",
            f"parameters of the size called {size}, with a vocabulary of 16K",
            size,
            found,
            kind="error" if why else "",
            why=why,
        )
    for number, (size, shape) in enumerate(SHAPES.items(), 1):
        found = parameters(
            layers=shape.layers,
            width=shape.width,
            vocabulary=GPT3_VOCABULARY,
            positions=GPT3_POSITIONS,
            biases=9 * shape.width,
        )
        why = "GPT-3 itself calls this size of 356M 350M" if size == "350M" else ""
        yield Check(
            f"A_G{number}",
            "Table 5",
            f"parameters of the size called {size}, with GPT-3's tokens, positions, biases",
            size,
            found,
            kind="wording" if why else "",
            why=why,
        )


# Scores of Tables 3 and 4

TASKS = ["WG", "WGe", "HS", "SC"]
WINOGRAD_ITEMS = 285


@formula("100 round(score items / 100) / items", unit="%")
def nearest_percent(score: float, items: int) -> float:
    """The percentage nearest to a score that a whole number of right answers gives."""
    return 100 * round(score * items / 100) / items


def _rows(table: str) -> list[str]:
    return list(dict.fromkeys(fact.row for fact in published("bitnet") if fact.table == table))


def _averages() -> Iterator[Check]:
    """The averages of the four tasks, row by row."""
    for table, name in (("T3", "Table 3"), ("T4", "Table 4")):
        for number, row in enumerate(_rows(table), 1):
            yield Check(
                f"A_V{table[1]}{number:02}",
                name,
                f"{row}: average of Winograd, Winogrande, HellaSwag, StoryCloze",
                CELLS.printed(table, row, "average"),
                mean(CELLS.values(table, row, TASKS)),
            )


def _winograd() -> Iterator[Check]:
    """The Winograd scores: all are whole numbers of right answers of 285 schemas; of the common 273, nine are not."""
    rows = [("T3", row) for row in _rows("T3") if row != "Random"] + [("T4", row) for row in _rows("T4")]
    for number, (table, row) in enumerate(rows, 1):
        yield Check(
            f"A_W{number:02}",
            f"Table {table[1]}",
            f"{row}: Winograd accuracy as right answers of {WINOGRAD_ITEMS}",
            CELLS.printed(table, row, "WG"),
            nearest_percent(CELLS.value(table, row, "WG"), WINOGRAD_ITEMS),
        )


# Losses in bits, chance, learning rates


@formula("log2(perplexity)", unit="bits")
def bits(perplexity: float) -> float:
    """The loss of Figures 1 and 3: bits per token."""
    return math.log2(perplexity)


@formula("a millions^b + c", unit="bits")
def fitted_loss(millions: float, a: float, b: float, c: float) -> float:
    """Equation 19, the law fitted on 125M to 6.7B; the size is that of the name."""
    return a * millions**b + c


FITS = {"BitNet": (9.537975, -0.3909537, 3.786194), "Transformer": (6.770167, -0.3993856, 3.733031)}
"""a, b and c of the curves drawn in Figure 3, printed nowhere."""


def _losses() -> Iterator[Check]:
    """Perplexities as losses in bits, the gap of the fitted laws, and the level of chance."""
    place = "Figure 3, read from the drawing"
    losses = (
        ("FP16 Transformer 6.7B", "T3", "Transformer 6.7B, W16A16", "3.925"),
        ("BitNet 6.7B", "T3", "BitNet 6.7B, W1A8", CELLS.printed("T5", "BitNet 6.7B", "loss (bits)")),
        ("BitNet 1.3B, which shows the size of Table 4", "T4", "BitNet (absmax + SubLN), zero-shot", "4.346"),
    )
    for number, (what, table, row, printed) in enumerate(losses, 1):
        loss = bits(CELLS.value(table, row, "PPL"))
        yield Check(f"A_L{number}", place, f"loss in bits from the perplexity of {what}", printed, loss)
    at_100b = [fitted_loss(100_000, *fit) for fit in FITS.values()]
    yield Check("A_DL", "Figures 1 and 3", "gap in bits of the two drawn curves at 100B", "0.09", difference(*at_100b))
    yield Check(
        "A_RAND",
        "Figure 6, dashed line, read from the drawing",
        "chance level of the four tasks",
        "44.5",
        mean(CELLS.values("T3", "Random", TASKS)),
        kind="error",
        why="Table 3 prints 43.8 and Figure 1 draws 43.75: the line of Figure 6 is misplaced",
    )


LEARNING_RATES = {
    "125M": ("2.4e-3", 6e-4),
    "350M": ("1.2e-3", 3e-4),
    "760M": ("1e-3", 2.5e-4),
    "1.3B": ("8e-4", 2e-4),
    "2.7B": ("6.4e-4", 1.6e-4),
    "6.7B": ("4.8e-4", 1.2e-4),
    "13B": ("4e-4", 1e-4),
}
"""BitNet's peak learning rate (Table 5) and that of GPT-3 of the same size (its Table 2.1)."""


@formula("times rate")
def multiple(rate: float, times: float) -> float:
    """A learning rate as a multiple of another."""
    return times * rate


def _learning_rates() -> Iterator[Check]:
    """BitNet's peak learning rates, which are four times those of GPT-3."""
    for number, (size, (printed, gpt3)) in enumerate(LEARNING_RATES.items(), 1):
        what = f"four times the learning rate of GPT-3 of the size {size}"
        yield Check(f"A_LR{number}", "Table 5", what, printed, multiple(gpt3, 4))


def checks() -> list[Check]:
    """Returns the numbers: energies, sizes, averages, losses, Winograd scores, learning rates."""
    parts = (_table_1, _figure_energies, _sizes, _averages, _losses, _winograd, _learning_rates)
    return [check for part in parts for check in part()]
