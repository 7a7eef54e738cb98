"""Over a fortnight of simulated days, in a real PostgreSQL: what has gone leaves after a whole read, and not before."""

from __future__ import annotations

import json
import random
import re
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import psycopg
import pytest
from psycopg import sql

from scripts.meltano import PROJECT
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support.days import TapByDays, stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.days import Day
    from tests.support.tap import TapRunner

BY_CHANGES = {"employees": "employees/employees", "finance_contacts": "finance/contacts"}
WHOLE = {"teams": "teams/teams"}
DAYS = 14
REFRESH = 4
PYTHON = PROJECT / ".meltano" / "loaders" / "target-postgres" / "venv" / "bin" / "python"
LOADER = """
import os, sys
from target_postgres.target import TargetPostgres
for messages in sys.stdin:
    if not (process := os.fork()):
        os.dup2(os.open(messages.rstrip(), os.O_RDONLY), 0)
        TargetPostgres.cli(["--config", sys.argv[1]])
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), file=sys.stderr, flush=True)
"""
"""Loads each file that it is told of in a process of its own, and tells its exit code. Only the imports are shared."""


class Warehouse:
    """A database, and the loader of Meltano's into it."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        config = folder / "target.json"
        config.write_text(
            json.dumps(
                {
                    "sqlalchemy_url": url.replace("postgresql://", "postgresql+psycopg://"),
                    "default_target_schema": "people",
                    "hard_delete": True,
                    "validate_records": False,
                }
            )
        )
        self._loader = subprocess.Popen(
            [PYTHON, "-c", LOADER, config],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loader.communicate(timeout=60)

    def load(self, day: Day) -> None:
        assert self._loader.stdin
        assert self._loader.stderr
        (messages := self._folder / f"{day.number}.jsonl").write_bytes(day.lines)
        self._loader.stdin.write(f"{messages}\n")
        self._loader.stdin.flush()
        said: list[str] = []
        while not re.fullmatch(r"-?\d+\n", line := self._loader.stderr.readline()):
            assert line, said
            said.append(line)
        assert line == "0\n", said

    def rows(self, stream: str) -> dict[str, tuple[Any, ...]]:
        """The name and the version of each row, by its id."""
        name = {"employees": "first_name"}.get(stream, "name")
        query = sql.SQL("SELECT id, {}, _sdc_table_version FROM people.{}")
        with psycopg.connect(self._url) as connection:
            found = connection.execute(query.format(sql.Identifier(name), sql.Identifier(stream))).fetchall()
        return {row[0]: row[1:] for row in found}


@pytest.fixture
def warehouse(database: str, tmp_path: Path) -> Iterator[Warehouse]:
    with Warehouse(database, tmp_path) as warehouse:
        yield warehouse


def company_rows(sandbox: Sandbox, stream: str) -> dict[str, str]:
    """The name of each row, by its id, as the company has them now."""
    path, name = (BY_CHANGES | WHOLE)[stream], {"employees": "first_name"}.get(stream, "name")
    return {str(row["id"]): row[name] for row in sandbox.company.rows(path)}


def live_through_a_day(sandbox: Sandbox, number: int, chance: random.Random) -> None:
    """Rows are added, changed and deleted, and some change without their time stamp."""
    company = sandbox.company
    for stream, path in (BY_CHANGES | WHOLE).items():
        name = {"employees": "first_name"}.get(stream, "name")
        dated(company.add(path, **{name: f"added on day {number}"}), number)
        for told, night in ((f"changed on day {number}", number), ("changed in silence", -9)):
            row = chance.choice(company.rows(path)[:-1])
            dated(company.touch(path, row["id"], **{name: told}), night)
        company.delete(path, chance.choice(company.rows(path)[:-1])["id"])


def dated(row: dict[str, Any], night: int) -> None:
    """Let a row have changed in the night before a day, where it says when it did."""
    if "updated_at" in row:
        row["updated_at"] = stamp(night)


def test_after_each_whole_read_the_table_is_the_company(tap: TapRunner, warehouse: Warehouse) -> None:
    chance = random.Random(14)
    seen: dict[str, list[int]] = {stream: [] for stream in BY_CHANGES}
    with Sandbox(Company(employees=10)) as sandbox:
        for path in (BY_CHANGES | WHOLE).values():
            for row in sandbox.company.rows(path):
                dated(row, -30)
        by_days = TapByDays(sandbox, full_refresh_days=REFRESH, emit_activate_version_messages=True)
        catalog = tap.catalog(*BY_CHANGES, *WHOLE)
        before: dict[str, dict[str, tuple[Any, ...]]] = {}
        for number in range(DAYS):
            if number:
                live_through_a_day(sandbox, number, chance)
            day = by_days.run(number, catalog)
            warehouse.load(day)
            for stream in (*BY_CHANGES, *WHOLE):
                table, now = warehouse.rows(stream), company_rows(sandbox, stream)
                if stream in WHOLE or stream in day.whole_streams:
                    assert {key: name for key, (name, _) in table.items()} == now, (number, stream)
                    if stream in seen:
                        seen[stream].append(number)
                else:
                    assert table.keys() >= {*before[stream], *now}, (number, stream)
                    assert len({version for _, version in table.values()}) == 1, (number, stream)
                    assert {key for key, (name, _) in table.items() if name == f"changed on day {number}"} == {
                        key for key, name in now.items() if name == f"changed on day {number}"
                    }
                before[stream] = table
    assert seen["employees"][:1] == seen["finance_contacts"][:1] == [0]
    assert not set(seen["employees"][1:]) & set(seen["finance_contacts"][1:])
    for days in seen.values():
        assert [later - earlier for earlier, later in pairwise(days[1:])] == [REFRESH] * (len(days) - 2)
        assert days[1] <= REFRESH
