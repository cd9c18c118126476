"""LoRA's numbers that need no training: averages, trainable parameters, checkpoints, slow-downs, norms.

The averages, ratios and slow-downs start from the printed cells of Tables 1, 2 and 7; the counts from the shapes of the
networks, ranks and lengths; README and issue numbers are of github.com/microsoft/LoRA. Ranks of adapters are printed
nowhere: the one that gives the printed count stands here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from repro.ledger.arithmetic import adapter_parameters, change, difference, gpt2_parameters, mean, percent, ratio, total
from repro.ledger.formula import Cells, Check, Quantity, formula
from repro.ledger.published import published

CELLS = Cells("lora")
BASE = {"layers": 12, "width": 768}
LARGE = {"layers": 24, "width": 1024}
XXL = {"layers": 48, "width": 1536}
MEDIUM = {"layers": 24, "width": 1024}
GPT2_LARGE = {"layers": 36, "width": 1280}
GPT3 = {"layers": 96, "width": 12288}

ROBERTA_INPUTS = {"vocabulary": 50265, "positions": 514}
GPT2_INPUTS = {"vocabulary": 50257, "positions": 1024}
GPT3_INPUTS = {"vocabulary": 50257, "positions": 2048}

GLUE = ["MNLI", "SST-2", "MRPC", "CoLA", "QNLI", "QQP", "RTE", "STS-B"]
GPT3_ROUND = 175e9  # "GPT-3 175B"
HALF, SINGLE = 2, 4  # bytes of a number
MEBIBYTE = 2**20
MATRICES = ["query", "value", "key", "output"]
"""Of attention, in the order in which the paper takes more of them: W_q and W_v where nothing is said."""


@formula("2 matrices layers width rank", unit="parameters")
def lora_parameters(*, layers: int, width: int, rank: int, matrices: int = 2) -> float:
    """|Theta| = 2 * L_LoRA * d_model * r (section 5.1), with so many adapted square matrices a layer."""
    return 2 * matrices * layers * width * rank


@formula("width (prefix + infix)", unit="parameters")
def prefix_embedding_parameters(*, width: int, prefix: int, infix: int) -> float:
    """|Theta| = d_model * (l_p + l_i): the embeddings of special tokens (section 5.1)."""
    return width * (prefix + infix)


@formula("layers width (prefix + infix)", unit="parameters")
def prefix_layer_parameters(*, layers: int, width: int, prefix: int, infix: int) -> float:
    """|Theta| = L * d_model * (l_p + l_i): the activations of special tokens after every layer (section 5.1)."""
    return layers * width * (prefix + infix)


@formula("layers vectors width + last width", unit="parameters")
def bias_parameters(*, layers: int, width: int, vectors: int, last: int) -> float:
    """Bias vectors, counted in vectors of the network's width: so many a layer, and so many outside the layers."""
    return layers * vectors * width + last * width


@formula("layers (12 width^2 + 13 width)", unit="parameters")
def block_parameters(*, layers: int, width: int) -> float:
    """Transformer blocks with biases, two LayerNorms and a feed-forward part four times as wide."""
    return layers * (12 * width**2 + 13 * width)


@formula("(vocabulary + positions + 1 + 2) width + layers (12 width^2 + 13 width) + width^2 + width", unit="parameters")
def roberta_parameters(*, layers: int, width: int, vocabulary: int, positions: int) -> float:
    """An encoder with one segment embedding, the embeddings' LayerNorm, and a pooler."""
    return (vocabulary + positions + 1 + 2) * width + layers * (12 * width**2 + 13 * width) + width**2 + width


@formula("width^2 + width + classes (width + 1)", unit="parameters")
def head_parameters(*, width: int, classes: int) -> float:
    """A classification head: a dense layer (or pooler) and the map to the classes."""
    return width**2 + width + classes * (width + 1)


@formula("each count / unit")
def size(*, count: float, each: int, unit: int = 1) -> float:
    """What so many numbers of so many bytes take, in bytes or a larger unit."""
    return each * count / unit


@formula("first second")
def product(first: float, second: float) -> float:
    """So many of so many, or a part of a whole."""
    return first * second


