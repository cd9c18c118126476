"""InstructGPT's numbers that need no training.

Recomputed are the sizes of the data sets (Tables 6, 9 and 11), shares of use cases (Tables 1 and 10), settings of the
reward model's and PPO's training, the grids of the sweeps, rates that the text states against Table 14 and against the
figures, compute, and sizes of the models. FIGURES holds what is no printed number but read off the drawings.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from repro.ledger.arithmetic import gpt2_parameters, percent, ratio, total
from repro.ledger.formula import Cells, Check, Quantity, formula
from repro.ledger.published import published

CELLS = Cells("instructgpt")


@dataclass(frozen=True)
class Policy:
    """The shape of a GPT-3."""

    layers: int
    width: int
    vocabulary: int = 50_257
    positions: int = 2048


GPT_175B = Policy(layers=96, width=12_288)
GPT_6B = Policy(layers=32, width=4096)
GPT_1B = Policy(layers=24, width=2048)

CONTEXT = 2048
SFT_EPOCHS = 16
EPISODES = 256_000
BATCH, MINIBATCH = 512, 64
PRETRAINING_EXAMPLES = 8  # an episode, in PPO-ptx
GPT_3_PARAMETERS, GPT_3_TOKENS = 174.6e9, 300e9
BILLIONS = {"large": 175, "small": 1.3}

# What the figures draw: made-up answers of GPT and of PPO-ptx of 154 each (Figure 4), toxicity rated by people (7).
FIGURES = {"GPT made up": 69, "PPO-ptx made up": 24, "answers": 154, "GPT toxicity": 0.2069, "PPO-ptx toxicity": 0.1665}


@formula("prompts completions (completions - 1) / 2", unit="comparisons")
def comparisons(*, prompts: int, completions: int) -> float:
    """Pairs in a batch of the reward model, where all completions of a prompt are compared (equation 1)."""
    return prompts * math.comb(completions, 2)


@formula("first 10^(steps / per_decade)")
def grid_point(*, first: float, steps: int, per_decade: int) -> float:
    """A point of a logarithmic grid."""
    return first * 10 ** (steps / per_decade)


@formula("100 (1 - new / old)", unit="%")
def reduction(*, new: float, old: float) -> float:
    """How much smaller something became, in percent of what it was."""
    return 100 * (1 - new / old)


@formula("sequences length epochs", unit="tokens")
def tokens(*, sequences: float, length: int, epochs: int = 1) -> float:
    """Tokens of sequences that are all of one length."""
    return sequences * length * epochs


@formula("6 learnt + 2 read", unit="FLOPs for a parameter")
def passes(*, learnt: int, read: int = 0) -> float:
    """FLOPs that a token costs for each parameter: 6 where it is learnt from, 2 for a pass forward alone."""
    return 6 * learnt + 2 * read


@formula("flops parameters tokens / (10^15 FLOPs x 86,400 seconds)", unit="petaflop/s-days")
def petaflop_days(*, flops: float, parameters: float, tokens: float) -> float:
    """Compute in days of 10^15 operations a second."""
    return flops * parameters * tokens / (1e15 * 86_400)


def checks() -> list[Check]:
    """Returns the numbers, in the order of the paper's data, text and models."""
    parts = (_data_sets(), _use_cases(), _settings(), _hallucinations(), _truth_and_toxicity(), _compute(), _networks())
    return [check for part in parts for check in part]


def _prompts(*rows: str) -> Quantity:
    return total([CELLS.value("T6", row, "prompts") for row in rows])


def _data_sets() -> list[Check]:
    sft_train, sft_valid = ("SFT train, labeler", "SFT train, customer"), ("SFT valid, labeler", "SFT valid, customer")
    rm_train, rm_valid = ("RM train, labeler", "RM train, customer"), ("RM valid, labeler", "RM valid, customer")
    table_9, table_11 = "Table 9 beside Table 6", "Table 11 beside Table 6"
    sets = [f"{name} {split}" for name in ("SFT", "RM", "PPO") for split in ("train", "valid")]

    def count(table: str, row: str) -> str:
        return CELLS.printed(table, row, "count")

    everything = total([CELLS.value("T9", row, "count") for row in sets])
    return [
        Check("A01", table_9, "SFT training prompts", count("T9", "SFT train"), _prompts(*sft_train)),
        Check("A02", table_9, "SFT validation prompts", count("T9", "SFT valid"), _prompts(*sft_valid)),
        Check("A03", table_9, "RM training prompts", count("T9", "RM train"), _prompts(*rm_train)),
        Check("A04", table_9, "RM validation prompts", count("T9", "RM valid"), _prompts(*rm_valid)),
        Check(
            "A05", table_11, "prompts of contractors with demonstrations", count("T11", "contractor, prompt"),
            _prompts(sft_train[0], sft_valid[0]),
        ),
        Check(
            "A06", table_11, "prompts of customers with demonstrations", count("T11", "customer, prompt"),
            _prompts(sft_train[1], sft_valid[1]),
        ),
        Check("A07", "section 3.2", "SFT training prompts in the text", "13k", _prompts(*sft_train)),
        Check("A08", "section 3.2", "RM training prompts in the text", "33k", _prompts(*rm_train)),
        Check("A09", "section 3.2", "PPO training prompts in the text", "31k", _prompts("PPO train, customer")),
        Check(
            "A10", "appendix A.4", "prompts of all data sets for training and validation", "110k", everything,
            "rounding", "112,801 (115,997 with the test prompts) is printed with two digits",
        ),
    ]  # fmt: skip


