"""What several tests of the ledger need."""

from __future__ import annotations

import math

import pytest

from repro.ledger.verdict import Claim, Contrast, Judged, JudgedContrast


@pytest.fixture
def make_judged():
    """Returns a function that makes a claim with one judged contrast: ours 0.2 [-0.4, 0.8], at least -0.5 wanted."""

    def make(scale="tiny", network="tiny/encoder", verdict="reproduced", claim="C1", **fields) -> Judged:
        contrast = {
            "says": "LoRA against fine-tuning, average",
            "statistic": "difference",
            "published": 0.8,
            "region": ">= -0.5 points",
            "bounds": (-0.5, math.inf),
            "verdict": verdict,
            "estimate": 0.2,
            "low": -0.4,
            "high": 0.8,
            "n": 5,
            "p": 0.01,
        } | fields
        if contrast["estimate"] is None:
            contrast |= {"low": None, "high": None, "n": 0, "p": None}
        said = Contrast(contrast["says"], "difference", contrast["published"], contrast["region"])
        about = Claim(claim, "LoRA is <on> a par & better.", "Table 2", "arXiv:1", "stated", ("a network",), (said,))
        return Judged(about, scale, network, verdict, "", (JudgedContrast(**contrast),), contrast["p"], contrast["p"])

    return make
