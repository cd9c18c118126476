"""predictions of a run for a file of one's own, in the task's official form, or as JSON lines with scores"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.tasks.base import Task


def main(arguments: list[str]) -> int:
    """Predicts every row of the file; nothing is written unless all are."""
    from repro.paths import Places
    from repro.records.record import write_whole
    from repro.runs.load_run import load_run

    options = _parser().parse_intermixed_args(arguments)
    run = load_run(options.run, places=Places.default().replaced(options.places))
    if options.batch_tokens:
        run.task.evaluation_tokens = options.batch_tokens
    columns = [name.strip() for name in options.columns.split(",")] if options.columns else []
    examples = run.task.unlabelled(Path(options.file).expanduser(), columns)
    predictions = run.predict(examples.rows)
    if options.out is None:
        sys.stdout.write(_official(run.task, predictions))
    else:
        out = Path(options.out).expanduser()
        lines = out.suffix == ".jsonl"
        write_whole(out, _json_lines(predictions) if lines else _official(run.task, predictions))
        print(f"{out}: {len(predictions):,} predictions of the run {run.record.identity} ({run.record.task})")
    if examples.skipped:
        print(f"{examples.skipped} broken rows of {options.file} were left out", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m repro predict", description="Predicts a file with a trained run.")
    parser.add_argument("run", metavar="RUN", help="the beginning of its identity, its folder, or its record")
    parser.add_argument(
        "file", metavar="FILE", help="the task's own form (GLUE's TSV), with or without labels, or a CSV with a header"
    )
    parser.add_argument("places", nargs="*", metavar="KEY=VALUE", help="where things lie, such as weights_dir=FOLDER")
    parser.add_argument("--columns", metavar="NAME[,NAME]", help="of the texts, where the task calls them otherwise")
    parser.add_argument("--out", metavar="FILE", help=".jsonl: lines with scores; else index<TAB>prediction (stdout)")
    parser.add_argument(
        "--batch-tokens", type=_positive, metavar="N", help="tokens in a batch, padding counted (as the run had it)"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it is 1 or more")
    return number


def _official(task: Task, predictions: list[dict[str, Any]]) -> str:
    with tempfile.TemporaryDirectory() as aside:
        file = Path(aside) / "predictions"
        task.write_official(predictions, file)
        return file.read_text(encoding="utf-8")


def _json_lines(predictions: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in predictions)
