"""the numbers of a paper that need no training, recomputed; with --modules counted on the real networks"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.ledger.formula import Check

NO_TRAINING = {
    "lr": 1.0,
    "weight_decay": 0.0,
    "betas": [0.9, 0.999],
    "eps": 1e-8,
    "schedule": "constant",
    "warmup_steps": 0,
}
"""What a paper must be given though nothing is trained."""


def main(arguments: list[str]) -> int:
    """Prints the recomputed numbers.

    Returns:
        1 when an agreement is not the one that is written down, or modules have another count than the formula says.
    """
    import shutil

    from repro.ledger.listing import WIDTH, listing
    from repro.ledger.verify import checks, digits, papers, summary, verify_lines

    options = _parser().parse_args(arguments)
    screen = sys.stdout.isatty()
    width = max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if screen else WIDTH
    found = {paper: checks(paper) for paper in options.papers or papers()}
    changed = False
    for paper, numbers in found.items():
        counted = counts(numbers) if options.modules else {}
        print(f"{paper}: {summary(numbers, counted)}")
        print(listing(verify_lines(numbers, everything=options.all, counted=counted), width=width, colour=screen))
        wrong = [check for check in numbers if check.id in counted and not _equal(check, counted[check.id])]
        for check in wrong:
            print(
                f"{check.id}: the modules have {digits(counted[check.id])}, the formula says {digits(check.recomputed)}"
            )
        if options.modules:
            print(
                f"{paper}: {len(counted)} of {len(numbers)} numbers counted on modules, {len(wrong)} not as the formula"
            )
        changed |= bool(wrong) or any(check.changed(counted.get(check.id)) for check in numbers)
    return int(changed)


def counts(found: Sequence[Check]) -> dict[str, float]:
    """Counts on real modules whatever numbers say how, each network once.

    Returns:
        by id, in the unit of the number.
    """
    counted: dict[str, float] = {}
    known: dict[str, int] = {}
    for check in found:
        if check.module is not None:
            module = dict(check.module)
            each = module.pop("each", 1)
            key = repr(sorted(module.items()))
            if key not in known:
                known[key] = count(module)
            counted[check.id] = known[key] * each
    return counted


def count(module: Mapping[str, Any]) -> int:
    """Counts parameters of a published network on the meta device, adapted by the code that a run uses.

    Args:
        module: model, a published one; paper and its settings, where what learns is counted rather than the whole;
            classes, where a head of so many counts too.
    """
    from repro.models.published import published_network

    name, classes = module["model"], module.get("classes", 0)
    if "paper" not in module:
        return sum(parameter.numel() for parameter in published_network(name, whole=True).parameters())
    network = published_network(name, classes=classes)
    adapted = _paper(module["paper"], module.get("settings", {}), network)
    return adapted.trainable_parameters() - (0 if classes else adapted.head_parameters())


def _paper(name: str, settings: Mapping[str, Any], network: Any) -> Any:
    """Makes a paper as its file under conf/paper says, around a network that is there already."""
    from hydra.utils import get_class

    from repro.runs.expand import read

    values = {key: value for key, value in read(f"paper/{name}")["paper"].items() if value != "???"} | dict(settings)
    kind = get_class(values.pop("_target_"))
    paper = kind(task=None, load=lambda: {"network": network}, inputs={}, optim=NO_TRAINING, seed=0, **values)
    paper.configure_model()
    return paper


def _equal(check: Check, value: float) -> bool:
    return abs(value - check.recomputed) <= 1e-9 * abs(check.recomputed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m repro verify", description="Recomputes published numbers.")
    parser.add_argument("papers", nargs="*", metavar="PAPER", help="which papers (default: all)")
    parser.add_argument("--all", action="store_true", help="also the numbers that agree")
    parser.add_argument(
        "--modules", action="store_true", help="count parameters on the real networks, built without weights"
    )
    return parser
