"""PaLM's numbers that need no training: sizes, compute, utilisation, averages, counts of tasks won.

Recomputed from the sizes of Table 1, from the cells of the published tables, and from numbers that stand in the text or
were read off a figure alone; those are typed here, each with its place. Shapes and peaks of other people's systems are
not in the paper: the entries that need them say so. Numbers are those of version 5 unless version 1 is named.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from repro.ledger.arithmetic import change, difference, mean, percent, ratio, total
from repro.ledger.formula import Cells, Check, Quantity, formula

CELLS = Cells("palm")
LENGTH = 2048
"""Tokens of a training sequence."""
HEAD_WIDTH = 256

# Table 1. The width of the attention is heads * 256, less than d_model at 540B.
PALM = {
    "PaLM 8B": {"layers": 32, "heads": 16, "width": 4096},
    "PaLM 62B": {"layers": 64, "heads": 32, "width": 8192},
    "PaLM 540B": {"layers": 118, "heads": 48, "width": 18432},
}
MEGATRON_TURING = {"layers": 105, "heads": 128, "head_width": 160}  # these three are not in the paper
GOPHER = {"layers": 80, "heads": 128, "head_width": 128}
GPT3 = {"layers": 96, "heads": 96, "head_width": 128}

TPU_V4, TPU_V3, A100, V100 = 275e12, 123e12, 312e12, 125e12
"""Matrix-multiplication FLOP/s of a chip; those of TPU v3 and V100 are not in the paper."""

SHOTS = ("0-shot", "1-shot", "few-shot")
NLG = ["TriviaQA", "Natural Questions", "Web Questions", "SQuADv2 (F1)", "SQuADv2 (EM)"]
NLG += ["LAMBADA", "DROP", "QuAC", "CoQA"]
NLU = ["HellaSwag", "StoryCloze", "Winograd", "Winogrande", "RACE-m", "RACE-h", "PIQA", "ARC-e", "ARC-c", "OpenBookQA"]
NLU += ["BoolQ", "COPA", "RTE", "WiC", "MultiRC (F1a)", "WSC", "ReCoRD", "CB", "ANLI R1", "ANLI R2", "ANLI R3"]
ENGLISH = [task for task in (*NLG, *NLU) if task != "SQuADv2 (EM)"]
"""The 29 tasks; SQuADv2 counts once, by F1."""

MMLU = {"humanities": 13, "STEM": 18, "social sciences": 12, "other": 14}
"""Subjects of a category."""

SUPERGLUE = [["BoolQ"], ["CB (accuracy)", "CB (F1)"], ["COPA"], ["MultiRC (F1a)", "MultiRC (EM)"]]
SUPERGLUE += [["ReCoRD (F1)", "ReCoRD (EM)"], ["RTE"], ["WiC"], ["WSC"]]

NINE = ["LAMBADA, 0-shot", "HellaSwag, 0-shot", "PIQA, 0-shot", "Winogrande, 0-shot", "BoolQ, 0-shot"]
NINE += ["Natural Questions, 0-shot", "Natural Questions, few-shot", "TriviaQA, 0-shot", "TriviaQA, few-shot"]
"""The nine scores of Tables 21 and 31."""

TO_ENGLISH = ["WikiLingua (en-en)", "WikiLingua (es-en)", "WikiLingua (ru-en)", "WikiLingua (tr-en)"]
TO_ENGLISH += ["WikiLingua (vi-en)", "XSum"]
"""Summaries in English."""

TYDIQA = ["ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te"]

CHANCE = {
    "T42": {"persian_idioms": 25, "common_morpheme": 25, "bbq_lite_json": 33.3333, "physics": 25, "logical_args": 20},
    "T43": {
        "mnist_ascii": 10,
        "temporal_sequences": 25,
        "hyperbaton": 50,
        "tracking_shuffled_objects": 20,
        "hhh_alignment": 50,
        "navigate": 50,
        "movie_recommendation": 25,
    },
}
"""Score of random answers in percent, deduced from the raw and normalised scores of Tables 42 and 43."""

# Figure 4: PaLM 540B 5-shot less the earlier best on 58 BIG-bench tasks, heights of the bars.
FIGURE_4 = [39.4, 38.1, 37.3, 37.2, 33.7, 30.3, 28.3, 25.2, 24.1, 20.9, 20.6, 20.0, 19.2, 17.4, 16.4, 16.3, 15.7, 15.5]
FIGURE_4 += [14.6, 14.3, 13.3, 12.9, 12.5, 12.4, 11.4, 9.5, 8.8, 8.1, 8.1, 7.9, 6.8, 6.6, 6.1, 5.4, 5.4, 5.3, 5.1, 3.7]
FIGURE_4 += [3.2, 2.6, 2.4, 1.7, 1.4, 0.7, 0.0, -1.0, -1.3, -1.6, -1.6, -1.8, -2.3, -5.4, -6.4, -8.6, -14.7, -23.7]
FIGURE_4 += [-38.1, -54.9]
BARS_BELOW_ZERO_IN_FIGURE_6 = 53  # of 150

# Figure 10: GSM8K, MAWPS, ASDiv, AQuA, SVAMP, CommonsenseQA, StrategyQA; heights of the points.
CHAIN_OF_THOUGHT = [58.1, 93.4, 72.6, 35.8, 79.8, 79.9, 75.6]
DIRECT = [17.9, 69.2, 68.6, 24.4, 69.4, 79.3, 68.6]
EARLIER_BEST = [55.0, 88.4, 75.3, 37.9, 57.4, 91.2, 69.4]

MEMORISED = [0.0146, 0.0205, 0.0233]  # Figure 18a, training spans, 8B to 540B

V1_NINE = {"HellaSwag, 0-shot": 83.4, "BoolQ, 0-shot": 88.0, "Natural Questions, few-shot": 36.0}
"""PaLM 540B in Table 20 of version 1, where it differs."""

NORMALISED = "the raw score is rounded, or chance is not quite the deduced one"
CUT = "cut to the printed digits instead of rounded"
DIFFERS = {
    "A004": ("wording", "540.36 with the norm scales: the printed size leaves them out"),
    "A005": ("wording", 'so "256k" tokens are 256,000 and not 2^18'),
    "A006": ("rounding", f"535.64 is {CUT}"),
    "A010": ("rounding", "the steps are given in thousands, and batches skipped after spikes are not counted"),
    "A017": ("rounding", '1.3 GB and "about 200 ms" are rounded'),
    "A023": ("rounding", f"29.77 is {CUT}"),
    "A024": ("rounding", f"30.27 is {CUT}"),
    "A027": ("unexplained", "the peak or the share of attention behind 21.3% is not given"),
    "A044": ("error", "the Python data has 5.8B tokens in all, so 5.9B cannot be"),
    "A046": ("rounding", "the printed parts give 8.6; the unrounded ones may give 8.7"),
    "A047": ("error", "the printed token counts give 37 times"),
    "A049": ("rounding", f"5.8 is {CUT}"),
    "A054": ("error", "59.29 with the Winograd cells of 8B and 62B, probably exchanged in Table 40, put back"),
    "A055": ("rounding", f"57.76 is {CUT}, or comes of unrounded scores"),
    "A056": ("error", "67.25 with the Winograd cells of 8B and 62B, probably exchanged in Table 40, put back"),
    "A057": ("unexplained", "the cells of Table 40 give 60.29, further off than their rounding allows"),
    "A061": ("rounding", f"59.29 is {CUT}"),
    "A063": ("error", "ANLI R2 is misprinted in version 1: the average needs the 48.7 of version 5"),
    "A067": ("unexplained", "the mean over subjects is 66.7, so the quoted 67.5 must be another kind of average"),
    "A069": ("unexplained", "the average quoted from another paper does not follow from the cells quoted beside it"),
    "A074": ("error", "90.4 needs RTE near 94: the RTE cell, the same as the one of WSC, is probably a misprint"),
    "A082": ("rounding", NORMALISED),
    "A083": ("rounding", NORMALISED),
    "A086": ("rounding", NORMALISED),
    "A090": ("rounding", NORMALISED),
    "A103": ("error", "the caption passes over linguistics_puzzles, 0.1 against 0.0"),
    "A108": ("error", "the text exchanges the two pairs: En-De rises by 17 and En-Fr by 13"),
    "A109": ("error", "the text exchanges the two pairs: En-De rises by 17 and En-Fr by 13"),
    "A112": ("error", "it is 40 times at the last step and 200 times in the first 10,000: no step gives 20"),
    "A115": ("rounding", "the printed cells are rounded, or 81.47 is cut"),
    "A119": ("unexplained", "the points of the figure give 0.949, and the paper does not print them"),
    "A120": ("error", "6 are negative and 4 positive for the 8B model"),
    "A122": ("error", "the table has the clean set 3.4 better: its full and clean columns are probably exchanged"),
    "A139": ("rounding", "the rows that are printed leave out a rest of 0.04%"),
}
"""Numbers that are not the printed ones: what kind of difference it is, and why."""


# Formulas: the network and its arithmetic


@formula(
    "layers (2 width heads 256 + 2 width 256 + 3 width 4 width) + vocabulary width + norms width", unit="parameters"
)
def palm_parameters(*, layers: int, heads: int, width: int, vocabulary: int = 256_000, norms: int = 0) -> float:
    """Queries and output, one shared key and value head, SwiGLU, tied embeddings; no biases (section 2)."""
    attention = 2 * width * heads * HEAD_WIDTH + 2 * width * HEAD_WIDTH
    return layers * (attention + 3 * width * 4 * width) + vocabulary * width + norms * width


@formula("product of the factors")
def product(factors: Sequence[float]) -> float:
    """The product of some numbers."""
    return math.prod(factors)


@formula("6 parameters + 12 layers heads head_width length", unit="FLOPs")
def flops_per_token(
    parameters: float, *, layers: int = 0, heads: int = 0, head_width: int = HEAD_WIDTH, length: int = LENGTH
) -> float:
    """Forward and backward pass of a token (appendix B); no layers leave the attention out."""
    return 6 * parameters + 12 * layers * heads * head_width * length


@formula("6 parameters + 12 layers heads 256 length + again 2 parameters + 4 layers heads 256 length", unit="FLOPs")
def flops_with_rematerialisation(
    parameters: float, *, layers: int, heads: int, again: float, length: int = LENGTH
) -> float:
    """The same with the forward pass done again: all of the attention, a share of the rest (appendix B)."""
    attention = layers * heads * HEAD_WIDTH * length
    return 6 * parameters + 12 * attention + again * 2 * parameters + 4 * attention


@formula("100 tokens_per_second flops / peak", unit="%")
def utilisation(tokens_per_second: float, flops: float, peak: float) -> float:
    """MFU or HFU: FLOP/s of the training over those of all chips at their peak (section 4.1)."""
    return 100 * tokens_per_second * flops / peak


@formula("sequences length / seconds", unit="tokens/s")
def throughput(*, sequences: int, seconds: float, length: int = LENGTH) -> float:
    """Tokens a second from the sequences and the seconds of a step."""
    return sequences * length / seconds


@formula("flops / (10^15 86400)", unit="PetaFLOP/s-days")
def petaflops_days(flops: float) -> float:
    """Days at 10^15 FLOP/s."""
    return flops / (1e15 * 86400)


@formula("value, rounded to three digits")
def three_digits(value: float) -> float:
    """A number as a table prints it that rounds to three digits and fills up with zeros."""
    return float(f"{value:.3g}")


@formula("6 parameters tokens / 1000", unit="zettaFLOPs")
def zettaflops(*, parameters: float, tokens: float) -> float:
    """FLOPs of a training run without attention, parameters and tokens in billions (Table 21)."""
    return 6 * parameters * tokens / 1000


# Formulas: the training


@formula("length sum(sequences steps)", unit="tokens")
def tokens_of_schedule(steps_by_sequences: Sequence[tuple[int, int]], length: int = LENGTH) -> float:
    """Tokens seen with a batch size that grows: (sequences, steps) one after the other."""
    return length * sum(sequences * steps for sequences, steps in steps_by_sequences)


@formula("min(10^-2, 1 / sqrt(step))")
def learning_rate(step: int) -> float:
    """The learning rate of pre-training (section 5)."""
    return min(1e-2, 1 / math.sqrt(step))


@formula("parameters bytes / hosts / 2^30", unit="GiB")
def gradients_per_host(parameters: float, *, hosts: int, bytes_each: int = 2) -> float:
    """What a host sends to its partner in the other pod in a step."""
    return parameters * bytes_each / hosts / 2**30


@formula("8 gigabytes 2 pairs / seconds / 1000", unit="Tbps")
def burst(gigabytes: float, *, pairs: int, seconds: float) -> float:
    """Bits a second of all pairs of hosts, both ways at once."""
    return 8 * gigabytes * 2 * pairs / seconds / 1000


@formula("sum(chips hours) watts PUE tonnes_per_MWh / 10^6", unit="tCO2e")
def emissions(chips_and_hours: Sequence[tuple[int, int]], *, watts: float, pue: float, tonnes_per_mwh: float) -> float:
    """Net emissions of the training (appendix B)."""
    return sum(chips * hours for chips, hours in chips_and_hours) * watts * 1e-6 * pue * tonnes_per_mwh


@formula("percentage whole / 100")
def share(percentage: float, whole: float) -> float:
    """So many percent of something."""
    return percentage * whole / 100


# Formulas: scores


@formula("sum(values weights) / sum(weights)")
def weighted_mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """The mean of group means, by the sizes of the groups."""
    return math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


@formula("number of left > right")
def wins(left: Sequence[float], right: Sequence[float]) -> float:
    """On how many the left is above the right."""
    return sum(one > other for one, other in zip(left, right, strict=True))


@formula("number of values > 0")
def positive(values: Sequence[float]) -> float:
    """How many are above zero."""
    return sum(value > 0 for value in values)


@formula("number of values < 0")
def negative(values: Sequence[float]) -> float:
    """How many are below zero."""
    return sum(value < 0 for value in values)


@formula("100 (raw - chance) / (100 - chance)", unit="%")
def normalised(raw: float, chance: float) -> float:
    """A BIG-bench score with random answers at 0 and the best at 100 (section 6.2)."""
    return 100 * (raw - chance) / (100 - chance)


@formula("medium + (medium - small)")
def projection(*, small: float, medium: float) -> float:
    """The score of 540B if the step from 62B were the one from 8B (section 6.2)."""
    return medium + (medium - small)


@formula("sum((x - mean x)(y - mean y)) / sum((x - mean x)^2)")
def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the least-squares line."""
    return _products(x, y) / _products(x, x)


