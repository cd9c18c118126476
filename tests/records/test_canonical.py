"""One spelling for equal values. Expected strings are written by hand."""

from __future__ import annotations

import hashlib

import pytest

from repro.records.canonical import canonical, digest


def test_keys_are_sorted_and_16_is_16_0():
    assert canonical({"b": 16.0, "a": [1, (2.5, None)], "é": True}) == '{"a":[1,[2.5,null]],"b":16,"é":true}'
    assert digest({"a": 16, "b": -0.0}) == digest({"b": 0, "a": 16.0})


def test_true_is_not_1_and_a_number_is_not_its_text():
    assert len({digest(value) for value in (1, True, "1", [1], None, "None", 1.5)}) == 7


def test_a_digest_is_the_sha256_of_the_canonical_text():
    assert digest({"a": 1.0}) == hashlib.sha256(b'{"a":1}').hexdigest()


def test_keys_survive_a_journey_through_json():
    assert canonical({1: "a"}) == '{"1":"a"}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"a": -float("inf")}]])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="canonical"):
        canonical(value)


def test_an_object_is_refused():
    with pytest.raises(TypeError, match="object"):
        canonical({"a": object()})
