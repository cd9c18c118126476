"""copies the records of runs into results/records, the only way there"""

from __future__ import annotations

import argparse


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
    places = Places.default()
    folder = places.results_dir / "records"
    found = [find(name, places) for name in parser.parse_args(arguments).runs]
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
            note = f" (deviates in {', '.join(record.deviates)}: enters no table)" if record.deviates else ""
            print(f"{file}: kept{note}")
    return 0
