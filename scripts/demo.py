"""The demo: a simulated company through ``meltano run`` into a real PostgreSQL, and what arrived there."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from scripts.meltano import PROJECT, MeltanoProject, NotInstalledError
from tap_factorialhr.streams import FactorialStream
from tap_factorialhr.tap import TapFactorialHR

if TYPE_CHECKING:
    import psycopg
    import psycopg.sql

    from tap_factorialhr.sandbox import Sandbox

FOLDER = PROJECT / ".demo"
SCHEMA = "factorialhr_demo"
DROPPED = ["special_category"]
"""The first recipe of docs/privacy.md."""
EMPLOYEES = 50
LAST_LINES = 15

NEXT = """
For your own account, in a project of your own:
  uv tool install meltano
  meltano init people && cd people
  uvx tap-factorialhr plugin > plugin.yml
  meltano add tap-factorialhr --from-ref plugin.yml
  uvx tap-factorialhr plugin target-duckdb > target-duckdb.yml
  meltano add target-duckdb --from-ref target-duckdb.yml
  echo "TAP_FACTORIALHR_API_KEY=the key" >> .env
  printf '%s\\n' '*.duckdb' '.secrets/' >> .gitignore
  meltano invoke tap-factorialhr check
  meltano run tap-factorialhr target-duckdb
README.md says more; docs/loaders.md has PostgreSQL, JSON lines and Parquet.
"""


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


def main() -> int:
    """Run the demo.

    Returns:
        The exit code.
    """
    try:
        demo()
    except DemoError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    return 0


def demo() -> None:
    """Serve a company, move it, and show what is in PostgreSQL.

    Raises:
        DemoError: Something is missing, or the run failed.
    """
    try:
        from scripts.postgres import embedded_postgres  # noqa: PLC0415 (what is missing is said in one line)
        from tap_factorialhr.sandbox import Company, Sandbox  # noqa: PLC0415
    except ImportError as error:
        raise DemoError(f"{error.name} is not installed; run it with: make demo") from error
    began = time.monotonic()
    with Sandbox(Company(employees=EMPLOYEES)) as sandbox, embedded_postgres(FOLDER / "postgres") as url:
        print(f"A simulated company of {EMPLOYEES} employees at {sandbox.base_url}")
        print(f"A PostgreSQL at {url}")
        print("meltano run tap-factorialhr target-postgres ...", flush=True)
        move(sandbox, url)
        seconds = time.monotonic() - began
        counts = row_counts(url)
        left = columns(url)
        requests = len(sandbox.requests)
    if not counts:
        raise DemoError("there is not one table in PostgreSQL")
    show(counts)
    show_what_is_left_out(left)
    rows = sum(counts.values())
    print(f"\n{rows:,} rows in {len(counts)} tables, {requests} requests, {seconds:.0f} seconds.")
    print("Run `make demo` again, and only what changed is read where the API lets us ask for that.")
    print(NEXT)


def move(sandbox: Sandbox, url: str) -> None:
    """Run Meltano as a user would, with its own state kept between two demos.

    Raises:
        DemoError: It failed; its last lines are in the message.
    """
    settings = {
        "TAP_FACTORIALHR_BASE_URL": sandbox.base_url,
        "TAP_FACTORIALHR_API_KEY": sandbox.api_key,
        "TAP_FACTORIALHR_INTEGRATION_UUIDS": json.dumps(sandbox.company.integration_uuids),
        "TAP_FACTORIALHR_DROP_CLASSES": json.dumps(DROPPED),
        "TARGET_POSTGRES_SQLALCHEMY_URL": url.replace("postgresql://", "postgresql+psycopg://"),
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": SCHEMA,
    }
    try:
        meltano = MeltanoProject(FOLDER / "project", settings)
    except NotInstalledError as error:
        raise DemoError(str(error)) from error
    log = FOLDER / "meltano.log"
    with log.open("w") as output:
        done = meltano("run", "tap-factorialhr", "target-postgres", stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        last = "\n".join(log.read_text().splitlines()[-LAST_LINES:])
        raise DemoError(f"meltano ended with exit code {done.returncode}; all of it is in {log}\n{last}")


def row_counts(url: str, schema: str = SCHEMA) -> dict[str, int]:
    """The rows of each table of a schema, as PostgreSQL counts them."""
    import psycopg  # noqa: PLC0415 (only the demo and the tests have it)
    from psycopg import sql  # noqa: PLC0415

    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s ORDER BY 1", [schema]
        ).fetchall()
        return {
            table: count(connection, sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table)))
            for (table,) in tables
        }


def columns(url: str, schema: str = SCHEMA) -> set[tuple[str, str]]:
    """The columns of a schema: table and name."""
    import psycopg  # noqa: PLC0415

    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s", [schema]
        )
        return {(str(table), str(column)) for table, column in found.fetchall()}


def count(connection: psycopg.Connection, query: psycopg.sql.Composed) -> int:
    """The one number that a query answers."""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def show(counts: dict[str, int]) -> None:
    """Print the tables and their rows, in two columns side by side."""
    width = max(map(len, counts))
    lines = [f"{table:<{width}} {rows:>8,}" for table, rows in counts.items()]
    half = -(-len(lines) // 2)
    print(f"\n{'table':<{width}} {'rows':>8}    {'table':<{width}} {'rows':>8}")
    for left, right in zip(lines[:half], [*lines[half:], ""], strict=False):
        print(f"{left}    {right}".rstrip())


def show_what_is_left_out(left: set[tuple[str, str]]) -> None:
    """Print how many fields of which class the tap left out, and that PostgreSQL has none of them."""
    logging.disable(logging.INFO)
    streams = TapFactorialHR(config={"drop_classes": DROPPED}, validate_config=False).streams
    privacy = {name: stream.privacy for name, stream in streams.items() if isinstance(stream, FactorialStream)}
    by_class = sum((one.dropped() for one in privacy.values()), Counter())
    print(f"\nLeft out, since drop_classes is {json.dumps(DROPPED)} (docs/privacy.md):")
    width = max(map(len, by_class))
    for privacy_class, fields in sorted(by_class.items()):
        print(f"{privacy_class:<{width}} {fields:>8} fields")
    dropped = {(name, field.partition(".")[0]) for name, one in privacy.items() for field in one.dropped_fields}
    kept_by_others = {(name, field) for name, field in dropped if field in privacy[name].output["properties"]}
    print(f"Columns of these in PostgreSQL: {len((dropped - kept_by_others) & left)}")


if __name__ == "__main__":
    sys.exit(main())