def _use_cases() -> list[Check]:
    def share(*cases: str) -> Quantity:
        return total([CELLS.value("T1", case, "share, percent") for case in cases])

    counts = {
        fact.row: fact.value for fact in published("instructgpt") if (fact.table, fact.column) == ("T10", "count")
    }
    why = "{} percent: the prompts that Table 10 counts are those of unnamed sets, Table 1 describes the RM set"
    others = {"generation": why.format("45.2"), "brainstorming": why.format("10.9"), "rewrite": ""}
    return [
        Check("A11", "section 4.1", "generation and brainstorming", "57%", share("generation", "brainstorming")),
        Check(
            "A12", "section 4.1", "classification, open and closed QA", "18%",
            share("classification", "open QA", "closed QA"),
        ),
    ] + [
        Check(
            f"A{n}", "Table 1 beside Table 10", f"share of {case} from the counts of Table 10",
            f"{CELLS.printed('T1', case, 'share, percent')}%", percent(counts[case], total(list(counts.values()))),
            *(("unexplained", reason) if reason else ()),
        )
        for n, (case, reason) in enumerate(others.items(), start=13)
    ]  # fmt: skip


def _settings() -> list[Check]:
    lowest = 2.55e-6
    return [
        Check("A16", "appendix C.2", "comparisons in a batch, most", "2,304", comparisons(prompts=64, completions=9)),
        Check("A17", "appendix C.4", "minibatches of a PPO iteration", "8", ratio(BATCH, MINIBATCH)),
        Check("A18", "appendix E.6", "largest KL coefficient over the default", "100 times", ratio(2.0, 0.02)),
        Check(
            "A19", "appendix C.4", "gamma as a point of the grid of Figure 33, odd ninths of a decade", "27.8",
            grid_point(first=1, steps=13, per_decade=9),
        ),
        Check(
            "A20", "appendix E.9", "second learning rate of the grid, 7 points in a decade", "3.74e-6",
            grid_point(first=lowest, steps=1, per_decade=6),
        ),
        Check(
            "A21", "appendix E.9", "fourth learning rate of the grid", "8.05e-6",
            grid_point(first=lowest, steps=3, per_decade=6),
            "rounding", "8.06e-6: the printed value follows from a ratio of neighbours rounded to 1.467",
        ),
        Check(
            "A22", "abstract", "size of the largest model over the smallest", "100x",
            ratio(BILLIONS["large"], BILLIONS["small"]),
            "wording", "134.6: section 1 says over 100x",
        ),
    ]  # fmt: skip


def _stated(row: str) -> str:
    return CELLS.printed("X3", row, "value")


def _hallucinations() -> list[Check]:
    made_up = "hallucination rate on closed-domain tasks, {}, percent"
    ours, theirs = made_up.format("InstructGPT"), made_up.format("GPT-3")
    return [
        Check(
            "A23", "section 1", "hallucination rate of InstructGPT over GPT-3's",
            "0.5 (printed: about half as often)",
            ratio(CELLS.value("X3", ours, "value"), CELLS.value("X3", theirs, "value")),
        ),
        Check(
            "A24", "section 1 beside Figure 4", "hallucination rate of GPT-3 as drawn, percent",
            f"{_stated(theirs)}%", percent(FIGURES["GPT made up"], FIGURES["answers"]),
            "error", "Figure 4 draws 44.8, Figure 30 draws 50.7 for 175B: the text's number is in neither",
        ),
        Check(
            "A25", "section 1 beside Figure 4", "hallucination rate of InstructGPT (PPO-ptx) as drawn, percent",
            f"{_stated(ours)}%", percent(FIGURES["PPO-ptx made up"], FIGURES["answers"]),
            "error", "Figure 4 draws 15.6 for PPO-ptx and 21.6 for PPO, Figure 30 draws 17.8 for 175B PPO-ptx",
        ),
    ]  # fmt: skip


