"""Files in their right form, and the ways in which they are found broken."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROWS = 24


@dataclass(frozen=True)
class Form:
    """How GLUE writes a task's files.

    Attributes:
        files: place of each split's file.
        columns: of a row; a name that is in VALUES is filled from an example, another holds a made-up word.
        header: whether the first line names the columns.
        classes: labels as they are written; none for numbers.
        mark: bytes before everything.
    """

    files: Mapping[str, str]
    columns: tuple[str, ...]
    header: bool = True
    classes: tuple[str, ...] = ("0", "1")
    mark: bytes = b""

    @property
    def label(self) -> int:
        """The place of the label in a row."""
        return next(place for place, name in enumerate(self.columns) if name in ("label", "Quality", "score", "mark"))


def _files(folder: str) -> dict[str, str]:
    return {"train": f"glue/{folder}/train.tsv", "validation": f"glue/{folder}/dev.tsv"}


_ENTAILMENT = ("entailment", "not_entailment")
TASKS = {
    "rte": Form(_files("RTE"), ("index", "sentence1", "sentence2", "label"), classes=_ENTAILMENT),
    "sst2": Form(_files("SST-2"), ("sentence", "label")),
    "cola": Form(_files("CoLA"), ("source", "label", "star", "sentence"), header=False),
    "mrpc": Form(_files("MRPC"), ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"), mark="\ufeff".encode()),
    "stsb": Form(_files("STS-B"), ("index", "genre", "sentence1", "sentence2", "score"), classes=()),
    "qqp": Form(_files("QQP"), ("id", "qid1", "qid2", "question1", "question2", "is_duplicate")),
}
OFFICIAL = Form({}, ("index", "prediction"))
_FIRST = ("sentence", "sentence1", "#1 String", "question1")
_SECOND = ("sentence2", "#2 String", "question2")
_LABELS = ("label", "Quality", "score", "is_duplicate", "prediction")


def glue_files() -> dict[str, bytes]:
    """Returns small files of GLUE's in their official form, with rows of the generated world."""
    from repro import world

    return {
        file: _table([dict(row, id=number) for number, row in enumerate(world.glue(task, split)[:ROWS])], form)
        for task, form in TASKS.items()
        for split, file in form.files.items()
    }


def predictions(table: bytes, form: Form, *, lines: bool) -> bytes:
    """Returns right predictions for a file: JSON lines, or index<TAB>prediction."""
    count = len(table.splitlines()) - form.header
    if lines:
        made = [
            {"id": number, "prediction": number % 2 if form.classes else number % 6 / 1.0} for number in range(count)
        ]
        return "".join(json.dumps(one) + "\n" for one in made).encode()
    said = [form.classes[number % 2] if form.classes else str(number % 6) for number in range(count)]
    return "\n".join(["index\tprediction", *(f"{number}\t{one}" for number, one in enumerate(said))]).encode() + b"\n"


def _table(rows: Sequence[Mapping[str, Any]], form: Form) -> bytes:
    lines = ["\t".join(form.columns)] if form.header else []
    for row in rows:
        label = form.classes[row["label"]] if form.classes else f"{row['label']:.3f}"
        values = dict.fromkeys(_FIRST, row["sentence1"]) | dict.fromkeys(_SECOND, row["sentence2"])
        values |= dict.fromkeys(_LABELS, label) | {"index": str(row["id"]), "id": str(row["id"])}
        lines.append("\t".join(values.get(name, "made-up") for name in form.columns))
    return form.mark + "\n".join(lines).encode() + b"\n"


Broken = tuple[str, bytes | None]


def broken_table(content: bytes, form: Form, chance: random.Random) -> Broken:
    """Returns how a file of tab-separated rows is broken, and its content; None for an empty folder in its place."""
    if chance.random() < 0.4:
        return _bytes(content, chance)
    lines = content.decode("utf-8-sig").removesuffix("\n").split("\n")
    name = chance.choice(sorted(_ROW_FAULTS))
    _ROW_FAULTS[name](lines, form, chance)
    return name, ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def broken_lines(content: bytes, chance: random.Random) -> Broken:
    """Returns how a file of JSON lines is broken, and its content."""
    if chance.random() < 0.25:
        return _bytes(content, chance)
    lines = content.decode().splitlines()
    place = chance.randrange(len(lines))
    line = chance.choice(_LINES)
    lines[place] = line.replace("ID", str(place))
    return f"line {place + 1} is {line[:60]!r}", ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def broken_json(content: bytes, chance: random.Random) -> Broken:
    """Returns how a record is broken, and its content."""
    if chance.random() < 0.5:
        return _bytes(content, chance)
    found = json.loads(content)
    key = chance.choice(sorted(found))
    kind = chance.choice(("drop", "another type", "another value", "add", "deep", "huge"))
    if kind == "drop":
        del found[key]
    elif kind == "add":
        found["nope"] = 1
    elif kind in ("another type", "another value"):
        found[key] = chance.choice((None, 3, -1.5, "x", [], {}, [[]], {"a": {"b": None}}, True))
    text = json.dumps(found)
    if kind == "deep":
        text = text[:-1] + ', "config": ' + "[" * 200_000 + "]" * 200_000 + "}"
    elif kind == "huge":
        text = text[:-1] + ', "seed": ' + "9" * 5000 + "}"
    return f"{kind} {key}", text.encode()


