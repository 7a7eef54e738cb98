"""A PostgreSQL for as long as a test needs it."""

from __future__ import annotations

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
    """Serve an empty database that is gone afterwards, and need not outlive the machine; its URL."""
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
