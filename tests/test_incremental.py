"""The second run: changes only, windows that go on where they stopped, tables that lose what is gone."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr import openapi
from tap_factorialhr.sandbox import Answer, Company, RequestRecord, Sandbox
from tests.support import numbers
from tests.support.tap import Run, TapRunner, config_for, set_in
from tests.test_sync import stream_name

if TYPE_CHECKING:
    from tests.conftest import Figure

DAY = timedelta(days=1)
FILTERS = {"updated_at_gteq", "updated_from", "updated_after"}
CHANGED_SINCE = {
    path: next(iter(FILTERS & resource.parameters.keys()))
    for path, resource in openapi.load().resources.items()
    if FILTERS & resource.parameters.keys()
}


def test_so_many_resources_take_a_changed_since_filter_that_can_be_trusted() -> None:
    assert len(CHANGED_SINCE) == numbers.CHANGED_SINCE


def test_a_second_run_asks_for_changes_only(tap: TapRunner, figure: Figure) -> None:
    with Sandbox(Company(employees=3)) as sandbox:
        config = config_for(sandbox)
        del config["start_date"], config["window_days"]
        first = tap(config)
        assert first.code == 0, first.stderr
        requests = len(sandbox.requests)
        sandbox.clear()
        second = tap(config, state=first.state)
        assert second.code == 0, second.stderr
        figure(
            f"{requests} requests and {len(first.of_type('RECORD'))} rows at first, "
            f"{len(sandbox.requests)} and {len(second.of_type('RECORD'))} the second time"
        )
        today = datetime.now(UTC).date()
        for path, name in CHANGED_SINCE.items():
            asked = sandbox.requests_for(path)
            filtered = [value for one in asked if (value := one.get(name))]
            assert filtered, path
            assert max(filtered) <= today.isoformat()
        assert second.state["bookmarks"].keys() == first.state["bookmarks"].keys()
        windows = {one.get("start_on") for one in sandbox.requests_for("attendance/shifts")}
        assert min(filter(None, windows)) == (today - timedelta(days=15)).isoformat()


def test_touched_and_added_rows_come_and_the_bookmark_never_passes_the_start(tap: TapRunner) -> None:
    with Sandbox(Company(employees=10)) as sandbox:
        company, config = sandbox.company, config_for(sandbox)
        del config["start_date"]
        catalog = tap.catalog("employees")
        began = datetime.now(UTC)
        first = tap(config, catalog=catalog)
        bookmark = first.state["bookmarks"]["employees"]["replication_key_value"]
        assert datetime.fromisoformat(bookmark) <= datetime.now(UTC)
        touched = company.touch("employees/employees", company.rows("employees/employees")[3]["id"])
        added = company.add("employees/employees")
        future = company.touch("employees/employees", company.rows("employees/employees")[0]["id"])
        future["updated_at"] = "2999-01-01T00:00:00.000Z"
        second = tap(config, catalog=catalog, state=first.state)
        got = {record["id"] for record in second.records["employees"]}
        assert {str(touched["id"]), str(added["id"])} <= got
        value = second.state["bookmarks"]["employees"]["replication_key_value"]
        assert began - timedelta(minutes=11) <= datetime.fromisoformat(value) <= datetime.now(UTC)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_deletion_that_a_touched_row_makes_up_for_loses_no_other(tap: TapRunner, concurrency: int) -> None:
    """In a listing of changes an old row enters in the middle: the total, the first and the last page stay the same."""
    path = "employees/employees"
    with Sandbox(Company(employees=1_000)) as sandbox:
        company = sandbox.company
        for index, row in enumerate(company.rows(path)):
            row["updated_at"] = f"20{20 if index % 5 == 4 else 25}-05-05T10:00:00.000Z"
        matching = [row["id"] for row in company.rows(path) if row["updated_at"] > "2025"]
        resting = [row["id"] for row in company.rows(path) if row["updated_at"] < "2025"]
        gone = matching[150]

        def move(record: RequestRecord) -> None:
            if record.resource == path and len(sandbox.requests_for(path)) == 5:
                company.delete(path, gone)
                company.touch(path, resting[120])

        sandbox.answer = move
        config = config_for(sandbox, concurrency=concurrency, start_date="2025-01-01")
        run = tap(config, catalog=tap.catalog("employees"))
        assert run.code == 0, run.stderr
        got = {record["id"] for record in run.records["employees"]}
        assert {str(key) for key in matching} - {str(gone)} <= got


@pytest.mark.parametrize(
    "bookmark",
    ["2026-03-05T23:30:00.000Z", "2026-03-05T23:30:00+00:00", "2026-03-06T01:30:00+02:00", "2026-03-05"],
)
def test_every_form_of_a_bookmark_asks_from_the_same_date(
    tap: TapRunner, sandbox: Sandbox, config: dict[str, Any], bookmark: str
) -> None:
    state = {"bookmarks": {"employees": {"replication_key": "updated_at", "replication_key_value": bookmark}}}
    catalog = tap.catalog("employees")
    sandbox.clear()
    run = tap(config, catalog=catalog, state=state)
    assert run.code == 0, run.stderr
    assert {one.get("updated_at_gteq") for one in sandbox.requests} == {"2026-03-04"}
    sandbox.clear()
    tap({**config, "lookback_days": 3}, catalog=catalog, state=state)
    assert {one.get("updated_at_gteq") for one in sandbox.requests} == {"2026-03-02"}


@pytest.mark.parametrize("stream", ["employees", "attendance_shifts"])
def test_a_bookmark_in_the_future_is_brought_back(
    tap: TapRunner, config: dict[str, Any], sandbox: Sandbox, stream: str
) -> None:
    state = {"bookmarks": {stream: {"replication_key_value": "2999-01-01"}}}
    sandbox.clear()
    run = tap({**config, "window_days": 30}, catalog=tap.catalog(stream), state=state)
    assert run.code == 0, run.stderr
    today = datetime.now(UTC).date().isoformat()
    asked = [one.get("updated_at_gteq") or one.get("start_on") for one in sandbox.requests]
    assert asked
    assert all(day is not None and day <= today for day in asked)
    assert run.stderr.count(f"{stream}: its bookmark 2999-01-01 lies in the future") == 1


NOT_ITS_OWN: dict[str, dict[str, Any]] = {
    "a_stream_of_before": {"replication_key": "id", "replication_key_value": "soon"},
    "attendance_shifts": {"replication_key": ["date"], "replication_key_value": {"odd": 1}},
    "employees": {"replication_key": "id", "replication_key_value": "soon"},
    "teams": {"replication_key": "id", "replication_key_value": "soon"},
}


def test_bookmarks_that_are_not_the_streams_own_are_left_alone(
    tap: TapRunner, config: dict[str, Any], sandbox: Sandbox
) -> None:
    catalog = tap.catalog("attendance_shifts", "employees", "teams")
    sandbox.clear()
    run = tap(config, catalog=catalog, state={"bookmarks": NOT_ITS_OWN})
    assert run.code == 0, run.stderr
    assert "soon" not in run.stderr
    for resource, name in (("employees/employees", "updated_at_gteq"), ("attendance/shifts", "start_on")):
        asked = [one.get(name) or "" for one in sandbox.requests_for(resource)]
        assert min(asked) == config["start_date"]
    bookmarks = run.state["bookmarks"]
    assert bookmarks["a_stream_of_before"] == NOT_ITS_OWN["a_stream_of_before"]
    for stream, key in (("employees", "updated_at"), ("attendance_shifts", "date")):
        assert bookmarks[stream]["replication_key"] == key
        assert datetime.fromisoformat(bookmarks[stream]["replication_key_value"])
    again = tap(config, catalog=catalog, state=run.state)
    assert again.code == 0, again.stderr
    assert len(again.records["employees"]) < len(run.records["employees"])


@pytest.mark.parametrize(
    "state",
    [
        {"bookmarks": None, "currently_syncing": None},
        {"bookmarks": {"attendance_shifts": None, "employees": None, "nobody": None}},
        {
            "bookmarks": {
                "employees": dict.fromkeys(
                    ("replication_key", "replication_key_value", "partitions", "progress_markers")
                )
            }
        },
    ],
    ids=["bookmarks", "marks", "parts of a mark"],
)
def test_null_is_no_bookmark(tap: TapRunner, config: dict[str, Any], state: dict[str, Any]) -> None:
    catalog = tap.catalog("attendance_shifts", "employees")
    without, run = tap(config, catalog=catalog), tap(config, catalog=catalog, state=state)
    assert run.code == 0, run.stderr
    assert run.records == without.records
    bookmarks = run.state["bookmarks"]
    assert bookmarks.keys() == {"attendance_shifts", "employees"}
    assert bookmarks["employees"].keys() == without.state["bookmarks"]["employees"].keys()
    assert set_in(run.state)["attendance_shifts"].keys() == {"first_day", "replication_key", "replication_key_value"}
    for message in run.of_type("STATE"):
        assert None not in message["value"].get("bookmarks", {}).values()
    again = tap(config, catalog=catalog, state=run.state)
    assert again.code == 0, again.stderr
    assert len(again.records["employees"]) < len(run.records["employees"])


@pytest.mark.parametrize(
    ("bookmark", "lookback"),
    [("0001-01-01", None), ("0001-01-01T00:00:00Z", 0), ("0001-01-02T01:00:00+05:00", 36_500), ("0001-01-01", 36_500)],
)
def test_a_bookmark_at_the_beginning_of_the_calendar_reads_from_there(
    tap: TapRunner, config: dict[str, Any], sandbox: Sandbox, bookmark: str, lookback: int | None
) -> None:
    state = {
        "bookmarks": {stream: {"replication_key_value": bookmark} for stream in ("attendance_shifts", "employees")}
    }
    config |= {"window_days": 36_500, "lookback_days": lookback}
    sandbox.clear()
    run = tap(config, catalog=tap.catalog(*state["bookmarks"]), state=state)
    assert run.code == 0, run.stderr
    assert {one.get("updated_at_gteq") for one in sandbox.requests_for("employees/employees")} == {"0001-01-01"}
    assert min(one.get("start_on") or "" for one in sandbox.requests_for("attendance/shifts")) == "0001-01-01"
    assert run.records["employees"]
    assert run.records["attendance_shifts"]
    today = datetime.now(UTC).date()
    assert run.state["bookmarks"]["attendance_shifts"]["replication_key_value"] >= (today - DAY).isoformat()


@pytest.mark.parametrize("start", ["0001-01-01", "9999-12-31", "9999-12-31T23:59:59Z"])
def test_a_start_date_at_either_end_of_the_calendar_reads_what_there_is(
    tap: TapRunner, config: dict[str, Any], sandbox: Sandbox, start: str
) -> None:
    config |= {"start_date": start, "window_days": 36_500}
    catalog = tap.catalog("attendance_shifts", "employees", "integrations_sync_runs", "teams")
    sandbox.clear()
    run = tap(config, catalog=catalog)
    assert run.code == 0, run.stderr
    assert run.records["teams"]
    has_begun = start < "9000"
    assert bool(sandbox.requests_for("attendance/shifts")) == has_begun
    assert bool(run.records["attendance_shifts"]) == has_begun
    for stream in ("attendance_shifts", "employees"):
        assert ("replication_key_value" in run.state["bookmarks"][stream]) == has_begun
    assert {one.get("updated_at_gteq") for one in sandbox.requests_for("employees/employees")} == {start[:10]}


def test_an_empty_stream_is_asked_for_changes_only_as_well(tap: TapRunner) -> None:
    with Sandbox(Company(employees=1)) as sandbox:
        config = config_for(sandbox)
        del config["start_date"]
        sandbox.company.delete("employees/employees", sandbox.company.rows("employees/employees")[0]["id"])
        catalog = tap.catalog("employees", "teams")  # Of these there are some, so that this is no empty company.
        first = tap(config, catalog=catalog)
        assert first.code == 0, first.stderr
        sandbox.clear()
        added = sandbox.company.add("employees/employees")
        second = tap(config, catalog=catalog, state=first.state)
        assert {one.get("updated_at_gteq") for one in sandbox.requests if one.resource == "employees/employees"} == {
            (datetime.now(UTC) - DAY - timedelta(minutes=11)).date().isoformat()
        }
        assert [record["id"] for record in second.records["employees"]] == [str(added["id"])]


def test_a_stream_whose_shortest_window_times_out_fails_and_others_go_on(tap: TapRunner) -> None:
    stuck = (datetime.now(UTC) - timedelta(days=5)).date().isoformat()

    def stall(record: RequestRecord) -> Answer | None:
        first, last = record.get("start_on") or "", record.get("end_on") or ""
        return Answer(504) if record.resource == "attendance/shifts" and first <= stuck <= last else None

    with Sandbox(Company(employees=2), answer=stall) as sandbox:
        config = config_for(sandbox, max_retries=0, window_days=4)
        config["start_date"] = (datetime.now(UTC) - timedelta(days=12)).date().isoformat()
        run = tap(config, catalog=tap.catalog("attendance_shifts", "teams"))
        assert run.code == 1
        assert "1 stream failed" in run.stderr.splitlines()[-1]
        assert run.records["teams"]
        assert run.state["bookmarks"]["attendance_shifts"]["replication_key_value"] < stuck


def test_a_run_ends_with_its_state_whatever_comes_last(tap: TapRunner, config: dict[str, Any]) -> None:
    """Some targets keep no state that records follow, and not every stream moves a bookmark."""
    run = tap(config, catalog=tap.catalog("employees", "teams"))
    assert run.messages[-1]["type"] == "STATE"
    assert "employees" in run.state["bookmarks"]


def test_what_lacks_its_setting_drops_no_rows(tap: TapRunner, config: dict[str, Any]) -> None:
    del config["integration_uuids"]
    config["emit_activate_version_messages"] = True
    run = tap(config, catalog=tap.catalog("integrations_sync_runs", "teams"))
    assert run.code == 0, run.stderr
    assert [message["stream"] for message in run.of_type("ACTIVATE_VERSION")] == ["teams"]


def test_project_management_rows_say_when_they_were_read(tap: TapRunner, config: dict[str, Any]) -> None:
    stream = "project_management_projects"
    run = tap(config, catalog=tap.catalog(stream))
    assert run.code == 0, run.stderr
    read_at = {record["_read_at"] for record in run.records[stream]}
    assert len(read_at) == 1
    bookmark = run.state["bookmarks"][stream]
    assert bookmark["replication_key"] == "_read_at"
    margin = datetime.fromisoformat(read_at.pop()) - datetime.fromisoformat(bookmark["replication_key_value"])
    assert timedelta(0) < margin <= timedelta(hours=1)


def test_deleted_rows_leave_by_activate_version_after_the_last_row(tap: TapRunner) -> None:
    with Sandbox(Company(employees=10)) as sandbox:
        config = config_for(sandbox, emit_activate_version_messages=True)
        run = tap(config, catalog=tap.catalog("teams", "employees"))
        assert run.code == 0, run.stderr
        versions = run.of_type("ACTIVATE_VERSION")
        assert [message["stream"] for message in versions] == ["teams"]
        kinds = [message["type"] for message in run.messages if message.get("stream") == "teams"]
        assert kinds[0] == "SCHEMA"
        assert kinds[-1] == "ACTIVATE_VERSION"
        assert {message["version"] for message in run.of_type("RECORD") if message["stream"] == "teams"} == {
            versions[0]["version"]
        }


def test_what_was_refused_is_asked_for_again(tap: TapRunner) -> None:
    """The bookmark stays where it was: rows that were not read would never come."""
    stream, path = "finance_contacts", "finance/contacts"
    with Sandbox(Company(employees=8)) as sandbox:
        config = config_for(sandbox)
        catalog = tap.catalog(stream)
        sandbox.answer = lambda record: Answer(403) if record.get("contact_type") == "client" else None
        first = tap(config, catalog=catalog)
        assert first.code == 0, first.stderr
        assert f"{stream}: without a part of its rows" in first.stderr
        sandbox.answer = None
        second = tap(config, catalog=catalog, state=first.state)
        assert {row["id"] for row in second.records[stream]} == {str(row["id"]) for row in sandbox.company.rows(path)}


def test_rows_from_before_the_first_day_are_not_dropped(tap: TapRunner, config: dict[str, Any]) -> None:
    config |= {"emit_activate_version_messages": True, "start_date": "2100-01-01"}
    run = tap(config, catalog=tap.catalog("integrations_sync_runs", "teams"))
    assert [message["stream"] for message in run.of_type("ACTIVATE_VERSION")] == ["teams"]


def test_a_table_of_days_keeps_those_before_the_first(tap: TapRunner, config: dict[str, Any]) -> None:
    """A catalog may ask for a full table, but days before ``start_date`` are not read all the same."""
    config |= {"emit_activate_version_messages": True, "window_days": 400}
    catalog = tap.catalog("attendance_shifts", "teams")
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    run = tap(config, catalog=catalog)
    assert run.records["attendance_shifts"]
    assert [message["stream"] for message in run.of_type("ACTIVATE_VERSION")] == ["teams"]


def test_deleted_leaves_come_with_the_time_of_deletion(tap: TapRunner, config: dict[str, Any]) -> None:
    run = tap(config, catalog=tap.catalog("timeoff_leaves"))
    assert any(record["deleted_at"] for record in run.records["timeoff_leaves"])


def days(record: RequestRecord) -> int:
    first, last = record.get("start_on"), record.get("end_on")
    assert first is not None
    assert last is not None
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).days + 1


def test_a_window_that_times_out_is_halved(tap: TapRunner) -> None:
    def too_long(record: RequestRecord) -> Answer | None:
        if record.resource == "attendance/shifts" and days(record) > 4:
            time.sleep(1.2)
        return None

    with Sandbox(Company(employees=4)) as sandbox:
        config = config_for(sandbox, request_timeout=1.0, max_retries=0, window_days=15, concurrency=1)
        config["start_date"] = (datetime.now(UTC) - timedelta(days=14)).date().isoformat()
        catalog = tap.catalog("attendance_shifts")
        whole = tap({**config, "request_timeout": 30}, catalog=catalog)
        sandbox.answer = too_long
        halved = tap(config, catalog=catalog)
        assert halved.code == 0, halved.stderr
        assert "halving" in halved.stderr
        key = lambda record: record["id"]  # noqa: E731
        assert sorted(halved.records["attendance_shifts"], key=key) == sorted(
            whole.records["attendance_shifts"], key=key
        )


def test_a_window_that_was_halved_halves_those_that_follow(tap: TapRunner) -> None:
    slow = 4

    def too_long(record: RequestRecord) -> Answer | None:
        return Answer(504) if record.resource == "attendance/shifts" and days(record) > slow else None

    with Sandbox(Company(employees=1), answer=too_long) as sandbox:
        config = config_for(sandbox, max_retries=0, window_days=15, concurrency=1)
        config["start_date"] = (datetime.now(UTC) - timedelta(days=149)).date().isoformat()
        run = tap(config, catalog=tap.catalog("attendance_shifts"))
        assert run.code == 0, run.stderr
        asked = [days(one) for one in sandbox.requests if one.resource == "attendance/shifts"]
        assert [length for length in asked if length > slow] == [15, 8, 7]


def test_an_interrupted_backfill_goes_on_where_it_stopped(tap: TapRunner) -> None:
    with Sandbox(Company(employees=4)) as sandbox:
        config = config_for(sandbox, max_retries=0, window_days=10, concurrency=1, lookback_days=0)
        start = datetime.now(UTC).date() - timedelta(days=100)
        config["start_date"] = start.isoformat()
        catalog = tap.catalog("attendance_shifts", "teams")
        broken_from = (start + timedelta(days=50)).isoformat()
        sandbox.answer = lambda record: (
            Answer(500)
            if record.resource == "attendance/shifts" and (record.get("start_on") or "") >= broken_from
            else None
        )
        first = tap(config, catalog=catalog)
        assert first.code == 1
        reached = first.state["bookmarks"]["attendance_shifts"]["replication_key_value"]
        assert reached == (start + timedelta(days=49)).isoformat()
        sandbox.answer = None
        sandbox.clear()
        second = tap(config, catalog=catalog, state=first.state)
        assert second.code == 0
        assert min(filter(None, (one.get("start_on") for one in sandbox.requests))) == reached


def test_a_run_killed_at_any_point_and_run_again_ends_with_every_row(tap: TapRunner) -> None:
    with Sandbox(Company(employees=6)) as sandbox:
        config = config_for(sandbox, window_days=400)
        streams = ("attendance_shifts", "employees", "project_management_projects", "timeoff_leaves", "teams")
        catalog = tap.catalog(*streams)
        table: dict[str, dict[str, Any]] = {stream: {} for stream in streams}
        state: Any = None

        def load(run: Run) -> None:
            nonlocal state
            for message in run.messages:
                if message["type"] == "RECORD":
                    table[message["stream"]][message["record"]["id"]] = message["record"]
                elif message["type"] == "STATE":
                    state = message["value"]

        for lines in (3, 10, 40, 120):
            command = tap.command(config, catalog=catalog, state=state)
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tap.folder
            )
            assert process.stdout is not None
            read = [line for _, line in zip(range(lines), process.stdout, strict=False)]
            process.kill()
            read += [line for line in process.stdout if line.endswith("\n")]
            process.wait()
            load(Run(1, "".join(read), ""))
        last = tap(config, catalog=catalog, state=state)
        assert last.code == 0, last.stderr
        load(last)
        for path in sandbox.company.resources:
            if (stream := stream_name(path)) in streams:
                assert table[stream].keys() == {str(row["id"]) for row in sandbox.company.rows(path)}


def test_two_thousand_parents_cost_a_handful_of_states(tap: TapRunner, figure: Figure) -> None:
    def timeline(record: RequestRecord) -> Answer | None:
        employee = record.get("employee_id")
        body = {"data": [{"id": employee, "employee_id": employee}], "meta": {"has_next_page": False}}
        return Answer(body=json.dumps(body).encode()) if record.resource == "timeoff/policy_timelines" else None

    with Sandbox(Company(employees=2000), answer=timeline) as sandbox:
        config = config_for(sandbox)
        run = tap(config, catalog=tap.catalog("attendance_reviews", "timeoff_policy_timelines"))
        assert run.code == 0, run.stderr
        states = [line for line in run.stdout.splitlines() if '"STATE"' in line]
        figure(f"{len(states)} STATE messages, {max(map(len, states))} bytes at the most")
        assert len(states) <= 10
        assert max(map(len, states)) < 4096
        assert len(run.of_type("SCHEMA")) == 2
        assert len(run.records["timeoff_policy_timelines"]) == 2000
        chunks = {
            tuple(value for name, value in one.params if name == "employee_ids[]")
            for one in sandbox.requests_for("attendance/reviews")
        }
        assert len(chunks) == 2000 // 80


def test_an_incremental_parent_does_not_hide_children(tap: TapRunner) -> None:
    with Sandbox(Company(employees=10)) as sandbox:
        config = config_for(sandbox)
        catalog = tap.catalog("employees", "timeoff_policy_timelines")
        first = tap(config, catalog=catalog)
        second = tap(config, catalog=catalog, state=first.state)
        stream = "timeoff_policy_timelines"
        assert len(second.records[stream]) == len(first.records[stream]) > 0


def test_a_start_date_that_is_yet_to_come_is_told(tap: TapRunner, sandbox: Sandbox) -> None:
    run = tap({**config_for(sandbox), "start_date": "2100-01-01"}, catalog=tap.catalog("employees"))
    assert run.code == 0, run.stderr
    assert "start_date lies in the future" in run.stderr
    assert "employees" not in run.records
