"""Malformed command lines, data, predictions, records and facts: one line and exit code 2, or it works; no traces."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
COUNT, SECONDS = 40, 20.0


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        for name, value in {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}.items():
            patch.setitem(os.environ, name, value)
        from faults import fuzz

        import repro.runs.execute  # noqa: F401 (so that forked children need not)

        yield fuzz.prepared(tmp_path_factory.mktemp("fuzz"))


def test_malformed_inputs_end_in_one_line_and_change_nothing_recorded(ground):
    from faults import fuzz, small_runs

    before = small_runs.digests(ground.runs)
    began = _spent()
    made = fuzz.cases(ground, seed=1, count=COUNT)
    assert len(made) == COUNT
    wrong = [(case.kind, case.what, case.words, said) for case, said in fuzz.failures(ground, made)]
    assert wrong == []
    assert not small_runs.altered(before, small_runs.digests(ground.runs))
    assert _spent() - began < SECONDS


def _spent() -> float:
    """Returns the seconds of processor time that ended children took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("code", "err", "said"),
    [
        (2, "error: seed=x is no integer\n", ""),
        (2, "error: one\nerror: two\n", "2 lines on stderr: error: one | error: two"),
        (0, "Traceback (most recent call last):\nKeyError: 'task'\n", "a traceback: KeyError: 'task'"),
        (1, "broken\n", "exit code 1: broken"),
        (-11, "", "ended by signal 11: "),
        (None, "", "no end within 30 s"),
    ],
)
def test_what_counts_as_a_failure(ground, code, err, said):
    from faults import fuzz
    from faults.children import Ended

    assert fuzz.judged(Ended(code, "", err, 1.0), (0, 2)) == said


def test_the_same_seed_gives_the_same_cases(ground):
    from faults import fuzz

    assert fuzz.cases(ground, seed=3, count=20) == fuzz.cases(ground, seed=3, count=20)
    assert fuzz.cases(ground, seed=3, count=20) != fuzz.cases(ground, seed=4, count=20)


def test_a_hanging_child_is_killed(ground):
    from faults.children import in_child

    assert in_child(lambda: time.sleep(30), limit=0.3).code is None
    assert "faults" in sys.modules