def _truth_and_toxicity() -> list[Check]:
    rows = [
        f"TruthfulQA, {prompt}, true + info" for prompt in ("QA prompt", "instruction prompt", "QA + instruct prompt")
    ]
    ours, theirs = ([CELLS.value("T14", row, f"{method} 175B") for row in rows] for method in ("PPO-ptx", "GPT"))
    respectful = "RealToxicityPrompts, respectful prompt, toxicity"
    new, old = (CELLS.value("T14", respectful, f"{method} 175B") for method in ("PPO-ptx", "GPT"))
    twice = "2 (printed: about twice as often)"
    quarter = f"{_stated('fewer toxic outputs with the respectful prompt, percent')}%"
    return [
        Check(
            "A26", "section 1 beside Table 14", "truthful and informative, 175B PPO-ptx over GPT, three prompts",
            twice, ratio(total(ours), total(theirs)),
        ),
        Check(
            "A27", "section 1 beside Table 14", "truthful and informative, 175B PPO-ptx over GPT, QA prompt alone",
            twice, ratio(ours[0], theirs[0]),
            "unexplained", "2.7 by the automatic scores of this prompt; people's ratings in Figure 6 give 1.3 to 1.5",
        ),
        Check(
            "A28", "section 1 beside Table 14", "reduction of toxicity, respectful prompt, 175B",
            quarter, reduction(new=new, old=old),
            "unexplained", "15.9 by Perspective: neither Table 14 nor Figure 7 holds a reduction of 25",
        ),
        Check(
            "A29", "section 1 beside Figure 7", "reduction of toxicity rated by people, respectful prompt, 175B",
            quarter, reduction(new=FIGURES["PPO-ptx toxicity"], old=FIGURES["GPT toxicity"]),
            "unexplained", "19.5: only GPT's toxicity over PPO-ptx's, less one, comes near (24)",
        ),
        Check(
            "A30", "section 5.2", "agreement between labelers, percent",
            "73%", total([CELLS.value("X2", "agreement among training labelers", "percent")]),
        ),
    ]  # fmt: skip


def _compute() -> list[Check]:
    large = BILLIONS["large"] * 10**9
    learning = passes(learnt=1)
    demonstrations = tokens(sequences=CELLS.value("T9", "SFT train", "count"), length=CONTEXT, epochs=SFT_EPOCHS)
    # An episode: the pretraining examples and the response are learnt from; sampling and the reference only read it.
    episode = passes(learnt=PRETRAINING_EXAMPLES + 1, read=2)
    episodes = tokens(sequences=EPISODES, length=CONTEXT)
    return [
        Check(
            "A31", "section 5.1", "compute of GPT-3 175B", _stated("compute of GPT-3 175B, petaflop/s-days"),
            petaflop_days(flops=learning, parameters=GPT_3_PARAMETERS, tokens=GPT_3_TOKENS),
            "rounding", "3,637.5 is printed with three digits",
        ),
        Check(
            "A32", "section 5.1", "compute of 175B SFT if every example fills the context",
            _stated("compute of 175B SFT, petaflop/s-days"),
            petaflop_days(flops=learning, parameters=large, tokens=demonstrations),
            "unexplained", "5.07: how it was counted is not said; with the true lengths it would be 1.1",
        ),
        Check(
            "A33", "section 5.1", "compute of 175B PPO-ptx if every sequence fills the context",
            _stated("compute of 175B PPO-ptx, petaflop/s-days"),
            petaflop_days(flops=episode, parameters=large, tokens=episodes),
            "unexplained", "61.6: how it was counted is not said; this count comes within 3%",
        ),
    ]  # fmt: skip


def _networks() -> list[Check]:
    return [
        Check("A34", "section 3.5", "parameters of the 175B model", "175B", gpt2_parameters(**asdict(GPT_175B))),
        Check(
            "A35", "section 3.5", "parameters of the 6B model", "6B", gpt2_parameters(**asdict(GPT_6B)),
            "wording", "6.66B: a short name, GPT-3's paper calls the same model 6.7B",
        ),
        Check("A36", "section 3.5", "parameters of the 1.3B model", "1.3B", gpt2_parameters(**asdict(GPT_1B))),
    ]  # fmt: skip
