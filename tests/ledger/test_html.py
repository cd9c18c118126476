"""The page of a paper: whole, self-contained, and readable without colours, mouse or eyes."""

from __future__ import annotations

import itertools
import math
import re
from html.parser import HTMLParser

import pytest

from repro.ledger import report as reports
from repro.ledger.html import SHAPES, STYLE, page
from repro.ledger.report import report
from repro.ledger.verdicts import MARKS

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Outline(HTMLParser):
    """Reads a page: checks that tags are closed in order, and keeps what tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.text = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append((tag, values))
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[key] for key in ("href", "src", "xlink:href") if key in values]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def count(self, tag, **wanted):
        return sum(name == tag and wanted.items() <= values.items() for name, values in self.tags)


@pytest.fixture
def records(make_record):
    curve = {"file": "m", "digest": "c", "points": {"validation/accuracy": [[10, 50.0], [20, 60.0]]}}
    return [
        make_record(paper=paper, task=task, seed=seed, score=80.0 + seed, curves=curve)
        for paper in ("lora", "finetune")
        for task in ("mrpc", "rte")
        for seed in range(2)
    ]


@pytest.fixture
def whole(records, make_judged, monkeypatch):
    judged = [
        make_judged(claim=f"C{place}", verdict=verdict, records=tuple(one.identity for one in records[:2]))
        for place, verdict in enumerate(MARKS)
    ]
    judged.append(make_judged(scale="", network="", claim="C9", verdict="not run", estimate=None))
    monkeypatch.setattr(reports, "_judged", lambda *_: judged)
    return report("lora", records, everything=True)


def test_the_page_is_well_formed_and_every_link_inside_it_leads_somewhere(whole, records):
    found = Outline(page(whole, records))
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    inside = [link[1:] for link in found.links if link.startswith("#")]
    assert inside
    assert set(inside) <= set(found.ids)


def test_the_page_needs_no_other_file_and_no_script(whole, records):
    text = page(whole, records)
    found = Outline(text)
    assert not found.count("script")
    assert not found.count("link")
    assert not found.count("img")
    assert {link for link in found.links if not link.startswith("#")} == {"https://arxiv.org/abs/2106.09685"}
    assert not re.search(r"@import|url\((?!#)", STYLE.read_text())


def test_a_verdict_is_told_by_its_word_and_its_shape(whole, records):
    found = Outline(page(whole, records))
    words = " ".join(found.text)
    assert len(set(SHAPES.values())) == len(MARKS)
    for verdict in MARKS:
        name = verdict.replace(" ", "-")
        assert f"v-{name}" in found.ids
        assert f"#v-{name}" in found.links
        assert verdict in words


def test_an_interval_without_bounds_ends_in_arrows(records, make_judged, monkeypatch):
    monkeypatch.setattr(reports, "_judged", lambda *_: [make_judged(low=-math.inf, high=math.inf, n=1)])
    text = page(report("lora", records), records)
    assert 'd="M13.0 11.0l-5 5 5 5"' in text
    assert 'd="M287.0 11.0l5 5 -5 5"' in text
    assert "[-∞, ∞], 1 seed" in text


def test_tables_can_be_heard(whole, records):
    found = Outline(page(whole, records))
    tables = found.count("table")
    assert tables == found.count("caption")
    assert tables == found.count("div", **{"class": "scroll", "tabindex": "0", "role": "region"})
    assert found.count("th", scope="row") == found.count("tr") - found.count("thead")
    assert found.count("html", lang="en") == 1
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(
        "aria-label" in values
        for tag, values in found.tags
        if tag == "svg" and "viewbox" in values and values.get("class") != "forest"
    )


def test_every_published_table_is_there_with_ours_beneath(whole, records):
    found = Outline(page(whole, records))
    assert {f"table-{name}" for name in ("T1", "T2", "T18", "TR2")} <= set(found.ids)
    words = "".join(found.text)
    assert "ours, tiny (tiny/encoder), 2 seeds" in words
    assert "80.5" in words
    assert "LoRA is <on> a par & better." in words


def test_each_of_our_numbers_leads_to_its_records_and_each_record_to_its_file(whole, records):
    text = page(whole, records, link=lambda record: f"../records/{record.file_name}")
    found = Outline(text)
    for record in records:
        assert f"record-{record.identity}" in found.ids
        assert f"#record-{record.identity}" in found.links
        assert f"../records/{record.file_name}" in found.links
    group = re.search(r'<a href="#(records-\d+)">80\.5</a>', text)[1]
    item = re.search(rf'<li id="{group}">.*?</li>', text)[0]
    assert item.count("#record-") == 2


def test_the_same_page_from_the_same_records(whole, records):
    assert page(whole, records) == page(whole, records[::-1])


def test_colours_are_readable():
    """Contrast of text against its grounds is 4.5 at least, in both schemes (WCAG 2.2, 1.4.3)."""

    def luminance(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    schemes = re.findall(r":root \{([^}]*--paper[^}]*)\}", STYLE.read_text())
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
        for ink in ("ink", "muted", "link"):
            for ground in ("paper", "panel"):
                light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_a_paper_without_a_run_has_a_page():
    found = Outline(page(report("gqa", [], everything=True), []))
    assert "Nothing was run for any table yet." in "".join(found.text)
    assert found.open == []
