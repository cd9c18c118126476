"""Tables of examples with a header, as anybody writes them: CSV where the name ends so, else TSV as GLUE has it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from repro.errors import UserError, did_you_mean
from repro.tasks.tsv import Row, read_text, read_tsv


def read_table(
    file: Path, columns: Sequence[str], *, header: Sequence[str] | None = None, skip_short: bool = False
) -> tuple[list[Row], int]:
    """Reads columns of a file.

    Args:
        file: UTF-8. A CSV is read as spreadsheets write it (commas, quoted cells, empty lines left out), and has a
            header line; the rest is for a TSV, as `read_tsv` has it.

    Returns:
        the rows, and how many were left out.

    Raises:
        UserError: naming file and line: no UTF-8, no rows, a missing column, or a row that is too short or too long.
    """
    if file.suffix.lower() != ".csv":
        return read_tsv(file, columns, header=header, skip_short=skip_short)
    rows = _csv_rows(file)
    _, names = next(rows, ("", []))
    places = [_place(file, names, column) for column in columns]
    found = []
    for number, (line, cells) in enumerate(rows):
        if len(cells) != len(names):
            raise UserError(
                f"{line}: {len(cells)} columns instead of {len(names)}", "mend the row: a cell with a comma is quoted"
            )
        found.append(Row(line, number, tuple(cells[place] for place in places)))
    if not found:
        raise UserError(f"{file} has no rows", "a CSV has a header line and a line for each example")
    return found, 0


def columns_of(file: Path) -> list[str]:
    """Returns the names in the first line of a file.

    Raises:
        UserError: the file can't be read, or is empty.
    """
    if file.suffix.lower() == ".csv":
        names = next(_csv_rows(file), ("", []))[1]
    else:
        names = read_text(file).partition("\n")[0].removesuffix("\r").split("\t")
    if not any(names):
        raise UserError(f"{file} has no rows", "its first line names the columns")
    return names


def _csv_rows(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields the place and the cells of each row, the header's among them."""
    reader = csv.reader(io.StringIO(read_text(file), newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield f"{file}, line {line}", cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{file}, line {line}: {error}", "save it as a CSV with commas and quoted cells") from None


def _place(file: Path, names: Sequence[str], column: str) -> int:
    if column not in names:
        raise UserError(f"{file}, line 1: there is no column {column!r}", did_you_mean(column, names))
    return list(names).index(column)
