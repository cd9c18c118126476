"""scores anybody's predictions: a task's own file form, or the lines that a run saved"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.tasks.base import Task


def main(arguments: list[str]) -> int:
    """Scores one file of predictions; no network is loaded."""
    options = _parser().parse_intermixed_args(arguments)
    task = _task(options.task, options.scale, options.data_dir, options.overrides)
    predictions = task.read_predictions(options.file, options.split)
    scores = task.score(predictions, options.split)
    examples = task.examples(options.split)
    if options.json:
        import json

        print(
            json.dumps(
                {
                    "task": options.task,
                    "split": options.split,
                    "source": examples.source,
                    "digest": examples.digest,
                    "examples": len(examples.rows),
                    "scores": scores,
                }
            )
        )
        return 0
    print(f"{options.task} {options.split} ({examples.source})")
    for name, value in scores.items():
        print(f"{name:<10}{value:>8.2f}")
    print(f"{'examples':<10}{len(examples.rows):>8}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m repro score", description="Scores predictions without a network.")
    parser.add_argument("task", metavar="TASK", help="such as glue/mrpc")
    parser.add_argument("file", metavar="FILE", help="the task's own form (GLUE: index<TAB>prediction), a run's lines")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as task.files.validation=FILE")
    parser.add_argument("--split", default="validation", help="which split they are of (validation)")
    parser.add_argument("--scale", default="tiny", help="references: tiny (generated world), local (your files)")
    parser.add_argument("--data-dir", help="folder of your files")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _task(name: str, scale: str, data_dir: str | None, overrides: list[str]) -> Task:
    """Makes the task as its file under conf/task says, with what scoring needs and nothing else.

    Raises:
        UserError: an unknown task, scale or key.
    """
    import yaml
    from omegaconf import OmegaConf

    from repro.errors import UserError, did_you_mean
    from repro.paths import Places
    from repro.runs.build import built
    from repro.runs.expand import read, split

    words = dict(split(word) for word in overrides)
    scale, data_dir = words.pop("scale", scale), words.pop("data_dir", data_dir)
    settings: dict[str, Any] = {key: None if value == "???" else value for key, value in read(f"task/{name}").items()}
    config = OmegaConf.create(
        {
            "source": read(f"scale/{scale}")["source"],
            "data_dir": str(data_dir or Places.default().data_dir),
            "task": settings,
        }
    )
    known = ["source", "data_dir", "scale", *(f"task.{key}" for key in settings), *_files(settings)]
    for key, value in words.items():
        if key not in known:
            raise UserError(f"{key} is no key of scoring {name}", did_you_mean(key, known))
        OmegaConf.update(config, key, yaml.safe_load(value) if value.startswith(("[", "{", "null")) else value)
    return built(OmegaConf.to_container(config, resolve=True)["task"])


def _files(settings: dict[str, Any]) -> list[str]:
    return [f"task.files.{split}" for split in settings.get("files") or {}]
