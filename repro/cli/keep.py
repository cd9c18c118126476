"""copies records of runs into results/records, the only way there; --ship NAME a network into data/tiny"""

from __future__ import annotations

import argparse

LARGEST = 3_000_000
"""Bytes of a network that ships."""


def main(arguments: list[str]) -> int:
    """Keeps records; nothing is copied when one of them cannot be kept."""
    from repro.errors import UserError
    from repro.paths import Places
    from repro.records.record import read_record, write_record
    from repro.records.store import find

    parser = argparse.ArgumentParser(prog="python -m repro keep", description="Copies records into results/records.")
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="the beginning of an identity, a run's folder, or a record file"
    )
    parser.add_argument("--ship", metavar="NAME", help="also copy the product and record of one run to data/tiny/NAME")
    options = parser.parse_args(arguments)
    places = Places.default()
    folder = places.results_dir / "records"
    found = [find(name, places) for name in options.runs]
    if options.ship:
        return _ship(found, options.ship)
    kept = {}
    for record in found:
        if record.config.get("fast_dev_run"):
            raise UserError(f"{record.path} is a trial (fast_dev_run)", "a trial is not kept: run the cell whole")
        file = folder / record.file_name
        kept[record.identity] = file.is_file() and read_record(file)
        if kept[record.identity] and kept[record.identity].digest != record.digest:
            raise UserError(
                f"{file} holds another record of the run {record.identity}",
                "nothing was copied: move one of the two away",
            )
    for record in found:
        file = folder / record.file_name
        if kept[record.identity]:
            print(f"{file}: kept before, equal")
        else:
            write_record(record, file)
            note = f" (deviates in {', '.join(record.deviates)}: only where named)" if record.deviates else ""
            print(f"{file}: kept{note}")
    return 0


def _ship(found: list, name: str) -> int:
    """Copies what a run left for others, with its record, to where every checkout and wheel has it."""
    import shutil

    from repro.errors import UserError
    from repro.paths import TINY
    from repro.records.record import write_record

    if len(found) != 1:
        raise UserError(f"--ship {name} takes one run", f"{len(found)} were named")
    product = found[0].path.parent / "product"
    if not product.is_dir():
        raise UserError(f"{product} is missing", "name a run whose folder is here")
    size = sum(file.stat().st_size for file in product.iterdir())
    if size > LARGEST:
        raise UserError(f"{product} has {size / 1e6:.1f} MB", f"a network that ships has {LARGEST / 1e6:.0f} at most")
    folder = TINY / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(product, folder)
    write_record(found[0], folder / "record.json")
    print(f"{folder}: shipped, {size / 1e6:.1f} MB")
    return 0
