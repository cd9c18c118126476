"""writes what a run trained for other programs: a plain transformers checkpoint, or a PEFT adapter"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.runs.load_run import LoadedRun

FORMS = ("merged", "adapter")


def main(arguments: list[str]) -> int:
    """Writes the folder aside and renames it, so that it is there whole or not at all."""
    from repro.paths import Places
    from repro.runs.load_run import load_run

    options = _parser().parse_intermixed_args(arguments)
    folder = Path(options.folder).expanduser()
    _check_free(folder)
    run = load_run(options.run, places=Places.default().replaced(options.places))
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        aside.mkdir(parents=True)
        lines = _adapter(run, aside) if options.form == "adapter" else _merged(run, aside)
        run.tokenizer.save_pretrained(aside)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {lines[0]} of the run {run.record.identity} ({run.record.task}), {size / 1e6:,.1f} MB")
    print("\n".join(f"  {line.format(folder=folder)}" for line in lines[1:]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m repro export", description="Writes a run for other programs.")
    parser.add_argument("run", metavar="RUN", help="the beginning of its identity, its folder, or its record")
    parser.add_argument("folder", metavar="FOLDER", help="a new folder, or an empty one")
    parser.add_argument("places", nargs="*", metavar="KEY=VALUE", help="where things lie, such as weights_dir=FOLDER")
    parser.add_argument(
        "--form", choices=FORMS, default="merged", help="all in one checkpoint (merged), or what learnt alone (adapter)"
    )
    return parser


def _check_free(folder: Path) -> None:
    from repro.errors import UserError

    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        raise UserError(f"{folder} is there and not empty", "nothing is overwritten: name a new folder")


def _merged(run: LoadedRun, folder: Path) -> list[str]:
    """Writes a plain checkpoint, with the task's labels; returns what it is, and how it is loaded."""
    from repro.errors import UserError
    from repro.models.load import save_checkpoint

    try:
        network = run.paper.merged()
    except UserError as error:
        if _is_peft(run):
            raise UserError(error.what, "--form adapter writes it") from None
        raise
    if getattr(network.config, "problem_type", None) == "single_label_classification":
        names = {place: run.task.said(place) for place in range(network.config.num_labels)}
        network.config.id2label, network.config.label2id = names, {name: place for place, name in names.items()}
    save_checkpoint(network, folder)
    kind = type(network).__name__
    return [f"a {kind}", f'transformers.{kind}.from_pretrained("{{folder}}")']


def _adapter(run: LoadedRun, folder: Path) -> list[str]:
    """Copies the adapter and names its base; returns what it is, and how it is loaded."""
    from repro.errors import UserError
    from repro.runs.load_run import product_of

    if not _is_peft(run):
        raise UserError(
            f"the run {run.record.identity} ({run.record.paper}) left no PEFT adapter", "--form merged writes it whole"
        )
    shutil.copytree(product_of(run.record), folder, dirs_exist_ok=True)
    base = str(run.task.folder)
    base = str(Path(base).resolve()) if Path(base).is_dir() else base
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8")) | {"base_model_name_or_path": base}
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    kind, labels = type(run.network).__name__, run.network.config.num_labels
    return [
        "a PEFT adapter",
        f'base = transformers.{kind}.from_pretrained("{base}", num_labels={labels}, dtype="float32")',
        'peft.PeftModel.from_pretrained(base, "{folder}")',
    ]


def _is_peft(run: LoadedRun) -> bool:
    from repro.runs.load_run import product_of

    return (product_of(run.record) / "adapter_config.json").is_file()
