"""Does what a paper says hold when one runs it? `load_run` gives what a run trained; the rest is `python -m repro`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.runs.load_run import load_run

__all__ = ["load_run"]


def __getattr__(name: str) -> Any:
    """Imports what is asked for when it is asked for: most commands need no torch."""
    if name in __all__:
        from repro.runs.load_run import load_run

        return load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
