"""The generated world of the tiny scale: its words, its text, its tasks. Truth is known, so labels are exact."""

from __future__ import annotations

from repro.world.lexicon import vocabulary
from repro.world.splits import glue
from repro.world.text import documents

version = 1

__all__ = ["documents", "glue", "version", "vocabulary"]
