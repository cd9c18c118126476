"""What a user is told when something is wrong that the user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what was asked for or given: shown as one line, without traceback, exit code 2.

    Args:
        what: what is wrong, naming the file, line or key.
        mend: what to do about it.
    """

    def __init__(self, what: str, mend: str = "") -> None:
        what, mend = (" ".join(text.splitlines()) for text in (what, mend))  # names may hold line ends
        super().__init__(f"{what}: {mend}" if mend else what)
        self.what, self.mend = what, mend

    def __reduce__(self) -> tuple:
        return type(self), (self.what, self.mend)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns 'did you mean X?' for the nearest of the known names, or the list of them when none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.55)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are {', '.join(names)}" if names else "there is none"
