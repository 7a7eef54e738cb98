"""`tap-factorialhr check` where answers are refused in parts, contradict themselves, or do not come."""

from __future__ import annotations

import json
import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tests.support.tap import config_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_factorialhr.sandbox import RequestRecord
    from tests.support.tap import Run, TapRunner

TEAMS = "teams/teams"
CREDENTIALS = "api_public/credentials"


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=5)) as sandbox:
        yield sandbox


def page(rows: list[dict[str, Any]], **meta: Any) -> Answer:
    said = {"limit": 100, "total": len(rows), "has_next_page": False, **meta}
    return Answer(body=json.dumps({"data": rows, "meta": said}).encode())


def only(resource: str, answer: Answer) -> Callable[[RequestRecord], Answer | None]:
    return lambda record: answer if record.resource == resource else None


def found(run: Run, stream: str) -> dict[str, Any]:
    (one,) = [one for one in json.loads(run.stdout)["streams"] if one["stream"] == stream]
    assert isinstance(one, dict)
    return one


@pytest.mark.parametrize("status", [400, 403, 404])
@pytest.mark.parametrize(
    ("resource", "parameter", "stream"),
    [("tasks/task_files", "task_id", "tasks_task_files"), ("finance/contacts", "contact_type", "finance_contacts")],
    ids=["parent", "value"],
)
def test_a_part_that_is_refused_is_not_the_stream(
    tap: TapRunner, server: Sandbox, *, status: int, resource: str, parameter: str, stream: str
) -> None:
    """As a run has it, which leaves that part out."""
    asked: list[str | None] = []

    def refuse_first(record: RequestRecord) -> Answer | None:
        if record.resource != resource:
            return None
        asked.append(record.get(parameter))
        return Answer(status=status) if record.get(parameter) == asked[0] else None

    server.answer = refuse_first
    catalog = tap.catalog(stream)
    run = tap(config_for(server), "check", "--json", catalog=catalog)
    assert run.code == 0, run.stdout
    assert found(run, stream)["outcome"] in {"readable", "empty"}
    assert found(run, stream)["is_part"]
    assert len(asked) == 2
    is_parent_gone = status == 404 and parameter == "task_id"
    assert found(run, stream)["note"] == ("" if is_parent_gone else f"HTTP {status} of a part")
    assert tap(config_for(server), catalog=catalog).code == 0
    strict = config_for(server, on_forbidden="fail")
    run = tap(strict, "check", catalog=catalog)
    assert run.code == (0 if is_parent_gone else 3)
    assert ("of a part; on_forbidden is fail" in run.stdout) != is_parent_gone
    assert tap(strict, catalog=catalog).code == (0 if is_parent_gone else 1)


@pytest.mark.parametrize(
    ("status", "outcome"), [(402, "forbidden"), (403, "forbidden"), (404, "not there"), (410, "not there")]
)
def test_children_of_a_parent_that_cannot_be_read_are_what_it_is(
    tap: TapRunner, server: Sandbox, status: int, outcome: str
) -> None:
    server.answer = only("tasks/tasks", Answer(status=status))
    catalog = tap.catalog("tasks", "tasks_task_files")
    run = tap(config_for(server), "check", "--json", catalog=catalog)
    assert run.code == 3
    assert found(run, "tasks")["outcome"] == found(run, "tasks_task_files")["outcome"] == outcome
    assert found(run, "tasks_task_files")["note"] == f"HTTP {status} of its parent tasks"
    assert f"2 streams: 2 {outcome}." in tap(config_for(server), "check", catalog=catalog).stdout


def test_of_many_parents_at_once_the_smaller_parts_are_asked_for(tap: TapRunner, server: Sandbox) -> None:
    posts = [str(row["id"]) for row in server.company.rows("posts/posts")]

    def refuse_first(record: RequestRecord) -> Answer | None:
        asked = [value for name, value in record.params if name == "post_ids[]"]
        return Answer(status=403) if record.resource == "posts/comments" and posts[0] in asked else None

    server.answer = refuse_first
    run = tap(config_for(server), "check", "--json", catalog=tap.catalog("posts_comments"))
    assert run.code == 0, run.stdout
    assert found(run, "posts_comments")["is_part"]
    assert found(run, "posts_comments")["outcome"] in {"readable", "empty"}


def test_of_days_those_of_late_are_asked_for_first(tap: TapRunner, server: Sandbox) -> None:
    config = config_for(server, window_days=30)
    run = tap(config, "check", "--json", catalog=tap.catalog("attendance_shifts"))
    assert run.code == 0, run.stdout
    (asked,) = [record for record in server.requests if record.resource == "attendance/shifts"]
    first, last = asked.get("start_on"), asked.get("end_on")
    assert first
    assert last
    lately = server.company.today - timedelta(days=7)
    assert date.fromisoformat(first) <= lately <= date.fromisoformat(last)


def test_one_whose_parts_are_all_refused_is_and_a_few_are_enough_to_say_so(tap: TapRunner, server: Sandbox) -> None:
    server.answer = only("tasks/task_files", Answer(status=403))
    run = tap(config_for(server), "check", "--json", catalog=tap.catalog("tasks_task_files"))
    assert run.code == 3
    assert found(run, "tasks_task_files")["outcome"] == "forbidden"
    assert len([record for record in server.requests if record.resource == "tasks/task_files"]) == 5


