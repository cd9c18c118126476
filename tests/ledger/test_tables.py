"""Tables against expected text written by hand, and what they must not depend on."""

from __future__ import annotations

import random

import pytest

from repro.ledger.baselines import baselines_table
from repro.ledger.published import published, read_published
from repro.ledger.render import markdown, terminal
from repro.ledger.report import between_markers, markdown_report, sections
from repro.ledger.run_row import run_row
from repro.ledger.tables import count, number_of, paper_table, score

TASKS = ("mnli", "sst2", "mrpc", "cola", "qnli", "qqp", "rte", "stsb")
HEAD = "paper,table,row,column,condition,metric,value,spread,spread_kind,place,source,flags\n"
LINE = '{paper},T2,"{row}",{column},"{{""paper"":""{name}"",""model"":""roberta-base"",""task"":""{task}""}}",{rest}\n'
SMALL = HEAD + "".join(
    LINE.format(paper="lora", row=f"base, {method}", name=method.lower(), column=column, task=task, rest=rest)
    for method, column, task, rest in (
        ("LoRA", "trainable", "glue", "trainable_parameters,0.3M,,,T2,x,"),
        ("LoRA", "MRPC", "glue/mrpc", "accuracy,89.7,0.7,sd,T2,x,starts from MNLI"),
        ("LoRA", "RTE", "glue/rte", "accuracy,86.6,,,T2,x,"),
        ("LoRA", "average", "glue", "average,88.2,,,T2,x,"),
        ("BitFit", "MRPC", "glue/mrpc", "accuracy,92.7,,,T2,x,copied"),
    )
)
EXPECTED = """\
**A table**

| T2 | MRPC | RTE | average | trainable | seconds | memory |
| :-- | --: | --: | --: | --: | --: | --: |
| base, LoRA | 89.7¹ ± 0.7 | 86.6 | 88.2 | 0.3M |  |  |
| ↳ ours, tiny (tiny/encoder)²·³·⁴ | 82.0⁵ ± 2.0 (3) | 70.0 ± 1.4 (2) | 75.5 ± 1.4 (2) | 12.3K | 50 | 700 MB |
| base, BitFit⁶ | 92.7 |  |  |  | not run |  |

¹ starts from MNLI  
² tiny/encoder stands in for roberta-base  
³ scores: test split, best epoch; mean ± sample standard deviation over seeds  
⁴ trainable: without the head, as the paper counts; the head has 16.5K more  
⁵ short  
⁶ copied  
"""


@pytest.fixture
def facts(tmp_path):
    (tmp_path / "published.csv").write_text(SMALL)
    return read_published(tmp_path / "published.csv")


@pytest.fixture
def few(make_record):
    # mrpc 80, 82, 84: 82 ± 2; rte 69, 71: 70 ± 1.41; averages of the seeds that both have: 74.5, 76.5: 75.5 ± 1.41
    return [
        *(make_record(seed=seed, score=80.0 + 2 * seed, notes=["short"]) for seed in range(3)),
        make_record(task="rte", seed=0, score=69.0),
        make_record(task="rte", seed=1, score=71.0),
    ]


def test_markdown_of_a_small_table(facts, few):
    assert markdown(paper_table("A table", facts, few)) == EXPECTED


def test_a_record_that_deviates_changes_nothing(facts, few, make_record):
    trials = [
        make_record(seed=9, deviates=["trainer.max_steps"]),
        make_record(task="rte", seed=9, deviates=["network"], network="other"),
    ]
    assert paper_table("t", facts, [*few, *trials]) == paper_table("t", facts, few)


def test_records_that_may_not_be_averaged_are_refused_with_the_keys(facts, few, make_record):
    config = {**few[0].config, "optim": {"lr": 0.5}}
    table = paper_table("t", facts, [*few, make_record(seed=7, config=config, notes=["short"])])
    assert [cell.printed for cell in table.rows[1].cells[:3]] == ["refused", "70.0", ""]
    assert any("config.optim.lr" in note for note in table.notes)


