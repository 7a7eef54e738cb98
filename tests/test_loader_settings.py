"""That `meltano.yml` tells target-postgres to look less closely at records leaves the tables as they would be."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import psycopg
import yaml

from scripts.demo import row_counts
from scripts.meltano import PROJECT
from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tests.support.numbers import STREAMS
from tests.support.tap import config_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.tap import TapRunner

LOADER = PROJECT / ".meltano/loaders/target-postgres/venv/bin/target-postgres"
OF_THE_RUN = ("_sdc_received_at", "_sdc_batched_at", "_sdc_sync_started_at", "_sdc_sequence")
"""Columns that tell when a row was loaded."""


def shipped(kind: str, name: str) -> dict[str, Any]:
    """The settings of a plugin as `meltano.yml` has them."""
    plugins = yaml.safe_load((PROJECT / "meltano.yml").read_text())["plugins"][kind]
    (found,) = (plugin for plugin in plugins if plugin["name"] == name)
    defaults = {setting["name"]: setting["value"] for setting in found["settings"] if "value" in setting}
    return {**defaults, **found.get("config", {})}


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


WITH_NULLS = (
    rb'{"data": [{"id": "1", "name": "a\u0000b", "employee_ids": ["\u0000"]}], "meta": {"total": 1, "limit": 100}}'
)


def test_all_streams_load_the_same_without_a_second_look_at_each_record(tap: TapRunner, database: str) -> None:
    settings = shipped("loaders", "target-postgres")
    assert not settings["validate_records"]
    assert not settings["sanitize_null_text_characters"]
    replaced = {"replace_null_characters": shipped("extractors", "tap-factorialhr")["replace_null_characters"]}
    with Sandbox(Company(employees=2, untidy=True)) as sandbox:
        sandbox.answer = lambda record: Answer(200, WITH_NULLS) if record.resource == "teams/teams" else None
        run = tap({**config_for(sandbox, emit_activate_version_messages=True), **replaced})
    assert run.code == 0, run.stderr
    messages = tap.folder / "messages.jsonl"
    messages.write_text(run.stdout)
    closer = {**settings, "validate_records": True, "sanitize_null_text_characters": True}
    loaders = [
        loading(messages, tap.folder, database, closer, "with"),
        loading(messages, tap.folder, database, settings, "without"),
    ]
    for loader in loaders:
        _, errors = loader.communicate(timeout=120)
        assert loader.returncode == 0, errors[-3000:]
    counts = row_counts(database, "with")
    assert len(counts) == STREAMS
    assert sum(counts.values()) > 1000
    assert row_counts(database, "without") == counts
    with psycopg.connect(database) as connection:
        assert {table: found for table in counts if (found := differences(connection, table))} == {}
        assert connection.execute("SELECT name, employee_ids FROM without.teams").fetchall() == [
            ("a\ufffdb", ["\ufffd"])
        ]
