"""One spelling for each value, so that equal values have equal digests."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def canonical(value: Any) -> str:
    """Returns the value as JSON in its one spelling: keys sorted, no spaces, 16 and 16.0 one number.

    Args:
        value: mappings, lists, tuples, strings, numbers, booleans and None, nested at will.

    Raises:
        ValueError: a number is not finite.
        TypeError: something that JSON has no form for.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """Returns the SHA-256 of a value's canonical form, 64 hex digits."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is str or kind is bool or kind is int or value is None:
        return value
    if kind is dict or isinstance(value, Mapping):  # the second asks an abstract class, which takes long
        return {key if type(key) is str else _key(key): _plain(one) for key, one in value.items()}
    if kind is list or isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if kind is float or isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{float(value)} has no canonical form")
        return int(value) if value == int(value) else float(value)
    if isinstance(value, str | int):
        return str(value) if isinstance(value, str) else int(value)
    raise TypeError(f"{kind.__name__} has no canonical form: {value!r}")


def _key(key: Any) -> str:
    if isinstance(key, str | int | float) or key is None:
        return str(key) if isinstance(key, str) else json.dumps(key)
    raise TypeError(f"{type(key).__name__} cannot be a key: {key!r}")