def test_the_average_needs_every_task(facts, few):
    table = paper_table("t", facts, [record for record in few if record.task != "glue/rte"])
    assert [cell.printed for cell in table.rows[1].cells[:3]] == ["82.0", "", ""]


def test_a_diverged_run_is_counted_and_said(facts, make_record):
    records = [make_record(seed=0, score=80.0), make_record(seed=1, score=None, diverged=1)]
    table = paper_table("t", facts, records)
    assert table.rows[1].cells[0].printed == "80.0"
    assert "1 of 2 diverged" in table.notes


def test_each_scale_and_network_has_a_row_of_its_own(facts, make_record):
    records = [make_record(), make_record(scale="local", network="minilm"), make_record(scale="local", network="hf:a")]
    labels = [row.label for row in paper_table("t", facts, records).rows]
    assert labels == [
        "base, LoRA",
        "ours, tiny (tiny/encoder), 1 seed",
        "ours, local (hf:a), 1 seed",
        "ours, local (minilm), 1 seed",
        "base, BitFit",
    ]
    assert len(paper_table("t", facts, records, scale="local").rows) == 4
    assert len(paper_table("t", facts, records, only_run=True).rows) == 4


def test_test_comes_before_validation_and_the_best_epoch_before_the_last(make_record):
    scores = {"validation-last": {"f1": 1.0}, "validation-best": {"f1": 2.0}}
    assert score(make_record(scores=scores), "f1") == (2.0, "validation", "best")
    assert score(make_record(scores={**scores, "test-last": {"f1": 3.0}}), "f1") == (3.0, "test", "last")
    assert score(make_record(scores=scores), "f1", "validation_mismatched")[0] is None


def all_records(make_record):
    return [
        make_record(paper=paper, task=task, seed=seed, score=70.0 + seed + place, **more)
        for paper, more in (
            ("lora", {}),
            ("finetune", {}),
            ("frozen", {}),
            ("finetune", {"network": "tiny/encoder-random", "deviates": ["network"]}),
        )
        for place, task in enumerate(TASKS)
        for seed in range(3)
    ]


def test_a_table_does_not_depend_on_the_order_of_records(make_record):
    records = all_records(make_record)
    expected = markdown_report("lora", records, everything=True), markdown(run_row(records))
    for seed in range(5):
        random.Random(seed).shuffle(records)
        assert (markdown_report("lora", records, everything=True), markdown(run_row(records))) == expected


def test_the_baselines_stand_together(make_record):
    plan = {
        "title": "Baselines",
        "rows": [
            {"label": "majority", "baseline": "majority"},
            {
                "label": "random start",
                "condition": {"paper": "finetune", "scale": "tiny", "network": "tiny/encoder-random"},
            },
            {"label": "LoRA", "condition": {"paper": "lora"}},
            {"label": "BitFit", "condition": {"paper": "bitfit"}},
        ],
    }
    facts = [fact for fact in published("lora") if fact.table == "T2"]
    table = baselines_table(plan, facts, all_records(make_record), "tiny")
    assert [row.label for row in table.rows] == [
        "majority",
        "random start (tiny/encoder-random), 3 seeds",
        "LoRA (tiny/encoder), 3 seeds",
        "BitFit",
    ]
    assert [cell.printed for cell in table.rows[0].cells] == ["50.0"] * 9
    assert [cell.printed for cell in table.rows[2].cells] == [f"{71.0 + place:.1f}" for place in range(8)] + ["74.5"]
    assert table.rows[3].cells[0].printed == "not run"
    assert baselines_table(plan, facts, all_records(make_record), "local") is None


def test_the_row_of_a_run_in_the_terminal(make_record):
    table = run_row([make_record(task=task, seed=seed, score=80.0 + seed) for task in TASKS for seed in range(2)])
    text = terminal(table)
    assert max(map(len, text.splitlines())) <= 100
    assert not set(text) & set(map(chr, range(32))) - {"\n"}
    assert text.splitlines()[4].split() == [
        "mnli",
        "87.5¹",
        "±",
        "0.3",
        "80.5²",
        "±",
        "0.7",
        "(2)",
        "50.0",
        "60.0",
        "66.0",
        "tiny/encoder",
        "12.3K",
        "20",
    ]
    assert text.splitlines()[12].split() == [
        "average",
        "87.2",
        "80.5",
        "±",
        "0.7",
        "(2)",
        "50.0",
        "60.0",
        "66.0",
        "160",
    ]


