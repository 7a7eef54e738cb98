"""Where a bookmark moves, and from where the next run asks: no change is missed between two runs."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr.bookmarks import Bookmark
from tap_factorialhr.sandbox import Answer, Company, RequestRecord, Sandbox
from tap_factorialhr.tap import TapFactorialHR
from tests.support.tap import TapRunner, config_for, set_in

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = timedelta(days=1)
MARGIN = timedelta(minutes=10)
PATH = "employees/employees"


@pytest.fixture
def company() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=10)) as sandbox:
        yield sandbox


def mark(run: Any, stream: str) -> str:
    value: str = run.state["bookmarks"][stream]["replication_key_value"]
    return value


@pytest.mark.parametrize("stream", ["employees", "project_management_projects", "teams_of_nobody", "attendance_shifts"])
def test_a_bookmark_stays_behind_the_start_of_the_run(tap: TapRunner, company: Sandbox, stream: str) -> None:
    """Our clock may be ahead of the server's: what it calls the start of the run may be in the server's future."""
    config = config_for(company)
    if stream == "teams_of_nobody":  # A stream without rows.
        stream = "employees"
        company.answer = lambda record: Answer(body=b'{"data": [], "meta": {}}') if record.resource == PATH else None
        del config["start_date"]
    else:
        for row in company.company.rows(PATH):
            row["updated_at"] = "2999-01-01T00:00:00.000Z"
    began = datetime.now(UTC)
    run = tap(config, catalog=tap.catalog(stream, "teams"))
    value = datetime.fromisoformat(mark(run, stream))
    limit = datetime.now(UTC) - MARGIN
    if stream == "attendance_shifts":
        assert value.date() == limit.date()
    else:
        assert began - MARGIN <= value.replace(tzinfo=UTC) <= limit


def test_a_change_around_midnight_comes_although_our_clock_is_ahead(
    tap: TapRunner, company: Sandbox, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Read from 23:59:40 on by the server's clock, ten seconds past midnight by ours.

    A row changes after its page has been read and before midnight, and one on a later page after midnight.
    """
    midnight = datetime(2026, 3, 6, tzinfo=UTC)
    monkeypatch.setattr(TapFactorialHR, "initialized_at", (midnight + timedelta(seconds=10)).timestamp() * 1000)
    rows = company.company.rows(PATH)
    for row in rows:
        row["updated_at"] = "2026-01-01T00:00:00.000Z"

    def change(record: RequestRecord) -> None:
        if record.get("page") == "2":
            rows[0]["updated_at"] = "2026-03-05T23:59:50.000Z"
            rows[-1]["updated_at"] = "2026-03-06T00:00:08.000Z"

    company.answer = change
    config = config_for(company, page_size=4, concurrency=1)
    run = TapFactorialHR(config=config, catalog=tap.catalog("employees"))
    run.sync_all()
    run.sync_run.fetcher.close()
    last = json.loads(capfdbinary.readouterr().out.splitlines()[-1])
    assert last["value"]["bookmarks"]["employees"]["replication_key_value"] < rows[0]["updated_at"]


@pytest.mark.parametrize("lookback", [None, 30])
def test_what_is_before_the_first_day_is_not_read_again_either(
    tap: TapRunner, company: Sandbox, lookback: int | None
) -> None:
    """It would leave the table with the next whole read, which begins at that day."""
    catalog = tap.catalog("employees", "attendance_shifts")
    start = (datetime.now(UTC).date() - 3 * DAY).isoformat()
    config = config_for(company, start_date=start, lookback_days=lookback, emit_activate_version_messages=True)
    first = tap(config, catalog=catalog)
    assert first.records["attendance_shifts"]
    state = first.state
    for stream in ("employees", "attendance_shifts"):
        assert state["bookmarks"][stream]["first_day"] == start
        state["bookmarks"][stream]["replication_key_value"] = start
    company.clear()
    again = tap(config, catalog=catalog, state=state)
    assert again.code == 0, again.stderr
    assert {one.get("updated_at_gteq") for one in company.requests_for("employees/employees")} == {start}
    assert min(one.get("start_on") or "" for one in company.requests_for("attendance/shifts")) == start


