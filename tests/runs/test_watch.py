"""The live display: what runs, and nothing that does not."""

from __future__ import annotations

import json

import pytest
from rich.progress import Progress

from repro.runs import watch
from repro.runs.compose import cell
from repro.runs.lock import held


@pytest.fixture
def one(tmp_path):
    return cell(("paper=lora", "task=glue/sst2", f"runs_dir={tmp_path}"))


def beat(one, step):
    one.part.mkdir(parents=True, exist_ok=True)
    (one.part / watch.FILE).write_text(json.dumps({"step": step, "steps": 1000, "loss": 0.5}))


def test_a_cut_cell_is_shown_when_it_goes_on_from_where_it_was(one):
    now = [0.0]
    progress, rows = Progress(get_time=lambda: now[0]), {}
    beat(one, 500)
    watch._update(progress, rows, one)
    assert rows == {}  # a killed process left it
    with held(one):
        watch._update(progress, rows, one)
        (row,) = progress.tasks
        assert (row.description, row.completed, row.total) == ("lora glue/sst2 seed 0", 500, 1000)
        for step in (510, 520, 530):
            now[0] += 1.0
            beat(one, step)
            watch._update(progress, rows, one)
        assert row.speed == pytest.approx(10)  # of this process alone: the first 500 steps are not its own
        assert row.time_remaining == 47
    watch._update(progress, rows, one)
    assert rows == {}
