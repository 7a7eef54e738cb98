"""A PostgreSQL for as long as tests need it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psycopg

from scripts.postgres import embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def passing_postgres() -> Iterator[str]:
    """Serve a PostgreSQL that is gone afterwards, and need not outlive the machine; the URL of its `postgres`."""
    # Beside pytest's own directories, which nobody else may pass through.
    with (
        TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        embedded_postgres(Path(folder) / "postgres") as url,
    ):
        with psycopg.connect(url, autocommit=True) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield url


@contextmanager
def empty_database(postgres: str) -> Iterator[str]:
    """The URL of an empty database in a PostgreSQL, which is dropped afterwards."""
    name = f"test_{time.monotonic_ns()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield postgres.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
