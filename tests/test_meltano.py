"""End to end: ``meltano run tap-factorialhr target-postgres`` into a real PostgreSQL, and Meltano's other commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from scripts.meltano import MeltanoProject
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support.postgres import empty_database
from tests.support.tap import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("meltano")
    with (
        Sandbox(Company(employees=12, untidy=True)) as sandbox,
        empty_database(postgres) as url,
    ):
        config = config_for(sandbox, emit_activate_version_messages=True)
        settings = {
            f"TAP_FACTORIALHR_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in config.items()
        }
        settings["TAP_FACTORIALHR__SELECT"] = json.dumps([f"{name}.*" for name in SELECTED])
        settings["TARGET_POSTGRES_SQLALCHEMY_URL"] = url.replace("postgresql://", "postgresql+psycopg://")
        settings["TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA"] = SCHEMA
        world = World(sandbox, url, MeltanoProject(folder / "project", settings))
        world.run("run", "tap-factorialhr", "target-postgres")
        yield world


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Meltano cannot be told where to keep its logs")
def test_no_log_is_left_in_the_home_of_whoever_runs_this(world: World) -> None:
    assert list(world.meltano.logs.glob("meltano/log/elt/*/*/elt.log"))


def expected_type(schema: dict[str, Any], name: str) -> str:
    """The type that PostgreSQL is to have for a field, from its JSON Schema."""
    declared = schema.get("type", "string")
    kind = declared if isinstance(declared, str) else next(kind for kind in declared if kind != "null")
    if name == "id" or name.endswith("_id"):
        assert kind == "string", name
    return {
        "string": {"date-time": "timestamp without time zone", "date": "date"}.get(schema.get("format", ""), "text"),
        "integer": "bigint",
        "number": "numeric",
        "boolean": "boolean",
        "object": "jsonb",
        "array": "ARRAY",
    }[kind]


def test_columns_have_the_types_of_the_schema(world: World) -> None:
    discovered = json.loads(world.meltano("invoke", "tap-factorialhr", "--discover", stdout=subprocess.PIPE).stdout)
    schemas = {entry["tap_stream_id"]: entry["schema"]["properties"] for entry in discovered["streams"]}
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in world.query(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = %(schema)s",
        schema=SCHEMA,
    ):
        if not column.startswith("_sdc_"):
            found.setdefault(table, {})[column] = kind
    assert set(found) == set(SELECTED)
    for table, columns in found.items():
        assert columns == {name: expected_type(schema, name) for name, schema in schemas[table].items()}, table
    # And some by name, so that the schema and this test cannot be wrong together.
    assert found["employees"]["id"] == found["employees"]["manager_id"] == "text"
    assert found["employees"]["updated_at"] == "timestamp without time zone"
    assert found["employees"]["birthday_on"] == "date"
    assert found["attendance_shifts"]["clock_in"] == "text"
    assert found["attendance_shifts"]["in_location_latitude"] == "numeric"
    assert found["attendance_shifts"]["minutes"] == "bigint"
    assert found["timeoff_leaves"]["duration_by_day_attributes"] in {"jsonb", "ARRAY"}


def test_keys_are_primary_keys(world: World) -> None:
    keys = world.query(
        "SELECT table_name, column_name FROM information_schema.table_constraints"
        " JOIN information_schema.key_column_usage USING (constraint_schema, constraint_name, table_name)"
        " WHERE constraint_type = 'PRIMARY KEY' AND constraint_schema = %(schema)s",
        schema=SCHEMA,
    )
    own = {"job_catalog_tree_nodes": "uuid", "contracts_contract_version_meta_data": "contract_version_id"}
    assert set(keys) == {(name, own.get(name, "id")) for name in SELECTED}


@pytest.mark.parametrize(
    ("stream", "resource", "key"),
    [
        ("employees", "employees/employees", "id"),
        ("attendance_shifts", "attendance/shifts", "id"),
        ("timeoff_leaves", "timeoff/leaves", "id"),
        ("posts_comments", "posts/comments", "id"),
        ("job_catalog_tree_nodes", "job_catalog/tree_nodes", "uuid"),
        ("project_management_time_records", "project_management/time_records", "id"),
    ],
)
def test_every_row_is_in_its_table(world: World, stream: str, resource: str, key: str) -> None:
    expected = sorted(str(row[key]) for row in world.sandbox.company.rows(resource))
    assert expected
    assert sorted(found for (found,) in world.query("SELECT {} FROM {}.{}", key, SCHEMA, stream)) == expected


def test_a_second_run_brings_what_changed(world: World) -> None:
    company = world.sandbox.company
    touched = company.rows("employees/employees")[3]["id"]
    company.touch("employees/employees", touched, first_name="Ångström")
    gone = company.rows("teams/teams")[0]["id"]
    company.delete("teams/teams", gone)
    world.sandbox.requests.clear()

    output = world.run("run", "tap-factorialhr", "target-postgres")

    assert "Incremental state has been updated" in output
    assert "Running catalog discovery" not in output
    assert world.query("SELECT first_name FROM {}.employees WHERE id = %(id)s", SCHEMA, id=str(touched)) == [
        ("Ångström",)
    ]
    marked = world.query("SELECT id FROM {}.teams WHERE _sdc_deleted_at IS NOT NULL", SCHEMA)
    assert marked == [(str(gone),)]
    asked = [dict(request.params) for request in world.sandbox.requests if request.resource == "employees/employees"]
    assert asked
    assert all("updated_at_gteq" in params for params in asked)


def test_the_environments_keep_their_state_apart(world: World) -> None:
    states = world.run("state", "list")
    assert "dev:tap-factorialhr-to-target-postgres" in states
    assert "prod:" not in states
    printed = world.meltano(
        "--environment=prod", "config", "print", "target-duckdb", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert json.loads(printed.stdout)["default_target_schema"] == "factorialhr"


def test_config_test(world: World) -> None:
    assert "Plugin configuration is valid" in world.run("config", "test", "tap-factorialhr")


def test_invoke_reaches_the_check(world: World) -> None:
    done = world.meltano("invoke", "tap-factorialhr", "check", "--json", stdout=subprocess.PIPE)
    assert done.returncode == 0
    streams = json.loads(done.stdout)["streams"]
    assert {stream["stream"]: stream["outcome"] for stream in streams} == dict.fromkeys(SELECTED, "readable")


@pytest.mark.parametrize("has_catalog", [True, False], ids=["of the last run", "none"])
def test_the_check_looks_at_what_is_selected_now(world: World, tmp_path: Path, *, has_catalog: bool) -> None:
    patterns = ["team*", "!teams.name", "tasks.*", "posts_*.id", "!posts_[!c]*", "!*_likes.*"]
    settings = {**world.meltano.settings, "TAP_FACTORIALHR__SELECT": json.dumps(patterns)}
    chosen = MeltanoProject(world.meltano.folder if has_catalog else tmp_path / "project", settings)
    done = chosen("invoke", "tap-factorialhr", "check", "--json", stdout=subprocess.PIPE)
    looked_at = {stream["stream"] for stream in json.loads(done.stdout)["streams"]}
    listed = chosen("select", "tap-factorialhr", "--list", capture_output=True).stdout
    streams = re.findall(r"^\t\[(?:selected|automatic) *\] (\w+)\.id$", listed, re.MULTILINE)
    assert looked_at == set(streams)
    assert looked_at == {"teams", "teams_memberships", "tasks", "posts_comments"}


def test_config_test_tells_a_wrong_key(world: World) -> None:
    wrong = MeltanoProject(world.meltano.folder, {**world.meltano.settings, "TAP_FACTORIALHR_API_KEY": "not-the-key"})
    done = wrong("config", "test", "tap-factorialhr", capture_output=True)
    assert done.returncode != 0
    assert "not-the-key" not in done.stdout + done.stderr


def test_a_setting_that_meltano_does_not_know_ends_the_run(world: World, tmp_path: Path) -> None:
    misspelt = {"TAP_FACTORIALHR_DROP_CLASSE": '["special_category"]'}
    project = MeltanoProject(tmp_path, world.meltano.settings | misspelt)
    done = project("run", "tap-factorialhr", "target-jsonl", capture_output=True)
    assert done.returncode != 0
    assert "did you mean TAP_FACTORIALHR_DROP_CLASSES?" in done.stdout + done.stderr
    assert "special_category" not in done.stdout + done.stderr


def test_select_lists_every_stream(world: World) -> None:
    listed = world.run("select", "tap-factorialhr", "--list", "--all")
    for field in ("employees.email", "attendance_shifts.clock_in", "timeoff_leaves.deleted_at"):
        assert field in listed
    assert "[automatic  ] employees.id" in listed
    assert "[excluded   ] tasks.name" in listed


@pytest.mark.parametrize("loader", ["target-duckdb", "target-jsonl"])
def test_the_other_loaders_as_they_are_shipped(world: World, loader: str) -> None:
    world.run("run", "tap-factorialhr", loader)
    expected = {str(row["id"]) for row in world.sandbox.company.rows("timeoff/leaves")}
    assert (from_duckdb if loader == "target-duckdb" else from_jsonl)(world, "timeoff_leaves") == expected


def from_jsonl(world: World, stream: str) -> set[str]:
    lines = (world.meltano.folder / "output" / f"{stream}.jsonl").read_text().splitlines()
    return {json.loads(line)["id"] for line in lines}


def from_duckdb(world: World, stream: str) -> set[str]:
    """The ids of a table; in the loader's own environment, which alone has DuckDB."""
    code = "import duckdb, json, sys;print(json.dumps(duckdb.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))"
    done = subprocess.run(
        [
            world.meltano.folder / ".meltano/loaders/target-duckdb/venv/bin/python",
            "-c",
            code,
            world.meltano.folder / "warehouse.duckdb",
            f"SELECT id FROM factorialhr.{stream}",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {row[0] for row in json.loads(done.stdout)}
