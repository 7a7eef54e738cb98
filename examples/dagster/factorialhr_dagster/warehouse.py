"""What is kept in PostgreSQL beside the rows: each partition's state, its lock, and what its runs read."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from factorialhr_dagster.report import StreamRead

LOCK_WAIT = 90
"""Seconds to wait for another run of the partition: the processes of one that has died need a moment to go."""
REMEMBERED = timedelta(days=90)
"""How long it is remembered what a stream had."""

_TABLES = """
CREATE SCHEMA IF NOT EXISTS pipeline;
CREATE TABLE IF NOT EXISTS pipeline.states (
    company text, domain text, state jsonb NOT NULL, saved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company, domain)
);
CREATE TABLE IF NOT EXISTS pipeline.reads (
    company text, domain text, stream text, run text, rows bigint NOT NULL, requests bigint NOT NULL,
    retries bigint NOT NULL, seconds double precision NOT NULL, outcome text NOT NULL, reason text NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company, domain, stream, finished_at)
);
"""
_TABLES_LOCK = 7211402


class BusyError(Exception):
    """Another run of the partition is under way."""


@dataclass(frozen=True)
class Partition:
    """One company's one domain."""

    company: str
    domain: str

    def __str__(self) -> str:
        """As in ``acme/people``."""
        return f"{self.company}/{self.domain}"


class Warehouse:
    """A connection for one partition, which has the partition to itself."""

    def __init__(self, connection: psycopg.Connection, partition: Partition) -> None:
        """Take an open connection in autocommit, which holds the partition's lock."""
        self._connection = connection
        self._partition = partition

    def state(self) -> dict[str, Any] | None:
        """The partition's last state, None before the first."""
        row = self._connection.execute(
            "SELECT state FROM pipeline.states WHERE company = %s AND domain = %s", self._key
        ).fetchone()
        return row[0] if row else None

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Keep a state: what it says has been read is in the tables."""
        self._connection.execute(
            "INSERT INTO pipeline.states (company, domain, state) VALUES (%s, %s, %s)"
            " ON CONFLICT (company, domain) DO UPDATE SET state = excluded.state, saved_at = now()",
            [*self._key, json.dumps(state)],
        )

    def save_reads(self, run: str, reads: Iterable[StreamRead]) -> None:
        """Note what a run read, and forget what is too old to matter."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO pipeline.reads VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    [
                        *self._key,
                        one.stream,
                        run,
                        one.rows,
                        one.requests,
                        one.retries,
                        one.seconds,
                        one.outcome,
                        one.reason,
                    ]
                    for one in reads
                ],
            )
            cursor.execute(
                "DELETE FROM pipeline.reads WHERE company = %s AND domain = %s AND finished_at < %s",
                [*self._key, datetime.now(UTC) - REMEMBERED],
            )

    def had_rows(self) -> dict[str, datetime]:
        """When each stream last had rows, as far as that is remembered."""
        found = self._connection.execute(
            "SELECT stream, max(finished_at) FROM pipeline.reads"
            " WHERE company = %s AND domain = %s AND rows > 0 GROUP BY stream",
            self._key,
        )
        return dict(found.fetchall())

    @property
    def _key(self) -> list[str]:
        return [self._partition.company, self._partition.domain]


@contextmanager
def opened(url: str, partition: Partition, wait: int = LOCK_WAIT) -> Iterator[Warehouse]:
    """Have a partition to oneself, for as long as this lasts; a process that dies lets go.

    The lock belongs to the connection, so the URL must not be one of a pooler that shares connections.

    Args:
        url: The database's URL.
        partition: The partition.
        wait: Seconds to wait for the run that has it.

    Raises:
        BusyError: Another run still had it at the end of that time.
    """
    with psycopg.connect(url, autocommit=True, application_name=f"factorialhr {partition}") as connection:
        # A machine that has gone without a word is noticed in a minute, not after the two hours of most systems.
        connection.execute("SET tcp_keepalives_idle = 30")
        connection.execute("SET tcp_keepalives_interval = 10")
        connection.execute("SET tcp_keepalives_count = 3")
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{wait}s"])
        try:
            connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"factorialhr {partition}"])
        except psycopg.errors.LockNotAvailable:
            raise BusyError(f"another run of {partition} is under way") from None
        _make_tables(connection)
        yield Warehouse(connection, partition)


def totals(url: str, since: datetime) -> dict[str, dict[str, float]]:
    """What each company's runs have read since a moment: rows, requests, retries, skipped streams and seconds."""
    with _with_tables(url) as connection:
        found = connection.execute(
            "SELECT company, sum(rows)::bigint, sum(requests)::bigint, sum(retries)::bigint,"
            " count(*) FILTER (WHERE outcome = 'skipped'), sum(seconds)"
            " FROM pipeline.reads WHERE finished_at > %s GROUP BY company ORDER BY company",
            [since],
        ).fetchall()
    names = ("rows", "requests", "retries", "skipped_streams", "seconds")
    return {company: dict(zip(names, numbers, strict=True)) for company, *numbers in found}


def last_reads(url: str) -> dict[Partition, datetime]:
    """When each partition was last read without a stream that failed or was not finished."""
    with _with_tables(url) as connection:
        found = connection.execute(
            "SELECT company, domain, max(finished_at) FROM ("
            " SELECT company, domain, run, max(finished_at) AS finished_at FROM pipeline.reads"
            " GROUP BY company, domain, run HAVING NOT bool_or(outcome IN ('failed', 'not finished'))"
            ") AS whole GROUP BY company, domain"
        ).fetchall()
    return {Partition(company, domain): finished_at for company, domain, finished_at in found}


@contextmanager
def _with_tables(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        _make_tables(connection)
        yield connection


def _make_tables(connection: psycopg.Connection) -> None:
    with connection.transaction():  # two that begin together would both make them
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_TABLES_LOCK])
        connection.execute(_TABLES)
