"""The verb `get`: what has a public source, with a hub that is made up, or out of reach."""

from __future__ import annotations

import time

import huggingface_hub
import pytest

from repro import paths
from repro.__main__ import main
from repro.errors import UserError
from repro.models.load import load_network
from repro.tasks.glue import FORMS, GLUE
from repro.tasks.glue_files import FOLDERS


@pytest.fixture
def hub(monkeypatch):
    """A hub with one model and GLUE's tables of two rows; returns what was asked of it."""
    import datasets

    asked = []

    class Session:
        def head(self, address, timeout):
            asked.append(timeout)

    def snapshot_download(name, *, revision, local_dir, allow_patterns, ignore_patterns):
        asked.append((name, revision))
        (local_dir / ".cache").mkdir(parents=True)
        for file in ("config.json", "tokenizer.json", *(["model.safetensors"] if "gpt2" not in name else [])):
            (local_dir / file).write_text("{}")

    def load_dataset(name, task, split):
        asked.append((name, task, split))
        texts = {text: f"a\t{text} of {split}" for text in FORMS[task].hub_texts or FORMS[task].texts}
        label = (lambda number: 3.8 if number else 0.25) if task == "stsb" else lambda number: number
        rows = [{**texts, "idx": number, "label": label(number)} for number in range(2)]
        return [{**row, "label": -1} for row in rows] if split.startswith("test") else rows

    monkeypatch.setattr(huggingface_hub.utils, "get_session", Session)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


@pytest.fixture
def unreachable(monkeypatch):
    def no_session():
        raise OSError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.utils, "get_session", no_session)


def test_alone_it_lists_names_sources_licences_places_and_what_is_there(places, capsys):
    (places.weights_dir / "minilm").mkdir(parents=True)
    (places.weights_dir / "minilm" / "config.json").touch()
    (places.data_dir / "glue" / "RTE").mkdir(parents=True)
    (places.data_dir / "glue" / "RTE" / "train.tsv").touch()
    assert main(["get"]) == 0
    lines = capsys.readouterr().out.splitlines()
    blocks = {lines[place].split()[0]: lines[place : place + 3] for place in range(0, len(lines), 3)}
    assert set(blocks) >= {"glue", "roberta-base", "roberta-large", "deberta-v2-xxlarge", "minilm", "minilm-l3"}
    assert (
        blocks["minilm"][1].strip() == "sentence-transformers/all-MiniLM-L6-v2; licence: its page on the hub names it"
    )
    assert blocks["minilm"][2].strip() == f"{places.weights_dir}/minilm: there"
    assert blocks["roberta-base"][2].endswith("roberta-base: not there")
    assert blocks["glue"][2].endswith("glue: 1 of 9 there")


def test_weights_come_as_safetensors_into_their_place_once(hub, places, capsys):
    folder = places.weights_dir / "deberta-v2-xxlarge"
    assert main(["get", "deberta-v2-xxlarge"]) == 0
    assert hub == [5.0, ("microsoft/deberta-v2-xxlarge", "refs/pr/2")]
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert [file.name for file in places.weights_dir.iterdir()] == ["deberta-v2-xxlarge"]
    assert f"network=hf network.path={folder}" in capsys.readouterr().out
    assert main(["get", "deberta-v2-xxlarge"]) == 0
    assert "there already, nothing is changed" in capsys.readouterr().out
    assert len(hub) == 2
    assert main(["get", "minilm", f"weights_dir={places.weights_dir}/other"]) == 0
    assert "scale=local network=minilm starts from it" in capsys.readouterr().out


def test_weights_without_safetensors_are_refused(hub, places, capsys):
    assert main(["get", "gpt2-large"]) == 2
    assert "has no safetensors on the hub at main" in capsys.readouterr().err
    assert not (places.weights_dir / "gpt2-large").exists()


def test_glue_is_written_in_its_official_form_and_read_back(hub, places, capsys):
    mine = places.data_dir / "RTE" / "train.tsv"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert main(["get", "glue"]) == 0
    printed = capsys.readouterr().out
    assert f"{mine}: there already" in printed
    assert f"{places.data_dir}/glue/CoLA/train.tsv: 2 rows (2 tabs or line ends" in printed
    assert mine.read_text() == "mine"
    for name, folder in FOLDERS.items():
        validation = "dev_matched" if name == "mnli" else "dev"
        files = {"validation": f"glue/{folder}/{validation}.tsv"}
        task = GLUE(name=name, suite="glue", source="files", data_dir=places.data_dir, files=files)
        rows = task.examples("validation").rows
        assert [row["label"] for row in rows] == ([0.25, 3.8] if name == "stsb" else [0, 1])
        split = "validation_matched" if name == "mnli" else "validation"
        first = (FORMS[name].hub_texts or FORMS[name].texts)[0]
        assert rows[1]["sentence1"] == f"a {first} of {split}"
        test = places.data_dir / "glue" / folder / ("test_matched.tsv" if name == "mnli" else "test.tsv")
        assert [row["sentence1"] for row in task.unlabelled(test).rows] == [f"a {first} of {test.stem}"] * 2
        assert FORMS[name].label not in test.read_text().splitlines()[0].split("\t")


@pytest.mark.parametrize("name", ["glue", "roberta-base"])
def test_without_the_hub_one_line_says_how_to_do_it_by_hand(name, unreachable, places, capsys):
    began = time.perf_counter()
    assert main(["get", name]) == 2
    assert time.perf_counter() - began < 5
    written = capsys.readouterr().err
    assert written.startswith("error: the Hugging Face hub cannot be reached from this machine: ")
    assert {"glue": "gluebenchmark.com", "roberta-base": "hf download FacebookAI/roberta-base"}[name] in written
    assert written.count("\n") == 1
    assert not places.weights_dir.exists()


def test_an_unknown_name_gets_a_did_you_mean(capsys):
    assert main(["get", "roberta-bse"]) == 2
    assert "roberta-bse is nothing that can be got: did you mean roberta-base?" in capsys.readouterr().err


def test_messages_about_what_is_missing_name_it(tmp_path, unreachable):
    with pytest.raises(UserError, match=r"RTE/train\.tsv is missing: `python -m repro get glue` downloads it"):
        paths.find_data(tmp_path, "glue/RTE/train.tsv")
    with pytest.raises(UserError, match=r"train.tsv is missing: data/README\.md says"):
        paths.find_data(tmp_path, "train.tsv")
    with pytest.raises(UserError, match="minilm is missing: `python -m repro get minilm` downloads it"):
        load_network(tmp_path / "minilm", architecture="masked-lm")
    with pytest.raises(UserError, match=r"mine is missing: a folder holds config\.json"):
        load_network(tmp_path / "mine", architecture="masked-lm")