@formula("rank norm / width")
def random_projection_norm(*, rank: int, norm: float, width: int) -> float:
    """The expected ||U^T W V^T||_F of random orthonormal U, V: r ||W||_F / d."""
    return rank * norm / width


@formula("ceil(epochs examples / batch)", unit="steps")
def steps(*, epochs: int, examples: int, batch: int) -> float:
    """Optimiser steps when epochs run on into each other."""
    return math.ceil(epochs * examples / batch)


@formula("epochs ceil(examples / batch)", unit="steps")
def steps_by_epoch(*, epochs: int, examples: int, batch: int) -> float:
    """Optimiser steps when each epoch ends with a smaller batch, as in the released code."""
    return epochs * math.ceil(examples / batch)


def checks() -> list[Check]:
    """Returns the numbers, in the order of their numbering."""
    return [
        *_averages(),
        *_lora_on_encoders(),
        *_lora_on_gpt2(),
        *_lora_on_gpt3(),
        *_prefixes(),
        *_combined(),
        *_biases(),
        *_full_sizes(),
        *_adapters(),
        *_slowdowns(),
        *_costs(),
        *_norms(),
        *_checkpoints(),
        *_steps(),
    ]


def _counted(model: str, rank: int, targets: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """How the real modules of LoRA are counted; alpha and dropout change no count."""
    settings = {"rank": rank, "alpha": rank, "dropout": 0.0, "targets": targets or MATRICES[:2]}
    return {"paper": "lora", "model": model, "settings": settings, **more}


def _adapted(model: str, kind: str, bottleneck: int, **more: Any) -> dict[str, Any]:
    """How the real modules of adapters are counted."""
    return {"paper": "adapter", "model": model, "settings": {"kind": kind, "bottleneck": bottleneck, **more}}


def _trainable(
    id: str, table: str, row: str, value: Quantity, *known: str, what: str = "", module: dict[str, Any] | None = None
) -> Check:
    """A printed count of trainable parameters beside ours; known: kind and reason where they differ."""
    place = "README" if table == "TR1" else f"Table {table[1:]}"
    printed = CELLS.printed(table, row, "trainable")
    return Check(id, place, f"trainable parameters, {row}{what}", printed, value, *known, module=module)


# Averages over GLUE.


def _averages() -> list[Check]:
    """A01 to A20: every row of Table 2, the README with its two decimals, and what the cells for MNLI are."""

    def average(id: str, table: str, row: str, *known: str) -> Check:
        place, value = "README" if table == "TR1" else "Table 2", mean(CELLS.values("T2", row, GLUE))
        return Check(id, place, f"average of eight tasks, {row}", CELLS.printed(table, row, "average"), value, *known)

    def both_parts(id: str, row: str, *known: str) -> Check:
        value = mean(CELLS.values("TR1", row, ["MNLI-m", "MNLI-mm"]))
        what = f"MNLI as the mean of matched and mismatched, {row}"
        return Check(id, "Table 2", what, CELLS.printed("T2", row, "MNLI"), value, *known)

    rows = dict.fromkeys(fact.row for fact in published("lora") if fact.table == "T2")
    padded = "the cells give 86.35: the README adds a zero to the rounded 86.4"
    matched = "the mean is 87.2: 87.5 is matched alone, though the caption says overall"
    return [
        *(average(f"A{number:02}", "T2", row) for number, row in enumerate(rows, 1)),
        average("A15", "TR1", "RoBERTa base, LoRA"),
        average("A16", "TR1", "RoBERTa base, fine-tuning", "rounding", padded),
        average("A17", "TR1", "DeBERTa XXL, LoRA"),
        average("A18", "TR1", "DeBERTa XXL, fine-tuning"),
        both_parts("A19", "DeBERTa XXL, fine-tuning"),
        both_parts("A20", "RoBERTa base, LoRA", "error", matched),
    ]


# Trainable parameters of LoRA.


def _lora_on_encoders() -> list[Check]:
    """A21 to A24."""
    misprint = "rank 8 gives 2.36M, rank 16 as in the released scripts 4.72M: Table 10 is misprinted"
    rows = [
        ("A21", "RoBERTa base", "roberta-base", BASE, 8),
        ("A22", "RoBERTa large", "roberta-large", LARGE, 8),
        ("A23", "DeBERTa XXL", "deberta-v2-xxlarge", XXL, 8, "error", misprint),
        ("A24", "DeBERTa XXL", "deberta-v2-xxlarge", XXL, 16),
    ]
    return [
        _trainable(
            id, "T2", f"{name}, LoRA", lora_parameters(**shape, rank=rank), *known,
            what=f", q and v, rank {rank}", module=_counted(model, rank),
        )
        for id, name, model, shape, rank, *known in rows
    ]  # fmt: skip


def _lora_on_gpt2() -> list[Check]:
    """A25 to A28: the counts of Table 3 are those of a budget of 0.1%, not those of rank 4."""
    rows = [
        ("A25", "A26", "GPT-2 M", "gpt2-medium", MEDIUM, "393,216 = 0.39M; 0.35M is 0.1% of the network"),
        ("A27", "A28", "GPT-2 L", "gpt2-large", GPT2_LARGE, "737,280 = 0.74M; 0.77M is 0.1% of the network"),
    ]
    found = []
    for id, budget, name, model, shape, why in rows:
        whole = CELLS.value("T3", f"{name}, fine-tuning", "trainable")
        found += [
            _trainable(
                id, "T3", f"{name}, LoRA", lora_parameters(**shape, rank=4), "error", f"{why}, prefix-tuning's budget",
                what=", q and v, rank 4", module=_counted(model, 4),
            ),
            _trainable(budget, "T3", f"{name}, prefix-layer", product(0.001, whole), what=" (0.1% of the network)"),
        ]  # fmt: skip
    return found


def _lora_on_gpt3() -> list[Check]:
    """A29 to A42, on the fused q, k, v matrix of a GPT-2 of that size."""
    cut = ("rounding", "18,874,368 rounds to 18.9M: truncated")
    rows = [
        ("A29", "r_v=2", 1, 2),
        ("A30", "r_q=r_v=1", 2, 1),
        ("A31", "r_q=r_v=2", 2, 2),
        ("A32", "r_q=r_k=r_v=r_o=1", 4, 1),
        ("A33", "r_q=r_v=4", 2, 4, *cut),
        ("A34", "r_q=r_k=r_v=r_o=2", 4, 2, *cut),
        ("A35", "r_q=r_v=8", 2, 8),
        ("A36", "r_q=r_k=r_v=r_o=4", 4, 4),
        ("A37", "r_q=r_v=64", 2, 64, "rounding", "301,989,888 rounds to 302.0M: truncated"),
        ("A38", "r_q=r_k=r_v=r_o=64", 4, 64, "rounding", "603,979,776 = 604.0M: printed as twice the truncated 301.9M"),
    ]
    found = [
        _trainable(
            id, "T15", f"GPT-3 175B, LoRA, {ranks}", lora_parameters(**GPT3, rank=rank, matrices=matrices), *known,
            module=_counted("gpt3-175b", rank, ["value"] if matrices == 1 else MATRICES[:matrices]),
        )
        for id, ranks, matrices, rank, *known in rows
    ]  # fmt: skip
    said = CELLS.printed("T4", "GPT-3 175B, LoRA (37.7M)", "trainable")
    found.append(
        Check(
            "A39", "appendix D.4", "trainable parameters, GPT-3, LoRA, the second way to 37.7M: rank 2 on q, k, v, o",
            said, lora_parameters(**GPT3, rank=2, matrices=4),
            "error", "rank 2 on four matrices is 18.9M; 37.7M takes rank 4, as Table 15 has it",
            module=_counted("gpt3-175b", 2, MATRICES),
        )
    )  # fmt: skip
    budgets = [
        ("A40", "o, r=8", 1, 8, ["output"]),
        ("A41", "q,v, r=4", 2, 4, MATRICES[:2]),
        ("A42", "q,k,v,o, r=2", 4, 2, MATRICES),
    ]
    return found + [
        _trainable(
            id, "T5", f"GPT-3 175B, LoRA, {what}", lora_parameters(**GPT3, rank=rank, matrices=matrices),
            "rounding", "18.87M: truncated", module=_counted("gpt3-175b", rank, targets),
        )
        for id, what, matrices, rank, targets in budgets
    ]  # fmt: skip


# The other methods on GPT-3.


def _prefixes() -> list[Check]:
    """A43 to A52."""
    found = []
    short = ("error", "491,520 = 0.49M; 0.4M are the 32 prefix tokens without the 8 infix tokens")
    for number, prefix in enumerate((32, 64, 128, 256, 512), 43):
        value = prefix_embedding_parameters(width=GPT3["width"], prefix=prefix, infix=8)
        row = f"GPT-3 175B, prefix-embedding, l_p={prefix}, l_i=8"
        found.append(_trainable(f"A{number}", "T15", row, value, *(short if prefix == 32 else ())))
    for number, (prefix, infix) in enumerate(((2, 2), (8, 0), (8, 8), (32, 4), (64, 0)), 48):
        value = prefix_layer_parameters(**GPT3, prefix=prefix, infix=infix)
        row = f"GPT-3 175B, prefix-layer, l_p={prefix}, l_i={infix}"
        why = f"the paper's formula gives {value / 1e6:.2f}M; the surplus follows no formula that was found"
        found.append(_trainable(f"A{number}", "T15", row, value, "unexplained", why))
    return found


def _combined() -> list[Check]:
    """A53 to A61: two adapters a block; LoRA with a prefix of 8 tokens and an infix of 4."""
    layers, width = GPT3["layers"], GPT3["width"]
    found = []
    for number, rank in enumerate((1, 4, 8, 16, 64), 53):
        value = adapter_parameters(adapters=2 * layers, width=width, bottleneck=rank)
        module = _adapted("gpt3-175b", "houlsby", rank)
        found.append(_trainable(f"A{number}", "T15", f"GPT-3 175B, Adapter H, r={rank}", value, module=module))
    embedding = prefix_embedding_parameters(width=width, prefix=8, infix=4)
    layer = prefix_layer_parameters(**GPT3, prefix=8, infix=4)
    surplus = "the formulas give 51.90M; a surplus like those of the rows of prefix-layer"
    rows = [
        ("A58", "prefix-embedding", 8, embedding, "rounding", "37,896,192 rounds to 37.9M: truncated"),
        ("A59", "prefix-embedding", 32, embedding),
        ("A60", "prefix-embedding", 64, embedding),
        ("A61", "prefix-layer", 8, layer, "unexplained", surplus),
    ]
    for id, name, rank, prefix, *known in rows:
        row = f"GPT-3 175B, LoRA + {name}, r_q=r_v={rank}, l_p=8, l_i=4"
        found.append(_trainable(id, "T15", row, total([lora_parameters(**GPT3, rank=rank), prefix]), *known))
    return found


def _biases() -> list[Check]:
    """A62 to A64: of q, k, v, o (4 widths), the feed-forward part (5) and two LayerNorms (2), and of a LayerNorm."""
    gpt3, base = "GPT-3 175B, BitFit", "RoBERTa base, BitFit"
    twelfth = "12.99M; twelve vectors a layer fit, but which is the twelfth is not said"
    eleven, twelve = bias_parameters(**GPT3, vectors=11, last=1), bias_parameters(**GPT3, vectors=12, last=0)
    large, small = ({"paper": "bitfit", "model": model} for model in ("gpt3-175b", "roberta-base"))
    plain, what = bias_parameters(**BASE, vectors=11, last=1), ", 11 vectors a layer"
    return [
        _trainable("A62", "T4", gpt3, eleven, "unexplained", twelfth, what=what, module=large),
        _trainable("A63", "T4", gpt3, twelve, what=", 12 vectors a layer (fits, not explained)"),
        _trainable("A64", "T2", base, plain, what=what, module=small),
    ]


# Whole networks.


def _full_sizes() -> list[Check]:
    """A65 to A75: what fine-tuning trains; the encoders with their pooler."""
    gpt3 = gpt2_parameters(**GPT3, **GPT3_INPUTS)
    medium, large = (gpt2_parameters(**shape, **GPT2_INPUTS) for shape in (MEDIUM, GPT2_LARGE))
    top = block_parameters(layers=2, width=MEDIUM["width"])
    base, roberta_large = (roberta_parameters(**shape, **ROBERTA_INPUTS) for shape in (BASE, LARGE))
    untied = "174,604.3M; 175,221.8M with an output matrix of its own; the last 34.0M fit nothing"
    tokens = "354,823,168 = 354.82M; the other 0.1M may be tokens that prefix-tuning's code adds"
    mebi = "25.19M, as Table 3 prints it; 24.03 when a million is 2^20"
    nominal = "{}: the table prints the nominal size with a decimal"
    tuned = {model: {"paper": "finetune", "model": model} for model in ("gpt3-175b", "gpt2-medium", "gpt2-large")}
    whole = {model: {"model": model} for model in ("roberta-base", "roberta-large")}
    rows = [
        ("A65", "T4", "GPT-3 175B, fine-tuning", gpt3, tuned["gpt3-175b"], "unexplained", untied),
        ("A66", "T15", "GPT-3 175B, fine-tuning", gpt3, tuned["gpt3-175b"]),
        ("A67", "T3", "GPT-2 M, fine-tuning", medium, tuned["gpt2-medium"], "unexplained", tokens),
        ("A68", "T13", "GPT-2 M, fine-tuning", medium, tuned["gpt2-medium"], "rounding", "354.8M: truncated"),
        ("A69", "T3", "GPT-2 L, fine-tuning", large, tuned["gpt2-large"]),
        ("A70", "T3", "GPT-2 M, fine-tuning, top 2 layers", top, None),
        ("A71", "T13", "GPT-2 M, fine-tuning, top 2 layers", top, None, "error", mebi),
        ("A72", "T2", "RoBERTa base, fine-tuning", base, whole["roberta-base"], "rounding", nominal.format("124.65M")),
        ("A73", "T2", "RoBERTa large, fine-tuning", roberta_large, whole["roberta-large"], "rounding",
         nominal.format("355.36M")),
    ]  # fmt: skip
    return [
        *(_trainable(id, table, row, value, *known, module=module) for id, table, row, value, module, *known in rows),
        Check("A74", "section 5.2", "RoBERTa base", "125M", base, module=whole["roberta-base"]),
        Check("A75", "section 5.2", "RoBERTa large", "355M", roberta_large, module=whole["roberta-large"]),
    ]


# Adapters.


def _adapters() -> list[Check]:
    """A76 to A90, by the rank that gives the printed count: H two a block, L and P one, L with its LayerNorms."""
    none = "no rank gives 11.09M (112: 11.06M, 113: 11.16M): the count of the Adapter L row seems to have been reused"
    mebi = ("unexplained", "3.17M, with trained LayerNorms 3.22M; 3.02 when a million is 2^20")
    mebi_twice = ("unexplained", "6.34M; 6.05 when a million is 2^20")
    large = "RoBERTa large"
    rows = [  # id, table, row, model, its shape, kind, rank, share of layers without
        ("A76", "T3", "GPT-2 M, Adapter L (0.37M)", "gpt2-medium", MEDIUM, "lin", 6, 0),
        ("A77", "T3", "GPT-2 M, Adapter L (11.09M)", "gpt2-medium", MEDIUM, "lin", 224, 0),
        ("A78", "T3", "GPT-2 M, Adapter H", "gpt2-medium", MEDIUM, "houlsby", 112, 0, "unexplained", none),
        ("A79", "T3", "GPT-2 L, Adapter L (0.88M)", "gpt2-large", GPT2_LARGE, "lin", 8, 0),
        ("A80", "T3", "GPT-2 L, Adapter L (23.00M)", "gpt2-large", GPT2_LARGE, "lin", 248, 0),
        ("A81", "T2", f"{large}, Adapter P, restricted (3.0M)", "roberta-large", LARGE, "pfeiffer", 64, 0, *mebi),
        ("A82", "T2", f"{large}, Adapter P, restricted (0.8M)", "roberta-large", LARGE, "pfeiffer", 16, 0),
        ("A83", "T2", f"{large}, Adapter H, restricted (6.0M)", "roberta-large", LARGE, "houlsby", 64, 0, *mebi_twice),
        ("A84", "T2", f"{large}, Adapter H, restricted (0.8M)", "roberta-large", LARGE, "houlsby", 8, 0),
        ("A85", "T2", "RoBERTa base, AdapterDrop (0.9M)", "roberta-base", BASE, "drop", 48, 0),
        ("A86", "T2", "RoBERTa base, AdapterDrop (0.3M)", "roberta-base", BASE, "drop", 48, 0.6667),
        ("A87", "T1", "GPT-2 M, Adapter L, batch 32, seq 512", "gpt2-medium", MEDIUM, "lin", 8, 0),
        ("A88", "T1", "GPT-2 M, Adapter H, batch 32, seq 512", "gpt2-medium", MEDIUM, "houlsby", 5, 0),
        ("A89", "T1", "GPT-2 M, Adapter L, batch 16, seq 256", "gpt2-medium", MEDIUM, "lin", 224, 0),
        ("A90", "T1", "GPT-2 M, Adapter H, batch 16, seq 256", "gpt2-medium", MEDIUM, "houlsby", 112, 0),
    ]
    found = []
    for id, table, row, model, shape, kind, rank, dropped, *known in rows:
        layers = shape["layers"] - round(dropped * shape["layers"])
        value = adapter_parameters(
            adapters=(2 if kind == "houlsby" else 1) * layers,
            width=shape["width"],
            bottleneck=rank,
            norms=layers if kind == "lin" else 0,
        )
        module = _adapted(model, kind, rank, dropped=dropped)
        found.append(_trainable(id, table, row, value, *known, what=f", rank {rank}", module=module))
    return found


def _slowdowns() -> list[Check]:
    """A91 to A96: Table 1's percentages from its milliseconds."""
    inputs = ("batch 32, seq 512", "batch 16, seq 256", "batch 1, seq 128")
    rows = [(method, given) for method in ("Adapter L", "Adapter H") for given in inputs]
    found = []
    for number, (method, given) in enumerate(rows, 91):
        row = f"GPT-2 M, {method}, {given}"
        value = change(CELLS.value("T1", row, "ms"), CELLS.value("T1", f"GPT-2 M, fine-tuning or LoRA, {given}", "ms"))
        printed = CELLS.printed("T1", row, "slow-down %") + "%"
        found.append(Check(f"A{number}", "Table 1", f"slow-down, {row}", printed, value))
    return found


# Costs, as section 4.2 has them.


def _costs() -> list[Check]:
    """A97 to A106: GPT-3 with LoRA of rank 4 on q and v."""
    lora = lora_parameters(**GPT3, rank=4)
    fewer = ratio(CELLS.value("T4", "GPT-3 175B, fine-tuning", "trainable"), lora)
    slow, fast = 32.5, 43.1  # tokens a second on a GPU, fine-tuning and LoRA
    magnitude = ("wording", "9,285; an order of magnitude is meant")
    tenth = ("wording", "37.7MB, or 36.0 MiB; 35 is the 10,000th part of 350")
    throughput = ("error", "throughput rises by 32.6%; 25% is the time saved for each token")
    half, share = _counted("gpt3-175b", 4, each=HALF), _counted("gpt3-175b", 4, each=100 / GPT3_ROUND)
    rows = [
        ("A97", "section 4.2", "checkpoints, 350GB against 35MB", "10000x", ratio(350e9, 35e6)),
        ("A98", "abstract", "trainable parameters, fine-tuning against LoRA", "10000x", fewer, *magnitude),
        ("A99", "section 4.2", "checkpoint of LoRA, bytes", "35M", size(count=lora, each=HALF), *tenth, half),
        ("A100", "section 4.2", "checkpoint of GPT-3, bytes", "350G", size(count=GPT3_ROUND, each=HALF)),
        ("A101", "footnote 4", "one network and 100 adapters, GB", "354", total([350, product(100, 0.035)])),
        ("A102", "footnote 4", "100 networks, TB", "35", size(count=100, each=350, unit=1000)),
        ("A103", "section 4.2", "memory in training, 1.2TB against 350GB", "3x", ratio(1200, 350)),
        ("A104", "section 4.2", "time saved in training", "25%", percent(difference(fast, slow), fast)),
        ("A105", "footnote 5", "throughput gained in training", "25%", change(fast, slow), *throughput),
        ("A106", "section 2", "share of GPT-3 that LoRA trains", "0.01%", percent(lora, GPT3_ROUND), "", "", share),
    ]
    return [Check(*row) for row in rows]


def _norms() -> list[Check]:
    """A107 to A113: Table 7, where an update U V amplifies the directions that it has in W_q; chance; sizes of data."""

    def cell(row: str, column: str) -> float:
        return CELLS.value("T7", f"GPT-3 175B, {row}", column)

    def amplification(rank: int) -> Quantity:
        return ratio(cell(f"update, r={rank}", "||update||"), cell(f"update, r={rank}", "||U'WV||"))

    def random(id: str, rank: int, *known: str) -> Check:
        value = random_projection_norm(rank=rank, norm=cell(f"random, r={rank}", "||W||"), width=GPT3["width"])
        printed = CELLS.printed("T7", f"GPT-3 175B, random, r={rank}", "||U'WV||")
        return Check(id, "Table 7", f"norm of W_q projected onto rank {rank} at random", printed, value, *known)

    drawn = ("unexplained", "0.323 is the expected norm; 0.33 is that of one random draw")
    rounded = ("rounding", "21.59 from the rounded cells")
    truncated = ("rounding", "392,702 rounds to 393K: truncated")
    return [
        Check("A107", "section 7.3", "amplification by the update, rank 4", "21.5", amplification(4), *rounded),
        Check("A108", "appendix H.4", "amplification by the update, rank 64", "2", amplification(64)),
        random("A109", 4),
        random("A110", 64, *drawn),
        Check("A111", "appendix F.3", "chance on the three classes of MNLI", "33.3%", percent(1, 3)),
        Check("A112", "Table 16", "training examples of MNLI", "392K", total([392702]), *truncated),
        Check("A113", "appendix C", "DART, references of train, dev and test", "82K", total([62659, 6980, 12552])),
    ]


# What the released repository says.


def _checkpoints() -> list[Check]:
    """A114 to A119: files in single precision, in MiB; on GLUE with the head (DeBERTa: pooler) of three classes."""
    narrow = "2.81; 2.3 is 1.5 * 36 / 24, as if the large network were no wider"
    rows = [  # id, model, shape, rank, classes, printed
        ("A114", "roberta-base", BASE, 8, 3, "3.4"),
        ("A115", "roberta-large", LARGE, 8, 3, "7.1", "unexplained", "7.02 of numbers; files hold names too"),
        ("A116", "deberta-v2-xxlarge", XXL, 16, 3, "27.1", "unexplained", "27.02 of numbers; files hold names too"),
        ("A117", "gpt2-medium", MEDIUM, 4, 0, "1.5"),
        ("A118", "gpt2-large", GPT2_LARGE, 4, 0, "2.3", "error", narrow),
    ]
    found = []
    for id, model, shape, rank, classes, printed, *known in rows:
        value = size(count=_with_head(shape, rank, classes), each=SINGLE, unit=MEBIBYTE)
        module = _counted(model, rank, classes=classes, each=SINGLE / MEBIBYTE)
        what = f"checkpoint of LoRA, {model}, rank {rank} on q and v, MiB"
        found.append(Check(id, "README", what, printed, value, *known, module=module))
    without = "887,042 = 0.9M with the head, 0.3M without; 0.8M is RoBERTa large's"
    value, module = _with_head(BASE, 8, 2), _counted("roberta-base", 8, classes=2)
    row, what = "RoBERTa base, LoRA", ", with a head of two classes"
    return [*found, _trainable("A119", "TR1", row, value, "error", without, what=what, module=module)]


def _with_head(shape: Mapping[str, int], rank: int, classes: int) -> Quantity:
    lora = lora_parameters(**shape, rank=rank)
    return total([lora, head_parameters(width=shape["width"], classes=classes)]) if classes else lora


def _steps() -> list[Check]:
    """A120 to A122: the last step in the names of released files."""
    e2e, webnlg = ({"epochs": 5, "examples": examples, "batch": 8} for examples in (42061, 18025))
    stops = ("error", "the code stops at 26,290, so its last file is model.26290.pt")
    return [
        Check("A120", "README", "last step on E2E, epochs in one", "26289", steps(**e2e)),
        Check("A121", "README", "last step on E2E, as the code counts", "26289", steps_by_epoch(**e2e), *stops),
        Check(
            "A122",
            "microsoft/LoRA, issue 94",
            "last step on WebNLG, as the code counts",
            "11270",
            steps_by_epoch(**webnlg),
        ),
    ]
