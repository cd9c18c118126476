"""Figures from records: the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from repro.ledger.baselines import Column, columns_of
from repro.ledger.match import matches
from repro.ledger.published import Fact
from repro.records.record import Record

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito: told apart by colour-blind eyes
STYLES = ("-", "--", "-.", ":")
PANELS = 4
"""In a row."""


def training_curves(
    plan: Mapping[str, Any], facts: Sequence[Fact], records: Sequence[Record], scale: str
) -> str | None:
    """Draws the validation score against the step: a panel a task, a line a method, a thin line each seed.

    Args:
        plan: rows of a label and a `condition` for records, as in baselines.yaml.
        facts: the published table whose columns are the panels.
        records: any records, in any order.
        scale: which of them are drawn.

    Returns:
        the figure as SVG; None where no record of that scale has a curve.
    """
    lines = {row["label"]: row["condition"] for row in plan["rows"] if "condition" in row}
    drawn = {
        column: {label: _curves(records, scale, condition, place) for label, condition in lines.items()}
        for column, place in columns_of(facts).items()
    }
    drawn = {column: found for column, found in drawn.items() if any(found.values())}
    return _draw(drawn, columns_of(facts), list(lines)) if drawn else None


def _curves(
    records: Sequence[Record], scale: str, condition: Mapping[str, Any], place: Column
) -> list[list[list[float]]]:
    """Returns the curves of a task's main metric, one a seed."""
    task, metric = place
    fitting = sorted(
        (one for one in records if one.scale == scale and one.task == task and matches(one, condition)),
        key=lambda one: (one.network, one.seed, one.identity),
    )
    points = [(one.curves or {}).get("points", {}).get(f"validation/{metric}") for one in fitting]
    return [one for one in points if one]


def _draw(drawn: Mapping[str, Mapping[str, list]], columns: Mapping[str, Column], labels: Sequence[str]) -> str:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "repro", "svg.fonttype": "path", "font.size": 8})
    from matplotlib.figure import Figure

    height = -(-len(drawn) // PANELS)
    figure = Figure(figsize=(2.4 * min(PANELS, len(drawn)) + 0.4, 2.0 * height + 0.7), layout="constrained")
    panels = figure.subplots(height, min(PANELS, len(drawn)), squeeze=False).flat
    handles: dict[str, Any] = {}
    for panel, (column, found) in zip(panels, drawn.items(), strict=False):
        for label, curves in found.items():
            look = {
                "color": COLOURS[labels.index(label) % len(COLOURS)],
                "linestyle": STYLES[labels.index(label) % len(STYLES)],
            }
            for points in curves:
                mark = "." if len(points) == 1 else None
                panel.plot(*zip(*points, strict=True), linewidth=0.5, alpha=0.4, marker=mark, **look)
            if curves and len({tuple(step for step, _ in points) for points in curves}) == 1:
                mean = [sum(value for _, value in seeds) / len(seeds) for seeds in zip(*curves, strict=True)]
                (handles[label],) = panel.plot(
                    [step for step, _ in curves[0]], mean, linewidth=1.6, marker="o" if len(mean) == 1 else None, **look
                )
        panel.set_title(f"{column}, validation {columns[column][1]}", fontsize=8)
        panel.set_xlabel("step")
        panel.grid(alpha=0.25, linewidth=0.4)
    for panel in list(panels):
        panel.set_axis_off()
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
