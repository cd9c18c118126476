"""What a record, which may be anybody's, may have made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repro.errors import UserError


def check_targets(value: Any, file: Path, rooms: Sequence[str], functions: Sequence[str] = ()) -> None:
    """Checks that settings name nothing but classes of ours.

    Args:
        value: settings, however nested.
        file: where they stand.
        rooms: such as tasks: their classes may be named.
        functions: such as repro.world.vocabulary: they may be named too.

    Raises:
        UserError: a `_target_` is something else.
    """
    if isinstance(value, dict) and "_target_" in value:
        target = str(value["_target_"])
        if target not in functions and not re.fullmatch(rf"repro\.(?:{'|'.join(rooms)})\.\w+\.[A-Z]\w*", target):
            places = " or ".join(f"repro.{room}" for room in rooms)
            raise UserError(f"{file} names {target}", f"a record names a class of {places}, and nothing else")
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_targets(one, file, rooms, functions)
