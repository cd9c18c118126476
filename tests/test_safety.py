"""What others give us is data and is never run; and what we leave behind holds no secret."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from repro.errors import UserError

ROOT = Path(__file__).parents[1]
CODE = ROOT / "repro"

# --- the source


RUN_PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "pandas"}
RUN_WORDS = {"eval", "exec", "compile", "__import__", "system", "popen"}
LOADS_YAML = {"load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"}
SAFE_YAML = {"SafeLoader", "CSafeLoader"}
INSTANTIATES = {"runs/build.py", "runs/execute.py", "runs/processes.py"}
"""Who may make objects that a configuration names: from conf/ and the command line, and tasks of a record."""


def dangers(source: str, file: str = "") -> list[str]:
    """Returns what a source does that could run what others wrote."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"imports {name}" for name in names if name.partition(".")[0] in RUN_PICKLES]
        if isinstance(node, ast.Call) and (what := _danger(node, tree, file)):
            found.append(f"line {node.lineno}: {what}")
    return found


def _danger(call: ast.Call, tree: ast.Module, file: str) -> str:
    words = ast.unparse(call.func).split(".")
    name, owner = words[-1], ".".join(words[:-1])
    given = {one.arg: one.value for one in call.keywords}

    def says(key: str, value: object) -> bool:
        return isinstance(given.get(key), ast.Constant) and given[key].value is value

    if name in RUN_WORDS and owner in ("", "os", "builtins"):
        return f"{name} runs code"
    if "shell" in given and not says("shell", False):
        return "a shell runs words"
    if owner == "torch" and name == "load" and not says("weights_only", True):
        return "torch.load without weights_only=True"
    if owner in ("torch.jit", "torch.hub", "torch.package", "torch.serialization") and name.startswith("load"):
        return f"{owner}.{name} runs code"
    if "allow_pickle" in given and not says("allow_pickle", False):
        return "allow_pickle"
    if owner == "yaml" and (name in LOADS_YAML or (name == "load" and not _safe_yaml(given.get("Loader"), tree))):
        return f"yaml.{name} without a safe loader"
    if name == "load_from_checkpoint":
        return "load_from_checkpoint unpickles"
    if "trust_remote_code" in given and not says("trust_remote_code", False):
        return "trust_remote_code"
    if name == "from_pretrained" and not says("trust_remote_code", False):
        return "from_pretrained without trust_remote_code=False"
    if name == "from_pretrained" and words[-2] not in ("AutoConfig", "AutoTokenizer"):
        return "" if says("use_safetensors", True) else "from_pretrained without use_safetensors=True"
    if name == "instantiate" and file not in INSTANTIATES:
        return "instantiate makes whatever is named"
    return ""


def _safe_yaml(loader: ast.expr | None, tree: ast.Module) -> bool:
    """Whether a loader is a safe one, or a name that is given safe ones alone (`getattr(yaml, "CSafeLoader", ...)`)."""
    if isinstance(loader, ast.Attribute):
        return loader.attr in SAFE_YAML
    if isinstance(loader, ast.Call) and ast.unparse(loader.func) == "getattr":
        return loader.args[1].value in SAFE_YAML and _safe_yaml(loader.args[2], tree)
    if isinstance(loader, ast.Name):
        values = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and any(ast.unparse(target) == loader.id for target in node.targets)
        ]
        return bool(values) and all(_safe_yaml(value, tree) for value in values)
    return False


@pytest.mark.parametrize(
    ("source", "safe"),
    [
        ("import pickle", False),
        ("from joblib import load", False),
        ("import json", True),
        ("torch.load(file)", False),
        ("torch.load(file, weights_only=False)", False),
        ("torch.load(file, weights_only=wanted)", False),
        ("torch.load(file, weights_only=True)", True),
        ("torch.jit.load(file)", False),
        ("np.load(file, allow_pickle=True)", False),
        ("np.load(file)", True),
        ("yaml.load(text)", False),
        ("yaml.load(text, Loader=yaml.Loader)", False),
        ("yaml.load(text, Loader=yaml.CSafeLoader)", True),
        ("yaml.load(text, Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader))", True),
        ("yaml.load(text, Loader=getattr(yaml, 'CSafeLoader', yaml.FullLoader))", False),
        ("LOADER = yaml.SafeLoader\nyaml.load(text, Loader=LOADER)", True),
        ("LOADER = yaml.UnsafeLoader\nyaml.load(text, Loader=LOADER)", False),
        ("yaml.safe_load(text)", True),
        ("yaml.full_load(text)", False),
        ("Model.from_pretrained(name, trust_remote_code=False)", False),
        ("Model.from_pretrained(name, trust_remote_code=False, use_safetensors=True)", True),
        ("Model.from_pretrained(name, trust_remote_code=True, use_safetensors=True)", False),
        ("AutoTokenizer.from_pretrained(name)", False),
        ("AutoConfig.from_pretrained(name, trust_remote_code=False)", True),
        ("load_dataset(name, trust_remote_code=asked)", False),
        ("Paper.load_from_checkpoint(file)", False),
        ("eval(text)", False),
        ("network.eval()", True),
        ("re.compile(text)", True),
        ("subprocess.run(words, shell=True)", False),
        ("subprocess.run(words)", True),
        ("instantiate(config)", False),
    ],
)
def test_what_counts_as_dangerous(source, safe):
    assert (dangers(source) == []) == safe


