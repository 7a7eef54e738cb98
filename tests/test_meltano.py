"""End to end: ``meltano run tap-factorialhr target-postgres`` into a real PostgreSQL, and Meltano's other commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from scripts.meltano import MeltanoProject
from scripts.postgres import embedded_postgres
from tap_factorialhr.sandbox import Company, Sandbox
from tests.conftest import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SELECTED = (
    "employees",
    "attendance_shifts",
    "contracts_contract_versions",
    "contracts_contract_version_meta_data",
    "finance_categories",
    "job_catalog_tree_nodes",
    "posts_comments",
    "project_management_time_records",
    "teams",
    "timeoff_leaves",
)
SCHEMA = "people"

pytestmark = pytest.mark.xdist_group("meltano")


@dataclass
class World:
    """A company, a database, and a Meltano project between them."""

    sandbox: Sandbox
    url: str
    meltano: MeltanoProject

    def run(self, *arguments: str) -> str:
        done = self.meltano(*arguments, capture_output=True)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout + done.stderr

    def query(self, query: str, *names: str, **values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(sql.SQL(query).format(*map(sql.Identifier, names)), values).fetchall()

    def rows(self, stream: str, *columns: str) -> set[tuple[Any, ...]]:
        listed = ", ".join("{}" for _ in columns)
        return set(self.query(f"SELECT {listed} FROM {{}}", *columns, SCHEMA + "." + stream))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("meltano")
    with Sandbox(Company(employees=12)) as sandbox, embedded_postgres(folder / "postgres") as url:
        config = config_for(sandbox, emit_activate_version_messages=True)
        settings = {
            f"TAP_FACTORIALHR_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in config.items()
        }
        settings["TAP_FACTORIALHR__SELECT"] = json.dumps([f"{name}.*" for name in SELECTED])
        settings["TARGET_POSTGRES_SQLALCHEMY_URL"] = url.replace("postgresql://", "postgresql+psycopg://")
        settings["TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA"] = SCHEMA
        settings["TARGET_DUCKDB_FILEPATH"] = str(folder / "factorialhr.duckdb")
        settings["TARGET_JSONL_DESTINATION_PATH"] = str(folder)
        world = World(sandbox, url, MeltanoProject(folder / "project", settings))
        world.run("run", "tap-factorialhr", "target-postgres")
        yield world