def broken_csv(content: bytes, chance: random.Random) -> Broken:
    """Returns how a file of published numbers is broken, and its content."""
    if chance.random() < 0.4:
        return _bytes(content, chance)
    lines = content.decode().splitlines()
    place = chance.randrange(len(lines))
    name, change = chance.choice(_CSV_FAULTS)
    lines[place] = change(lines[place])
    return f"line {place + 1}: {name}", ("\n".join(lines) + "\n").encode()


def _bytes(content: bytes, chance: random.Random) -> Broken:
    name = chance.choice(sorted(_BYTE_FAULTS))
    return name, _BYTE_FAULTS[name](content, chance)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _flipped(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(3):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


_BYTE_FAULTS: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "empty": lambda content, chance: b"",
    "truncated": lambda content, chance: content[: chance.randrange(1, len(content))],
    "bits flipped": _flipped,
    "NUL bytes": lambda content, chance: content[:40] + b"\x00\x00" + content[40:],
    "all NUL": lambda content, chance: bytes(len(content)),
    "UTF-16": lambda content, chance: _text(content).encode("utf-16"),
    "Latin-1": lambda content, chance: content.replace(b"e", b"\xe9", 3),
    "a second byte order mark": lambda content, chance: "\ufeff\ufeff".encode() + content,
    "a lone surrogate": lambda content, chance: content[:60] + b"\xed\xa0\x80" + content[60:],
    "CR ends lines": lambda content, chance: content.replace(b"\n", b"\r"),
    "CRLF ends lines": lambda content, chance: content.replace(b"\n", b"\r\n"),
    "twice": lambda content, chance: content + content,
    "blank lines": lambda content, chance: content.replace(b"\n", b"\n\n"),
    "only line ends": lambda content, chance: b"\n\n\n",
    "a gzip's head": lambda content, chance: b"\x1f\x8b\x08\x00" + content,
    "random bytes": lambda content, chance: chance.randbytes(400),
    "null": lambda content, chance: b"null\n",
    "brackets": lambda content, chance: b"[" * 100_000,
    "a folder": lambda content, chance: None,
}


def _cell(value: str) -> Callable[[list[str], Form, random.Random], None]:
    """Puts a value in the place of a label."""

    def change(lines: list[str], form: Form, chance: random.Random) -> None:
        place = chance.randrange(form.header, len(lines))
        cells = lines[place].split("\t")
        cells[next(at for at, name in enumerate(form.columns) if name in _LABELS)] = value
        lines[place] = "\t".join(cells)

    return change


def _in_text(before: str) -> Callable[[list[str], Form, random.Random], None]:
    """Puts something before a text."""

    def change(lines: list[str], form: Form, chance: random.Random) -> None:
        place = chance.randrange(form.header, len(lines))
        cells = lines[place].split("\t")
        at = next((at for at, name in enumerate(form.columns) if name in _FIRST), 0)
        cells[at] = before + cells[at]
        lines[place] = "\t".join(cells)

    return change


def _without_column(lines: list[str], form: Form, chance: random.Random) -> None:
    at = chance.randrange(len(form.columns))
    lines[:] = ["\t".join(cell for place, cell in enumerate(line.split("\t")) if place != at) for line in lines]


def _one_cell_less(lines: list[str], form: Form, chance: random.Random) -> None:
    place = chance.randrange(len(lines))
    lines[place] = lines[place].rpartition("\t")[0]


def _one_cell_more(lines: list[str], form: Form, chance: random.Random) -> None:
    lines[chance.randrange(len(lines))] += "\tmore"


def _same_id(lines: list[str], form: Form, chance: random.Random) -> None:
    lines.append(lines[-1])


def _in_quotes(lines: list[str], form: Form, chance: random.Random) -> None:
    place = chance.randrange(form.header, len(lines))
    lines[place] = "\t".join(f'"{cell}"' for cell in lines[place].split("\t"))


def _only_header(lines: list[str], form: Form, chance: random.Random) -> None:
    del lines[1:]


def _no_header(lines: list[str], form: Form, chance: random.Random) -> None:
    del lines[0]


def _one_row(lines: list[str], form: Form, chance: random.Random) -> None:
    del lines[1 + form.header :]