def test_rows_that_are_told_of_and_not_given_fail_as_they_do_in_a_run(tap: TapRunner, server: Sandbox) -> None:
    server.answer = only(TEAMS, page([], total=9))
    run = tap(config_for(server), "check", "--json", catalog=tap.catalog("teams"))
    assert run.code == 3
    assert (found(run, "teams")["outcome"], found(run, "teams")["note"]) == (
        "failed",
        "the server tells of rows and gives none",
    )
    assert tap(config_for(server), catalog=tap.catalog("teams")).code == 1


def test_so_do_rows_that_nothing_leads_to(tap: TapRunner, server: Sandbox) -> None:
    server.answer = only(TEAMS, page([{"id": str(one), "name": "x"} for one in range(3)], total=9, limit=3))
    run = tap(config_for(server), "check", "--json", catalog=tap.catalog("teams"))
    assert run.code == 3
    assert found(run, "teams")["outcome"] == "failed"
    assert tap(config_for(server), catalog=tap.catalog("teams")).code == 1


def test_a_total_of_something_else_than_rows_is_no_contradiction(tap: TapRunner, server: Sandbox) -> None:
    server.answer = only("timeoff/allowance_stats", page([], total=9))
    catalog = tap.catalog("timeoff_allowance_stats")
    run = tap(config_for(server), "check", "--json", catalog=catalog)
    assert run.code == 0, run.stdout
    assert found(run, "timeoff_allowance_stats")["outcome"] == "empty"
    assert tap(config_for(server), catalog=catalog).code == 0


@pytest.mark.parametrize(
    ("meta", "rows"),
    [
        ({"total": 0}, "3"),
        ({"total": None, "has_next_page": True}, "3+"),
        ({"total": 2, "has_next_page": True}, "3+"),
        ({"total": 1200, "has_next_page": True}, "1,200"),
        ({}, "3"),
    ],
)
def test_there_are_as_many_rows_as_came_at_least(
    tap: TapRunner, server: Sandbox, meta: dict[str, Any], rows: str
) -> None:
    server.answer = only(TEAMS, page([{"id": str(one), "name": "x"} for one in range(3)], **meta))
    run = tap(config_for(server), "check", catalog=tap.catalog("teams"))
    assert run.code == 0, run.stdout
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("teams ")]
    assert line.split() == ["teams", "readable", rows]
    assert ("+ or more" in run.stdout) == rows.endswith("+")


@pytest.mark.parametrize("answer", [Answer(status=500), Answer(body=b"<html>"), Answer(status=403)])
def test_credentials_that_cannot_be_asked_for_are_not_unknown(tap: TapRunner, server: Sandbox, answer: Answer) -> None:
    empty = page([])
    server.answer = lambda record: answer if record.resource == CREDENTIALS else empty
    run = tap(config_for(server, max_retries=0), "check", catalog=tap.catalog("teams"))
    assert run.code == 0, run.stdout
    assert "the API does not say whose they are" in run.stdout
    assert "belong to them" not in run.stdout


def test_nothing_from_the_server_is_obeyed_by_a_terminal(tap: TapRunner, server: Sandbox) -> None:
    own = {"id": "1", "legal_name": "Ac\x1b[31mme\n\u202eX\x07", "company_id": 7, "role": {"a": ["something"]}}
    server.answer = only(CREDENTIALS, page([own]))
    run = tap(config_for(server), "check", catalog=tap.catalog("teams"))
    assert run.code == 0, run.stdout
    assert all(one.isprintable() for one in run.stdout.replace("\n", ""))
    assert "legal_name Ac\ufffd[31mme\ufffd\ufffdX\ufffd, company_id 7." in run.stdout
    assert "something" not in run.stdout


def test_fields_that_are_not_selected_are_not_missed(tap: TapRunner, server: Sandbox) -> None:
    server.answer = only(TEAMS, page([{"id": "1", "name": None, "avatar": None}]))
    catalog = tap.catalog("teams")
    (entry,) = [entry for entry in catalog["streams"] if entry["tap_stream_id"] == "teams"]
    (name,) = [part for part in entry["metadata"] if part["breadcrumb"] == ["properties", "name"]]
    name["metadata"]["selected"] = False
    run = tap(config_for(server), "check", "--json", catalog=catalog)
    assert "avatar" in found(run, "teams")["null_fields"]
    assert "name" not in found(run, "teams")["null_fields"]


def test_a_stream_that_does_not_answer_is_waited_for_once(tap: TapRunner, server: Sandbox) -> None:
    def silent(record: RequestRecord) -> Answer | None:
        if record.resource == TEAMS:
            time.sleep(2)
        return None

    server.answer = silent
    run = tap(config_for(server, request_timeout=1), "check", "--json", catalog=tap.catalog("teams"))
    assert run.code == 3
    assert "no answer in time" in found(run, "teams")["note"]
    assert len([record for record in server.requests if record.resource == TEAMS]) == 1
