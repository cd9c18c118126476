"""Tab-separated files and what is said of broken ones."""

from __future__ import annotations

import pytest

from repro.errors import UserError
from repro.tasks.tsv import read_tsv


@pytest.fixture
def write(tmp_path):
    def write(content: bytes):
        (tmp_path / "x.tsv").write_bytes(content)
        return tmp_path / "x.tsv"

    return write


def test_a_quotation_mark_and_odd_line_separators_are_characters(write):
    file = write('a\tb\n"one\ttwo\u2028three\x0b\x85\nfour"\t\n'.encode())
    rows, skipped = read_tsv(file, ("b", "a"))
    assert [row.cells for row in rows] == [("two\u2028three\x0b\x85", '"one'), ("", 'four"')]
    assert (rows[1].number, rows[1].place, skipped) == (1, f"{file}, line 3", 0)


def test_byte_order_mark_and_windows_line_ends_are_no_part_of_a_cell(write):
    rows, _ = read_tsv(write(b"\xef\xbb\xbfa\tb\r\n1\t2\r\n"), ("a", "b"))
    assert rows[0].cells == ("1", "2")


def test_short_rows_are_counted_and_keep_their_numbers(write):
    rows, skipped = read_tsv(write(b"a\tb\n1\t2\nbroken\n3\t4"), ("a",), skip_short=True)
    assert ([row.number for row in rows], skipped) == ([0, 2], 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x.tsv has no rows"),
        (b"a\tb\n", r"x.tsv has no rows"),
        (b"lable\tb\n1\t2\n", r"x.tsv, line 1: there is no column 'label': did you mean lable\?"),
        (b"label\tb\n1\t2\n1\n", r"x.tsv, line 3: 1 columns instead of 2: mend the row"),
        (b"label\tb\n1\t2\t3\n", r"x.tsv, line 2: 3 columns instead of 2"),
        (b"label\tb\n1\tcaf\xe9\n", r"x.tsv, line 2: this is no UTF-8"),
    ],
)
def test_messages_name_file_and_line(write, content, message):
    with pytest.raises(UserError, match=message):
        read_tsv(write(content), ("label",))


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(UserError, match=r"no\.tsv can't be read: No such file"):
        read_tsv(tmp_path / "no.tsv", ("a",))
