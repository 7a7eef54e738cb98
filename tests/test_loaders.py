"""What docs/loaders.md says of each loader: keys, deletes, dates, numbers, nested values, empty texts.

Two runs of the tap into each, with a change and a deletion between them.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import yaml

from scripts.meltano import PROJECT
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support.tap import TapRunner, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STREAMS = ("employees", "teams", "timeoff_leaves", "project_management_exportable_expenses")
KEYLESS = "project_management_exportable_expenses"


@dataclass
class Loaded:
    """Two runs of the tap, and what they were about.

    Attributes:
        messages: The file of each run's messages.
        changed: An employee, changed between the runs.
        gone: A team that has gone after the first.
        empty: An employee whose city is an empty text.
        keyless: Rows without a key in each run.
    """

    messages: list[Path]
    changed: str
    gone: str
    empty: str
    keyless: int


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    tap = TapRunner(tmp_path_factory.mktemp("tap"))
    company = Company(employees=4)
    employees = [str(row["id"]) for row in company.rows("employees/employees")]
    company.touch("employees/employees", company.rows("employees/employees")[1]["id"], city="")
    gone = company.rows("teams/teams")[0]["id"]
    with Sandbox(company) as sandbox:
        config = config_for(sandbox, emit_activate_version_messages=True)
        found: list[Path] = []
        for number in range(2):
            run = tap(config, catalog=tap.catalog(*STREAMS))
            assert run.code == 0, run.stderr
            found.append(tap.folder / f"{number}.jsonl")
            found[-1].write_text(run.stdout)
            company.touch("employees/employees", company.rows("employees/employees")[0]["id"], first_name="Ångström")
            if not number:
                company.delete("teams/teams", gone)
                time.sleep(1)  # The next run is to begin in another second, which is the version of its tables.
        # The change came after the first run, and is in the second.
        yield Loaded(found, employees[0], str(gone), employees[1], len(run.records[KEYLESS]))


def load(loader: str, folder: Path, loaded: Loaded, **settings: Any) -> None:
    """Both runs, with the loader's settings as `meltano.yml` has them."""
    plugins = yaml.safe_load((PROJECT / "meltano.yml").read_text())["plugins"]["loaders"]
    (declared,) = (plugin["settings"] for plugin in plugins if plugin["name"] == loader)
    config = {setting["name"]: setting["value"] for setting in declared if "value" in setting} | settings
    text = json.dumps(config).replace("$MELTANO_PROJECT_ROOT", str(folder))  # as Meltano does
    (path := folder / "config.json").write_text(text)
    command = PROJECT / ".meltano/loaders" / loader / "venv/bin" / loader
    for messages in loaded.messages:
        with messages.open("rb") as lines:
            done = subprocess.run(
                [command, "--config", path], stdin=lines, cwd=folder, capture_output=True, text=True, check=False
            )
        assert done.returncode == 0, done.stderr[-3000:]


def test_postgres(loaded: Loaded, tmp_path: Path, database: str) -> None:
    address = database.replace("postgresql://", "postgresql+psycopg://")
    load("target-postgres", tmp_path, loaded, sqlalchemy_url=address)
    with psycopg.connect(database) as connection:

        def rows(query: str, *values: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.encode(), values).fetchall()

        assert rows("SELECT first_name FROM factorialhr.employees WHERE id = %s", loaded.changed) == [("Ångström",)]
        assert rows("SELECT count(*) FROM factorialhr.employees") == [(4,)]
        assert rows("SELECT id FROM factorialhr.teams WHERE _sdc_deleted_at IS NOT NULL") == [(loaded.gone,)]
        assert rows(f"SELECT count(*) FROM factorialhr.{KEYLESS}") == [(2 * loaded.keyless,)]
        assert rows("SELECT city FROM factorialhr.employees WHERE id = %s", loaded.empty) == [("",)]
        assert rows(
            "SELECT pg_typeof(birthday_on)::text, pg_typeof(updated_at)::text FROM factorialhr.employees LIMIT 1"
        ) == [("date", "timestamp without time zone")]


def test_duckdb(loaded: Loaded, tmp_path: Path) -> None:
    load("target-duckdb", tmp_path, loaded)

    def rows(query: str) -> list[list[Any]]:
        code = (
            "import duckdb, json, sys; print(json.dumps(duckdb.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))"
        )
        python = PROJECT / ".meltano/loaders/target-duckdb/venv/bin/python"
        done = subprocess.run(
            [python, "-c", code, tmp_path / "warehouse.duckdb", query], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found: list[list[Any]] = json.loads(done.stdout)
        return found

    assert rows(f"SELECT first_name FROM factorialhr.employees WHERE id = '{loaded.changed}'") == [["Ångström"]]
    assert rows("SELECT count(*) FROM factorialhr.employees") == [[4]]
    assert rows(f"SELECT count(*) FROM factorialhr.teams WHERE id = '{loaded.gone}' AND _sdc_deleted_at IS NULL") == [
        [1]
    ]
    assert rows(f"SELECT count(*) FROM factorialhr.{KEYLESS}") == [[2 * loaded.keyless]]
    assert rows(f"SELECT city FROM factorialhr.employees WHERE id = '{loaded.empty}'") == [[None]]
    types = dict(rows("SELECT column_name, column_type FROM (DESCRIBE factorialhr.employees)"))
    assert (types["birthday_on"], types["updated_at"], types["age_number"]) == ("VARCHAR", "TIMESTAMP", "HUGEINT")
    leaves = dict(rows("SELECT column_name, column_type FROM (DESCRIBE factorialhr.timeoff_leaves)"))
    assert leaves["duration_by_day_attributes"] == "JSON"
    assert leaves["days_taken"] == "DOUBLE"


def test_json_lines(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    load("target-jsonl", tmp_path, loaded)

    def rows(stream: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "output" / f"{stream}.jsonl").read_text().splitlines()]

    names = [row["first_name"] for row in rows("employees") if row["id"] == loaded.changed]
    assert len(names) == 2
    assert names[-1] == "Ångström"
    assert [row["id"] for row in rows("teams")].count(loaded.gone) == 1
    assert len(rows(KEYLESS)) == 2 * loaded.keyless
    assert [row["city"] for row in rows("employees") if row["id"] == loaded.empty] == ["", ""]
    assert all(isinstance(row["updated_at"], str) for row in rows("employees"))
    assert any(isinstance(row["duration_by_day_attributes"], list | dict) for row in rows("timeoff_leaves"))
