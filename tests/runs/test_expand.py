"""Suites and sweeps, written out."""

from __future__ import annotations

import pytest

from repro.errors import UserError
from repro.runs.expand import chosen, expand, options

EIGHT = ["mnli", "sst2", "mrpc", "cola", "qnli", "qqp", "rte", "stsb"]


def tasks(grids):
    return [grid["task"] for grid in grids]


def test_a_suite_is_the_tasks_that_the_paper_lists():
    grids, notes = expand(["paper=lora", "task=glue"])
    assert tasks(grids) == [f"glue/{name}" for name in EIGHT]
    assert notes == []


def test_a_task_list_needs_no_flag_and_other_sweeps_do():
    assert tasks(expand(["paper=lora", "task=glue/rte,glue/mrpc"])[0]) == ["glue/rte", "glue/mrpc"]
    with pytest.raises(UserError, match="seed=0,1 is a sweep: add -m"):
        expand(["paper=lora", "seed=0,1"])


def test_a_sweep_is_the_product_of_its_values():
    grids, _ = expand(["paper=lora,finetune", "task=glue", "seed=0,1,2"], multirun=True)
    assert len(grids) == 2 * 8 * 3
    assert {grid["seed"] for grid in grids} == {"0", "1", "2"}


def test_a_range_is_a_sweep_too():
    assert [grid["seed"] for grid in expand(["paper=lora", "seed=range(3)"], multirun=True)[0]] == ["0", "1", "2"]


def test_pairs_that_a_paper_does_not_list_are_dropped_with_a_line():
    grids, notes = expand(["paper=lora,pretrain/mlm", "task=glue,world/text"], multirun=True)
    assert len(grids) == 8 + 1
    assert notes == ["lora does not list world/text: left out", "pretrain/mlm has no suite glue: left out"]


def test_nothing_left_is_an_error():
    with pytest.raises(UserError, match=r"nothing is left to run: pretrain/mlm has no suite glue"):
        expand(["paper=pretrain/mlm", "task=glue"])


def test_conflicts_become_a_sweep():
    grids, _ = expand(["paper=lora", "task=glue/rte", "+conflicts=lora/glue"])
    assert len({tuple(grid.items()) for grid in grids}) == len(grids) == 8
    assert {grid["paper.alpha"] for grid in grids} == {"8", "16"}


def test_conflicts_are_those_of_the_model_and_the_task():
    words = ["paper=lora", "task=glue/cola,glue/rte", "model=roberta-base,deberta-v2-xxlarge", "+conflicts=lora/glue"]
    found = {}
    for grid in expand(words)[0]:
        for key in ("paper.alpha", "optim.lr", "trainer.accumulate_grad_batches"):
            found.setdefault((grid["model"], grid["task"], key), set()).add(grid.get(key))
    assert found["roberta-base", "glue/cola", "trainer.accumulate_grad_batches"] == {"1", "2"}
    assert found["roberta-base", "glue/rte", "trainer.accumulate_grad_batches"] == {"1", "8"}
    assert found["deberta-v2-xxlarge", "glue/rte", "paper.alpha"] == {"8", "32"}
    assert found["deberta-v2-xxlarge", "glue/rte", "optim.lr"] == {"0.0002", "0.00026"}
    assert found["roberta-base", "glue/rte", "optim.lr"] == {None}


def test_a_users_value_is_not_swept():
    grids, _ = expand(["paper=lora", "task=glue/rte", "paper.alpha=8", "+conflicts=lora/glue"])
    assert {grid["paper.alpha"] for grid in grids} == {"8"}
    assert len(grids) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["paper=finetune", "+conflicts=lora/glue"], "conflicts=lora/glue is not about finetune on glue/mrpc"),
        (["paper=lora", "+conflicts=lora/gleu"], "conflicts=lora/gleu is not known: did you mean lora/glue"),
    ],
)
def test_conflicts_of_something_else_are_refused(words, said):
    with pytest.raises(UserError, match=said):
        expand(words)


def test_a_paper_brings_its_task_and_model():
    assert chosen({"paper": "lora"}) == {"paper": "lora", "task": "glue/mrpc", "model": "roberta-base", "scale": "tiny"}
    assert chosen({"paper": "pretrain/mlm"})["task"] == "world/text"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("task=gl[e", "can't be read: mismatched input"),
        ("task='x", "can't be read: token recognition error"),
        ("seed=choice()", "can't be read"),
        ("task=glob(*)", "can't be read: ConfigLoader is not set"),
        ("seed=range(0,9,0)", "can't be read: the step of a range is not 0"),
        ("seed=range(nan)", "can't be read"),
        ("seed=range(0,1000000000)", "makes 1,000,000,000 cells: one command runs 10,000 at most"),
        ("seed=range(10001)", "makes 10,001 cells"),
    ],
)
def test_a_value_that_cannot_be_read_or_asks_for_too_much_is_named(word, said):
    with pytest.raises(UserError, match=said):
        expand([word], multirun=True)


def test_a_sweep_over_several_keys_is_bounded_as_a_whole():
    with pytest.raises(UserError, match="makes 20,000 cells"):
        expand(["paper=lora", "seed=range(200)", "optim.lr=range(100)"], multirun=True)
    assert len(expand(["seed=range(9,0,-3)"], multirun=True)[0]) == 3


@pytest.mark.parametrize("word", ["lora", "=lora"])
def test_a_word_that_is_no_override_is_named(word):
    with pytest.raises(UserError, match="is no override"):
        expand([word])


def test_every_option_says_in_a_line_what_it_is():
    for group in ("paper", "task", "model", "network", "scale", "trainer", "logger", "recipe"):
        for name, line in options(group).items():
            assert line, f"conf/{group}/{name}.yaml has no first comment"
