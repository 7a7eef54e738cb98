"""What the tests share: an embedded PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psycopg
import pytest

from local import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def databases() -> Iterator[dict[str, str]]:
    # Beside pytest's own directories, which nobody else may pass through, not even the server's user.
    with TemporaryDirectory() as folder, postgres(Path(folder) / "postgres") as urls:
        with psycopg.connect(urls["WAREHOUSE_URL"], autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # it need not outlive the machine
            connection.execute("SELECT pg_reload_conf()")
        yield urls
