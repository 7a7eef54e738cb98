"""A stream that is read by changes is read whole again from time to time, and then rows that have gone can leave."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr.bookmarks import Bookmark
from tap_factorialhr.sandbox import Answer, Company, RequestRecord, Sandbox
from tests.support.tap import Run, TapRunner, config_for, set_in

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = timedelta(days=1)
PATH = "employees/employees"
STREAMS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=30)


@pytest.fixture
def company() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=8)) as sandbox:
        yield sandbox


# When


@given(STREAMS, st.integers(1, 40), st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_no_stream_waits_longer_than_the_setting_says(stream: str, days: int, gaps: list[int]) -> None:
    """Whatever days the runs are on."""
    today = last = date(2026, 1, 1)
    for gap in gaps:
        today += gap * DAY
        mark = Bookmark("2026-01-01", whole_at=datetime(last.year, last.month, last.day, 12, tzinfo=UTC))
        if mark.is_due(stream, days, today):
            last = today
        assert (today - last).days < days


@given(STREAMS, st.integers(2, 40))
def test_a_stream_is_due_once_in_so_many_days(stream: str, days: int) -> None:
    last, due = date(2026, 1, 1), []
    for number in range(1, 5 * days + 1):
        today = date(2026, 1, 1) + number * DAY
        if Bookmark("2026-01-01", whole_at=datetime(last.year, last.month, last.day, 12, tzinfo=UTC)).is_due(
            stream, days, today
        ):
            last = today
            due.append(number)
    assert due == list(range(due[0], 5 * days + 1, days))
    assert due[0] <= days


def test_the_streams_are_spread_over_the_days() -> None:
    names = [f"stream_{number}" for number in range(20)]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    first_due = {
        name: next(
            day for day in range(1, 8) if Bookmark("x", whole_at=start).is_due(name, 7, start.date() + day * DAY)
        )
        for name in names
    }
    assert len(set(first_due.values())) >= 5


def test_a_clock_that_was_ahead_is_no_reason_to_wait() -> None:
    ahead = Bookmark("2026-01-01", whole_at=datetime(2036, 1, 1, tzinfo=UTC))
    assert ahead.is_due("employees", 7, date(2026, 1, 2))


# What


def kinds(run: Run, stream: str) -> list[str]:
    return [message["type"] for message in run.messages if message.get("stream") == stream]


def versions(run: Run, stream: str) -> set[int | None]:
    return {message.get("version") for message in run.of_type("RECORD") if message["stream"] == stream}


def test_rows_keep_the_version_of_the_last_whole_read_and_only_that_one_is_activated(
    tap: TapRunner, company: Sandbox
) -> None:
    config = config_for(company, full_refresh_days=30, emit_activate_version_messages=True)
    del config["start_date"]
    catalog = tap.catalog("employees")
    first = tap(config, catalog=catalog)
    assert kinds(first, "employees")[-1] == "ACTIVATE_VERSION"
    (activated,) = first.of_type("ACTIVATE_VERSION")
    assert versions(first, "employees") == {activated["version"]}
    company.clear()
    touched = company.company.touch(PATH, company.company.rows(PATH)[2]["id"])
    second = tap(config, catalog=catalog, state=first.state)
    assert {one.get("updated_at_gteq") is not None for one in company.requests_for(PATH)} == {True}
    assert str(touched["id"]) in {row["id"] for row in second.records["employees"]}
    assert versions(second, "employees") == {activated["version"]}
    assert second.of_type("ACTIVATE_VERSION") == []
    company.clear()
    due = second.state
    due["bookmarks"]["employees"]["whole_at"] = "2026-01-01T00:00:00+00:00"
    while time.time() < activated["version"] + 1:  # A version is the second in which its run began.
        time.sleep(0.05)
    third = tap(config, catalog=catalog, state=due)
    assert {one.get("updated_at_gteq") for one in company.requests_for(PATH)} == {None}
    (again,) = third.of_type("ACTIVATE_VERSION")
    assert again["version"] > activated["version"]
    assert versions(third, "employees") == {again["version"]}
    assert third.state["bookmarks"]["employees"]["version"] == again["version"]


def test_without_messages_the_stream_is_read_whole_all_the_same(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company, full_refresh_days=3)
    del config["start_date"]
    catalog = tap.catalog("employees")
    state = tap(config, catalog=catalog).state
    state["bookmarks"]["employees"]["whole_at"] = "2026-01-01T00:00:00+00:00"
    run = tap(config, catalog=catalog, state=state)
    assert len(run.records["employees"]) == len(company.company.rows(PATH))
    assert versions(run, "employees") == {None}
    assert run.of_type("ACTIVATE_VERSION") == []
    assert run.state["bookmarks"]["employees"]["whole_at"] > "2026-01-02"


@pytest.mark.parametrize("status", [403, 500])
def test_a_whole_read_that_was_not_whole_activates_nothing_and_is_done_again(
    tap: TapRunner, company: Sandbox, status: int
) -> None:
    stream, path = "finance_contacts", "finance/contacts"
    config = config_for(company, full_refresh_days=3, emit_activate_version_messages=True, max_retries=0)
    del config["start_date"]
    catalog = tap.catalog(stream)
    state = tap(config, catalog=catalog).state
    state["bookmarks"][stream]["whole_at"] = "2026-01-01T00:00:00+00:00"
    company.answer = lambda record: Answer(status) if record.get("contact_type") == "client" else None
    run = tap(config, catalog=catalog, state=state)
    assert run.of_type("ACTIVATE_VERSION") == []
    assert set_in(run.state)[stream] == set_in(state)[stream]
    company.answer = None
    again = tap(config, catalog=catalog, state=run.state)
    assert len(again.of_type("ACTIVATE_VERSION")) == 1
    assert {row["id"] for row in again.records[stream]} == {str(row["id"]) for row in company.company.rows(path)}


def test_nor_does_one_count_in_which_fewer_rows_came_than_are_counted(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company, full_refresh_days=3, emit_activate_version_messages=True)
    del config["start_date"]
    catalog = tap.catalog("employees")
    before = tap(config, catalog=catalog).state
    before["bookmarks"]["employees"]["whole_at"] = "2026-01-01T00:00:00+00:00"

    def short(record: RequestRecord) -> Answer | None:
        if record.resource != PATH:
            return None
        rows = [{**row, "id": str(row["id"])} for row in company.company.rows(PATH)[3:]]
        meta = {"total": 8, "limit": 5, "has_next_page": "after_id" not in dict(record.params), "end_cursor": "a"}
        page = [] if meta["has_next_page"] else rows
        return Answer(body=json.dumps({"data": page, "meta": meta}).encode())

    company.answer = short
    run = tap(config, catalog=catalog, state=before)
    assert run.code == 0, run.stderr
    assert run.of_type("ACTIVATE_VERSION") == []
    assert run.stderr.count("employees: 5 rows came where the server counts 8") == 1
    kept, mark = run.state["bookmarks"]["employees"], before["bookmarks"]["employees"]
    assert (kept["whole_at"][:10], kept["version"]) == ("2026-01-01", mark["version"])
    company.answer = None
    again = tap(config, catalog=catalog, state=run.state)
    assert len(again.of_type("ACTIVATE_VERSION")) == 1
    assert len(again.records["employees"]) == 8


@pytest.mark.parametrize("mark", [{"whole_at": "soon"}, {"first_day": 5}, {"version": "x"}, {"version": -1}])
def test_a_state_that_was_changed_by_hand_is_one_clear_line(
    tap: TapRunner, company: Sandbox, mark: dict[str, Any]
) -> None:
    run = tap(config_for(company), state={"bookmarks": {"employees": {"replication_key_value": "2026-01-01", **mark}}})
    assert (run.code, run.stdout) == (1, "")
    assert f"the state's {next(iter(mark))} of employees is no" in run.stderr.splitlines()[-1]


# From where


def test_a_whole_read_goes_back_to_where_the_table_begins(tap: TapRunner, company: Sandbox) -> None:
    """A later ``start_date`` drops no rows that an earlier one brought."""
    config = config_for(company, full_refresh_days=3, emit_activate_version_messages=True, start_date="2020-01-01")
    catalog = tap.catalog("employees")
    first = tap(config, catalog=catalog)
    assert first.of_type("ACTIVATE_VERSION") == []  # Without a state, nobody knows what the table holds.
    state = first.state
    assert state["bookmarks"]["employees"]["first_day"] == "2020-01-01"
    state["bookmarks"]["employees"]["whole_at"] = "2026-01-01T00:00:00+00:00"
    company.clear()
    second = tap({**config, "start_date": "2025-01-01"}, catalog=catalog, state=state)
    assert {one.get("updated_at_gteq") for one in company.requests_for(PATH)} == {"2020-01-01"}
    assert len(second.of_type("ACTIVATE_VERSION")) == 1


@pytest.mark.parametrize("start", ["2020-01-01", None])
def test_also_where_the_first_read_did_not_count_as_whole(tap: TapRunner, company: Sandbox, start: str | None) -> None:
    """Fewer rows came than are counted, so there is no ``whole_at``; those that came are in the table all the same."""
    config = config_for(company, full_refresh_days=3, emit_activate_version_messages=True, start_date=start)
    catalog = tap.catalog("employees")
    company.answer = lambda record: one_more(company) if record.resource == PATH else None
    first = tap({name: value for name, value in config.items() if value is not None}, catalog=catalog)
    assert "where the server counts" in first.stderr
    assert first.state["bookmarks"]["employees"]["whole_at"] is None
    company.answer = None
    company.clear()
    second = tap({**config, "start_date": "2025-01-01"}, catalog=catalog, state=first.state)
    assert {one.get("updated_at_gteq") for one in company.requests_for(PATH)} == {start}
    assert len(second.of_type("ACTIVATE_VERSION")) == 1
    assert len(second.records["employees"]) == len(company.company.rows(PATH))


@pytest.mark.parametrize("before", [None, "2025-01-01"])
def test_also_where_the_read_that_went_furthest_back_failed(
    tap: TapRunner, company: Sandbox, before: str | None
) -> None:
    """Its rows are in the table: those of a first run, and those of a whole read with an earlier ``start_date``."""
    config = config_for(
        company, full_refresh_days=3, emit_activate_version_messages=True, max_retries=0, page_size=3, concurrency=1
    )
    del config["start_date"]
    catalog, later = tap.catalog("employees"), {**config, "start_date": "2025-01-01"}
    state: dict[str, Any] = {}
    if before:
        state = due_again(tap(later, catalog=catalog).state)
    company.answer = lambda record: Answer(500) if record.resource == PATH and record.get("page") != "1" else None
    failed = tap(config, catalog=catalog, state=state)
    assert failed.code == 1
    assert failed.records["employees"]
    assert failed.of_type("ACTIVATE_VERSION") == []
    company.answer = None
    company.clear()
    last = tap(later, catalog=catalog, state=due_again(tap(later, catalog=catalog, state=failed.state).state))
    assert {one.get("updated_at_gteq") for one in company.requests_for(PATH)} == {None}
    assert len(last.of_type("ACTIVATE_VERSION")) == 1


@pytest.mark.parametrize("days", [3, None])
def test_also_where_full_refresh_days_came_later(tap: TapRunner, company: Sandbox, days: int | None) -> None:
    """What a failed run asked from is for whole reads alone: ``start_date`` counts in all others."""
    config = config_for(
        company, full_refresh_days=days, emit_activate_version_messages=True, max_retries=0, page_size=3, concurrency=1
    )
    del config["start_date"]
    config = {name: value for name, value in config.items() if value is not None}
    catalog = tap.catalog("employees")
    company.answer = lambda record: Answer(500) if record.resource == PATH and record.get("page") != "1" else None
    failed = tap(config, catalog=catalog)
    assert failed.state["bookmarks"]["employees"] == {"begun_from": "0001-01-01"}
    assert [one["type"] for one in failed.messages][:3] == ["SCHEMA", "STATE", "RECORD"]  # Also where it is killed.
    company.answer = None
    company.clear()
    later = {**config, "start_date": "2025-01-01"}
    later.pop("full_refresh_days", None)
    without = tap(later, catalog=catalog, state=failed.state)
    assert without.of_type("ACTIVATE_VERSION") == []
    assert {one.get("updated_at_gteq") for one in company.requests_for(PATH)} == {"2025-01-01"}
    assert without.state["bookmarks"]["employees"]["begun_from"] == "0001-01-01"
    company.clear()
    whole = tap({**later, "full_refresh_days": 3}, catalog=catalog, state=due_again(without.state))
    assert {one.get("updated_at_gteq") for one in company.requests_for(PATH)} == {None}
    assert len(whole.of_type("ACTIVATE_VERSION")) == 1
    assert whole.state["bookmarks"]["employees"]["begun_from"] is None


def test_of_several_reads_that_failed_the_one_that_went_furthest_back_counts(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company, emit_activate_version_messages=True, max_retries=0, page_size=3, concurrency=1)
    catalog = tap.catalog("employees")
    state: dict[str, Any] = {}
    company.answer = lambda record: (
        Answer(500) if record.resource == PATH and (record.get("after_id") or record.get("page") == "2") else None
    )
    for start in ("2020-01-01", "2025-01-01"):
        failed = tap({**config, "start_date": start}, catalog=catalog, state=state)
        assert failed.code == 1
        assert failed.records["employees"]
        state = failed.state
        assert state["bookmarks"]["employees"] == {"begun_from": "2020-01-01"}


def test_a_failed_whole_read_from_an_earlier_day_is_no_proof_that_it_was_read(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(
        company, full_refresh_days=3, emit_activate_version_messages=True, max_retries=0, page_size=3, concurrency=1
    )
    catalog = tap.catalog("employees")
    state = due_again(tap({**config, "start_date": "2026-01-01"}, catalog=catalog).state)
    earlier = {**config, "start_date": "2020-01-01"}
    company.answer = lambda record: (
        Answer(500) if record.resource == PATH and (record.get("after_id") or record.get("page") == "2") else None
    )
    failed = tap(earlier, catalog=catalog, state=state)
    assert failed.code == 1
    company.answer = None
    del earlier["full_refresh_days"]
    told = tap(earlier, catalog=catalog, state=failed.state).stderr
    assert "start_date is earlier than in the first run of employees: their older rows are not read" in told


def due_again(state: dict[str, Any]) -> dict[str, Any]:
    """The state as it is when a whole read is due."""
    state["bookmarks"]["employees"]["whole_at"] = "2026-01-01T00:00:00+00:00"
    return state


def one_more(company: Sandbox) -> Answer:
    """All employees, counted as one more."""
    rows = company.company.rows(PATH)
    meta = {"total": len(rows) + 1, "limit": 100, "has_next_page": False, "end_cursor": str(rows[-1]["id"])}
    return Answer(body=json.dumps({"data": rows, "meta": meta}).encode())


def test_what_a_run_no_longer_knows_is_not_left_of_the_state_before(tap: TapRunner, company: Sandbox) -> None:
    """Meltano merges a state into the one that it has, also after a run that began without one."""
    config = config_for(company, start_date="2026-01-01", full_refresh_days=3, emit_activate_version_messages=True)
    catalog = tap.catalog("employees")
    before = tap(config, catalog=catalog).state
    del config["start_date"], config["full_refresh_days"]
    after = tap(config, catalog=catalog).state
    merged = {"bookmarks": {"employees": before["bookmarks"]["employees"] | after["bookmarks"]["employees"]}}
    assert "first_day" in set_in(before)["employees"]
    assert set_in(merged) == set_in(after)


@pytest.mark.parametrize("stream", ["employees", "attendance_shifts"])
def test_a_start_date_that_was_moved_back_or_left_out_is_told_once(
    tap: TapRunner, company: Sandbox, stream: str
) -> None:
    config = config_for(company, start_date="2026-01-01", window_days=400)
    catalog = tap.catalog(stream, "teams")
    state = tap(config, catalog=catalog).state
    assert "older rows" not in tap(config, catalog=catalog, state=state).stderr
    told = tap({**config, "start_date": "2025-01-01"}, catalog=catalog, state=state).stderr
    assert told.count(f"start_date is earlier than in the first run of {stream}: their older rows are not read") == 1
    assert "older rows" not in tap({**config, "start_date": "2026-05-01"}, catalog=catalog, state=state).stderr
    del config["start_date"]
    told = tap(config, catalog=catalog, state=state).stderr
    assert f"start_date is not set any more, as it was in the first run of {stream}: their older rows are not" in told


# What is no proof


def test_a_run_in_which_everything_is_empty_drops_nothing(tap: TapRunner, company: Sandbox) -> None:
    """With wrong credentials a server answers with empty lists, but says whose credentials they are."""

    def nothing(record: RequestRecord) -> Answer | None:
        if record.resource in {"", "api_public/credentials"}:
            return None
        return Answer(body=b'{"data": [], "meta": {"total": 0, "limit": 100, "has_next_page": false}}')

    company.answer = nothing
    config = config_for(company, full_refresh_days=3, emit_activate_version_messages=True)
    del config["start_date"]
    run = tap(config, catalog=tap.catalog("employees", "teams", "locations"))
    assert run.code == 0
    assert run.of_type("ACTIVATE_VERSION") == []
    assert "nothing is dropped from any table" in run.stderr


@pytest.mark.parametrize("empty", ["employees/employees", "teams/teams"])
def test_one_empty_stream_among_others_is_empty(tap: TapRunner, company: Sandbox, empty: str) -> None:
    """Whether it comes before the others or after them."""
    body = b'{"data": [], "meta": {"total": 0, "limit": 100, "has_next_page": false}}'
    company.answer = lambda record: Answer(body=body) if record.resource == empty else None
    config = config_for(company, full_refresh_days=3, emit_activate_version_messages=True)
    del config["start_date"]
    run = tap(config, catalog=tap.catalog("employees", "teams"))
    assert {message["stream"] for message in run.of_type("ACTIVATE_VERSION")} == {"employees", "teams"}
    assert run.messages[-1]["type"] == "STATE"
