"""The results as a page and a plot: `python -m benchmarks.report` writes both again from `benchmarks/results.json`."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import msgspec

from benchmarks.readers import FLOORS, OWN
from benchmarks.results import Results
from benchmarks.serving import PROJECT
from scripts.streams_table import between_marks, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.results import EndToEnd, Memory, Reading, Streams

RESULTS = PROJECT / "benchmarks" / "results.json"
PAGE = PROJECT / "docs" / "benchmarks.md"
PLOT = PROJECT / "docs" / "benchmarks.svg"


def write(results: Results, folder: Path | None = None) -> None:
    """Write the results, the page and the plot; into a folder, where they are not those of a full run."""
    from benchmarks.plot import draw  # noqa: PLC0415 (a large library, needed at the end alone)

    kept, page, plot = (folder / path.name if folder else path for path in (RESULTS, PAGE, PLOT))
    kept.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    page.write_text(between_marks(PAGE.read_text(), "results", list(lines(results))))
    if results.readers:
        draw(results, plot)
    print("\n".join(str(path.relative_to(PROJECT)) for path in (kept, page, plot)))


def lines(results: Results) -> Iterator[str]:
    """The generated part of the page."""
    yield from _where(results)
    for part, reason in results.failures.items():
        yield f"- The part {part} could not be measured: `{reason}`"
        yield ""
    if results.readers:
        yield from _readers(results.readers)
    if results.privacy:
        yield from _privacy(results.privacy)
    if results.streams:
        yield from _streams(results.streams)
    if results.children:
        yield from _children(results.children)
    if results.memory:
        yield from _memory(results.memory)
    if results.postgres:
        yield from _postgres(results.postgres)


def _where(results: Results) -> Iterator[str]:
    on = results.machine
    yield (
        f"Measured on {results.date} in {results.minutes:.0f} minutes, on {on.processor}, {on.cores} cores, "
        f"{on.memory_gib:g} GiB, {on.system}, Python {on.python}."
    )
    yield ""
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in results.versions.items()) + "."
    yield ""


def _readers(readings: list[Reading]) -> Iterator[str]:
    by_latency: dict[float, list[Reading]] = {}
    for reading in readings:
        by_latency.setdefault(reading.latency, []).append(reading)
    yield "### Readers"
    yield ""
    yield "Rows a second, and in brackets the share of the faster floor."
    yield ""
    columns = [_column(found[0]) for found in by_latency.values()]
    head = ("reader", *columns, "requests", "whole process", "memory")
    rates = [_rates(found) for found in by_latency.values()]
    yield from table(head, (_reader_row(reading, rates) for reading in readings[: len(rates[0])]))
    yield ""
    quick = next(iter(by_latency.values()))
    yield (
        f"Requests, the whole process (with the start of Python and imports) and the most memory are those of "
        f"{quick[0].rows:,} rows at {quick[0].latency * 1000:.0f} ms. {_spread(readings)}"
    )
    yield ""
    yield from _failures(readings)
    yield "![Rows a second of each reader](benchmarks.svg)"
    yield ""


def _column(reading: Reading) -> str:
    return f"{reading.latency * 1000:.0f} ms, {reading.rows:,} rows, {_rounds(reading)}"


def _rounds(reading: Reading) -> str:
    number = len(reading.seconds)
    return "one round" if number == 1 else f"{number} rounds"


def _reader_row(reading: Reading, rates: list[dict[str, str]]) -> tuple[str, ...]:
    name = reading.reader
    return (
        f"**{name}**" if name in OWN else name,
        *(rate[name] for rate in rates),
        str(reading.requests or ""),
        f"{median(reading.wall):.2f} s" if reading.wall else "",
        _mib(reading.max_rss_kb) if reading.max_rss_kb else "",
    )


def _rates(readings: list[Reading]) -> dict[str, str]:
    floor = max(reading.rate for reading in readings if reading.reader in FLOORS)
    return {
        reading.reader: f"{reading.rate:,.0f} ({reading.rate / floor:.0%})" if reading.rate else "failed"
        for reading in readings
    }


def _mib(kib: int) -> str:
    return f"{kib / 1024:.0f} MiB"


def _spread(readings: list[Reading]) -> str:
    spreads = [max(reading.seconds) / min(reading.seconds) - 1 for reading in readings if len(reading.seconds) > 1]
    if not spreads:
        return ""
    return (
        f"Between a reader's slowest and fastest round lay {median(spreads):.0%} in the middle, "
        f"and {max(spreads):.0%} at the most."
    )


def _failures(readings: list[Reading]) -> Iterator[str]:
    for reading in readings:
        if reading.error:
            yield f"- {reading.reader} at {reading.latency * 1000:.0f} ms could not be measured: `{reading.error}`"
            yield ""


def _privacy(readings: list[Reading]) -> Iterator[str]:
    by_latency: dict[float, list[Reading]] = {}
    for reading in readings:
        by_latency.setdefault(reading.latency, []).append(reading)
    yield "### Fields dropped and hashed"
    yield ""
    yield "Rows a second of the tap, and in brackets the share of what it reads without."
    yield ""
    head = ("fields", *(_column(found[0]) for found in by_latency.values()))
    rates = [
        {one.reader: f"{one.rate:,.0f} ({one.rate / found[0].rate:.0%})" for one in found if one.rate}
        for found in by_latency.values()
    ]
    names = [reading.reader for reading in next(iter(by_latency.values()))]
    yield from table(head, ((name, *(rate.get(name, "failed") for rate in rates)) for name in names))
    yield ""
    yield from _failures(readings)


def _streams(found: list[Streams]) -> Iterator[str]:
    one = found[0]
    yield "### Many small streams"
    yield ""
    yield f"All {one.streams} streams of a small company, {one.records:,} records, {_latency(one)}."
    yield ""
    yield from _concurrencies(found)


def _children(found: list[Streams]) -> Iterator[str]:
    one = found[0]
    yield "### Children of many parents"
    yield ""
    yield (
        f"A stream that is asked for one parent at a time, of 100 parents: {one.records:,} rows, "
        f"two pages of each parent, {_latency(one)}."
    )
    yield ""
    yield from _concurrencies(found)


def _latency(streams: Streams) -> str:
    return f"at {streams.latency * 1000:.0f} ms a request"


def _concurrencies(found: list[Streams]) -> Iterator[str]:
    beside, after = sorted(found, key=lambda streams: -streams.concurrency)
    yield from table(
        ("concurrency", "requests", "most at once", "first request to end", "whole process"),
        (
            (
                str(one.concurrency),
                str(one.requests),
                str(one.most_at_once),
                f"{median(one.seconds):.2f} s",
                f"{median(one.wall):.2f} s",
            )
            for one in (after, beside)
        ),
    )
    yield ""
    ratio = median(after.seconds) / median(beside.seconds)
    yield f"Concurrency {beside.concurrency} is {ratio:.1f} times as fast as one request after the other."
    yield ""


def _memory(found: list[Memory]) -> Iterator[str]:
    yield "### Memory"
    yield ""
    yield "The tap at its default concurrency, its messages to nowhere; the whole process at its largest."
    yield ""
    yield from table(
        ("rows", "memory", "rows a second"),
        ((f"{one.rows:,}", _mib(one.max_rss_kb), f"{one.rows / one.seconds:,.0f}") for one in found),
    )
    yield ""


def _postgres(found: list[EndToEnd]) -> Iterator[str]:
    yield "### Into PostgreSQL"
    yield ""
    yield (
        "`meltano run tap-factorialhr target-postgres`, as it is shipped, and a pipeline of dlt's REST source that "
        "merges on the key. Whole commands, from nothing to all employees in the table, and once more into the same."
    )
    yield ""
    yield from table(
        ("rows", "rounds", "`meltano run`", "dlt", "dlt takes", "`meltano run` again", "dlt again", "dlt takes"),
        (
            (
                f"{one.rows:,}",
                str(len(one.wall)),
                *_side_by_side(one.wall, one.dlt),
                *_side_by_side(one.again, one.dlt_again),
            )
            for one in found
        ),
    )
    yield ""
    yield "Seconds of the processor of the first of these runs, by who used them:"
    yield ""
    yield from table(
        ("rows", "the tap", "the loader", "Meltano", "the tap alone, to nowhere, whole process"),
        (
            (f"{one.rows:,}", *map(_seconds, (one.tap_cpu, one.loader_cpu, one.meltano_cpu, one.tap_alone)))
            for one in found
        ),
    )
    yield ""


def _side_by_side(ours: list[float], theirs: list[float]) -> tuple[str, str, str]:
    ratio = f"{median(theirs) / median(ours):.1f} times as long" if ours and theirs else ""
    return _seconds(ours), _seconds(theirs), ratio


def _seconds(measured: list[float]) -> str:
    return f"{median(measured):.1f} s" if measured else ""


if __name__ == "__main__":
    write(msgspec.json.decode(RESULTS.read_bytes(), type=Results))
