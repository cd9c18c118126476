"""Where marks stand on a contrast's line."""

from __future__ import annotations

import math

import pytest

from repro.ledger.forest import line


def drawn(make_judged, **fields):
    return line(make_judged(**fields).contrasts[0])


def test_marks_stand_where_their_numbers_are(make_judged):
    # in view: -0.5 (edge) to 0.8 (published, and ours' upper end), 12% of 1.3 = 0.156 more on both sides
    place = drawn(make_judged)
    assert (place.left, place.right) == pytest.approx((-0.656, 0.956))
    assert place.region == pytest.approx((0.156 / 1.612, 1.0))
    assert place.published == pytest.approx((0.8 + 0.656) / 1.612)
    assert place.estimate == pytest.approx((0.2 + 0.656) / 1.612)
    assert place.interval == pytest.approx(((-0.4 + 0.656) / 1.612, (0.8 + 0.656) / 1.612))
    assert not place.open_left
    assert not place.open_right


def test_an_interval_without_bounds_goes_on_beyond_the_line(make_judged):
    place = drawn(make_judged, low=-math.inf, high=math.inf)
    assert place.interval == (0.0, 1.0)
    assert place.open_left
    assert place.open_right


def test_a_huge_interval_does_not_squeeze_the_marks(make_judged):
    place = drawn(make_judged, low=-1e6, high=1e6)
    assert place.open_left
    assert place.open_right
    assert place.published - place.estimate > 0.05


@pytest.mark.parametrize("published", [None, "4 of 8", [1, 2], math.nan])
def test_a_published_value_that_is_no_number_has_no_mark(make_judged, published):
    assert drawn(make_judged, published=published).published is None


def test_nothing_to_draw_is_no_line(make_judged):
    assert drawn(make_judged, estimate=None, published=None, bounds=(-math.inf, math.inf)) is None


def test_an_exact_number_at_the_edge_still_has_a_line(make_judged):
    place = drawn(make_judged, published=1.0, estimate=1.0, low=1.0, high=1.0, bounds=(1.0, 1.0))
    assert place.left < 1.0 < place.right
    assert place.estimate == pytest.approx(0.5)
