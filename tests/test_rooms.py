"""Who may import whom (the table of rooms), and what must stay quick to start."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

CODE = Path(__file__).parents[1] / "repro"
LIBRARIES = {
    "torch",
    "lightning",
    "transformers",
    "datasets",
    "torchmetrics",
    "tokenizers",
    "safetensors",
    "sacrebleu",
    "rouge_score",
    "wandb",
    "hydra",
    "omegaconf",
    "scipy",
    "numpy",
    "matplotlib",
    "rich",
    "yaml",
    "peft",
    "sklearn",
}
ROOMS = {
    "errors": (set(), set()),
    "paths": ({"errors"}, set()),
    "energy": (set(), set()),
    "metrics": ({"errors", "metrics"}, {"numpy", "torchmetrics", "torch", "sacrebleu", "rouge_score", "scipy"}),
    "world": ({"errors", "world"}, {"numpy"}),
    "models": (
        {"errors", "paths", "models", "decoding"},
        {"torch", "transformers", "safetensors", "tokenizers", "numpy"},
    ),
    "decoding": (
        {"errors", "paths", "models", "decoding"},
        {"torch", "transformers", "safetensors", "tokenizers", "numpy"},
    ),
    "tasks": (
        {"errors", "paths", "metrics", "world", "decoding", "tasks"},
        {"torch", "lightning", "datasets", "tokenizers", "transformers", "numpy"},
    ),
    "papers": (
        {"errors", "energy", "models", "decoding", "tasks.base", "papers.base"},
        {"torch", "lightning", "transformers", "safetensors", "numpy"},
    ),
    "records": ({"errors", "paths", "records"}, set()),
    "ledger": ({"errors", "paths", "energy", "records", "ledger"}, {"numpy", "scipy", "matplotlib", "yaml", "rich"}),
    "runs": (
        {"errors", "paths", "energy", "records", "runs", "tasks.base", "papers.base", "models.load"},
        {"hydra", "omegaconf", "lightning", "wandb", "torch", "yaml", "rich", "numpy"},
    ),
}


def imports(file: Path, *, whole: bool = True) -> list[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if whole else tree.body
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def files(room: str) -> list[Path]:
    return [CODE / f"{room}.py"] if (CODE / f"{room}.py").is_file() else sorted((CODE / room).glob("**/*.py"))


@pytest.mark.parametrize("room", [room for room in ROOMS if files(room)])
def test_a_room_imports_only_what_the_table_allows(room):
    ours, libraries = ROOMS[room]
    for file in files(room):
        for name in imports(file):
            first, _, rest = name.partition(".")
            if first == "repro":
                assert any(f"{rest}.".startswith(f"{one}.") for one in ours), f"{file.name} imports {name}"
            elif first in LIBRARIES:
                assert first in libraries, f"{file.name} imports {name}"


def test_the_command_line_imports_nothing_heavy_at_module_level():
    for file in sorted((CODE / "cli").glob("*.py")):
        heavy = [name for name in imports(file, whole=False) if name.partition(".")[0] in LIBRARIES]
        assert not heavy, f"{file.name} imports {heavy}"


def test_nothing_imports_the_command_line():
    for file in sorted(CODE.glob("**/*.py")):
        if file.parent.name != "cli" and file.name != "__main__.py":
            assert not [name for name in imports(file) if name.startswith("repro.cli")], file


def test_no_code_asks_which_paper_stage_or_task_it_is():
    for file in sorted(CODE.glob("**/*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                names = {getattr(side, "id", getattr(side, "attr", "")) for side in (node.left, *node.comparators)}
                constants = {side.value for side in (node.left, *node.comparators) if isinstance(side, ast.Constant)}
                known = {"lora", "finetune", "pretrain", "glue/mrpc", "mrpc"}
                assert not (names & {"paper", "stage", "task"} and constants & known), f"{file}:{node.lineno}"


@pytest.mark.parametrize(
    "module",
    [
        "repro.__main__",
        "repro.runs.expand",
        "repro.runs.compose",
        "repro.runs.find",
        "repro.runs.launch",
        "repro.records.store",
        "repro.ledger.tables",
        "repro.ledger.render",
        "repro.cli.run",
        "repro.cli.table",
        "repro.cli.claims",
        "repro.cli.recipe",
        "repro.cli.runs",
        "repro.cli.verify",
        "repro.runs.housekeeping",
    ],
)
def test_what_answers_at_once_imports_no_torch(module):
    heavy = ("torch", "lightning", "transformers", "datasets")
    script = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=CODE.parent, check=True)
    assert done.stdout.strip() == "[]"
