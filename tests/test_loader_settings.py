"""That `meltano.yml` tells target-postgres not to validate records leaves the tables as they would be."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import psycopg
import yaml

from scripts.demo import row_counts
from scripts.meltano import PROJECT
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support.postgres import passing_postgres
from tests.support.tap import config_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.tap import TapRunner

LOADER = PROJECT / ".meltano/loaders/target-postgres/venv/bin/target-postgres"
OF_THE_RUN = ("_sdc_received_at", "_sdc_batched_at", "_sdc_sync_started_at", "_sdc_sequence")
"""Columns that tell when a row was loaded."""


def shipped() -> dict[str, Any]:
    """The loader's settings as `meltano.yml` has them."""
    loaders = yaml.safe_load((PROJECT / "meltano.yml").read_text())["plugins"]["loaders"]
    (found,) = (loader["settings"] for loader in loaders if loader["name"] == "target-postgres")
    return {setting["name"]: setting["value"] for setting in found if "value" in setting}


def loading(messages: Path, folder: Path, url: str, settings: dict[str, Any], schema: str) -> subprocess.Popen[bytes]:
    """The loader at work."""
    config = folder / f"{schema}.json"
    address = url.replace("postgresql://", "postgresql+psycopg://")
    config.write_text(json.dumps({**settings, "sqlalchemy_url": address, "default_target_schema": schema}))
    with messages.open("rb") as lines:
        return subprocess.Popen(
            [LOADER, "--config", config], stdin=lines, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )


def differences(connection: psycopg.Connection, table: str) -> list[tuple[Any, ...]]:
    """The rows of a table that only one of the two schemas has."""
    columns = connection.execute(
        "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns"
        " WHERE table_schema = 'with' AND table_name = %s AND NOT column_name = ANY(%s)",
        [table, list(OF_THE_RUN)],
    ).fetchone()
    assert columns
    one, other = (f'SELECT ROW({columns[0]})::text FROM "{schema}"."{table}"' for schema in ("with", "without"))
    return connection.execute(f"({one} EXCEPT ALL {other}) UNION ALL ({other} EXCEPT ALL {one})").fetchall()


def test_all_streams_load_the_same_without_a_second_validation(tap: TapRunner) -> None:
    assert shipped()["validate_records"] is False
    with Sandbox(Company(employees=2, untidy=True)) as sandbox:
        run = tap(config_for(sandbox, emit_activate_version_messages=True))
    assert run.code == 0, run.stderr
    messages = tap.folder / "messages.jsonl"
    messages.write_text(run.stdout)
    with passing_postgres() as url:
        loaders = [
            loading(messages, tap.folder, url, {**shipped(), "validate_records": True}, "with"),
            loading(messages, tap.folder, url, shipped(), "without"),
        ]
        for loader in loaders:
            _, errors = loader.communicate(timeout=120)
            assert loader.returncode == 0, errors[-3000:]
        counts = row_counts(url, "with")
        assert len(counts) == 169
        assert sum(counts.values()) > 1000
        assert row_counts(url, "without") == counts
        with psycopg.connect(url) as connection:
            assert {table: found for table in counts if (found := differences(connection, table))} == {}
