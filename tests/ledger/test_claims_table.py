"""Claims as tables, against expected text written by hand."""

from __future__ import annotations

from repro.ledger.claims_table import claims_tables, not_run
from repro.ledger.render import markdown

EXPECTED = """\
**Claims, tiny (tiny/encoder): 1 reproduced, 1 underpowered**

| claim | published | holds where | ours [95% interval] | p (Holm) | verdict |
| :-- | --: | --: | --: | --: | --: |
| C1: LoRA is \\<on> a par & better. |  |  |  | 0.01 | ● reproduced |
| ↳ LoRA against fine-tuning, average | 0.8 | >= -0.5 points | 0.2 [-0.4, 0.8], 5 seeds |  | ● reproduced |
| C2: LoRA is \\<on> a par & better. |  |  |  | < 0.001 | ◐ underpowered |
| ↳ LoRA against fine-tuning, average¹ | 0.8 | >= -0.5 points | 0.2 [-1, 0.8], 5 seeds |  | ◐ underpowered²·³ |

¹ stands beside the claim and does not decide it  
² in place of the whole  
³ 12 seeds would decide, if mean and spread stayed as they are  
"""


def test_a_table_of_claims(make_judged):
    judged = [
        make_judged(),
        make_judged(
            claim="C2",
            verdict="underpowered",
            low=-1.0,
            p=1e-5,
            seeds_needed=12,
            why="in place of the whole",
            aside=True,
        ),
    ]
    tables = claims_tables(judged)
    assert list(tables) == ["claims tiny tiny/encoder"]
    assert markdown(tables["claims tiny tiny/encoder"]) == EXPECTED


def test_each_scale_has_a_table_and_claims_without_any_are_listed_apart(make_judged):
    silent = make_judged(scale="", network="", claim="C2", verdict="not run", estimate=None)
    exact = make_judged(scale="", network="", claim="C3", verdict="not run", low=0.2, high=0.2, n=0)
    judged = [make_judged(scale="local", network="minilm"), make_judged(), silent, exact]
    assert list(claims_tables(judged)) == ["claims", "claims tiny tiny/encoder", "claims local minilm"]
    assert "by formula" in claims_tables(judged)["claims"].title
    assert not_run(judged) == [silent]


def test_contrasts_that_were_not_run_are_counted_and_not_listed(make_judged):
    one = make_judged()
    silent = make_judged(verdict="not run", estimate=None).contrasts
    table = claims_tables([type(one)(one.claim, "tiny", "n", "not run", "", one.contrasts + silent)])["claims tiny n"]
    assert [row.kind for row in table.rows] == ["claim", "contrast"]
    assert table.notes == ("1 of 2 contrasts not run",)