@pytest.mark.parametrize("file", sorted(CODE.rglob("*.py")), ids=lambda file: file.relative_to(CODE).as_posix())
def test_nothing_that_others_wrote_is_run(file):
    name = file.relative_to(CODE).as_posix()
    assert dangers(file.read_text(encoding="utf-8"), name) == [], name


# --- a user's folders


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.fixture
def sprung(tmp_path):
    """The file that a trap makes. That it works is seen first."""
    file = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Trap(file)))
    assert file.exists()
    file.unlink()
    return file


@pytest.fixture
def network(tmp_path):
    """The folder of a small network of the user's."""
    from transformers import BertConfig, BertForSequenceClassification

    settings = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24}
    folder = tmp_path / "network"
    BertForSequenceClassification(BertConfig(num_hidden_layers=1, **settings)).save_pretrained(folder)
    return folder


def load(folder: Path):
    from repro.models.load import load_network

    return load_network(folder, architecture="sequence-classification")


def plant(file: Path, trap: Path, form: str) -> None:
    """Writes a trap: as a plain pickle, or as torch.save does."""
    if form == "torch":
        torch.save({"weight": Trap(trap)}, file)
    else:
        file.write_bytes(pickle.dumps({"weight": Trap(trap)}))


@pytest.mark.parametrize("form", ["plain", "torch"])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.safetensors"])
def test_pickled_weights_are_refused_and_never_unpickled(name, form, network, sprung):
    (network / "model.safetensors").unlink()
    plant(network / name, sprung, form)
    with pytest.raises(UserError, match=r"model\.safetensors (is missing: pickled weights .* never|cannot be read)"):
        load(network)
    assert not sprung.exists()


def test_pickled_weights_beside_safetensors_are_not_looked_at(network, sprung):
    plant(network / "pytorch_model.bin", sprung, "torch")
    assert load(network).config.hidden_size == 16
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["weights.bin", "../weights.safetensors", "/weights.safetensors", 3])
def test_an_index_leads_to_safetensors_of_its_own_folder_alone(name, network, sprung):
    (network / "model.safetensors").unlink()
    plant(network / "weights.bin", sprung, "torch")
    (network / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"classifier.weight": name}}))
    with pytest.raises(UserError, match=rf"index\.json names {name}: weights are read from safetensors files of"):
        load(network)
    assert not sprung.exists()


def test_the_words_that_convert_pickled_weights_do_it(network):
    """The message's own command, said in the folder, gives the weights that were there."""
    wanted = load(network).state_dict()
    torch.save({"classifier.bias": wanted.pop("classifier.bias")}, network / "pytorch_model-00002-of-00002.bin")
    torch.save(wanted | {"tied": next(iter(wanted.values())).T}, network / "pytorch_model-00001-of-00002.bin")
    (network / "model.safetensors").unlink()
    with pytest.raises(UserError) as caught:
        load(network)
    command = re.search(r'python -c "(.*)"$', str(caught.value))[1]
    subprocess.run([sys.executable, "-c", command], cwd=network, check=True)
    found = load(network).state_dict()
    assert "classifier.bias" in found
    assert all(torch.equal(found[key], value) for key, value in wanted.items())


def test_a_pickled_adapter_is_refused(tmp_path, sprung):
    from repro.models.adapter_folder import read_adapter

    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    plant(tmp_path / "adapter_model.bin", sprung, "torch")
    with pytest.raises(UserError, match=r"adapter_model\.safetensors is missing: pickled weights .*never read"):
        read_adapter(tmp_path)
    assert not sprung.exists()


def test_an_adapter_beside_a_network_is_refused(network):
    """Transformers would put it into the network unasked, where peft is installed."""
    (network / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "elsewhere"}')
    with pytest.raises(UserError, match=r"holds an adapter beside its network"):
        load(network)


