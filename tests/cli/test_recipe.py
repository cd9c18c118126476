"""`recipe`: facts of paper and released code beside what is used here, and the sweep over what they disagree in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest

from repro import paths
from repro.__main__ import main
from repro.cli import recipe
from repro.errors import UserError
from repro.ledger.recipe import entries_about, lines, read_entries, same, shown
from repro.runs.compose import composed, flat
from repro.runs.expand import conflicts, expand

EIGHT = ["mnli", "sst2", "mrpc", "cola", "qnli", "qqp", "rte", "stsb"]
MODELS = ["roberta-base", "roberta-large", "deberta-v2-xxlarge"]
CELLS = [(model, task) for model in MODELS for task in EIGHT]


def laid_out(*words):
    """Returns the lines of a cell by kind, and its choices."""
    _, config, choices = composed(words)
    place = {"paper": choices["paper"], "model": choices["model"], "task": choices["task"]}
    used = recipe._used(config) | {key: value for key, (value, _) in recipe.FIXED.items()}
    found = lines(entries_about(place, flat(config)), choices["task"].rpartition("/")[2], used, config["origin"])
    return {kind: {line.key: line for line in part} for kind, part in found.items()}, choices


def published(model, task, *words):
    return laid_out("paper=lora", f"task=glue/{task}", f"model={model}", "scale=paper", *words)


def printed(capsys, *words):
    code = main(["recipe", *words])
    return code, capsys.readouterr()


@pytest.mark.parametrize(("model", "task"), CELLS)
def test_at_paper_scale_each_value_is_the_papers_or_where_it_is_disputed_one_of_the_two(model, task):
    """Facts and recipes were typed from the tables each by itself."""
    found, _ = published(model, task)
    assert set(found["departs"]) <= {"padding", "trainer.precision", "evaluation"}
    for line in found["conflict"].values():
        assert same(line.used, line.paper.value) or same(line.used, line.code.value), line.key
    assert {"optim.lr", "trainer.max_epochs", "task.batch_size", "task.max_length", "paper.rank", "paper.alpha"} <= {
        key for part in found.values() for key, line in part.items() if line.paper and line.code
    }


@pytest.mark.parametrize(
    ("model", "task", "disputed"),
    [
        ("roberta-base", "rte", {"task.batch_size", "paper.alpha", "paper.init"}),
        ("roberta-large", "mrpc", {"task.batch_size", "paper.init"}),
        ("roberta-large", "cola", {"task.batch_size", "paper.init", "optim.lr"}),
        ("roberta-large", "sst2", {"task.batch_size", "paper.init", "task.max_length"}),
        (
            "roberta-large",
            "stsb",
            {"task.batch_size", "paper.init", "optim.lr", "trainer.max_epochs", "task.max_length"},
        ),
        ("deberta-v2-xxlarge", "mrpc", {"task.batch_size", "paper.rank", "paper.alpha"}),
        (
            "deberta-v2-xxlarge",
            "rte",
            {"task.batch_size", "paper.rank", "paper.alpha", "optim.lr", "optim.warmup_ratio"},
        ),
    ],
)
def test_what_paper_and_code_disagree_in_is_known(model, task, disputed):
    assert set(published(model, task)[0]["conflict"]) == disputed


@pytest.mark.parametrize(("model", "task"), CELLS)
def test_the_sweep_holds_both_sides_of_every_dispute_and_nothing_else(model, task):
    found, choices = published(model, task)
    swept = dict(conflicts(choices, "lora/glue"))
    assert swept.pop("trainer.accumulate_grad_batches") == f"1,{found['conflict']['task.batch_size'].code.gpus}"
    disputed = {
        key: line
        for key, line in found["conflict"].items()
        if not same(line.paper.value, line.code.value) and key != "optim.warmup_ratio"
    }
    assert swept.keys() == disputed.keys()
    for key, line in disputed.items():
        both = [str(line.paper.value), str(line.code.value)]
        assert [_number(one) for one in swept[key].split(",")] == [_number(one) for one in both]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def test_the_restricted_set_up_has_its_own_facts():
    found, _ = published("roberta-large", "stsb", "+paper.setup=restricted")
    departs = found["departs"]
    assert (departs["task.batch_size"].paper.value, departs["task.max_length"].paper.value) == (4, 128)
    assert (departs["trainer.max_epochs"].paper.value, departs["inputs.start"].paper.value) == (10, None)
    assert departs["inputs.start"].used == "lora glue/mnli"
    assert not found["conflict"]


def test_the_start_from_the_mnli_adapter_is_laid_beside_the_papers():
    assert published("roberta-base", "rte")[0]["rest"]["inputs.start"].used == "lora glue/mnli"
    assert published("roberta-base", "sst2")[0]["rest"]["inputs.start"].used is None


def test_at_tiny_scale_the_papers_values_still_stand_beside_ours(capsys):
    code, said = printed(capsys, "paper=lora", "task=glue/rte")
    assert code == 0
    text = said.out
    heads = ["paper and released code disagree", "here it is not as published", "all else"]
    assert [text.index(f"\n{head}\n") for head in heads] == sorted(text.index(f"\n{head}\n") for head in heads)
    disputed, departing = text.split(heads[1])[0], text.split(heads[1])[1].split(heads[2])[0]
    assert "32 on each of 8" in disputed
    assert "paper.alpha" in disputed
    learning_rate = next(line for line in departing.splitlines() if line.startswith("optim.lr")).split()
    assert [one.rstrip("¹²³⁴⁵⁶⁷⁸⁹⁰") for one in learning_rate[1:]] == ["5e-4", "5e-4", "0.003"]
    assert "ours: validation scores at seed 1000" in departing
    assert "Table 9 (arXiv:2106.09685v2)" in text
    assert "examples/NLU/roberta_base_*.sh (microsoft/LoRA@" in text


def test_the_command_of_the_sweep_is_one_that_runs_it(capsys):
    text = printed(capsys, "paper=lora", "task=glue/cola")[1].out
    command = next(line for line in text.splitlines() if "+conflicts=" in line)
    grids, _ = expand(command.split("repro ")[1].split())
    assert f"  {len(grids)} cells: trainer.accumulate_grad_batches 1 | 2 x paper.alpha 8 | 16 x" in text
    assert len(grids) == 8


def test_departures_are_said(capsys):
    text = printed(capsys, "paper=lora", "task=glue/sst2", "scale=local", "network=minilm")[1].out
    assert "this recipe departs\n  - SST-2 learns from the first 20,000 of its 67,349 rows" in text


def test_without_published_recipe_a_line_says_so_and_ours_stands_alone(capsys):
    text = printed(capsys, "paper=finetune", "task=glue/rte")[1].out
    assert "no published recipe is known here for finetune glue/rte" in text
    assert "all else\noptim.lr " in text
    assert "copied from the RoBERTa and DeBERTa papers" in text
    assert "+conflicts" not in text
    assert "no published recipe" in printed(capsys, "paper=pretrain/mlm")[1].out


def test_a_value_of_the_users_is_named_as_such(capsys):
    text = printed(capsys, "paper=lora", "task=glue/rte", "paper.rank=4")[1].out
    assert "paper.rank" in text.split("here it is not as published")[1].split("all else")[0]
    assert "given on the command line" in text
    alone = printed(capsys, "paper=lora", "task=glue/rte", "paper.alpha=8")[1].out
    assert "  4 cells: trainer.accumulate_grad_batches 1 | 8 x paper.init published | released" in alone


@pytest.mark.parametrize("width", [80, 100, 120])
def test_it_fits_the_screen(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for words in (["task=glue/stsb"], ["task=glue/qqp", "model=deberta-v2-xxlarge", "scale=paper"]):
        for line in printed(capsys, "paper=lora", *words)[1].out.splitlines():
            assert len(line) <= width or "+conflicts=" in line
            assert line == line.rstrip()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["paper=lora", "task=glue/rte", "model=deberta-v2-xxlarge"], "would supply optim"),
        (["paper=lora", "task=glue/rte", "scale=local"], "scale=local needs a network of yours"),
        (["paper=lora", "task=glue/rte", "optim.lr=???"], "optim.lr has no value"),
        (["paper=lroa"], "paper=lroa is not known: did you mean lora?"),
        (["paper=lora", "papre.rank=4"], "papre is no key of this configuration"),
    ],
)
def test_a_mistake_is_named(capsys, words, said):
    code, found = printed(capsys, *words)
    assert code == 2
    assert said in found.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {id: T1, says: paper, place: a, source: b, condition: {}}", "entry T1 has no values"),
        ("- {id: T1, says: papre, place: a, source: b, condition: {}, values: {}}", "entry T1: says is 'papre'"),
        (
            "- {id: T1, says: paper, place: a, source: b, condition: {}, values: {}, note: {}}",
            "entry T1: note is no key of an entry: did you mean notes?",
        ),
    ],
)
def test_broken_facts_are_named(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr(paths, "FACTS", tmp_path)
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "recipes.yaml").write_text(text)
    with pytest.raises(UserError, match=re.escape(f"recipes.yaml {said}")):
        read_entries(tmp_path / "lora" / "recipes.yaml")


def test_no_two_entries_say_the_same_key_of_a_cell():
    for model, task in CELLS:
        _, config, choices = composed(("paper=lora", f"task=glue/{task}", f"model={model}", "scale=paper"))
        for setup in (None, "restricted"):
            place = {"paper": "lora", "model": choices["model"], "task": choices["task"]}
            entries = entries_about(place, flat(config) | ({"paper.setup": setup} if setup else {}))
            said = [(entry.says, key) for entry in entries for key in entry.values]
            assert len(said) == len(set(said)), (model, task, setup)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5e-4, "5e-4"),
        (1e-8, "1e-8"),
        (1.3e-4, "1.3e-4"),
        (0.06, "0.06"),
        (16.0, "16"),
        (None, "none"),
        (["q", 2], "q, 2"),
    ],
)
def test_values_are_printed_shortly(value, text):
    assert shown(value) == text


def test_it_answers_at_once_and_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from repro.__main__ import main; main(['recipe', 'paper=lora', 'task=glue/rte']); "
        "heavy = ('torch', 'lightning', 'transformers', 'datasets', 'numpy', 'scipy'); "
        "sys.exit(str([name for name in heavy if name in sys.modules] or ''))"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=paths.ROOT, env=os.environ, check=False
    )
    assert done.stderr.strip() == ""
    assert time.perf_counter() - began < 2.0
    assert "optim.lr" in done.stdout
