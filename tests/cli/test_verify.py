"""`verify`: what changes is an error, nothing heavy is imported, and formulas count what the real modules have."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from repro.cli import verify
from repro.errors import UserError
from repro.ledger.analytic import lora
from repro.ledger.verify import papers


@pytest.fixture
def only(monkeypatch):
    """Returns a function that leaves some numbers of LoRA, with fields replaced."""
    known = {check.id: check for check in lora.checks()}

    def leave(*ids: str, **fields) -> None:
        numbers = [dataclasses.replace(known[id], **fields) for id in ids]
        monkeypatch.setattr(lora, "checks", lambda: numbers)

    return leave


def q_and_v(model: str, rank: int, targets: list[str]) -> dict:
    return {
        "paper": "lora",
        "model": model,
        "settings": {"rank": rank, "alpha": rank, "dropout": 0.0, "targets": targets},
    }


@pytest.mark.parametrize("paper", papers())
def test_every_agreement_is_the_one_that_is_written_down(paper, capsys):
    assert verify.main([paper]) == 0
    assert "CHANGED" not in capsys.readouterr().out


def test_a_number_that_agrees_no_longer_is_shown_and_fails(only, capsys):
    only("A21", "A22", printed="0.3M")
    assert verify.main(["lora"]) == 1
    said = capsys.readouterr().out
    assert "1 CHANGED" in said
    assert "A22" in said
    assert "A21" not in said


def test_a_number_that_agrees_against_what_is_written_down_fails(only, capsys):
    only("A23", printed="2.4M")
    assert verify.main(["lora"]) == 1
    assert "CHANGED" in capsys.readouterr().out


def test_an_unknown_paper_is_met_with_the_nearest():
    with pytest.raises(UserError, match="did you mean lora"):
        verify.main(["loar"])


def test_without_modules_no_torch_is_imported():
    script = "import sys; from repro.__main__ import main; code = main(['verify', '--all'])\n"
    script += "heavy = [name for name in ('torch', 'transformers', 'numpy', 'hydra') if name in sys.modules]\n"
    script += "print(code, heavy)"
    folder = Path(verify.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=folder, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


# The counts below are worked out by hand in tests/ledger/analytic/test_lora.py, or are those of released checkpoints.


@pytest.mark.parametrize(
    ("model", "rank", "targets", "parameters"),
    [
        ("roberta-base", 8, ["query", "value"], 294912),
        ("roberta-large", 8, ["query", "value"], 786432),
        ("deberta-v2-xxlarge", 16, ["query_proj", "value_proj"], 4718592),
        ("gpt2-medium", 4, ["c_attn"], 393216),
        ("gpt2-large", 4, ["c_attn"], 737280),
        ("gpt3-175b", 4, ["c_attn"], 18874368),
        ("gpt3-175b", 8, ["attn.c_proj"], 18874368),
        ("gpt3-175b", 4, ["query", "value"], 18874368),  # 96 * 2 * 2 * 12,288 * 4, by hand as the others
        ("gpt3-175b", 2, ["value"], 4718592),
        ("gpt3-175b", 1, ["query", "key", "value", "output"], 9437184),
        ("deberta-v2-xxlarge", 8, ["output"], 1179648),  # 48 * 2 * 1,536 * 8
    ],
)
def test_lora_is_counted_on_the_modules_that_a_run_would_train(model, rank, targets, parameters):
    assert verify.count(q_and_v(model, rank, targets)) == parameters


def test_a_head_counts_only_where_it_is_meant():
    module = q_and_v("roberta-base", 8, ["query", "value"])
    assert verify.count({**module, "classes": 2}) == 887042  # 294,912, a dense layer of 590,592, and 2 * 769


@pytest.mark.parametrize(
    ("module", "parameters"),
    [
        ({"model": "roberta-base"}, 124645632),
        ({"model": "roberta-large"}, 355359744),
        ({"model": "gpt2"}, 124439808),
        ({"model": "bart-large"}, 406291456),
        ({"paper": "finetune", "model": "gpt2-medium"}, 354823168),
        ({"paper": "finetune", "model": "gpt2-large"}, 774030080),
        ({"paper": "finetune", "model": "roberta-base"}, 124645632 - 768 * 769),  # the pooler is no part of it
    ],
)
def test_whole_networks_have_the_parameters_of_their_checkpoints(module, parameters):
    assert verify.count(module) == parameters


@pytest.mark.parametrize(
    ("model", "settings", "parameters"),
    [
        ("roberta-large", {"kind": "houlsby", "bottleneck": 8}, 835968),  # 48 of 2 * 8,192 + 8 + 1,024
        ("roberta-large", {"kind": "pfeiffer", "bottleneck": 64}, 3171840),  # 24 of 2 * 65,536 + 64 + 1,024
        ("roberta-base", {"kind": "drop", "bottleneck": 48}, 894528),  # 12 of 2 * 36,864 + 48 + 768
        ("roberta-base", {"kind": "drop", "bottleneck": 48, "dropped": 0.6667}, 298176),  # 4 of them
        ("gpt2-medium", {"kind": "lin", "bottleneck": 6}, 368784),  # 24 of 2 * 6,144 + 6 + 1,024 and of 2 * 1,024
        ("gpt3-175b", {"kind": "houlsby", "bottleneck": 1}, 7078080),  # 192 of 2 * 12,288 + 1 + 12,288
        ("deberta-v2-xxlarge", {"kind": "houlsby", "bottleneck": 1}, 442464),  # 96 of 2 * 1,536 + 1 + 1,536
    ],
)
def test_adapters_are_counted_on_the_modules_that_a_run_would_train(model, settings, parameters):
    assert verify.count({"paper": "adapter", "model": model, "settings": settings}) == parameters


def test_biases_are_counted_on_the_networks_that_a_run_would_train():
    assert verify.count({"paper": "bitfit", "model": "roberta-base"}) == 102144  # 12 * 11 * 768 and 768
    assert verify.count({"paper": "bitfit", "model": "gpt2-medium"}) == 271360  # 24 * 11 * 1,024 and 1,024


def test_agreement_is_judged_by_the_count_and_a_formula_must_equal_it(only, capsys):
    only("A21", "A114")
    assert verify.main(["lora", "--modules"]) == 0
    assert "2 of 2 numbers counted on modules, 0 not as the formula" in capsys.readouterr().out
    only("A21", module=q_and_v("roberta-base", 16, ["query", "value"]))
    assert verify.main(["lora", "--modules"]) == 1
    said = capsys.readouterr().out
    assert "counted on the modules" in said
    assert "CHANGED" in said
    assert "A21: the modules have 589,824, the formula says 294,912" in said


def test_an_unknown_model_or_paper_of_a_module_is_named():
    with pytest.raises(UserError, match="did you mean roberta-base"):
        verify.count({"model": "roberta-bse"})
    with pytest.raises(UserError, match="did you mean lora"):
        verify.count({**q_and_v("gpt2", 4, ["c_attn"]), "paper": "lorra"})


@pytest.mark.slow
def test_every_formula_equals_the_count_on_its_modules(capsys):
    assert verify.main(["--modules"]) == 0
    assert "CHANGED" not in capsys.readouterr().out