@pytest.mark.parametrize("kind", ["bert", "a-kind-of-their-own"])
def test_code_that_comes_with_a_network_is_not_run_and_nobody_is_asked(kind, network, sprung, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *words: "y")
    config = json.loads((network / "config.json").read_text())
    config |= {"model_type": kind, "auto_map": {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"}}
    (network / "config.json").write_text(json.dumps(config))
    (network / "theirs.py").write_text(f"open({str(sprung)!r}, 'w')\n")
    if kind == "bert":
        assert type(load(network)).__name__ == "BertForSequenceClassification"
    else:
        with pytest.raises(UserError, match="brings code of its own: such code is never run"):
            load(network)
    assert not sprung.exists()


def test_a_record_names_a_task_of_ours_and_nothing_else(make_record, places, sprung):
    from repro.cli.compare import Run, _task

    stranger = {"_target_": "os.system", "_args_": [f"touch {sprung}"]}
    for task in (
        stranger,
        {"_target_": "repro.tasks.glue.GLUE", "name": stranger},
        {"_target_": "repro.tasks.glue.os.x"},
    ):
        record = make_record(config={"task": task})
        with pytest.raises(UserError, match=r"a record names a class of repro\.tasks"):
            _task([Run("A", record, "test", "best")], places)
    assert not sprung.exists()


# --- secrets

SECRETS = {
    "WANDB_API_KEY": "5ecre7" + "0123456789abcdef" * 2 + "ab",
    "HF_TOKEN": "hf_5ecre7HubTokenOfNobody",
    "HUGGING_FACE_HUB_TOKEN": "hf_5ecre7OtherTokenOfNobody",
    "WANDB_USERNAME": "5ecre7-user",
    "WANDB_USER_EMAIL": "5ecre7@example.org",
    "A_PASSWORD_OF_MINE": "5ecre7-tulips",
}
WANDB_ALONE = """
import sys
from pathlib import Path
from repro.runs.loggers import Entry, JsonLines, complete_in_wandb
folder = Path(sys.argv[1])
lines = JsonLines(folder / "metrics.jsonl")
lines.log_metrics({"train/loss": 1.0}, step=0)
(folder / "record.json").write_text("{}")
settings = {"mode": "offline", "project": "p", "entity": None}
complete_in_wandb(Entry(settings, "0123456789ab", "a run", "lora", {"seed": 0}), folder, {}, None)
"""


def run(words: list[str], folder: Path, **others: str) -> None:
    """Runs Python in a fresh process, with secrets in the environment."""
    environment = {**os.environ, **SECRETS, "PYTHONPATH": str(ROOT), **others}
    done = subprocess.run(
        [sys.executable, *words], env=environment, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def leaks(folder: Path, *also: str) -> list[str]:
    """Returns the files in which a secret, or some other words, stand, in their content, their name or their target."""
    words = [word.encode() for word in (*SECRETS.values(), "5ecre7", *also)]
    found = []
    for file in folder.rglob("*"):
        content = os.fsencode(file.name) + (os.fsencode(os.readlink(file)) if file.is_symlink() else b"")
        content += file.read_bytes() if file.is_file() else b""
        found += [f"{file.relative_to(folder)}: {word.decode()}" for word in words if word in content]
    return found


def test_w_and_b_is_told_nothing_of_the_machine_and_its_user(tmp_path):
    from wandb.proto.wandb_internal_pb2 import Record

    folder = tmp_path / "run"
    folder.mkdir()
    home = str(tmp_path / "5ecre7-home")
    run(["-c", WANDB_ALONE, str(folder), "--password=5ecre7-argument"], tmp_path, HOME=home, WANDB_SAVE_CODE="true")
    assert (folder / "wandb").is_dir()
    assert leaks(folder, str(tmp_path), str(ROOT), sys.executable) == []
    (file,) = folder.glob("wandb/*/run-*.wandb")
    records, place = [], 7
    content = file.read_bytes()
    while place + 7 < len(content):  # one block is enough here
        length = int.from_bytes(content[place + 4 : place + 6], "little")
        records.append(Record.FromString(content[place + 7 : place + 7 + length]))
        place += 7 + length
    kinds = [one.WhichOneof("record_type") for one in records]
    assert {"run", "history", "exit"} <= set(kinds)
    assert not {"environment", "stats", "output", "output_raw"} & set(kinds)
    assert [one.run.host for one in records if one.HasField("run")] == [""]
    names = [one.name for one in (folder / "wandb").rglob("*") if one.is_file()]
    assert sorted(names) == ["record.json", "run-0123456789ab.wandb"]


@pytest.mark.slow
def test_a_run_leaves_no_secret_behind(tmp_path):
    small = ["task.train_size=64", "trainer.max_epochs=1", "inputs.start=null", "jobs=1", "threads=1"]
    runs = tmp_path / "runs"
    run(["-m", "repro", "paper=lora", "task=glue/rte", *small, f"runs_dir={runs}"], tmp_path)
    (record,) = runs.glob("lora/glue/rte/*/record.json")
    assert {file.name for file in record.parent.iterdir()} >= {"config.yaml", "metrics.jsonl", "wandb"}
    assert leaks(runs) == []
    for file in [record, *record.parent.glob("wandb/**/*")]:  # what is shown to others names no folder of ours
        assert not file.is_file() or str(tmp_path).encode() not in file.read_bytes(), file
