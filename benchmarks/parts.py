"""What is measured of the tap alone: many small streams, children of many parents, memory over the number of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.competitors.measuring import API_KEY, PAGE_SIZE
from benchmarks.process import FailedError, run
from benchmarks.results import Memory, Streams
from benchmarks.serving import Company
from benchmarks.taps import count_records, tap_command

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.serving import Pages

EMPLOYEES, LATENCY = 8, 0.1
CONCURRENCIES = (8, 1)
PARENTS, CHILD_LATENCY, CHILDREN = 100, 0.02, "timeoff_policy_timelines"
ROWS = (10_000, 100_000, 1_000_000)


def small_streams(folder: Path, *, quick: bool) -> list[Streams]:
    """All streams of a small company, each about a page, with requests side by side and one after the other."""
    found = [Streams(concurrency, LATENCY, 0, 0, 0) for concurrency in CONCURRENCIES]
    with Company(EMPLOYEES, LATENCY) as company:
        _read_company(company, Streams(CONCURRENCIES[0], LATENCY, 0, 0, 0), folder)  # the rows are made at first sight
        for _ in range(1 if quick else 3):
            for streams in found:
                _read_company(company, streams, folder)
                print(f"all streams, concurrency {streams.concurrency}: {streams.seconds[-1]:.2f} s", flush=True)
    return found


def _read_company(company: Company, streams: Streams, folder: Path) -> None:
    output = folder / "output.jsonl"
    settings = {**company.settings, "concurrency": streams.concurrency}
    finished = run(tap_command(folder, settings), output)
    record = company.take_record()
    assert record.first is not None
    streams.records = count_records(output)
    with output.open("rb") as lines:
        streams.streams = sum(line.startswith(b'{"type":"SCHEMA"') for line in lines)
    streams.requests = record.requests
    streams.most_at_once = max(streams.most_at_once, record.most_at_once)
    streams.seconds.append(round(finished.ended - record.first, 4))
    streams.wall.append(round(finished.wall, 4))


def children(pages: Pages, folder: Path, *, quick: bool) -> list[Streams]:
    """The children of many parents, asked for one parent at a time, each two pages."""
    found = [Streams(concurrency, CHILD_LATENCY, 1, 0, 0) for concurrency in CONCURRENCIES]
    for _ in range(1 if quick else 3):
        for streams in found:
            _read_children(pages, streams, folder)
            print(f"children, concurrency {streams.concurrency}: {streams.seconds[-1]:.2f} s", flush=True)
    return found


def _read_children(pages: Pages, streams: Streams, folder: Path) -> None:
    pages.set(PARENTS, CHILD_LATENCY)
    output = folder / "output.jsonl"
    settings = {"base_url": pages.address, "api_key": API_KEY, "concurrency": streams.concurrency}
    finished = run(tap_command(folder, settings, CHILDREN), output)
    record = pages.record
    streams.records = count_records(output)
    output.unlink()
    if streams.records != PARENTS * 2 * PAGE_SIZE or record.first is None:
        raise FailedError(f"{streams.records} children of {PARENTS} parents")
    streams.requests = record.requests
    streams.most_at_once = max(streams.most_at_once, record.most_at_once)
    streams.seconds.append(round(finished.ended - record.first, 4))
    streams.wall.append(round(finished.wall, 4))


def memory(pages: Pages, folder: Path, *, quick: bool) -> list[Memory]:
    """The tap's memory over a growing number of employees; the messages go nowhere, as there are gigabytes of them."""
    return [_memory(pages, folder, rows) for rows in (ROWS[:-1] if quick else ROWS)]


def _memory(pages: Pages, folder: Path, rows: int) -> Memory:
    pages.set(rows, 0)
    settings = {"base_url": pages.address, "api_key": API_KEY}
    finished = run(tap_command(folder, settings, "employees"))
    record = pages.record
    if record.requests * PAGE_SIZE < rows or record.first is None:
        raise FailedError(f"{rows} rows were not read in {record.requests} requests")
    found = Memory(rows, round(finished.ended - record.first, 4), finished.max_rss_kb)
    print(f"{rows:9,} rows: {found.max_rss_kb / 1024:.0f} MiB, {found.seconds:.1f} s", flush=True)
    return found
