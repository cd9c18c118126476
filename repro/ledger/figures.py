"""Figures from records: the same bytes each time, and drawn only when what they show has changed."""

from __future__ import annotations

import hashlib
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.ledger.baselines import Column, columns_of
from repro.ledger.claims_table import placed
from repro.ledger.forest import Line, line
from repro.ledger.match import matches
from repro.ledger.published import Fact
from repro.ledger.verdict import (
    NOT_COMPARABLE,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDERPOWERED,
    Judged,
    JudgedContrast,
)
from repro.ledger.verdicts import ours_said, published_said
from repro.records.canonical import canonical
from repro.records.record import Record, write_whole

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito: told apart by colour-blind eyes
STYLES = ("-", "--", "-.", ":")
VERDICT_COLOURS = {
    REPRODUCED: "#009E73",
    NOT_REPRODUCED: "#D55E00",
    UNDERPOWERED: "#E69F00",
    NOT_COMPARABLE: "#56B4E9",
    NOT_RUN: "#999999",
}
MARKERS = {REPRODUCED: "o", NOT_REPRODUCED: "s", UNDERPOWERED: "o", NOT_COMPARABLE: "D", NOT_RUN: "."}
REGION = "#56B4E9"
PANELS = 4
"""In a row."""
DOTS_PER_INCH = 150
FORMATS = ("svg", "png")
DRAWN_BY = ("figures.py", "forest.py", "analysis_figures.py")


@dataclass(frozen=True)
class Figure:
    """A figure that is not drawn yet.

    Attributes:
        name: of its files, without ending.
        caption: what it shows.
        inputs: all that can change it, as a digest; the files hold it.
        draw: makes it, as matplotlib's figure.
    """

    name: str
    caption: str
    inputs: str
    draw: Callable[[], Any]

    def fresh(self, file: Path) -> bool:
        """Says whether a file holds this very figure."""
        try:
            return self.inputs.encode() in file.read_bytes()
        except OSError:
            return False

    def write(self, folder: Path) -> list[tuple[Path, bool]]:
        """Writes the figure in all formats, those that are not fresh; returns the files and whether they changed."""
        files = [folder / f"{self.name}.{form}" for form in FORMATS]
        stale = [file for file in files if not self.fresh(file)]
        if stale:
            drawn = self.draw()
            for file in stale:
                write_whole(file, encoded(drawn, file.suffix[1:], self.inputs))
        return [(file, file in stale) for file in files]

    def svg(self, folder: Path | None = None) -> str:
        """Returns the figure as SVG: from its file in a folder where that is fresh, else drawn."""
        file = folder / f"{self.name}.svg" if folder else None
        if file and self.fresh(file):
            return file.read_text(encoding="utf-8")
        return encoded(self.draw(), "svg", self.inputs).decode()


def encoded(figure: Any, form: str, inputs: str) -> bytes:
    """Returns a figure of matplotlib as the bytes of a file, without date or version."""
    stream = io.BytesIO()
    if form == "png":
        figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None, "Description": inputs})
        return stream.getvalue()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Description": inputs})
    text = "\n".join(row.rstrip() for row in stream.getvalue().decode().splitlines())
    return f"{text}\n".encode()


def inputs_digest(*inputs: Any) -> str:
    """Returns what names a figure's inputs: its numbers, and the code that draws them."""
    code = b"".join((Path(__file__).parent / name).read_bytes() for name in DRAWN_BY)
    return hashlib.sha256(code + canonical(inputs).encode()).hexdigest()


