"""The published numbers against numbers typed by hand from the paper, and against the paper's own averages."""

from __future__ import annotations

import pytest

from repro import paths
from repro.errors import UserError
from repro.ledger.published import number, published, read_published
from repro.ledger.tables import DERIVED, table_facts

LORA = {(fact.table, fact.row, fact.column): fact for fact in published("lora")}


@pytest.mark.parametrize(
    ("table", "row", "column", "printed", "spread"),
    [
        ("T2", "RoBERTa base, LoRA", "MNLI", "87.5", "0.3"),
        ("T2", "RoBERTa base, LoRA", "average", "87.2", ""),
        ("T2", "RoBERTa base, LoRA", "trainable", "0.3M", ""),
        ("T2", "RoBERTa base, fine-tuning", "RTE", "78.7", ""),
        ("T2", "RoBERTa large, LoRA, restricted", "RTE", "85.2", "1.1"),
        ("T2", "DeBERTa XXL, LoRA", "RTE", "94.9", "0.4"),
        ("T2", "DeBERTa XXL, LoRA", "CoLA", "72.4", "1.1"),
        ("T3", "GPT-2 M, LoRA", "BLEU", "70.4", "0.1"),
        ("T3", "GPT-2 M, LoRA", "NIST", "8.85", "0.02"),
        ("T4", "GPT-3 175B, fine-tuning", "trainable", "175,255.8M", ""),
        ("T14", "GPT-2 M, fine-tuning", "METEOR unseen", "0.30", ""),
        ("T18", "GPT-2 M, LoRA, r=4", "CIDEr", "2.5349", ""),
        ("T16", "GPT-3 175B, LoRA", "100", "63.8", "0.3"),
    ],
)
def test_a_number_is_as_the_paper_prints_it(table, row, column, printed, spread):
    fact = LORA[table, row, column]
    assert (fact.printed, fact.spread) == (printed, spread)


def test_a_row_of_table_2_asks_for_paper_model_and_task_alone():
    assert dict(LORA["T2", "RoBERTa base, LoRA", "MNLI"].condition) == {
        "paper": "lora",
        "model": "roberta-base",
        "task": "glue/mnli",
    }
    assert LORA["T2", "RoBERTa large, LoRA, restricted", "MNLI"].condition["config.paper.setup"] == "restricted"


def test_table_2_has_14_rows_of_8_tasks_average_and_parameters():
    facts = table_facts(published("lora"))["T2"]
    assert len({fact.row for fact in facts}) == 14
    assert len(facts) == 14 * 10


def test_printed_averages_are_the_averages_of_the_printed_rows():
    for name in ("T2", "TR1"):
        rows = table_facts(published("lora"))[name]
        for row in dict.fromkeys(fact.row for fact in rows):
            line = [fact for fact in rows if fact.row == row]
            scores = {
                fact.condition["task"]: fact.value
                for fact in reversed(line)
                if fact.metric not in DERIVED and fact.split is None
            }
            printed = next(fact for fact in line if fact.metric == "average")
            mnli = [
                fact.value for fact in line if fact.condition["task"] == "glue/mnli"
            ]  # the README averages both parts for DeBERTa
            means = [(sum(scores.values()) - mnli[0] + one) / 8 for one in (mnli[0], sum(mnli) / len(mnli))]
            agrees = any(abs(mean - printed.value) <= 0.5 * 10**-printed.decimals + 1e-9 for mean in means)
            assert agrees != any("misprint" in flag for flag in printed.flags), (name, row)


def test_every_line_has_its_own_place_and_a_source():
    assert len(LORA) == len(published("lora")) == 770
    assert all(fact.source and fact.place for fact in LORA.values())


@pytest.mark.parametrize(
    ("printed", "value"), [("87.5", 87.5), ("0.3M", 300_000), ("175,255.8M", 175_255_800_000), ("1.5B", 1.5e9)]
)
def test_a_printed_number_has_a_value(printed, value):
    assert number(printed) == pytest.approx(value)


HEAD = "paper,table,row,column,condition,metric,value,spread,spread_kind,place,source,flags\n"
LINE = 'lora,T2,a row,MNLI,"{""paper"": ""lora""}",accuracy,87.5,0.3,,Table 2,arXiv,\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("paper,table\n", "line 1"),
        (HEAD + LINE.replace("87.5", "nan"), "line 2: 'nan' is no number"),
        (HEAD + LINE.replace("87.5", "87.5M%"), "line 2"),
        (HEAD + LINE + LINE, "line 3: T2, a row, MNLI stands there twice"),
        (HEAD + LINE + "a,b\n", "line 3: 2 columns instead of 12"),
        (HEAD + LINE.replace('"{""paper""', '"{""paper'), "line 2"),
        (HEAD + LINE.replace("0.3", "x"), "line 2: 'x' is no number"),
        (HEAD + LINE.replace('""lora""', '{""a"": 1}'), "line 2: paper of the condition must be a value"),
        (HEAD + LINE.replace('""paper"": ""lora""', '""task"": 3'), "line 2: task of the condition must be a name"),
        (HEAD + LINE.replace('""lora""', "NaN"), "line 2: 'NaN' is no number"),
        (HEAD + LINE.replace('""lora""', "[" * 60_000), "line 2: maximum recursion"),
    ],
)
def test_a_broken_line_is_named(tmp_path, text, said):
    file = tmp_path / "published.csv"
    file.write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        read_published(file)
    assert str(file) in str(caught.value)


def test_an_unknown_paper_gets_a_suggestion():
    with pytest.raises(UserError, match="did you mean lora"):
        published("lroa")


def test_the_file_has_unix_line_ends():
    assert b"\r" not in (paths.FACTS / "lora" / "published.csv").read_bytes()
