"""All of it at once: Dagster, two companies, partitions side by side, and a worker that is killed in the middle."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg
import pytest
from psycopg import sql

import local
from factorialhr_dagster import settings
from factorialhr_dagster.assets import CHECK, partition_key, partitions
from factorialhr_dagster.definitions import asset, overview
from factorialhr_dagster.schedules import UNDER_WAY
from factorialhr_dagster.transfer import PIPELINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMPANIES = {"acme": ("12", "1"), "globex": ("8", "2")}
"""Employees and seed of each."""
VICTIM = ("acme", "time")
"""The partition whose worker is killed."""
SLOW = "--latency=0.25"
"""The option of its company's sandbox."""
LONGEST = 600.0
"""Seconds in which anything has to come about."""
MOST_OF_A_COMPANY = 2
"""How many of a company's runs home/dagster.yaml lets go on at once."""
KEYLESS = {"project_management_exportable_expenses"}
"""The one stream whose rows have no identity: a loader can only add them, also those that it has."""
ASSET = dg.AssetKey("factorialhr")


@dataclass
class World:
    """Two companies, their databases, and Dagster between them.

    Attributes:
        environment: What Dagster was started with.
        home: Where it keeps what is not in the database.
        instance: It.
        port: Of its page.
        process: Its process.
        killed: The run whose worker was killed.
        bookmarks: What the state was at that moment.
    """

    environment: dict[str, str]
    home: Path
    instance: dg.DagsterInstance
    port: int
    process: subprocess.Popen[bytes]
    killed: str = ""
    bookmarks: dict[str, Any] = field(default_factory=dict)

    def query(self, query: str | sql.Composed, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.environment["WAREHOUSE_URL"]) as connection:
            return connection.execute(query.encode() if isinstance(query, str) else query, values).fetchall()

    def runs(self, company: str, domain: str) -> list[dg.RunRecord]:
        """The runs of a partition, the first one first."""
        tags = {"dagster/partition": str(partition_key(company, domain))}
        return list(self.instance.get_run_records(dg.RunsFilter(tags=tags), ascending=True))

    def begun(self, company: str, domain: str) -> dict[str, Any]:
        """The bookmarks of the streams that have one by now."""
        if self.query("SELECT to_regclass('pipeline.states')") == [(None,)]:
            return {}
        found = self.query("SELECT state FROM pipeline.states WHERE company = %s AND domain = %s", company, domain)
        bookmarks = found[0][0]["bookmarks"] if found else {}
        return {name: one for name, one in bookmarks.items() if "replication_key_value" in one}

    def reads(self, run: str) -> dict[str, int]:
        """How many requests a run took for each stream."""
        return dict(self.query("SELECT stream, requests FROM pipeline.reads WHERE run = %s", run))

    def stderr(self, run: str) -> str:
        """What the programs of a run have said."""
        return "".join(path.read_text() for path in self.home.glob(f"storage/{run}/**/*.err"))

    def events(self, run: str) -> list[dg.DagsterEvent]:
        """What has become of a run."""
        return [entry.dagster_event for entry in self.instance.all_logs(run) if entry.dagster_event]

    def kill_worker(self) -> None:
        """Kill the process that reads the victim, as the system does when memory runs out."""
        self.bookmarks = self.begun(*VICTIM)
        self.killed = self.runs(*VICTIM)[-1].dagster_run.run_id
        told = " ".join(event.message or "" for event in self.events(self.killed))
        found = re.search(r"Executing steps in process \(pid: (\d+)\)", told)
        assert found, told
        os.kill(int(found[1]), signal.SIGKILL)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something, as long as it may still come."""
        until(lambda: self._goes_well() and condition(), what, self.home / "log")

    def _goes_well(self) -> bool:
        assert self.process.poll() is None, "Dagster has ended"
        for record in self.instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])):
            run = record.dagster_run
            if run.run_id != self.killed:
                why = [str(event.event_specific_data) for event in self.events(run.run_id) if event.is_failure]
                pytest.fail("\n".join([f"failed for good: {run.tags}", *why, self.stderr(run.run_id)[-4000:]]))
        return True


def until(condition: Callable[[], object], what: str, log: Path) -> None:
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about\n{log.read_text()[-4000:]}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def world(databases: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Every partition has been read; the worker that read the victim was killed in the middle."""
    home = tmp_path_factory.mktemp("dagster")
    log = home / "log"
    environment = {**databases, "FLUSH_SECONDS": "1"}
    port = local.free_port()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, (employees, seed) in COMPANIES.items():
            slow = (SLOW,) if name == VICTIM[0] else ()
            environment |= stack.enter_context(
                local.sandbox(name, (f"--employees={employees}", f"--seed={seed}", *slow))
            )
        for name, value in environment.items():
            patch.setenv(name, value)
        stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.SIG_IGN))  # a background job
        process = stack.enter_context(local.dagster(home, environment, port, stack.enter_context(log.open("w"))))
        until(lambda: local.answers(port) or process.poll() is not None, "the page", log)
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        world = World(environment, home, instance, port, process)
        world.until(lambda: world.begun(*VICTIM), "a state of the victim")
        world.kill_worker()
        wanted = set(partitions(settings.load()).get_partition_keys())
        world.until(lambda: world.instance.get_materialized_partitions(ASSET) >= wanted, "a run of every partition")
        world.until(lambda: not instance.get_run_records(dg.RunsFilter(statuses=UNDER_WAY)), "the end of all runs")
        yield world
    assert process.returncode == 0  # it ended when it was asked to


