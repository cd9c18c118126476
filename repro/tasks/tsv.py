"""Tab-separated files as GLUE has them: one row a line, no quoting; every message names file and line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Row:
    """What was asked for of one row.

    Attributes:
        place: file and line, for messages.
        number: of the row, from 0; broken rows are counted, the header is not.
        cells: of the columns asked for, in their order.
    """

    place: str
    number: int
    cells: tuple[str, ...]


def read_tsv(
    file: Path, columns: Sequence[str], *, header: Sequence[str] | None = None, skip_short: bool = False
) -> tuple[list[Row], int]:
    """Reads columns of a file.

    Args:
        file: UTF-8, with or without byte order mark. Only a newline ends a row; a quotation mark is like any character.
        columns: names of the columns wanted.
        header: names of all columns, for a file without a header line.
        skip_short: leave out, and count, rows with too few columns.

    Returns:
        the rows, and how many were left out.

    Raises:
        UserError: no UTF-8, no rows, a missing column, or a row with another number of columns than the header.
    """
    lines = read_lines(file)
    names = list(header) if header is not None else (lines[0].split("\t") if lines else [])
    first = 0 if header is not None else 1
    if len(lines) <= first:
        raise UserError(f"{file} has no rows", "get the file anew")
    for column in columns:
        if column not in names:
            raise UserError(f"{file}, line 1: there is no column {column!r}", did_you_mean(column, names))
    places = [names.index(column) for column in columns]
    rows: list[Row] = []
    for number, line in enumerate(lines[first:]):
        cells = line.split("\t")
        if len(cells) == len(names):
            rows.append(Row(f"{file}, line {number + first + 1}", number, tuple(cells[place] for place in places)))
        elif len(cells) > len(names) or not skip_short:
            raise UserError(
                f"{file}, line {number + first + 1}: {len(cells)} columns instead of {len(names)}",
                "mend the row, or get the file anew",
            )
    if not rows:
        raise UserError(f"{file} has no whole row", "get the file anew")
    return rows, len(lines) - first - len(rows)


def read_lines(file: Path) -> list[str]:
    """Returns the lines of a UTF-8 text; only newlines end a line, one at the end of the file opens no further line.

    Raises:
        UserError: the file can't be read, or is no UTF-8.
    """
    text = read_text(file)
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def read_text(file: Path) -> str:
    """Returns a UTF-8 text, less its byte order mark.

    Raises:
        UserError: the file can't be read, or is no UTF-8.
    """
    try:
        return Path(file).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{file} can't be read", error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{file}, line {line}: this is no UTF-8", "convert the file") from None
