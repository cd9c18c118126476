"""What a person types, and what they see."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro.__main__ import main, verbs

ROOT = Path(__file__).parents[2]


def python(*words):
    return subprocess.run(
        [sys.executable, "-m", "repro", *words], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_help_names_everything_that_can_be_chosen_and_starts_at_once():
    began = time.perf_counter()
    bare, asked = python(), python("--help")
    assert (time.perf_counter() - began) / 2 < 2  # under a second on an idle machine
    assert bare.stdout == asked.stdout
    for name in ("lora", "finetune", "glue/mrpc", "roberta-base", "tiny/encoder", "minilm", "local", "paper", *verbs()):
        assert f"  {name}" in bare.stdout
    assert {"table", "score", "show", "keep", "doctor"} <= set(verbs())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tabel"], "error: tabel is no verb: did you mean table?"),
        (["paper=lroa"], "error: paper=lroa is not known: did you mean lora?"),
        (["paper=lora", "--dryrun"], "error: --dryrun is no flag: there are -m, --multirun, --dry-run, --quiet"),
        (["paper=lora", "glue"], "error: 'glue' is no override: write KEY=VALUE"),
        (["paper=lora", "seed=0,1"], "error: seed=0,1 is a sweep: add -m"),
        (["paper=lora", "jobs=none", "rerun=true"], "error: jobs=none is no number of processes"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, message, capsys):
    assert main(words) == 2
    written = capsys.readouterr().err
    assert written.startswith(message)
    assert written.count("\n") == 1


def test_a_dry_run_lists_cells_inputs_and_recipes_and_runs_nothing(tmp_path, capsys):
    assert (
        main(["-m", "paper=lora,finetune", "task=glue/rte,glue/sst2", "seed=0,1", "--dry-run", f"runs_dir={tmp_path}"])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("lora ", "finetune ")) for line in lines) == 8
    assert any("recipe conf/recipe/lora/glue/roberta-base-tiny.yaml" in line for line in lines)
    assert any("input start: lora glue/mnli seed 0" in line for line in lines)
    assert lines[-1].startswith("8 cells, ")
    assert list(tmp_path.iterdir()) == []


def test_output_that_is_no_terminal_has_no_control_characters():
    done = python("paper=lora", "task=glue", "--dry-run")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr


def test_doctor_answers_without_timings(capsys):
    assert main(["doctor", "--fast"]) == 0
    out = capsys.readouterr().out
    assert "torch" in out
    assert "glue/mrpc" in out
    assert main(["doctor", "--fast", "dataa_dir=x"]) == 2
    assert "did you mean data_dir?" in capsys.readouterr().err