@pytest.mark.parametrize(("hour", "lookback"), [(0, None), (1, 0), (13, 1), (23, None)])
def test_a_change_right_after_the_bookmark_comes_wherever_the_company_is(
    tap: TapRunner, company: Sandbox, hour: int, lookback: int | None
) -> None:
    """Whether the server takes the day of the filter in UTC or in the zone of the company."""
    bookmark = datetime(2026, 3, 6, hour, 30, tzinfo=UTC)
    changed = bookmark + timedelta(minutes=90)
    asked: list[str] = []

    def note(record: RequestRecord) -> Answer | None:
        asked.extend(filter(None, [record.get("updated_at_gteq")]))
        return None

    company.answer = note
    config = config_for(company, **({} if lookback is None else {"lookback_days": lookback}))
    state = {
        "bookmarks": {"employees": {"replication_key": "updated_at", "replication_key_value": bookmark.isoformat()}}
    }
    run = tap(config, catalog=tap.catalog("employees"), state=state)
    assert run.code == 0, run.stderr
    assert asked
    for day in map(date.fromisoformat, asked):
        assert day <= changed.date()
        for zone in range(-12, 15):
            assert day <= (changed + timedelta(hours=zone)).date()


def test_days_that_were_refused_are_asked_for_again(tap: TapRunner, company: Sandbox) -> None:
    """And so are those after them; what was read is written all the same."""
    today = datetime.now(UTC).date()
    config = config_for(company, window_days=2, lookback_days=0, concurrency=1)
    config["start_date"] = (today - 5 * DAY).isoformat()
    refused = (today - 3 * DAY).isoformat()
    company.answer = lambda record: Answer(403) if record.get("start_on") == refused else None
    catalog = tap.catalog("attendance_shifts")
    first = tap(config, catalog=catalog)
    assert first.code == 0, first.stderr
    assert "attendance_shifts: without a part of its rows (1 times HTTP 403)" in first.stderr
    assert max(row["date"] for row in first.records["attendance_shifts"]) > refused
    assert mark(first, "attendance_shifts") == (today - 4 * DAY).isoformat()
    company.answer = None
    second = tap(config, catalog=catalog, state=first.state)
    known = {row["id"] for run in (first, second) for row in run.records["attendance_shifts"]}
    start = config["start_date"]
    assert known == {
        str(row["id"]) for row in company.company.rows("attendance/shifts") if start <= row["date"] <= today.isoformat()
    }


@pytest.mark.parametrize("status", [403, 422])
def test_a_parent_that_is_refused_in_one_window_is_left_out_alone(tap: TapRunner, status: int) -> None:
    with Sandbox(Company(employees=20)) as sandbox:
        today = datetime.now(UTC).date()
        config = config_for(sandbox, window_days=2)
        config["start_date"] = (today - 5 * DAY).isoformat()
        victim = str(sandbox.company.rows(PATH)[7]["id"])
        refused = (today - 3 * DAY).isoformat()

        def refuse(record: RequestRecord) -> Answer | None:
            is_one = ("employee_ids[]", victim) in record.params and record.get("start_on") == refused
            return Answer(status) if is_one else None

        catalog = tap.catalog("attendance_estimated_times")
        whole = tap(config, catalog=catalog)
        sandbox.answer = refuse
        run = tap(config, catalog=catalog)
        assert run.code == 0, run.stderr
        stream = "attendance_estimated_times"
        assert f"{stream}: without a part of its rows (1 times HTTP {status})" in run.stderr
        until = (today - 2 * DAY).isoformat()
        expected = [
            row for row in whole.records[stream] if row["employee_id"] != victim or not refused <= row["date"] <= until
        ]
        assert len(expected) < len(whole.records[stream])
        assert sorted(row["id"] for row in run.records[stream]) == sorted(row["id"] for row in expected)


def test_a_resource_that_is_refused_as_a_whole_is_given_up_soon(tap: TapRunner) -> None:
    """It is split to find what exactly is refused, but nothing more is asked for ahead of that."""
    stream, path = "attendance_estimated_times", "attendance/estimated_times"
    with Sandbox(Company(employees=100), forbidden={path}) as sandbox:
        run = tap(config_for(sandbox, window_days=10), catalog=tap.catalog(stream, "teams"))
        assert run.code == 0, run.stderr
        assert f"skipped: {stream} (HTTP 403)" in run.stderr
        windows = {one.get("start_on") for one in sandbox.requests_for(path)}
    assert len(windows) <= 2 * 8  # As many requests as may be in flight, and as many that wait to be taken.