def canvas(width: float, height: float) -> Any:
    """Returns an empty figure of matplotlib, in inches, that comes out as the same bytes each time."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "repro", "svg.fonttype": "path", "font.size": 8})
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(width, height), layout="constrained")


def training_curves(
    plan: Mapping[str, Any], facts: Sequence[Fact], records: Sequence[Record], scale: str
) -> Figure | None:
    """Plans the validation scores against the step: a panel a task, a line a method, a thin line each seed.

    Args:
        plan: rows of a label and a `condition` for records, as in baselines.yaml.
        facts: the published table whose columns are the panels.
        records: any records, in any order.
        scale: which of them are drawn.

    Returns:
        the figure; None where no record of that scale has a curve.
    """
    lines = {row["label"]: row["condition"] for row in plan["rows"] if "condition" in row}
    columns = columns_of(facts)
    drawn = {
        column: {label: _curves(records, scale, condition, place) for label, condition in lines.items()}
        for column, place in columns.items()
    }
    drawn = {column: found for column, found in drawn.items() if any(found.values())}
    if not drawn:
        return None
    titles = {column: f"{column}, validation {columns[column][1]}" for column in drawn}
    return Figure(
        f"curves-{plan['table']}-{scale}",
        f"Training curves of {plan['table']}, {scale}: a thin line each seed, a thick one their mean",
        inputs_digest("curves", drawn, list(lines), titles),
        lambda: _draw_curves(drawn, titles, list(lines)),
    )


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


def _draw_curves(drawn: Mapping[str, Mapping[str, list]], titles: Mapping[str, str], labels: Sequence[str]) -> Any:
    height = -(-len(drawn) // PANELS)
    figure = canvas(2.4 * min(PANELS, len(drawn)) + 0.4, 2.0 * height + 0.7)
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
                (thin,) = panel.plot(*zip(*points, strict=True), linewidth=0.5, alpha=0.4, marker=mark, **look)
                handles.setdefault(label, thin)
            if curves and len({tuple(step for step, _ in points) for points in curves}) == 1:
                mean = [sum(value for _, value in seeds) / len(seeds) for seeds in zip(*curves, strict=True)]
                (handles[label],) = panel.plot(
                    [step for step, _ in curves[0]], mean, linewidth=1.6, marker="o" if len(mean) == 1 else None, **look
                )
        panel.set_title(titles[column], fontsize=8)
        panel.set_xlabel("step")
        panel.grid(alpha=0.25, linewidth=0.4)
    for panel in list(panels):
        panel.set_axis_off()
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False)
    return figure


def claims_forest(judged: Sequence[Judged], scale: str) -> Figure | None:
    """Plans a scale's contrasts, one a line: interval, shaded region, published value, verdict in words.

    Args:
        judged: a paper's claims, at all scales.
        scale: the one that is drawn.

    Returns:
        the figure; None where no contrast of that scale has an estimate.
    """
    at_scale = [one for one in judged if one.scale == scale]
    lines = [
        (one.claim.id, one.network, contrast)
        for one in at_scale
        for contrast in one.contrasts
        if contrast.estimate is not None
    ]
    if not lines:
        return None
    networks = list(dict.fromkeys(network for _, network, _ in lines))
    title = "; ".join(f"claims, {placed(scale, network)}" for network in networks)
    named = [(f"{claim}, {network}" if len(networks) > 1 else claim, one) for claim, network, one in lines]
    inputs = [(name, _drawn_of(one)) for name, one in named]
    return Figure(
        f"claims-{scale}",
        f"Contrasts of the {title}: our 95% interval (line), the region where the claim holds (shaded), the published "
        "value (hollow diamond)",
        inputs_digest("claims", title, inputs),
        lambda: _draw_forest(named, title),
    )


def _drawn_of(one: JudgedContrast) -> list[Any]:
    numbers = [one.estimate, one.low, one.high, *one.bounds]
    words = [one.says, one.region, one.verdict, published_said(one.published), ours_said(one)]
    return [*words, *(None if number is None else repr(float(number)) for number in numbers)]


def _draw_forest(lines: Sequence[tuple[str, JudgedContrast]], title: str) -> Any:
    texts = [textwrap.fill(f"{name}: {one.says}", 62) for name, one in lines]
    rooms = [max(2, text.count("\n") + 1) * 0.16 + 0.12 for text in texts]
    figure = canvas(10.0, sum(rooms) + 0.7)
    panel = figure.subplots()
    panel.set_xlim(-1.42, 2.3)
    panel.set_ylim(-sum(rooms), 0.45)
    panel.set_axis_off()
    for x, words in ((-1.42, title), (0.0, "region shaded · published ◇"), (1.06, "ours, 95% interval · verdict")):
        panel.text(x, 0.2, words, va="center", weight="bold")
    top = 0.0
    for (_, one), text, room in zip(lines, texts, rooms, strict=True):
        middle = top - room / 2
        panel.text(-1.42, middle, text, va="center")
        _draw_line(panel, line(one), one, middle, min(room, 0.44))
        said = f"published {published_said(one.published)}; holds where {one.region}"
        words = f"{one.verdict}: {ours_said(one)}\n{textwrap.shorten(said, 60, placeholder=' …')}"
        panel.text(1.06, middle, words, va="center")
        top -= room
        panel.plot([-1.42, 2.3], [top, top], color="#dddddd", linewidth=0.5)
    return figure


def _draw_line(panel: Any, place: Line | None, one: JudgedContrast, y: float, room: float) -> None:
    if place is None:
        return
    panel.plot([0, 1], [y, y], color="#bbbbbb", linewidth=0.5, zorder=1)
    if place.region:
        low, high = place.region
        panel.fill_between(
            [low, high], y - 0.32 * room, y + 0.32 * room, color=REGION, alpha=0.25, linewidth=0, zorder=0
        )
        for edge in (edge for edge in place.region if 0 < edge < 1):
            panel.plot([edge, edge], [y - 0.36 * room, y + 0.36 * room], color=REGION, linewidth=1.2, zorder=1)
    if place.interval:
        panel.plot(place.interval, [y, y], color="black", linewidth=1.4, zorder=2)
        for end, marker in zip(
            place.interval, ("<" if place.open_left else "|", ">" if place.open_right else "|"), strict=True
        ):
            panel.plot([end], [y], color="black", marker=marker, markersize=5, zorder=2)
    if place.published is not None:
        panel.plot([place.published], [y], color="black", marker="D", markersize=6, fillstyle="none", zorder=3)
    if place.estimate is not None:
        look = {"color": VERDICT_COLOURS[one.verdict], "marker": MARKERS[one.verdict], "markeredgecolor": "black"}
        if one.verdict == UNDERPOWERED:
            look |= {"fillstyle": "right", "markerfacecoloralt": "white"}
        panel.plot([place.estimate], [y], markersize=7, markeredgewidth=0.6, linestyle="none", zorder=4, **look)
