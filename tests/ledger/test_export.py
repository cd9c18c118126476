"""Tables for other programs: nothing of a table is lost, and LaTeX takes what papers write."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import subprocess

import pytest

from repro.ledger.export import COLUMNS, as_json, comma_separated
from repro.ledger.tables import Cell, Row, Table
from repro.ledger.tex import HEAD, escaped, tex

TABLE = Table(
    "Table 2: GLUE & more (±: 5 seeds)",
    ("T2", "MRPC", "RTE", "seconds"),
    (
        Row("base_1, 100% <LoRA>", "published", (Cell(89.7, "89.7", "0.7", marks=(1,)), Cell(), Cell())),
        Row(
            "ours, x, 3 seeds",
            "ours",
            (Cell(-0.5, "-0.5", "2.0", records=("aa", "bb")), Cell(70.0, "70.0", "1.4", 2, (1,)), Cell(50.0, "50")),
            (2,),
        ),
    ),
    ("copied; from B", "x stands in"),
    ("power: 1.2 points",),
)


def test_csv_has_a_line_for_each_cell():
    lines = list(csv.reader(io.StringIO(comma_separated({"lora": {"T2": TABLE}}))))
    assert lines == [
        list(COLUMNS),
        ["lora", "T2", "base_1, 100% <LoRA>", "published", "MRPC", "89.7", "89.7", "0.7", "", "copied; from B", ""],
        ["lora", "T2", "ours, x, 3 seeds", "ours", "MRPC", "-0.5", "-0.5", "2.0", "3", "x stands in", "aa bb"],
        [
            *("lora", "T2", "ours, x, 3 seeds", "ours", "RTE", "70.0", "70.0", "1.4", "2"),
            "copied; from B; x stands in",
            "",
        ],
        ["lora", "T2", "ours, x, 3 seeds", "ours", "seconds", "50", "50.0", "", "", "x stands in", ""],
    ]


def test_json_has_the_structure_of_the_tables(make_judged):
    found = json.loads(as_json([{"paper": "lora", "tables": {"T2": TABLE}, "claims": [make_judged(low=-math.inf)]}]))
    table = found[0]["tables"]["T2"]
    assert table["columns"] == ["T2", "MRPC", "RTE", "seconds"]
    assert table["rows"][1]["cells"][0] == {
        "value": -0.5,
        "printed": "-0.5",
        "spread": "2.0",
        "n": None,
        "marks": [],
        "records": ["aa", "bb"],
    }
    assert table["below"] == ["power: 1.2 points"]
    claim = found[0]["claims"][0]
    assert claim["verdict"] == "reproduced"
    assert claim["claim"]["id"] == "C1"
    assert claim["contrasts"][0]["low"] is None
    assert claim["contrasts"][0]["bounds"] == [-0.5, None]


def test_tex_of_a_small_table():
    assert (
        tex(TABLE)
        == r"""\begin{table}[htbp]
\caption{Table 2: GLUE \& more ($\pm$: 5 seeds)}
\centering\small
\begin{tabular}{@{}p{5cm}rrr@{}}
\toprule
T2 & MRPC & RTE & seconds \\
\midrule
base\_1, 100\% $<$LoRA$>$ & 89.7\textsuperscript{1} $\pm$ 0.7 &  &  \\
$\hookrightarrow$ ours, x, 3 seeds\textsuperscript{2} & $-$0.5 $\pm$ 2.0 & 70.0\textsuperscript{1} $\pm$ 1.4 (2) & 50 \\
\bottomrule
\end{tabular}
\par\medskip\raggedright\footnotesize
\textsuperscript{1} copied; from B\par
\textsuperscript{2} x stands in\par
power: 1.2 points\par
\end{table}
"""
    )


def test_columns_without_anything_are_left_out_of_tex():
    table = Table(
        "t",
        ("T", "a", "trainable", "seconds"),
        (Row("r", "published", (Cell(1.0, "1"), Cell(), Cell(printed="not run"))),),
        (),
    )
    assert "T & a \\\\" in tex(table)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5% #1 {x}", r"a\_b \& 5\% \#1 \{x\}"),
        ("\\alpha^2 ~ $", r"\textbackslash{}alpha\textasciicircum{}2 \textasciitilde{} \$"),
        ("W ≥ 3 × 10−2 · γ", r"W $\ge$ 3 $\times$ 10$-$2 $\cdot$ $\gamma$"),
        ("Lebrón “x”… – —", r"Lebrón ``x''\dots{} -- ---"),
        ("x² ﬁ 中 →", r"x2 fi [U+4E2D] $\to$"),
    ],
)
def test_what_latex_cannot_take_is_escaped(text, expected):
    assert escaped(text) == expected


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_pdflatex_takes_every_published_table(tmp_path):
    from repro.ledger.published import papers
    from repro.ledger.report import sections

    strange = Row('\\ { } $ & # % _ ^ ~ < > | " ± × ≥ ∞ ° γ é ł 中 ²', "ours", (Cell(1.0, "-1", "2"),) * 3)
    tables = [TABLE, Table("t", TABLE.columns, (strange,), ())]
    for paper in papers():
        tables += sections(paper, [], everything=True).tables.values()
    body = "\\clearpage\n".join(map(tex, tables))  # a document that keeps floats back would overflow
    start = "\\documentclass{article}\n" + HEAD.removeprefix("% needs ") + "\\begin{document}\n"
    (tmp_path / "t.tex").write_text(start + body + "\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
