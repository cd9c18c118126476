"""What results/ holds of each paper, against the sheets that it was written from, where those are at hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from repro import paths
from repro.ledger.published import about, published
from repro.ledger.verify import checks

SHEETS = Path(__file__).parents[3] / "shared" / "published"
PAPERS = ("bitnet", "gpt3", "gqa", "instructgpt", "llava", "lora", "palm", "prefix_tuning")
COUNTS = ("trainable_parameters", "total_parameters")
"""What a row's `params` became, beside its scores."""


def sheet(paper: str, loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)) -> dict:
    file = SHEETS / f"{paper}.yaml"
    if not file.is_file():
        pytest.skip("not compared: the sheets are not here")
    return yaml.load(file.read_text(encoding="utf-8"), Loader=loader)


def kept_out(what: dict) -> bool:
    said = f"{what.get('place', '')} {what.get('what', '')} {what.get('note', '')} {what.get('flags', '')}"
    return what.get("source") == "recalled" or "never print" in said or "recalled" in str(what.get("flags", ""))


def scores_of(row: dict) -> list[tuple[str, str]]:
    spread = row.get("spread") if isinstance(row.get("spread"), dict) else {}
    return [
        (str(value), str(spread.get(name, "")).replace("null", ""))
        for name, value in (row.get("scores") or {}).items()
        if value not in ("", "null", "~")
    ]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_published_number_of_every_table_is_there_and_in_its_row(paper):
    wanted = {
        table["id"]: [sorted(scores_of(row)) for row in table["rows"] if not kept_out(row)]
        for table in sheet(paper, yaml.BaseLoader)["tables"]
        if not kept_out(table)
    }
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for fact in published(paper):
        row = found.setdefault(fact.table, {}).setdefault(fact.row, [])
        if fact.metric not in COUNTS:
            row.append((fact.printed, fact.spread))
    assert list(found) == list(wanted)
    for table, rows in wanted.items():
        rows = [row for row in rows if row]
        ours = [sorted(row) for row in found[table].values() if row]
        assert len(ours) == len(rows), table
        for label, row, one in zip(found[table], rows, ours, strict=False):
            assert sorted(value for value, _ in one) == sorted(value for value, _ in row), f"{table} {label}"
            spread = [pair for pair in row if pair[1]]
            assert [pair for pair in one if pair in spread] == spread, f"{table} {label}"


@pytest.mark.parametrize("paper", PAPERS)
def test_every_table_has_a_title(paper):
    assert list(about(paper, "tables")) == list(dict.fromkeys(fact.table for fact in published(paper)))


@pytest.mark.parametrize("paper", PAPERS)
def test_every_claim_is_there_with_all_its_contrasts(paper):
    ours, theirs = about(paper, "claims"), sheet(paper)["claims"]
    assert [claim["id"] for claim in ours] == [claim["id"] for claim in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert our["text"]
        assert our["place"]
        assert our["source"]
        assert our["kind"] == their["kind"]
        assert len(our["contrasts"]) == len(their["contrasts"]), our["id"]
        for one, other in zip(our["contrasts"], their["contrasts"], strict=True):
            assert one["published"] == other.get("published"), f"{our['id']}: {one['says']}"
            assert one["says"], our["id"]
            assert one["statistic"] == other["statistic"], f"{our['id']}: {one['says']}"


@pytest.mark.parametrize("paper", PAPERS)
def test_every_recomputed_number_is_there_and_equals_the_sheet(paper):
    known = {"math": math, "__builtins__": {one.__name__: one for one in (sum, min, max, round, abs, len, range)}}
    theirs = sheet(paper)["analytic"]
    ours = checks(paper)
    assert [check.id for check in ours] == [entry["id"] for entry in theirs]
    for check, entry in zip(ours, theirs, strict=True):
        value = eval(entry["formula"], dict(known), dict(entry.get("inputs") or {}))
        assert float(check.recomputed) == pytest.approx(float(value), rel=1e-9, abs=1e-12), check.id
        if entry.get("derived"):
            assert not check.printed, check.id
        else:
            assert check.printed == str(entry["printed"]), check.id
            assert check.agrees() == entry["agrees"], check.id
        assert not check.changed(), check.id


@pytest.mark.parametrize("paper", PAPERS)
def test_the_folder_of_a_paper_holds_its_facts(paper):
    assert {"published.csv", "claims.yaml", "tables.yaml"} <= {file.name for file in (paths.FACTS / paper).iterdir()}
