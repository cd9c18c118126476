"""`keep`: the only way into results/records."""

from __future__ import annotations

import json

import pytest

from repro.cli import keep
from repro.errors import UserError
from repro.records.canonical import digest
from repro.records.record import read_record, write_record


@pytest.fixture
def run(make_record, places):
    def make(**fields):
        record = make_record(**fields)
        return write_record(record, places.runs_dir / "lora/glue/mrpc" / record.identity / "record.json")

    return make


def kept(places):
    return sorted((places.results_dir / "records").glob("*"))


def test_a_record_is_kept_under_a_name_that_says_what_it_is(run, places, capsys):
    record = run()
    assert keep.main([record.identity]) == 0
    assert [file.name for file in kept(places)] == [
        f"lora-glue_mrpc-roberta-base-tiny_encoder-seed0-{record.identity}.json"
    ]
    assert read_record(kept(places)[0]) == record
    assert capsys.readouterr().out.rstrip().endswith("kept")
    keep.main([str(record.path.parent)])
    assert "kept before, equal" in capsys.readouterr().out


def test_a_trial_is_refused_and_nothing_is_copied(run, places, make_record):
    good, trial = run(), run(seed=1, config={**make_record().config, "fast_dev_run": True})
    with pytest.raises(UserError, match="fast_dev_run"):
        keep.main([good.identity, trial.identity])
    assert kept(places) == []


def test_another_record_of_the_same_run_is_never_overwritten(run, places):
    record = run()
    keep.main([record.identity])
    before = kept(places)[0].read_bytes()
    content = record.content() | {"created": "2027-01-01T00:00:00+00:00"}
    del content["digest"]
    record.path.write_text(json.dumps({**content, "digest": digest(content)}))
    with pytest.raises(UserError, match="another record of the run"):
        keep.main([record.identity])
    assert kept(places)[0].read_bytes() == before


def test_a_changed_record_is_not_kept(run, places):
    record = run()
    record.path.write_text(record.path.read_text().replace("80.0", "90.0"))
    with pytest.raises(UserError, match="changed after"):
        keep.main([str(record.path)])
    assert kept(places) == []


def test_a_network_ships_with_the_record_of_the_run_that_made_it(run, places, tmp_path, monkeypatch):
    from repro import paths

    monkeypatch.setattr(paths, "TINY", tmp_path / "tiny")
    record = run()
    with pytest.raises(UserError, match="product is missing"):
        keep.main([record.identity, "--ship", "encoder"])
    (record.path.parent / "product").mkdir()
    (record.path.parent / "product" / "model.safetensors").write_bytes(b"weights")
    assert keep.main([record.identity, "--ship", "encoder"]) == 0
    assert (tmp_path / "tiny" / "encoder" / "model.safetensors").read_bytes() == b"weights"
    assert read_record(tmp_path / "tiny" / "encoder" / "record.json").digest == record.digest
    (record.path.parent / "product" / "model.safetensors").write_bytes(b"0" * 4_000_000)
    with pytest.raises(UserError, match=r"4\.0 MB"):
        keep.main([record.identity, "--ship", "encoder"])
