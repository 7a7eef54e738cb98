"""All benchmarks in one run, on one machine: `make bench`.

A full run writes `docs/benchmarks.md`, `docs/benchmarks.svg` and `benchmarks/results.json`. One with `--quick` or
`--only` writes the same three into `.bench/`, as its numbers do not belong side by side with others.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import end_to_end, parts, privacy, readers
from benchmarks.machine import machine, versions
from benchmarks.process import FOLDER, FailedError
from benchmarks.results import Results
from benchmarks.serving import Pages
from scripts.meltano import NotInstalledError

PARTS = ("readers", "privacy", "streams", "children", "memory", "postgres")


def main() -> int:
    """Run what was asked for.

    Returns:
        The exit code.
    """
    options = _options()
    FOLDER.mkdir(exist_ok=True)
    results = measure(options.only, quick=options.quick)
    from benchmarks import report  # noqa: PLC0415 (see below why the runner is small until now)

    whole = not options.quick and set(options.only) == set(PARTS)
    report.write(results, None if whole else FOLDER)
    for name, reason in results.failures.items():
        print(f"{name} could not be measured: {reason}", file=sys.stderr)
    return 1 if results.failures else 0


def measure(only: list[str], *, quick: bool) -> Results:
    """Run these parts.

    The runner itself has to be small: the memory that the system counts for a process that it starts is never less than
    its own. So what is large is imported after it, and PostgreSQL comes last.
    """
    began = time.monotonic()
    results = Results(str(datetime.now(UTC).date()), machine(), versions())
    with Pages() as pages, TemporaryDirectory(dir=FOLDER) as temporary:
        for part in (part for part in PARTS if part in only):
            try:
                _measure(part, results, pages, Path(temporary), quick=quick)
            except (FailedError, NotInstalledError) as error:  # the other parts are worth having all the same
                results.failures[part] = str(error)
    results.minutes = round((time.monotonic() - began) / 60, 1)
    return results


def _measure(part: str, results: Results, pages: Pages, folder: Path, *, quick: bool) -> None:
    match part:
        case "readers":
            results.readers = readers.measure(pages, folder, quick=quick)
        case "privacy":
            results.privacy = privacy.measure(pages, folder, quick=quick)
        case "streams":
            results.streams = parts.small_streams(folder, quick=quick)
        case "children":
            results.children = parts.children(pages, folder, quick=quick)
        case "memory":
            results.memory = parts.memory(pages, folder, quick=quick)
        case _:
            results.postgres = end_to_end.measure(pages, folder, results.versions, quick=quick)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=...", description="Measure the tap side by side with others."
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds, to see that everything runs")
    parser.add_argument("--only", type=_parts, default=list(PARTS), metavar="PART,...", help=", ".join(PARTS))
    return parser.parse_args()


def _parts(value: str) -> list[str]:
    chosen = value.split(",")
    if unknown := set(chosen) - set(PARTS):
        raise argparse.ArgumentTypeError(f"there is no part {', '.join(sorted(unknown))}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
