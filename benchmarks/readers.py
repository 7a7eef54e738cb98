"""The readers side by side: the same employees, read by each in turn, round after round."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.competitors.measuring import API_KEY
from benchmarks.environments import python_with
from benchmarks.process import FailedError, run
from benchmarks.results import Reading
from benchmarks.taps import PYTHON, count_records, tap_command, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.process import Finished
    from benchmarks.serving import Pages

FLOORS = ("floor, 8 connections", "floor, 1 connection")
OWN = ("tap-factorialhr", "tap-factorialhr, concurrency 1", "tap-factorialhr, by cursor")


@dataclass(frozen=True)
class Plan:
    """How many rows are read at one latency, and in how many rounds."""

    latency: float
    rows: int
    rounds: int


FULL = (Plan(0, 20_000, 5), Plan(0.05, 20_000, 3), Plan(0.2, 4_000, 3))
QUICK = (Plan(0, 5_000, 2), Plan(0.05, 2_000, 1), Plan(0.2, 1_000, 1))


@dataclass(frozen=True)
class Sample:
    """One reader in one round."""

    rows: int
    seconds: float
    max_rss_kb: int
    process: Finished


@dataclass(frozen=True)
class Script:
    """A reader of `benchmarks.competitors`, which takes its own time, so that starting Python is not in it."""

    name: str
    module: str
    package: str | None = None
    arguments: tuple[str, ...] = ()

    def read(self, pages: Pages, folder: Path) -> Sample:
        """Read all employees once."""
        python = python_with(self.package) if self.package else Path(sys.executable)
        output = folder / "output.txt"
        module = f"benchmarks.competitors.{self.module}"
        finished = run([python, "-m", module, pages.address, *self.arguments], output)
        said = json.loads(output.read_text().splitlines()[-1])
        return Sample(said["rows"], said["seconds"], said["max_rss_kb"], finished)


@dataclass(frozen=True)
class Tap:
    """A tap, whose time is that from its first request to the end of its process, everything written to a file."""

    name: str
    settings: tuple[tuple[str, Any], ...] = ()
    module: str | None = None

    def read(self, pages: Pages, folder: Path) -> Sample:
        """Read all employees once."""
        settings = {"base_url": pages.address, "api_key": API_KEY, **dict(self.settings)}
        output = folder / "output.jsonl"
        finished = run(self._command(folder, settings), output)
        first = pages.record.first
        assert first is not None
        rows = count_records(output)
        output.unlink()  # before the system writes it to the disk while the next one is measured
        return Sample(rows, finished.ended - first, finished.max_rss_kb, finished)

    def _command(self, folder: Path, settings: dict[str, Any]) -> list[str | Path]:
        if self.module is None:
            return tap_command(folder, settings, "employees")
        config = written(folder / "config.json", settings)
        return [PYTHON, "-m", f"benchmarks.competitors.{self.module}", "--config", config]


READERS: tuple[Script | Tap, ...] = (
    Script(FLOORS[0], "floor", arguments=("8",)),
    Script(FLOORS[1], "floor", arguments=("1",)),
    Tap(OWN[0]),
    Tap(OWN[1], settings=(("concurrency", 1),)),
    Tap(OWN[2], settings=(("pagination", "cursor"),)),
    Tap("template tap", module="template_tap"),
    Script("official SDK", "official_sdk", "factorial-api-client"),
    Script("factorialhr", "factorialhr_client", "factorialhr"),
    Script("dlt", "dlt_rest_api", "dlt"),
    Script("Airbyte CDK", "airbyte_cdk_manifest", "airbyte-cdk"),
)


def measure(pages: Pages, folder: Path, *, quick: bool) -> list[Reading]:
    """All readers, at each latency; a round before the first is not counted."""
    plans = QUICK if quick else FULL
    warm_up = Plan(0, plans[0].rows, 1)
    interleaved(READERS, pages, folder, warm_up, "warm-up")
    return [reading for plan in plans for reading in interleaved(READERS, pages, folder, plan)]


def interleaved(
    readers: Sequence[Script | Tap], pages: Pages, folder: Path, plan: Plan, note: str = ""
) -> list[Reading]:
    """What each of some readers finds, taking turns, round after round."""
    readings = [Reading(reader.name, plan.latency, plan.rows) for reader in readers]
    for number in range(1, plan.rounds + 1):
        for reader, reading in zip(readers, readings, strict=True):
            if reading.error is None:
                _add(reader, reading, pages, folder)
                said = reading.error or f"{plan.rows / reading.seconds[-1]:9,.0f} rows/s"
                print(
                    f"{note or f'round {number}':8} {plan.latency * 1000:3.0f} ms  {reader.name:31} {said}", flush=True
                )
    return readings


def _add(reader: Script | Tap, reading: Reading, pages: Pages, folder: Path) -> None:
    pages.set(reading.rows, reading.latency)
    try:
        sample = reader.read(pages, folder)
    except FailedError as error:
        reading.error = str(error)
        return
    if sample.rows != reading.rows:
        reading.error = f"{sample.rows} rows instead of {reading.rows}"
        return
    reading.seconds.append(round(sample.seconds, 4))
    reading.wall.append(round(sample.process.wall, 4))
    reading.cpu.append(round(sample.process.cpu, 4))
    reading.max_rss_kb = max(reading.max_rss_kb, sample.max_rss_kb)
    record = pages.record
    reading.requests = record.requests
    reading.most_at_once = max(reading.most_at_once, record.most_at_once)
