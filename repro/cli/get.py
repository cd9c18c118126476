"""downloads data and weights that have a public source: `get` alone lists them, with licence and place"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro.paths import Places


def main(arguments: list[str]) -> int:
    """Lists what there is, or gets one; nothing that is there already is changed."""
    from repro.errors import UserError, did_you_mean
    from repro.paths import Places
    from repro.runs.expand import options

    asked = _parser().parse_intermixed_args(arguments)
    words = [word for word in (asked.name, *asked.places) if word]
    places = Places.default().replaced([word for word in words if "=" in word])
    names = [word for word in words if "=" not in word]
    known = options("get")
    if not names:
        print("\n".join(_listed(known, places)))
        return 0
    if len(names) > 1 or names[0] not in known:
        raise UserError(f"{' '.join(names)} is nothing that can be got", did_you_mean(names[0], known))
    return _get(names[0], places)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m repro get", description="Downloads data and weights.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="without it: what there is")
    parser.add_argument("places", nargs="*", metavar="KEY=VALUE", help="data_dir=FOLDER, weights_dir=FOLDER")
    return parser


def _listed(known: Mapping[str, str], places: Places) -> list[str]:
    from repro.runs.expand import read

    lines = []
    for name, described in known.items():
        entry = read(f"get/{name}")
        lines += [
            f"{name:<20}{described}",
            f"{'':<20}{entry['from']}; licence: {entry['licence']}",
            f"{'':<20}{_folder(entry, places)}: {_state(entry, places)}",
        ]
    return lines


def _folder(entry: Mapping[str, Any], places: Places) -> Path:
    place, _, name = entry["to"].partition("/")
    return getattr(places, place) / name


def _state(entry: Mapping[str, Any], places: Places) -> str:
    """Says whether it is there."""
    if "files" not in entry:
        return "there" if (_folder(entry, places) / "config.json").is_file() else "not there"
    there = sum(_is_there(file, places) for file in entry["files"])
    if there in (0, len(entry["files"])):
        return "there" if there else "not there"
    return f"{there} of {len(entry['files'])} there"


def _is_there(file: str, places: Places) -> bool:
    from repro.errors import UserError
    from repro.paths import find_data

    try:
        return bool(find_data(places.data_dir, file))
    except UserError:
        return False


def _get(name: str, places: Places) -> int:
    from repro.errors import UserError
    from repro.runs.expand import options, read

    entry = read(f"get/{name}")
    folder = _folder(entry, places)
    if "written_by" in entry:
        from hydra.utils import get_method

        from repro.models.download import check_reached

        check_reached(f"by hand: {entry['by_hand']}")
        try:
            for line in get_method(entry["written_by"])(places.data_dir):
                print(line, flush=True)
        except UserError as error:
            raise UserError(error.what, f"by hand: {entry['by_hand']}") from None
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        print(f"{folder}: there already, nothing is changed")
        return 0
    else:
        from repro.models.download import download

        download(entry["from"], entry["revision"], folder)
        used = f"network={name}" if name in options("network") else f"network=hf network.path={folder}"
        print(f"{folder}: there; scale=local {used} starts from it")
    print(f"licence: {entry['licence']}")
    return 0