def test_the_worker_was_killed_and_its_run_was_begun_again(world: World) -> None:
    first, *others = world.runs(*VICTIM)
    assert first.dagster_run.run_id == world.killed
    assert first.dagster_run.status == dg.DagsterRunStatus.FAILURE
    assert world.reads(world.killed) == {}  # it had no time to say what it had read
    again = others[-1].dagster_run
    assert again.status == dg.DagsterRunStatus.SUCCESS
    assert again.parent_run_id == world.killed
    assert again.tags["dagster/retry_number"] == "1"


def test_the_retry_goes_on_from_the_last_state(world: World) -> None:
    again = world.reads(world.runs(*VICTIM)[-1].dagster_run.run_id)
    whole = world.reads(world.runs("globex", "time")[-1].dagster_run.run_id)
    assert world.bookmarks
    for stream in world.bookmarks:
        assert 0 < again[stream] < whole[stream], stream
    assert any(again[stream] >= whole[stream] > 1 for stream in world.begun(*VICTIM).keys() - world.bookmarks.keys())


@pytest.mark.parametrize("company", list(COMPANIES))
def test_every_row_is_there_once(world: World, company: str) -> None:
    keys: dict[str, list[str]] = {}
    for table, column in world.query(
        "SELECT table_name, column_name FROM information_schema.table_constraints"
        " JOIN information_schema.key_column_usage USING (constraint_schema, constraint_name, table_name)"
        " WHERE constraint_type = 'PRIMARY KEY' AND constraint_schema = %s ORDER BY table_name, ordinal_position",
        company,
    ):
        keys.setdefault(table, []).append(column)
    tables = {table for (table,) in world.query("SELECT tablename FROM pg_tables WHERE schemaname = %s", company)}
    assert tables - keys.keys() == KEYLESS & tables
    truth = json.loads(
        subprocess.run(
            [PIPELINE / "python", settings.PROJECT / "tests" / "truth.py", *COMPANIES[company]],
            input=json.dumps(keys),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    )
    assert truth.keys() == keys.keys()
    found = {table: keys_in(world, company, table, truth[table]["columns"]) for table in keys}
    assert found == {table: sorted(expected["rows"]) for table, expected in truth.items()}
    assert len(found) > 100
    assert all(found[table] for table in ("employees", "attendance_shifts", "timeoff_leaves", "teams"))


def keys_in(world: World, company: str, table: str, columns: list[str]) -> list[list[str]]:
    """The keys of all rows of a table, those that are there twice twice."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    rows = world.query(sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier(company, table)))
    return sorted(list(map(str, row)) for row in rows)


def test_partitions_are_read_side_by_side_and_no_company_bears_more_than_it_can(world: World) -> None:
    spans = {name: [] for name in COMPANIES}  # type: dict[str, list[tuple[float, float]]]
    for record in world.instance.get_run_records():
        assert record.start_time is not None
        assert record.end_time is not None
        if company := record.dagster_run.tags.get("dagster/partition/company"):  # not that of the overview
            spans[company].append((record.start_time, record.end_time))
    for of_company in spans.values():
        assert most_at_once(of_company) <= MOST_OF_A_COMPANY
    assert most_at_once([span for of_company in spans.values() for span in of_company]) > MOST_OF_A_COMPANY


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """How many spans overlapped at one time, at most; where one begins as another ends they did not."""
    moves = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    return max(accumulate(move for _, move in moves))


def test_what_a_run_read_is_metadata_of_the_asset(world: World) -> None:
    run = world.runs("globex", "people")[-1].dagster_run.run_id
    records = world.instance.fetch_materializations(
        dg.AssetRecordsFilter(ASSET, asset_partitions=[str(partition_key("globex", "people"))]), limit=1
    ).records
    materialized = records[0].asset_materialization
    assert materialized is not None
    shown: dict[str, Any] = {name: value.value for name, value in materialized.metadata.items()}
    (rows, requests), *_ = world.query("SELECT sum(rows), sum(requests) FROM pipeline.reads WHERE run = %s", run)
    assert (shown["rows"], shown["requests"], shown["skipped_streams"]) == (rows, requests, 0)
    assert rows > 200
    assert isinstance(shown["seconds"], float)
    assert shown["seconds"] > 0
    streams = materialized.metadata["streams"]
    assert isinstance(streams, dg.TableMetadataValue)
    assert {record.data["stream"] for record in streams.records} == world.reads(run).keys()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_run_that_is_stopped_keeps_what_it_read(world: World) -> None:
    before = len(world.runs(*VICTIM))

    def types_of(run: str) -> set[str]:
        return {event.event_type_value for event in world.events(run)}

    with stopped(SLOW):  # the company does not answer, so that the run cannot come to its end
        local.backfill(world.port, [partition_key(*VICTIM)])
        world.until(lambda: len(world.runs(*VICTIM)) > before, "the run")
        run = world.runs(*VICTIM)[-1].dagster_run.run_id
        world.until(lambda: "Beginning sync" in world.stderr(run), "a tap that reads")
        terminate = "mutation ($run: String!) { terminateRun(runId: $run) { __typename } }"
        answer = local.graphql(world.port, terminate, run=run)
        assert answer["terminateRun"]["__typename"] == "TerminateRunSuccess"
        world.until(lambda: {"STEP_FAILURE", "STEP_UP_FOR_RETRY"} & types_of(run), "the end of the step")
        assert "STEP_UP_FOR_RETRY" not in types_of(run)  # it does not read on a little later
        world.until(lambda: world.runs(*VICTIM)[-1].dagster_run.is_finished, "the end of the run")
    assert world.runs(*VICTIM)[-1].dagster_run.status == dg.DagsterRunStatus.CANCELED
    outcomes = {outcome for (outcome,) in world.query("SELECT outcome FROM pipeline.reads WHERE run = %s", run)}
    assert "not finished" in outcomes  # the tap was asked to end, and had the time to say how far it was


@contextmanager
def stopped(option: str) -> Iterator[None]:
    """The sandbox with an option does not go on for as long as this lasts."""
    (pid,) = (
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if option.encode() in (words := path.read_bytes().split(b"\0")) and b"python" in words[0]
    )
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_each_company_is_shown_over_time_and_what_was_not_read_is_an_alert(world: World) -> None:
    done = dg.materialize([overview], instance=world.instance)
    (evaluation,) = done.get_asset_check_evaluations()
    assert evaluation.passed
    (materialized,) = done.asset_materializations_for_node("companies")
    shown = {name: value.value for name, value in materialized.metadata.items()}
    for company in COMPANIES:
        ((rows, requests),) = world.query(
            "SELECT sum(rows), sum(requests) FROM pipeline.reads WHERE company = %s", company
        )
        assert (shown[f"{company}: rows"], shown[f"{company}: requests"]) == (rows, requests)
    with psycopg.connect(world.environment["WAREHOUSE_URL"]) as connection:
        connection.execute("UPDATE pipeline.reads SET outcome = 'failed' WHERE company = 'acme' AND stream = 'tasks'")
    (evaluation,) = dg.materialize([overview], instance=world.instance).get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.description == "not read: acme/rest"


def test_a_stream_that_had_rows_and_is_refused_is_an_alert_and_stays_one(world: World) -> None:
    assert check_of(world, "globex", "people").passed
    employees, seed = COMPANIES["globex"]
    refusing = (f"--employees={employees}", f"--seed={seed}", "--forbidden=teams/teams")
    with local.sandbox("globex", refusing) as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        for _ in range(2):
            done = dg.materialize([asset], instance=world.instance, partition_key=partition_key("globex", "people"))
            (evaluation,) = done.get_asset_check_evaluations()
            assert not evaluation.passed
            assert list(evaluation.metadata["streams"].value) == ["teams"]  # type: ignore[arg-type]
            assert "HTTP 403" in str(evaluation.description)
    assert not check_of(world, "globex", "people").passed
    assert check_of(world, "acme", "people").passed  # another company's check is its own


def check_of(world: World, company: str, domain: str) -> dg.AssetCheckEvaluation:
    """A partition's last check."""
    run = world.runs(company, domain)[-1].dagster_run.run_id
    found = [
        event.asset_check_evaluation_data
        for event in world.events(run)
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    assert [one.check_name for one in found] == [CHECK]
    return found[0]


def test_no_secret_is_anywhere_in_dagster(world: World) -> None:
    held = [path.read_bytes() for path in world.home.rglob("*") if path.is_file()]
    assert any(b"METRIC" in content for content in held)
    assert not any(local.API_KEY.encode() in content for content in held)
    url = world.environment["DAGSTER_POSTGRES_URL"].replace("+psycopg2", "")
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            found = connection.execute(
                sql.SQL("SELECT count(*) FROM {} AS one WHERE one::text LIKE %s").format(sql.Identifier(name)),
                [f"%{local.API_KEY}%"],
            ).fetchone()
            assert found == (0,), name
    assert "event_logs" in {name for (name,) in names}