FOUR = ("employees", "project_management_projects", "attendance_shifts", "timeoff_leaves")
NOTHING = b'{"data": [], "meta": {"total": 0, "limit": 100, "has_next_page": false}}'


@pytest.mark.parametrize("body", [NOTHING, b'{"errors": null}'])
def test_a_run_that_gets_empty_lists_alone_moves_no_bookmark(tap: TapRunner, company: Sandbox, body: bytes) -> None:
    """As wrong credentials get them: the run with the right ones has to have everything."""
    config, catalog = config_for(company, full_refresh_days=30), tap.catalog("api_public_credentials", *FOUR)
    everything = tap(config, catalog=catalog)
    company.answer = lambda record: None if record.resource in {"", "api_public/credentials"} else Answer(body=body)
    empty = tap(config, catalog=catalog)
    assert empty.code == 0, empty.stderr
    assert "not one row was read in this run" in empty.stderr
    assert not any(empty.state["bookmarks"].values())
    later = tap(config, catalog=catalog, state=everything.state)
    assert set_in(later.state) == set_in(everything.state)
    assert "not one row was read in this run" in later.stderr  # leaves are read whole each time
    company.answer = None
    mended = tap(config, catalog=catalog, state=empty.state)
    assert {name: len(rows) for name, rows in mended.records.items()} == {
        name: len(rows) for name, rows in everything.records.items()
    }


def test_rows_of_a_parent_show_that_there_are_rows(tap: TapRunner, company: Sandbox) -> None:
    """Nobody has a timeline; the employees are read to ask for them."""
    nothing = Answer(body=NOTHING)
    company.answer = lambda record: nothing if record.resource == "timeoff/policy_timelines" else None
    run = tap(config_for(company), catalog=tap.catalog("timeoff_policy_timelines"))
    assert run.code == 0, run.stderr
    assert not run.records
    assert "not one row was read" not in run.stderr


def test_a_first_run_is_no_news_either(tap: TapRunner, company: Sandbox) -> None:
    run = tap(config_for(company), catalog=tap.catalog(*FOUR))
    assert run.records
    assert "WARNING" not in run.stderr


@pytest.mark.parametrize("why", ["skipped", "failed", "lacks setting"])
def test_what_could_not_be_read_says_nothing_of_rows(tap: TapRunner, company: Sandbox, why: str) -> None:
    streams = {"lacks setting": "integrations_sync_runs"}.get(why, "teams")
    status = 403 if why == "skipped" else 422
    company.answer = lambda record: Answer(status) if record.resource == "teams/teams" else None
    config = config_for(company, max_retries=0) | ({"integration_uuids": None} if why == "lacks setting" else {})
    run = tap(config, catalog=tap.catalog("api_public_credentials", streams))
    assert run.code == (1 if why == "failed" else 0)
    assert "not one row was read" not in run.stderr


def test_a_run_without_changes_is_no_news(tap: TapRunner, company: Sandbox) -> None:
    config, catalog = config_for(company, lookback_days=0), tap.catalog("employees")
    first = tap(config, catalog=catalog)
    for row in company.company.rows(PATH):
        row["updated_at"] = "2020-01-01T00:00:00.000Z"
    second = tap(config, catalog=catalog, state=first.state)
    assert not second.records
    assert set_in(second.state) == set_in(first.state)
    assert "WARNING" not in second.stderr


def test_where_a_whole_read_begins_takes_the_place_of_a_bookmark_by_another_key() -> None:
    mark: dict[str, Any] = {"replication_key": "id", "replication_key_value": "5"}
    Bookmark().begin(mark, "updated_at", None)
    assert mark == {"replication_key": None, "replication_key_value": None, "begun_from": "0001-01-01"}
    assert Bookmark.of(mark, "updated_at", datetime(2026, 1, 1, tzinfo=UTC)).begun_from == date.min
