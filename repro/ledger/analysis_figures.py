"""Figures of analyses: scores against a number or words with every seed's dot, and heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from repro.ledger.analyses import Analysis, Panel, Spot, points_run, spread
from repro.ledger.figures import COLOURS, STYLES, Figure, canvas, inputs_digest

PALETTE = (*COLOURS, "#E69F00", "#56B4E9")
MARKERS = "osD^vP"
MAP = "viridis"
ASIDE = 1.04
"""By which factor lines stand apart on a logarithmic axis."""


def analysis_figure(analysis: Analysis) -> Figure | None:
    """Plans the figure of an analysis; None where no record has a number of it."""
    run, every = points_run(analysis)
    if not run:
        return None
    draw = _draw_heat if analysis.plan["kind"] == "heat" else _draw_lines
    missing = f"; {every - run} of {every} not run" if run < every else ""
    what = "the mean over seeds" if analysis.panels else "a dot each seed, their mean ± sample standard deviation"
    plan = {key: value for key, value in analysis.plan.items() if key != "commands"}
    numbers = [
        [[spot.line, spot.label, spot.at, _scores(spot)] for spot in analysis.spots],
        [[panel.task, panel.label, panel.mean] for panel in analysis.panels],
    ]
    return Figure(
        f"analysis-{analysis.name}",
        f"{analysis.table.title}: {what}{missing}",
        inputs_digest("analysis", plan, analysis.table.title, numbers),
        lambda: draw(analysis),
    )


def _scores(spot: Spot) -> dict[str, dict[str, float]]:
    return {task: {str(seed): value for seed, value in one.scores.items()} for task, one in spot.results.items()}


def _draw_lines(analysis: Analysis) -> Any:
    """Draws a panel a task."""
    plan = analysis.plan
    tasks = [task for task in plan["tasks"] if any(spot.results[task].scores for spot in analysis.spots)]
    words = [spot.label for spot in analysis.spots] if plan["kind"] == "dots" else []
    lines = list(dict.fromkeys(spot.line for spot in analysis.spots))
    width = max(2.9, 0.45 * len(words) + 0.8) * len(tasks) + 0.3
    columns = max(1, int(width / (0.068 * max(map(len, lines)) + 0.6)))
    legend = 0.17 * -(-len(lines) // columns) if len(lines) > 1 else 0.0
    figure = canvas(width, 2.4 + legend + 0.05 * max(map(len, words), default=0))
    panels = figure.subplots(1, len(tasks), squeeze=False).flat
    handles: dict[str, Any] = {}
    for panel, task in zip(panels, tasks, strict=True):
        for number, (line, look) in enumerate(zip(lines, _looks(), strict=False)):
            own = [spot for spot in analysis.spots if spot.line == line]
            places = [(_x(spot, place, plan), spot.results[task].scores) for place, spot in enumerate(own)]
            places = [(x, scores) for x, scores in places if x is not None and scores]
            if (
                plan.get("x", {}).get("log") and "measure" not in plan["x"]
            ):  # side by side where they stand at one place
                places = [(x * ASIDE ** (number - (len(lines) - 1) / 2), scores) for x, scores in places]
            if places:
                handles.setdefault(line, _draw_line(panel, places, look, joined=plan["kind"] == "line"))
        _axes(panel, plan, task, analysis.spots)
    panels[0].set_ylabel(plan.get("y", {}).get("label", ""))
    if len(lines) > 1:
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=columns, frameon=False)
    return figure


def _looks() -> Any:
    """Yields the look of each line."""
    for colour, style, marker in zip(cycle(PALETTE), cycle(STYLES), cycle(MARKERS), strict=False):
        yield {"color": colour, "linestyle": style, "marker": marker}


def _x(spot: Spot, place: int, plan: Mapping[str, Any]) -> float | None:
    return float(place) if plan["kind"] == "dots" else spot.at


def _draw_line(panel: Any, places: Sequence[tuple[float, Mapping[int, float]]], look: dict, *, joined: bool) -> Any:
    for x, scores in places:
        panel.plot(
            [x] * len(scores), list(scores.values()), ".", color=look["color"], alpha=0.4, markersize=6, zorder=2
        )
    xs, means, spreads = zip(*((x, *spread(scores)) for x, scores in places), strict=True)
    look = look if joined else {**look, "linestyle": "none"}
    return panel.errorbar(xs, means, yerr=spreads, capsize=2, linewidth=1.0, markersize=4, zorder=3, **look)


def _axes(panel: Any, plan: Mapping[str, Any], task: str, spots: Sequence[Spot]) -> None:
    metric = plan["tasks"][task]
    panel.set_title(" ".join(word for word in (task.rpartition("/")[2], metric) if word), fontsize=8)
    panel.grid(alpha=0.25, linewidth=0.4)
    x, y = plan.get("x", {}), plan.get("y", {})
    if y.get("log"):
        panel.set_yscale("log")
    if plan["kind"] == "dots":
        labels = [spot.label for spot in spots]
        panel.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
        panel.set_xlim(-0.6, len(labels) - 0.4)
        return
    panel.set_xlabel(x.get("label", ""))
    if x.get("log"):
        panel.set_xscale("log")
        panel.margins(x=0.1)
    if "measure" not in x:
        ticks = sorted({spot.at for spot in spots if spot.at is not None})
        panel.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
        panel.minorticks_off()


def _draw_heat(analysis: Analysis) -> Any:
    """Draws a row a task, a column a panel, all on one scale of colours from 0 to 1."""
    plan = analysis.plan
    labels = [panel["label"] for panel in plan["panels"]]
    tasks = list(dict.fromkeys(panel.task for panel in analysis.panels))
    figure = canvas(2.0 * len(labels) + 0.8, 1.35 * len(tasks) + 0.75)
    places = figure.subplots(len(tasks), len(labels), squeeze=False)
    drawn: Any = None
    by_place: dict[tuple[str, str], Panel] = {(panel.task, panel.label): panel for panel in analysis.panels}
    for row, task in enumerate(tasks):
        for column, label in enumerate(labels):
            place = places[row, column]
            if (found := by_place.get((task, label))) is None:
                place.set_axis_off()
                continue
            grid = found.mean
            high, wide = len(grid) + 0.5, len(grid[0]) + 0.5
            drawn = place.imshow(grid, vmin=0, vmax=1, cmap=MAP, aspect="auto", extent=(0.5, wide, high, 0.5))
            place.set_yticks([1, len(grid)])
            place.set_xticks([1, *range(16, len(grid[0]) + 1, 16)] if len(grid[0]) >= 16 else [1, len(grid[0])])
            if row == 0:
                place.set_title(label, fontsize=8)
            if row == len(tasks) - 1:
                place.set_xlabel(plan.get("x", {}).get("label", ""))
            if column == 0:
                place.set_ylabel(f"{task.rpartition('/')[2]}\n{plan.get('y', {}).get('label', '')}")
    bar = figure.colorbar(drawn, ax=places, fraction=0.03, pad=0.01)
    bar.set_label(plan.get("y", {}).get("colour", ""))
    return figure
