"""A run that is loaded again is the run as it ended."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from repro import load_run, paths
from repro.errors import UserError
from repro.records.record import read_record, write_record

ROOT = Path(__file__).parents[2]
PAPERS = ("lora", "finetune", "frozen", "bitfit", "adapter")


def recorded(folder, name="validation-best"):
    return [json.loads(line) for line in (folder / "predictions" / f"{name}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("paper", PAPERS)
def test_it_predicts_to_the_bit_what_the_run_recorded_of_its_best_epoch(paper, trained):
    run = load_run(trained(paper))
    assert run.predict(run.task.examples("validation").rows) == recorded(trained(paper))


def test_two_lines_give_a_network_that_can_be_asked(trained):
    network, tokenizer = load_run(trained("lora"))
    run = load_run(trained("lora"))
    text = run.task.examples("validation").rows[3]["sentence1"]
    assert not network.training
    assert not any(module.training for module in network.modules())
    with torch.no_grad():
        logits = network(**tokenizer(text, return_tensors="pt")).logits
    assert logits.tolist()[0] == pytest.approx(recorded(trained("lora"))[3]["scores"], abs=1e-5)


def test_a_run_that_ended_before_any_epoch_is_loaded_as_it_ended(trained):
    less = recorded(trained("lora", "trainer.max_steps=1"), "validation-last")
    assert less != recorded(trained("lora"))
    run = load_run(trained("lora", "trainer.max_steps=1"))
    assert run.predict(run.task.examples("validation").rows) == less


def test_it_is_found_by_folder_record_and_the_beginning_of_its_identity(trained, monkeypatch):
    folder = trained("lora")
    monkeypatch.setenv("REPRO_RUNS_DIR", str(folder.parents[3]))
    found = [load_run(name).record.identity for name in (folder, folder / "record.json", folder.name[:8])]
    assert found == [folder.name] * 3


def test_nothing_of_the_generator_is_used_up(trained):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_run(trained("lora"))
    assert torch.equal(torch.rand(3), expected)


def test_the_network_that_ships_is_loaded_too():
    network, tokenizer = load_run(paths.TINY / "encoder")
    words = tokenizer("the [MASK] .", return_tensors="pt")
    assert network(**words).logits.shape == (1, 5, len(tokenizer))


def test_weights_that_were_moved_are_found_in_their_new_place(trained, tmp_path, monkeypatch):
    shutil.copytree(paths.TINY / "encoder", tmp_path / "old" / "mine")
    words = ("network=hf", f"network.path={tmp_path}/old/mine", f"weights_dir={tmp_path}/old")
    folder = trained("lora", *words, "trainer.max_epochs=1")
    (tmp_path / "old").rename(tmp_path / "new")
    with pytest.raises(UserError, match=r"the network's folder .*/old/mine is missing"):
        load_run(folder)
    monkeypatch.setenv("REPRO_WEIGHTS_DIR", str(tmp_path / "new"))
    run = load_run(folder)
    assert run.predict(run.task.examples("validation").rows) == recorded(folder)


def test_a_record_without_its_run_says_how_to_make_it_again(trained, tmp_path, places):
    record = read_record(trained("lora") / "record.json")
    write_record(record, tmp_path / "results" / "records" / record.file_name)
    with pytest.raises(UserError, match=r"is a record alone, .*: make it again: python -m repro paper=lora") as error:
        load_run(record.identity)
    for word in ("task=glue/custom", "task.label=verdict", "trainer.max_epochs=2", "seed=0"):
        assert word in str(error.value).split()


def test_a_product_that_was_removed_and_a_run_that_diverged_are_named(trained, tmp_path):
    shutil.copytree(trained("lora"), tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "product")
    with pytest.raises(UserError, match=r"run/product is not there: .* made again: .* rerun=true"):
        load_run(tmp_path / "run")
    record = read_record(tmp_path / "run" / "record.json")
    write_record(type(record)(**{**record.content(), "diverged": 1}), tmp_path / "run" / "record.json")
    with pytest.raises(UserError, match="diverged: nothing can be loaded"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize("section", ["task", "paper"])
def test_a_record_of_a_stranger_makes_nothing_but_tasks_and_papers(section, trained, tmp_path):
    shutil.copytree(trained("lora"), tmp_path / "run")
    record = read_record(tmp_path / "run" / "record.json")
    theirs = {"_target_": "os.system", "_args_": [f"touch {tmp_path}/sprung"]}
    config = {**record.config, section: {**record.config[section], "extra": theirs}}
    write_record(type(record)(**{**record.content(), "config": config}), tmp_path / "run" / "record.json")
    with pytest.raises(UserError, match=r"names os\.system: a record names a class of repro\.tasks or repro\.papers"):
        load_run(tmp_path / "run")
    assert not (tmp_path / "sprung").exists()


def test_importing_the_project_imports_nothing_heavy():
    script = "import sys, repro; print([name for name in ('torch', 'hydra', 'yaml') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