def test_the_row_of_a_run_marks_what_deviates_and_parts_what_differs(make_record):
    low = make_record(seed=0, deviates=["optim.lr"], config={**make_record().config, "optim": {"lr": 1.0}})
    table = run_row([low, make_record(seed=0), make_record(paper="finetune", seed=0)])
    assert sorted(row.label for row in table.rows) == [
        "finetune mrpc",
        "lora mrpc optim.lr=0.001",
        "lora mrpc optim.lr=1.0",
    ]
    assert "deviates from the recipe in optim.lr: enters no table" in table.notes


def test_a_run_that_no_published_number_is_about_has_a_row(make_record):
    record = make_record(paper="pretrain", stage="mlm", baselines={})
    assert run_row([record]).rows[0].cells[0].printed == "-"
    assert run_row([]).rows == ()


def test_table_2_is_shown_before_anything_was_run():
    found = sections("lora", [])
    assert len(found.tables) == 1
    assert all(row.cells[-2].printed == "not run" for row in found.tables["T2"].rows)
    assert len(sections("lora", [], everything=True).tables) == 15


def test_numbers_of_parameters():
    assert [count(one) for one in (999, 12_288, 124_645_632, 1_500_000_000)] == ["999", "12.3K", "124.6M", "1.5B"]


def test_markers_without_an_end_are_refused(tmp_path):
    from repro.errors import UserError

    assert (
        between_markers("a\n<!-- table x -->old<!-- /table -->\nb", "x", "NEW\n", tmp_path)
        == "a\n<!-- table x -->\n\nNEW\n\n<!-- /table -->\nb"
    )
    with pytest.raises(UserError, match="no end"):
        between_markers("<!-- table x -->", "x", "", tmp_path)


def test_speed_is_tokens_by_the_seconds_of_training(make_record):
    trained = make_record(measures={"tokens": 30_000, "train_seconds": 12.0, "seconds": 20.0})
    assert number_of(trained, "tokens_per_second") == 2500
    assert number_of(make_record(measures={"tokens": 0, "train_seconds": 0.1}), "tokens_per_second") is None
    assert number_of(make_record(), "tokens_per_second") is None
    assert number_of(make_record(measures={"tokens_per_second": 7.0}), "tokens_per_second") == 7


def test_a_table_shows_speed_too(make_record, tmp_path):
    line = LINE.format(paper="lora", row="LoRA", name="lora", column="speed", task="glue/rte", rest="x,43.1,,,T,s,")
    (tmp_path / "published.csv").write_text(HEAD + line.replace(",x,", ",tokens_per_second,"))
    record = make_record(task="rte", measures={"tokens": 900, "train_seconds": 2.0})
    table = paper_table("T", read_published(tmp_path / "published.csv"), [record])
    assert table.rows[1].cells[0].value == 450


def test_several_measures_of_one_stage_stand_in_their_rows(make_record, tmp_path):
    condition = '"{""paper"":""lora"",""stage"":""amplification"",""model"":""roberta-base"",""task"":""glue/mnli""}"'
    lines = [
        f'lora,T7,"{name}",norm,{condition},norm_{name},{value},,,T7,x,\n' for name, value in (("a", 1.0), ("b", 2.0))
    ]
    (tmp_path / "published.csv").write_text(HEAD + "".join(lines))
    problems = []
    records = [
        make_record(task="mnli", stage="amplification", seed=seed, measures={"norm_a": 3.0 + seed, "norm_b": 7.0})
        for seed in (0, 1)
    ]
    table = paper_table("", read_published(tmp_path / "published.csv"), records, problems=problems)
    assert problems == []
    assert [row.cells[0].printed for row in table.rows] == ["1.0", "3.5", "2.0", "7.0"]
    assert table.rows[1].cells[0].spread == "0.7"
    assert not any("split" in note for note in table.notes)
