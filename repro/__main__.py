"""`python -m repro`: a verb (a file of repro/cli), or a run."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from repro.errors import UserError, did_you_mean

CLI = Path(__file__).parent / "cli"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after `python -m repro`; those of this process by default.

    Returns:
        the exit code: 0, 1 when something failed, 2 when the user can mend it.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small products; its threads only get in each other's way
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _dispatch(words)
    except UserError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        if debug or not error.filename:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def verbs() -> dict[str, str]:
    """Returns the verbs with their help lines, without importing them."""
    files = [file for file in sorted(CLI.glob("*.py")) if file.stem not in ("__init__", "run")]
    return {
        file.stem: (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").splitlines()[0]
        for file in files
    }


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if words[0] in verbs():
        return importlib.import_module(f"repro.cli.{words[0]}").main(words[1:]) or 0
    if "=" not in words[0] and not words[0].startswith(("-", "+", "~")):
        raise UserError(f"{words[0]} is no verb", did_you_mean(words[0], verbs()))
    from repro.cli.run import main as run

    return run(words)


def _overview() -> str:
    """Returns the help: what can be named on the command line."""
    from repro.runs.expand import options, suites

    lines = [
        "repro: does what this paper says hold when I run it?",
        "",
        "  python -m repro paper=lora task=glue              a paper on a suite: trains, scores, records, compares",
        "  python -m repro -m paper=lora,finetune task=glue seed=0,1,2      a sweep",
        "  python -m repro VERB ...                          what to do with runs and records",
        "",
        "flags  --dry-run  --quiet  --debug  -m",
        "keys   rerun=true  fast_dev_run=true  jobs=N  threads=N  runs_dir=FOLDER  data_dir=FOLDER  weights_dir=FOLDER",
    ]
    sections = {
        "verbs": verbs(),
        "papers": options("paper"),
        "suites": dict.fromkeys(suites(), ""),
        "tasks": options("task"),
        "models": options("model"),
        "networks": options("network"),
        "scales": options("scale"),
    }
    for title, names in sections.items():
        lines += ["", title] + [f"  {name:<24}{line}".rstrip() for name, line in names.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
