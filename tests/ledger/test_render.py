"""Tables as text."""

from __future__ import annotations

from repro.ledger.render import terminal
from repro.ledger.tables import Cell, Row, Table


def test_no_column_is_lost_when_the_table_is_wider_than_the_screen():
    heads = ("row", *(f"column{place}" for place in range(8)))
    row = Row("a label of some length", "ours", tuple(Cell(1.0, "12345.6 ± 7.8 (5)") for _ in range(8)))
    drawn = terminal(Table("title", heads, (row, row), ()), width=60)
    assert all(f"column{place}" in drawn for place in range(8))
    assert drawn.count("12345.6 ± 7.8 (5)") == 16
