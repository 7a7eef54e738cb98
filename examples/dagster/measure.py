"""How long it takes with so many workers, and what a domain costs; prints the tables of docs/scheduling.md.

Everything runs on this machine, the simulated companies too, so what is measured is the sum of it all.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg
import psycopg
import yaml

import local
from factorialhr_dagster import settings
from factorialhr_dagster.assets import partitions
from factorialhr_dagster.schedules import UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Pass(NamedTuple):
    """All partitions read once."""

    seconds: float
    rows: int
    requests: int
    longest: float
    costs: list[tuple[Any, ...]]


def wait(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not condition():
        time.sleep(0.5)


def measure(workers: int, companies: Mapping[str, tuple[str, ...]], passes: int) -> list[Pass]:
    """Read everything for the first time, and again for each further pass, with so many runs at once."""
    keys = partitions(settings.load()).get_partition_keys()
    port = local.free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        environment = dict(stack.enter_context(local.postgres(folder / "postgres")))
        for name, options in companies.items():
            environment |= stack.enter_context(local.sandbox(name, options))
        os.environ.update(environment)
        home = folder / "dagster"
        home.mkdir()
        config = yaml.safe_load((settings.PROJECT / "home" / "dagster.yaml").read_text())
        config["concurrency"]["runs"]["max_concurrent_runs"] = workers
        (home / "dagster.yaml").write_text(yaml.safe_dump(config))
        stack.enter_context(local.dagster(home, environment, port, stack.enter_context((folder / "log").open("w"))))
        wait(lambda: local.answers(port))
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        found = []
        for number in range(passes):
            began = time.time()
            if number:
                local.backfill(port, keys)
            done = len(keys) * (number + 1)
            wait(
                lambda done=done: (  # type: ignore[misc]
                    instance.get_runs_count() >= done and not instance.get_runs_count(dg.RunsFilter(statuses=UNDER_WAY))
                )
            )
            found.append(_pass(instance, environment["WAREHOUSE_URL"], began))
        return found


def _pass(instance: dg.DagsterInstance, url: str, began: float) -> Pass:
    records = [one for one in instance.get_run_records() if one.start_time and one.start_time > began]
    assert all(one.dagster_run.status == dg.DagsterRunStatus.SUCCESS for one in records)
    spans = [(one.start_time or 0.0, one.end_time or 0.0) for one in records]
    with psycopg.connect(url) as connection:
        costs = connection.execute(
            "SELECT company, domain, count(*) FILTER (WHERE outcome <> 'not written'), sum(rows)::bigint,"
            " sum(requests)::bigint FROM pipeline.reads WHERE finished_at > to_timestamp(%s) GROUP BY company, domain"
            " ORDER BY company, domain",
            [began],
        ).fetchall()
    return Pass(
        seconds=max(end for _, end in spans) - min(begin for begin, _ in spans),
        rows=sum(row[3] for row in costs),
        requests=sum(row[4] for row in costs),
        longest=max(end - begin for begin, end in spans),
        costs=costs,
    )


def main() -> int:
    """Measure, and print.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--employees", type=int, default=200, help="of each company")
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before each answer")
    parser.add_argument("--passes", type=int, choices=[1, 2], default=2, help="1: without reading everything again")
    given = parser.parse_args()
    companies = {
        name: (f"--employees={given.employees}", f"--seed={seed}", f"--latency={given.latency}")
        for seed, name in enumerate(settings.load().companies, 1)
    }
    print("| workers | read | seconds | rows | requests | rows/s | requests/s | longest run |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    found: list[Pass] = []
    for workers in given.workers:
        found = measure(workers, companies, given.passes)
        for name, one in zip(("first", "again"), found, strict=False):
            print(
                f"| {workers} | {name} | {one.seconds:.0f} | {one.rows:,} | {one.requests:,} |"
                f" {one.rows / one.seconds:.0f} | {one.requests / one.seconds:.1f} | {one.longest:.0f} s |",
                flush=True,
            )
    print("\n| company | domain | streams | rows | requests | rows again | requests again |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for then, again in zip(found[0].costs, found[-1].costs, strict=True):
        company, domain, streams, rows, requests = then
        print(f"| {company} | {domain} | {streams} | {rows:,} | {requests:,} | {again[3]:,} | {again[4]:,} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
