"""The simulated company as a process of its own: `python -m benchmarks.company <employees> <latency>`.

The first line that it prints are the settings of the tap for it; for every line that comes in it prints what has been
asked for since the one before, and it serves until no more can come.
"""

from __future__ import annotations

import sys

import msgspec

from benchmarks.serving import Record
from tap_factorialhr.sandbox import Company, Sandbox

LONG_AGO, LONG = "2015-01-01", 4_000
"""From when, and in windows of how many days: one page for each stream, those of days too."""


def main() -> None:
    """Serve."""
    employees, latency = int(sys.argv[1]), float(sys.argv[2])
    with Sandbox(Company(employees), latency=latency) as sandbox:
        settings = {
            "base_url": sandbox.base_url,
            "api_key": sandbox.api_key,
            "integration_uuids": sandbox.company.integration_uuids,
            "start_date": LONG_AGO,
            "window_days": LONG,
        }
        print(msgspec.json.encode(settings).decode(), flush=True)
        for _ in sys.stdin:
            requests = sandbox.requests
            record = Record(len(requests), requests[0].at if requests else None, sandbox.most_at_once)
            sandbox.clear()
            print(msgspec.json.encode(record).decode(), flush=True)


if __name__ == "__main__":
    main()
