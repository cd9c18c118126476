"""Records are found wherever they lie, once each, and a broken one is reported."""

from __future__ import annotations

import time

import pytest

from repro.errors import UserError
from repro.records.record import write_record
from repro.records.store import find, records, run_files


def run(record, places):
    return write_record(record, places.runs_dir / record.paper / record.task / record.identity / "record.json")


def test_a_kept_copy_and_its_run_count_once(make_record, places):
    record = run(make_record(), places)
    write_record(record, places.results_dir / "records" / record.file_name)
    kept_only = write_record(make_record(seed=1), places.results_dir / "records" / "other.json")
    assert sorted(one.identity for one in records(places)) == sorted([record.identity, kept_only.identity])


def test_a_broken_record_is_reported_and_left_out(make_record, places):
    good, bad = run(make_record(), places), run(make_record(seed=1), places)
    bad.path.write_text(bad.path.read_text()[:200])
    broken: list[UserError] = []
    assert [one.identity for one in records(places, broken)] == [good.identity]
    assert len(broken) == 1
    assert str(bad.path) in str(broken[0])


def test_runs_in_the_making_and_hidden_folders_are_not_looked_into(make_record, places):
    for folder in (places.runs_dir / "lora/glue/mrpc/abc.part", places.runs_dir / ".replaced"):
        write_record(make_record(), folder / "deep" / "record.json")
    (places.runs_dir / "lora/glue/mrpc/abc.part/config.yaml").write_text("seed: 0\n")
    assert list(run_files(places.runs_dir)) == []


def test_a_run_is_found_by_identity_folder_or_file(make_record, places):
    record = run(make_record(paper="pretrain", stage="mlm"), places)
    for name in (record.identity[:5], str(record.path.parent), str(record.path)):
        assert find(name, places).identity == record.identity


def test_an_unknown_or_ambiguous_name_is_refused(make_record, places):
    run(make_record(identity="abc000000000"), places)
    run(make_record(seed=1, identity="abc111111111"), places)
    with pytest.raises(UserError, match="abc000000000, abc111111111"):
        find("abc", places)
    with pytest.raises(UserError, match="there is no run zzz"):
        find("zzz", places)


def test_a_thousand_records_are_read_quickly(make_record, places):
    for seed in range(1000):
        record = make_record(seed=seed, task="rte")
        file = places.runs_dir / record.paper / record.task / record.identity / "record.json"
        file.parent.mkdir(parents=True)
        file.write_text(write_text(record))
    began = time.perf_counter()
    assert len(records(places)) == 1000
    assert time.perf_counter() - began < 3.0


def write_text(record) -> str:
    import json

    from repro.records.canonical import digest

    content = record.content()
    del content["digest"]
    return json.dumps({**content, "digest": digest(content)})
