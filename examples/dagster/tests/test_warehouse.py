"""What is kept in PostgreSQL: a partition's state, its lock, and what its runs read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from factorialhr_dagster.report import StreamRead
from factorialhr_dagster.settings import PROJECT
from factorialhr_dagster.warehouse import BusyError, Partition, opened

if TYPE_CHECKING:
    from pathlib import Path


def test_each_partition_has_a_state_of_its_own(databases: dict[str, str]) -> None:
    url = databases["WAREHOUSE_URL"]
    one, other = Partition("state", "people"), Partition("state", "time")
    with opened(url, one) as database, opened(url, other) as another:
        assert database.state() is None
        database.save_state({"bookmarks": {"employees": {"replication_key_value": "2026-01-01"}}})
        database.save_state({"bookmarks": {"employees": {"replication_key_value": "2026-01-02"}}})
        assert another.state() is None
    with opened(url, one) as database:
        assert database.state() == {"bookmarks": {"employees": {"replication_key_value": "2026-01-02"}}}


def test_what_streams_had_is_remembered_for_a_while(databases: dict[str, str]) -> None:
    url = databases["WAREHOUSE_URL"]
    with opened(url, Partition("reads", "people")) as database:
        database.save_reads("run 1", [StreamRead("teams", rows=3), StreamRead("tasks")])
        with psycopg.connect(url) as connection:
            connection.execute(
                "UPDATE pipeline.reads SET finished_at = %s WHERE company = 'reads'",
                [datetime.now(UTC) - timedelta(days=80)],
            )
        database.save_reads("run 2", [StreamRead("teams"), StreamRead("tasks")])
        had = database.had_rows()
        assert set(had) == {"teams"}
        assert datetime.now(UTC) - had["teams"] > timedelta(days=79)
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE pipeline.reads SET finished_at = finished_at - interval '20 days'")
        database.save_reads("run 3", [StreamRead("teams")])
        assert database.had_rows() == {}


def test_nobody_else_has_the_partition_until_its_process_is_gone(databases: dict[str, str], tmp_path: Path) -> None:
    url = databases["WAREHOUSE_URL"]
    partition = Partition("lock", "people")
    code = (
        "import sys, time; from factorialhr_dagster.warehouse import *\n"
        "with opened(sys.argv[1], Partition('lock', 'people')): print('mine', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=_with_project()
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "mine\n"
    with pytest.raises(BusyError, match="another run of lock/people"), opened(url, partition, wait=1):
        pass
    with opened(url, Partition("lock", "time"), wait=1):
        pass
    holder.send_signal(signal.SIGKILL)
    with opened(url, partition, wait=60):
        pass
    holder.wait()


def _with_project() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT)}