@formula("sum((x - mean x)(y - mean y))^2 / (sum((x - mean x)^2) sum((y - mean y)^2))")
def r_squared(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the least-squares line."""
    return _products(x, y) ** 2 / (_products(x, x) * _products(y, y))


def _products(x: Sequence[float], y: Sequence[float]) -> float:
    middle_x, middle_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    return math.fsum((one - middle_x) * (other - middle_y) for one, other in zip(x, y, strict=True))


# The entries, in the order of the paper


def checks() -> list[Check]:
    """Returns the numbers, in the order of the paper."""
    parts = (sizes, training, system, others, compute, code, english, averages, mmlu, superglue, bigbench, chance)
    parts += (reasoning, generation, tydiqa, memorisation, contamination, nine_scores, languages)
    return [check for part in parts for check in part()]


def entry(name: str, place: str, what: str, printed: str, recomputed: Quantity) -> Check:
    """Makes a check; kind and reason of a difference come from DIFFERS."""
    return Check(name, place, what, printed, recomputed, *DIFFERS.get(name, ()))


def ids(first: int) -> Iterator[str]:
    """Returns A007, A008, ... from a first number on."""
    return (f"A{number:03}" for number in itertools.count(first))


def parameters_printed(model: str) -> str:
    """Returns the parameters of Table 1 in billions, as printed."""
    return CELLS.printed("T1", model, "parameters").removesuffix("B")


def sizes() -> Iterator[Check]:
    """Table 1."""
    what = "parameters of {}, billions: shared key and value head, SwiGLU, tied embeddings, no norm scales"
    for name, (model, shape) in zip(ids(1), PALM.items(), strict=False):
        yield entry(
            name, "Table 1", what.format(model), parameters_printed(model), ratio(palm_parameters(**shape), 1e9)
        )
    small, large = PALM["PaLM 8B"], PALM["PaLM 540B"]
    with_norms = palm_parameters(**large, norms=large["layers"] + 1)
    yield entry(
        "A004", "Table 1", "PaLM 540B with norm scales", parameters_printed("PaLM 540B"), ratio(with_norms, 1e9)
    )
    power_of_two = palm_parameters(**small, vocabulary=2**18)
    yield entry("A005", "Table 1", "PaLM 8B with 2^18 tokens", parameters_printed("PaLM 8B"), ratio(power_of_two, 1e9))
    inner = ratio(palm_parameters(**large, vocabulary=0), 1e9)
    yield entry("A006", "Figure 12", "non-embedding parameters of PaLM 540B, billions (label 535b)", "535", inner)


def training() -> Iterator[Check]:
    """Batches and mixtures."""
    for name, sequences, printed in (("A007", 512, "1M"), ("A008", 1024, "2M"), ("A009", 2048, "4M")):
        yield entry(name, "section 5", f"tokens of {sequences} sequences", printed, product([sequences, LENGTH]))
    schedule = tokens_of_schedule([(512, 50_000), (1024, 65_000), (2048, 140_000)])
    yield entry("A010", "section 5", "tokens by step 255k of the 540B run", "780B", schedule)
    parts = ["social media conversations (multilingual)", "filtered webpages (multilingual)", "books", "GitHub code"]
    parts += ["Wikipedia (multilingual)", "news"]
    mixture = [CELLS.value("T2", part, "percent of tokens") for part in parts]
    yield entry("A011", "Table 2", "the mixture, percent", "100", total(mixture))
    refreshed = [40, 27, 13, 10, 4, 1, 5]
    yield entry("A012", "appendix F", "the mixture of the longer training, percent", "100", total(refreshed))


def system() -> Iterator[Check]:
    """Two pods and their utilisation (sections 4 and 4.1)."""
    row = "PaLM 540B"
    parameters = CELLS.value("T1", row, "parameters")
    speed = CELLS.value("TX1", row, "tokens a second")
    peak = product([6144, TPU_V4])
    yield entry("A013", "section 4", "chips a pod: 12-way model, 256-way data parallelism", "3072", product([12, 256]))
    yield entry("A014", "section 4", "chips of two pods", "6144", product([2, 3072]))
    yield entry("A015", "section 4", "hosts of two pods", "1536", product([2, 768]))
    column = "GB of gradients a pair of hosts"
    printed, gradients = CELLS.printed("TX1", row, column), gradients_per_host(parameters, hosts=768)
    yield entry("A016", "section 4", "gradients a pair of hosts exchanges in a step, GiB", printed, gradients)
    bits = burst(CELLS.value("TX1", row, column), pairs=768, seconds=0.2)
    where = "section 4 (200 ms: version 1 alone)"
    yield entry("A017", where, "burst of all pairs, Tbps", CELLS.printed("TX1", row, "burst, Tbps"), bits)
    scaling = percent(CELLS.value("TX1", row, "two pods over one"), 2)
    yield entry("A018", "section 4", "weak scaling, percent", CELLS.printed("TX1", row, "weak scaling %"), scaling)
    bare = utilisation(speed, flops_per_token(540e9), peak)
    printed = CELLS.printed("TX1", row, "MFU without attention %")
    yield entry("A019", "section 4.1", "MFU of PaLM 540B without attention", printed, bare)
    shape = {"layers": 118, "heads": 48}
    mfu = utilisation(speed, flops_per_token(parameters, **shape), peak)
    printed = CELLS.printed("T3", "PaLM 540B on 6144 TPU v4", "MFU %") + "%"
    yield entry("A020", "Table 3", "MFU of PaLM 540B", printed, mfu)
    hfu = utilisation(speed, flops_with_rematerialisation(parameters, **shape, again=0.75), peak)
    printed = CELLS.printed("TX1", row, "HFU %") + "%"
    yield entry(
        "A021", "Table 3, caption", "HFU of PaLM 540B, three quarters of the forward pass done again", printed, hfu
    )


def others() -> Iterator[Check]:
    """Utilisation of other systems (Table 3, appendix B)."""
    megatron, printed = "Megatron-Turing NLG on 2240 A100", CELLS.printed("TX1", "Megatron-Turing NLG", "MFU %") + "%"
    speed, peak = throughput(sequences=1920, seconds=60.1), product([2240, A100])
    yield entry("A022", "appendix B", "Megatron-Turing, thousand tokens a second", "65.43", ratio(speed, 1000))
    rounded = CELLS.value("TX1", "Megatron-Turing NLG", "tokens a second")
    bare = utilisation(rounded, flops_per_token(530e9), peak)
    without = CELLS.printed("TX1", "Megatron-Turing NLG", "MFU without attention %") + "%"
    yield entry("A023", "appendix B", "MFU of Megatron-Turing without attention", without, bare)
    flops = flops_per_token(CELLS.value("T3", megatron, "parameters"), **MEGATRON_TURING)
    what = "MFU of Megatron-Turing (its shape is not in the paper)"
    yield entry("A024", "Table 3", what, printed, utilisation(speed, flops, peak))
    gopher = "Gopher on 4096 TPU v3"
    flops = flops_per_token(CELLS.value("T3", gopher, "parameters"), **GOPHER)
    speed, peak = throughput(sequences=3072, seconds=1 / 0.0152), product([4096, TPU_V3])
    what = "MFU of Gopher at 0.0152 steps a second (batch, shape and peak are not in the paper)"
    yield entry("A025", "Table 3", what, CELLS.printed("T3", gopher, "MFU %") + "%", utilisation(speed, flops, peak))
    slow = ratio(300e9, product([920, 3600]))
    what = "MFU of Gopher from 920 hours for 300B tokens (shape and peak are not in the paper)"
    yield entry("A026", "Table 3 in version 1", what, "30.8%", utilisation(slow, flops, peak))
    gpt3 = CELLS.value("T3", "GPT-3 on V100", "parameters")
    speed = ratio(24.6e12, flops_per_token(gpt3))
    mfu = utilisation(speed, flops_per_token(gpt3, **GPT3), V100)
    what = "MFU of GPT-3 from 24.6 TFLOP/s without attention (shape and peak are not in the paper)"
    yield entry("A027", "Table 3", what, CELLS.printed("T3", "GPT-3 on V100", "MFU %") + "%", mfu)


def compute() -> Iterator[Check]:
    """Table 22, and the emissions."""
    # model, share of the forward pass done again beside the attention, tokens, as printed
    runs = (
        ("PaLM 8B", 0, 780e9, ("0.0550", "0.0561", "4.29e22")),
        ("PaLM 62B", 0, 795e9, ("0.388", "0.392", "3.08e23")),
        ("PaLM 540B", 0.75, 780e9, ("3.28", "4.10", "2.56e24")),
    )
    name = ids(28)
    for model, again, tokens, printed in runs:
        parameters = palm_parameters(**PALM[model])
        shape = {key: PALM[model][key] for key in ("layers", "heads")}
        flops = flops_per_token(parameters, **shape)
        more = flops_with_rematerialisation(parameters, **shape, again=again)
        run = product([flops, tokens])
        yield entry(next(name), "Table 22", f"TFLOPs a token, {model}", printed[0], ratio(flops, 1e12))
        what = f"TFLOPs a token with rematerialisation, {model}"
        yield entry(next(name), "Table 22", what, printed[1], ratio(more, 1e12))
        yield entry(next(name), "Table 22", f"training FLOPs, {model}", printed[2], run)
        days, shown = petaflops_days(run), CELLS.printed("T22", model, "PetaFLOP/s-days")
        what = f"PetaFLOP/s-days, {model}"
        yield entry(next(name), "Table 22", what, shown, three_digits(days) if days > 1000 else days)
    tonnes = emissions([(6144, 1200), (3072, 336)], watts=378.5, pue=1.08, tonnes_per_mwh=0.079)
    yield entry(next(name), "appendix B", "net emissions, tCO2e", "271.43", tonnes)


def code() -> Iterator[Check]:
    """Section 6.4: tokens in billions, gains in points."""
    column, python = "code tokens, billions", "Python tokens, billions"
    palm, coder = "PaLM 540B", "PaLM-Coder 540B"
    seen, seen_python = CELLS.value("T11", palm, column), CELLS.value("T11", palm, python)
    all_code = share(CELLS.value("T2", "GitHub code", "percent of tokens"), 780)
    yield entry("A041", "section 6.4", "code tokens: 5% of 780B", CELLS.printed("T11", palm, column), all_code)
    printed = CELLS.printed("T11", palm, python)
    yield entry("A042", "section 6.4", "Python tokens: about 7% of the code", printed, share(7, seen))
    tuned = total([share(90, 6.5), 1.9])
    yield entry("A043", "section 6.4", "code tokens of the fine-tuning: 90% of 6.5B and 1.9B", "7.75", tuned)
    tuned = total([share(60, 6.5), 1.9])
    yield entry("A044", "section 6.4", "Python tokens of the fine-tuning: 60% of 6.5B and 1.9B", "5.9", tuned)
    printed = CELLS.printed("T11", coder, column)
    yield entry("A045", "Table 11", "code tokens of PaLM-Coder", printed, total([seen, 7.75]))
    printed = CELLS.printed("T11", coder, python)
    yield entry("A046", "Table 11", "Python tokens of PaLM-Coder", printed, total([seen_python, 5.9]))
    less = ratio(CELLS.value("T11", "Codex 12B", python), seen_python)
    yield entry("A047", "section 6.4", "times less Python than Codex", "50", less)
    for name, task, printed in (("A048", "HumanEval pass@100", "12%"), ("A049", "MBPP pass@80", "5%")):
        gain = difference(*(CELLS.value("T12", row, task) for row in (coder, palm)))
        yield entry(name, "section 6.4", f"gain of PaLM-Coder on {task}, points", printed, gain)


def english() -> Iterator[Check]:
    """Table 4: tasks of 29 that PaLM 540B wins."""
    wheres = ("Table 4 (not said in the text)", "section 6.1, Table 4", "section 6.1, Table 4")
    for name, where, shots, printed in zip(ids(50), wheres, SHOTS, ("24", "24", "28"), strict=False):
        rows = (CELLS.values("T4", f"{who}, {shots}", ENGLISH) for who in ("PaLM 540B", "earlier best"))
        yield entry(
            name, where, f"tasks of 29 on which PaLM 540B beats the earlier best, {shots}", printed, wins(*rows)
        )


def averages() -> Iterator[Check]:
    """Tables 5 and 32 from Table 40, 1-shot."""
    longer = "PaLM 62B (1.325T tokens)"
    name = ids(53)
    for model in ("PaLM 8B", "PaLM 62B", longer, "PaLM 540B"):
        table, after = ("T32", ", 1-shot") if model == longer else ("T5", "")
        for kind, tasks in (("average NLG", NLG), ("average NLU", NLU)):
            printed = CELLS.printed(table, model, kind + after)
            found = mean(CELLS.values("T40", f"{model}, 1-shot", tasks))
            what = f"{kind} of {model}, {len(tasks)} rows of Table 40"
            yield entry(next(name), f"Table {table[1:]}", what, printed, found)
    exchanged = {"PaLM 8B": "PaLM 62B", "PaLM 62B": "PaLM 8B"}
    for model, other in exchanged.items():
        winograd = CELLS.value("T40", f"{other}, 1-shot", "Winograd")
        what = f"average NLU of {model} with the Winograd cells of 8B and 62B exchanged"
        yield nlu_with(next(name), model, "Winograd", winograd, what)
    what = "average NLU of PaLM 540B with ANLI R2 of version 1"
    yield nlu_with(next(name), "PaLM 540B", "ANLI R2", 58.7, what)


def nlu_with(name: str, model: str, task: str, value: float, what: str) -> Check:
    """Makes the check of Table 5's NLU average with one cell of Table 40 replaced."""
    printed = CELLS.printed("T5", model, "average NLU")
    return entry(name, "Table 5", what, printed, mean(replaced("T40", f"{model}, 1-shot", NLU, {task: value})))


def replaced(table: str, row: str, columns: Sequence[str], other: Mapping[str, float]) -> list[float]:
    """Returns the values of some columns of a row, some of them replaced."""
    return [other[column] if column in other else CELLS.value(table, row, column) for column in columns]


def mmlu() -> Iterator[Check]:
    """Table 6."""
    for name, model in zip(ids(64), (*PALM, "Chinchilla"), strict=False):
        found = weighted_mean(CELLS.values("T6", model, list(MMLU)), list(MMLU.values()))
        what = f"MMLU average of {model} over 57 subjects"
        yield entry(name, "Table 6", what, CELLS.printed("T6", model, "average"), found)
    gain = difference(*(CELLS.value("T6", model, "average") for model in ("PaLM 540B", "Chinchilla")))
    yield entry("A068", "section 6.1.1", "MMLU gain of PaLM 540B, points", "2", gain)


def superglue() -> Iterator[Check]:
    """Tables 7 and 9."""
    tuned = ["ST-MoE-32B, fine-tuned", "PaLM 540B, fine-tuned"]
    rows = [("T7", row) for row in ("T5-11B, fine-tuned", *tuned)]
    rows += [("T9", row) for row in (tuned[0], "best decoder-only (GPT-3), few-shot", tuned[1])]
    for name, (table, row) in zip(ids(69), rows, strict=False):
        scores = [CELLS.values(table, row, columns) for columns in SUPERGLUE]
        found = mean([mean(pair) if len(pair) > 1 else pair[0] for pair in scores])
        what = f"SuperGLUE average, {row}"
        yield entry(name, f"Table {table[1:]}", what, CELLS.printed(table, row, "average"), found)


def bigbench() -> Iterator[Check]:
    """Section 6.2."""
    row = "worked example, printed as logical_sequence"
    small, medium, large = CELLS.values("TX2", row, list(PALM))
    what, projected = "projection for 540B from 13% and 25%", projection(small=small, medium=medium)
    yield entry("A075", "section 6.2", what, CELLS.printed("TX2", row, "projection") + "%", projected)
    printed = CELLS.printed("TX2", row, "discontinuity") + "%"
    jump = difference(large, CELLS.value("TX2", row, "projection"))
    yield entry("A076", "section 6.2", "discontinuity of the worked example", printed, jump)
    row, where = "PaLM 540B, 5-shot", "section 6.2, Figure 4"
    what = "tasks of 58 on which PaLM 540B beats the earlier best: bars above zero"
    yield entry("A077", where, what, CELLS.printed("TX2", row, "tasks won of 58"), positive(FIGURE_4))
    printed = CELLS.printed("TX2", row, "tasks with the average human better, % of 150") + "%"
    what, found = "tasks with the average human better: bars below zero", percent(BARS_BELOW_ZERO_IN_FIGURE_6, 150)
    yield entry("A078", "section 6.2, Figure 6", what, printed, found)


def chance() -> Iterator[Check]:
    """Tables 42, 43 and 41."""
    name = ids(79)
    tasks = [(table, task, level) for table, levels in CHANCE.items() for task, level in levels.items()]
    for table, task, level in tasks:
        for who in ("PaLM 540B", "average human"):
            found = normalised(CELLS.value(table, task, f"{who}, raw"), level)
            what = f"{task}, {who}, normalised with a deduced chance"
            yield entry(next(name), f"Table {table[1:]}", what, CELLS.printed(table, task, f"{who}, normalised"), found)
    lite = CELLS.facts("T41")
    palm, best = ([fact.value for fact in lite if fact.column == who] for who in ("PaLM 540B", "best human"))
    what = "BIG-bench Lite tasks of 24 on which PaLM 540B exceeds the best human"
    yield entry(next(name), "Figure 7 in version 1, Table 41", what, "3", wins(palm, best))


def reasoning() -> Iterator[Check]:
    """Section 6.3.1, Figures 9 and 10."""
    what = "reasoning sets of 7 on which PaLM 540B beats the earlier best with chain of thought"
    yield entry("A104", "section 6.3.1, Figure 10", what, "4", wins(CHAIN_OF_THOUGHT, EARLIER_BEST))
    what = 'the same with direct prompts ("only SVAMP")'
    yield entry("A105", "section 6.3.1, Figure 10", what, "1", wins(DIRECT, EARLIER_BEST))
    yield entry("A106", "Figure 9", "errors of PaLM 62B in 150 examples", "45", total([20, 18, 7]))


def generation() -> Iterator[Check]:
    """Sections 6.5 and 6.6: translation and GEM; learning rates."""
    gain = difference(*(CELLS.value("T14", f"{who}, 1-shot", "De-En") for who in ("PaLM 540B", "earlier best")))
    yield entry("A107", "section 6.5", "largest gain over an earlier language model, BLEU: De-En, 1-shot", "13", gain)
    for name, pair, printed in (("A108", "En-De", "13"), ("A109", "En-Fr", "17")):
        growth = difference(*(CELLS.value("T19", pair, f"{model}, full") for model in ("PaLM 540B", "PaLM 62B")))
        yield entry(name, "section 6.5", f"BLEU gained from 62B to 540B, {pair}, 0-shot", printed, growth)
    palm = CELLS.values("T16", "PaLM 540B, fine-tuned", TO_ENGLISH)
    t5 = CELLS.values("T16", "T5 XXL, fine-tuned", TO_ENGLISH)
    earlier = [-math.inf, *CELLS.values("T16", "earlier best, fine-tuned", TO_ENGLISH[1:])]  # none for en-en
    what = "summarisation tasks of 6 into English on which fine-tuned PaLM 540B beats all others"
    yield entry("A110", "section 6.6.1", what, "4", wins(palm, [max(pair) for pair in zip(t5, earlier, strict=True)]))
    earlier[-1] = 19.7  # XSum in version 1
    what = "the same with the earlier best on XSum of version 1"
    best = [max(pair) for pair in zip(t5, earlier, strict=True)]
    yield entry("A111", "section 6.6.1 in version 1", what, "5", wins(palm, best))
    what = "learning rate at step 255k over the one of fine-tuning"
    yield entry("A112", "section 6.6", what, "20", ratio(learning_rate(255_000), 5e-5))
    yield entry("A113", "section 5", "learning rate at step 10,000", "1e-2", learning_rate(10_000))


def tydiqa() -> Iterator[Check]:
    """Table 17."""
    rows = ("mT5 XXL, fine-tuned", "ByT5 XXL, fine-tuned", "PaLM 540B, fine-tuned", "PaLM 540B, few-shot")
    for name, row in zip(ids(114), rows, strict=False):
        found = mean(CELLS.values("T17", row, TYDIQA))
        yield entry(name, "Table 17", f"TyDiQA average, {row}", CELLS.printed("T17", row, "average"), found)


def memorisation() -> Iterator[Check]:
    """Section 7, Figure 18a: a line through three sizes."""
    # ln of the billions of parameters, to the four decimals that the shares of the figure deserve
    size = [round(math.log(CELLS.value("T1", model, "parameters in billions")), 4) for model in PALM]
    row, where = "fit over the PaLM sizes", "section 7, Figure 18a"
    printed = CELLS.printed("TX3", row, "slope a unit of ln N")
    yield entry("A118", where, "slope of the memorised share against ln N", printed, slope(size, MEMORISED))
    printed = CELLS.printed("TX3", row, "R squared")
    yield entry("A119", where, "R squared of the same line", printed, r_squared(size, MEMORISED))


def contamination() -> Iterator[Check]:
    """Section 8, Tables 18 and 19."""
    for name, model in (("A120", "PaLM 8B"), ("A121", "PaLM 540B")):
        column = f"{model}, clean minus full"
        deltas = [fact.value for fact in CELLS.facts("T18") if fact.column == column]
        what = f'sets of 10 that are worse when clean, {model} ("an equal number positive and negative")'
        yield entry(name, "section 8", what, "5", negative(deltas))
    clean = difference(*(CELLS.value("T19", "De-En", f"PaLM 540B, {part}") for part in ("clean", "full")))
    what = 'De-En, PaLM 540B: clean minus full BLEU ("roughly 3.0 worse on the clean set")'
    yield entry("A122", "section 8", what, "-3.0", clean)


def nine_scores() -> Iterator[Check]:
    """Section 13 and appendix F: Tables 21 and 31."""
    name, longer = ids(123), ("T31", "PaLM 62B (1.325T tokens)")
    rows = [("T21", row) for row in (*PALM, "Chinchilla", "Gopher")]
    for table, row in rows:
        yield nine_average(next(name), table, row)
    v1 = mean(replaced("T21", "PaLM 540B", NINE, V1_NINE))
    yield entry(next(name), "Table 20 in version 1", "average of the nine scores, PaLM 540B", "69.8", v1)
    yield nine_average(next(name), *longer)
    for table, row in (*rows, longer):
        size, tokens = CELLS.values(table, row, ["parameters in billions", "tokens in billions"])
        what, printed = f"training zettaFLOPs, {row}", CELLS.printed(table, row, "training zettaFLOPs")
        yield entry(next(name), f"Table {table[1:]}", what, printed, zettaflops(parameters=size, tokens=tokens))
    more = change(*(CELLS.value("T31", row, "tokens in billions") for row in (longer[1], "PaLM 62B")))
    yield entry("A136", "appendix F", "more training FLOPs by going from 795B to 1325B tokens", "67%", more)
    times = ratio(*(CELLS.value("T31", row, "training zettaFLOPs") for row in ("PaLM 540B", longer[1])))
    yield entry("A137", "appendix F", "training FLOPs of 540B over 62B at 1325B tokens", "5x", times)
    same = ratio(product([62, 7]), product([540, 0.78]))
    yield entry("A138", "section 13", '62B x 7T over 540B x 0.78T tokens ("roughly the same")', "1", same)


def nine_average(name: str, table: str, row: str) -> Check:
    """Makes the check of an average of the nine scores."""
    found = mean(CELLS.values(table, row, NINE))
    what = f"average of the nine scores, {row}"
    return entry(name, f"Table {table[1:]}", what, CELLS.printed(table, row, "average"), found)


def languages() -> Iterator[Check]:
    """Appendix D, Table 29, in billions of tokens."""
    listed = total([fact.value for fact in CELLS.facts("T29")])
    seen = CELLS.value("T11", "PaLM 540B", "code tokens, billions")
    english_tokens = CELLS.value("T29", "billions of tokens", "en")
    what = "English share of the tokens without code, from the 122 rows that are printed"
    yield entry("A139", "Table 29", what, "77.984%", percent(english_tokens, listed))
    what = "tokens of the printed languages and of code"
    yield entry("A140", "section 3, Table 29", what, "780B", product([total([listed, seen]), 1e9]))
    yield entry("A141", "section 1", "share that is not English, percent", "22%", difference(100, 77.984))