def _blank_texts(lines: list[str], form: Form, chance: random.Random) -> None:
    for place in range(int(form.header), len(lines)):
        cells = lines[place].split("\t")
        lines[place] = "\t".join(
            "" if name in (*_FIRST, *_SECOND) else cell for name, cell in zip(form.columns, cells, strict=True)
        )


_ROW_FAULTS: dict[str, Callable[[list[str], Form, random.Random], None]] = {
    "a column is missing": _without_column,
    "a cell less": _one_cell_less,
    "a cell more": _one_cell_more,
    "an id twice": _same_id,
    "cells in quotes": _in_quotes,
    "an unclosed quote": _in_text('"'),
    "only its header": _only_header,
    "no header": _no_header,
    "one row": _one_row,
    "texts are blank": _blank_texts,
    "a line separator in a text": _in_text("a\u2028b\x85c\x0bd\x0c"),
    "a NUL in a text": _in_text("a\x00b"),
    "a very long text": _in_text("word " * 50_000),
    "one very long word": _in_text("w" * 200_000),
    "a lone surrogate in a text": _in_text("\ud800"),
    "no label": _cell(""),
    "an unknown label": _cell("maybe"),
    "a label out of range": _cell("7"),
    "a label that is not finite": _cell("nan"),
    "an infinite label": _cell("1e999"),
    "a label with spaces": _cell(" 1 "),
    "a label of 5,000 digits": _cell("9" * 5000),
    "a label in other digits": _cell("١"),
    "a negative label": _cell("-1"),
}
_LINES = (
    *("", "{", "}", "null", "3", "[]", '"x"', "{}", '{"id": ID}', '{"prediction": 1}', '{"id": null, "prediction": 1}'),
    *('{"id": "ID", "prediction": 1}', '{"id": ID.0, "prediction": 1}', '{"id": true, "prediction": 1}'),
    *('{"id": ID, "prediction": null}', '{"id": ID, "prediction": "1"}', '{"id": ID, "prediction": [1]}'),
    *('{"id": ID, "prediction": true}', '{"id": ID, "prediction": NaN}', '{"id": ID, "prediction": Infinity}'),
    *('{"id": ID, "prediction": 1e999}', '{"id": ID, "prediction": -1}', '{"id": ID, "prediction": 99}'),
    *('{"id": -1, "prediction": 1}', '{"id": 99999, "prediction": 1}', '{"id": 0, "prediction": 1}', "{'id': ID}"),
    '{"id": ID, "prediction": ' + "9" * 5000 + "}",
    '{"id": ' + "9" * 5000 + ', "prediction": 1}',
    '{"id": ID, "prediction": 1, "more": ' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"id": ID, "prediction": 1, "id": ID}',
    '{"id": ID, "prediction": "\\ud800"}',
    '{"id": ID, "prediction": "\x00"}',
    '{"id": ID, "prediction": 1} {"id": ID, "prediction": 1}',
)
_CSV_FAULTS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("empty", lambda line: ""),
    ("a cell more", lambda line: f"{line},more"),
    ("a cell less", lambda line: line.rpartition(",")[0]),
    ("an unclosed quote", lambda line: line.replace('"', "", 1) if '"' in line else f'"{line}'),
    ("a condition that is no JSON", lambda line: line.replace("{", "{{", 1)),
    ("a condition that is a list", lambda line: line.replace("{", "[", 1).replace("}", "]", 1).replace(":", ",")),
    ("a value that is no number", lambda line: _with_cell(line, 6, "many")),
    ("no value", lambda line: _with_cell(line, 6, "")),
    ("an infinite value", lambda line: _with_cell(line, 6, "1e999")),
    ("a spread that is no number", lambda line: _with_cell(line, 7, "wide")),
    ("no metric", lambda line: _with_cell(line, 5, "")),
    ("an unknown metric", lambda line: _with_cell(line, 5, "nope")),
    ("another paper", lambda line: _with_cell(line, 0, "nope")),
    ("an unknown table", lambda line: _with_cell(line, 1, "T99")),
    ("no row", lambda line: _with_cell(line, 2, "")),
    ("a task that is a number", lambda line: _with_cell(line, 4, '{"task": 3}')),
    ("a condition of mappings", lambda line: _with_cell(line, 4, '{"task": {"a": [1]}}')),
    ("a deep condition", lambda line: _with_cell(line, 4, '{"a": ' + "[" * 60_000 + "]" * 60_000 + "}")),
    ("a condition with a huge number", lambda line: _with_cell(line, 4, '{"seed": ' + "9" * 5000 + "}")),
    ("a condition with NaN", lambda line: _with_cell(line, 4, '{"seed": NaN}')),
    ("a split that is a number", lambda line: _with_cell(line, 4, '{"split": 3}')),
)


def _with_cell(line: str, place: int, value: str) -> str:
    import csv
    import io

    cells = next(csv.reader([line]))
    cells[place] = value
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(cells)
    return stream.getvalue()
