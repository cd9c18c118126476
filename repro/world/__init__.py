"""The generated world of the tiny scale: its words, its text, and tasks whose labels are exact because truth is known."""
from __future__ import annotations

from repro.world.documents import documents
from repro.world.glue import glue
from repro.world.lexicon import vocabulary

version = 1

__all__ = ["documents", "glue", "version", "vocabulary"]
