"""Tables that anybody wrote."""

from __future__ import annotations

import csv

import pytest

from repro.errors import UserError
from repro.tasks.tables import columns_of, read_table

CELLS = [["a, b", "c"], ['said "so"', ""], ["two\nlines", "1"], ["ünlaut\t", " x "]]


def test_a_csv_is_read_as_a_spreadsheet_writes_it(tmp_path):
    file = tmp_path / "mine.CSV"
    with file.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows([["text", "label"], *CELLS])
    assert columns_of(file) == ["text", "label"]
    rows, skipped = read_table(file, ("label", "text"))
    assert [list(row.cells[::-1]) for row in rows] == CELLS
    assert ([row.number for row in rows], skipped) == ([0, 1, 2, 3], 0)
    assert [row.place.rpartition(" ")[2] for row in rows] == ["2", "3", "4", "6"]  # a cell has two lines


def test_empty_lines_of_a_csv_are_no_rows(tmp_path):
    (tmp_path / "a.csv").write_text("\ntext\n\none\n\n\ntwo\n")
    rows, _ = read_table(tmp_path / "a.csv", ("text",))
    assert [(row.cells, row.place[-1]) for row in rows] == [(("one",), "4"), (("two",), "7")]


def test_another_ending_is_a_tsv_in_which_quotes_mean_nothing(tmp_path):
    (tmp_path / "a.txt").write_text('text\tlabel\n"a, b\t1\n')
    assert columns_of(tmp_path / "a.txt") == ["text", "label"]
    assert read_table(tmp_path / "a.txt", ("text",))[0][0].cells == ('"a, b',)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.csv, line 1: there is no column 'text': there is none|a\.csv has no rows"),
        (b"text,label\n", r"a\.csv has no rows: a CSV has a header line"),
        (b"texts,label\na,1\n", r"a\.csv, line 1: there is no column 'text': did you mean texts\?"),
        (b"text,label\na,1\nb, c,1\n", r"a\.csv, line 3: 3 columns instead of 2"),
        (b'text,label\n"a\nb",1\n"c,1\n', r"a\.csv, line 4: unexpected end of data"),
        (b"text,label\na,1\n\xe4,1\n", r"a\.csv, line 3: this is no UTF-8"),
    ],
)
def test_what_is_wrong_with_a_csv_is_named_with_its_line(content, message, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / "a.csv", ("text",))


def test_an_empty_file_has_no_columns(tmp_path):
    for name in ("a.csv", "a.tsv"):
        (tmp_path / name).touch()
        with pytest.raises(UserError, match=rf"{name} has no rows: its first line names the columns"):
            columns_of(tmp_path / name)
