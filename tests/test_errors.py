"""What a user is told."""

from __future__ import annotations

import pytest

from repro.errors import UserError


@pytest.mark.parametrize("end", ["\n", "\r\n", "\u2028", "\x85"])
def test_a_name_with_a_line_end_in_it_leaves_the_message_one_line(end):
    error = UserError(f"task=a{end}b is not known", f"did you{end}mean c?")
    assert str(error) == "task=a b is not known: did you mean c?"
    assert (error.what, error.mend) == ("task=a b is not known", "did you mean c?")
