"""What a run of the benchmarks has found, as it is kept in `results.json`."""

from __future__ import annotations

from statistics import median

import msgspec


class Machine(msgspec.Struct):
    """What it ran on; nothing that names it."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str


class Reading(msgspec.Struct):
    """One reader of the employees at one latency.

    Attributes:
        reader: Which one.
        latency: Seconds before each answer.
        rows: How many there were to read.
        seconds: Of each round, from the first request to the last row.
        wall: Of each round, the whole process.
        cpu: Of each round, seconds of the processor that the whole process used.
        max_rss_kb: The most memory of all rounds.
        requests: How many it sent.
        most_at_once: Requests in flight at one time, at most; without latency the server sees one at a time.
        error: Why it has no numbers.
    """

    reader: str
    latency: float
    rows: int
    seconds: list[float] = []
    wall: list[float] = []
    cpu: list[float] = []
    max_rss_kb: int = 0
    requests: int = 0
    most_at_once: int = 0
    error: str | None = None

    @property
    def rate(self) -> float:
        """Rows a second, by the median; 0 where it failed."""
        return self.rows / median(self.seconds) if self.seconds else 0.0


class Streams(msgspec.Struct):
    """Some streams of the tap, with one concurrency."""

    concurrency: int
    latency: float
    streams: int
    records: int
    requests: int
    most_at_once: int = 0
    seconds: list[float] = []
    wall: list[float] = []


class Memory(msgspec.Struct):
    """The tap's memory over a number of rows."""

    rows: int
    seconds: float
    max_rss_kb: int


class EndToEnd(msgspec.Struct):
    """Runs of Meltano and of dlt into PostgreSQL; each list has a number for each round.

    Attributes:
        rows: How many were read, and are in the table.
        wall: Seconds of `meltano run`.
        again: Those of the same once more, into the table that is full already.
        dlt: Seconds of dlt's pipeline, the whole process.
        dlt_again: Those of the same once more.
        tap_alone: Seconds of the tap alone, to nowhere.
        tap_cpu: Seconds of the processor that the tap used within `meltano run`.
        loader_cpu: Those of the loader.
        meltano_cpu: Those of Meltano, which carries the lines from one to the other.
    """

    rows: int
    wall: list[float] = []
    again: list[float] = []
    dlt: list[float] = []
    dlt_again: list[float] = []
    tap_alone: list[float] = []
    tap_cpu: list[float] = []
    loader_cpu: list[float] = []
    meltano_cpu: list[float] = []


class Results(msgspec.Struct):
    """All of it; `failures` says why a part has no numbers."""

    date: str
    machine: Machine
    versions: dict[str, str]
    readers: list[Reading] = []
    privacy: list[Reading] = []
    streams: list[Streams] = []
    children: list[Streams] = []
    memory: list[Memory] = []
    postgres: list[EndToEnd] = []
    failures: dict[str, str] = {}
    minutes: float = 0.0
