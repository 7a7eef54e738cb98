"""The simulated company answers with pages as the API notes say."""

from __future__ import annotations

import pytest

from tap_factorialhr.sandbox import Company, RequestRecord, Sandbox, queries
from tests.support.sandbox import EMPLOYEES, get, openers, read


@pytest.mark.parametrize("mode", ["page", "cursor"])
@pytest.mark.parametrize("integer_ids", [False, True])
@pytest.mark.parametrize("short_pages", [False, True])
def test_both_paginations_bring_every_row_once(mode: str, integer_ids: bool, short_pages: bool) -> None:
    with Sandbox(Company(30, integer_ids=integer_ids), short_pages=short_pages) as sandbox:
        assert read(sandbox, EMPLOYEES, mode) == sandbox.company.rows(EMPLOYEES)


def test_every_resource_without_required_parameters_can_be_listed(served: Sandbox) -> None:
    for resource in served.company.resources:
        if resource in queries.REQUIRED:
            continue
        rows = read(served, resource, "cursor", *openers(resource), limit=100)
        expected = served.company.rows(resource)
        assert rows == expected, resource


def test_the_limit_is_100_at_most_and_by_default(own: Sandbox) -> None:
    own.company = Company(150)
    for params in ([], [("limit", "1000")]):
        body = get(own, EMPLOYEES, *params).json()
        assert (len(body["data"]), body["meta"]["limit"], body["meta"]["total"]) == (100, 100, 150)


def test_a_plain_id_is_no_cursor(served: Sandbox) -> None:
    answer = get(served, EMPLOYEES, ("after_id", served.company.rows(EMPLOYEES)[0]["id"]))
    assert (answer.status_code, answer.text) == (400, "Invalid parameters")
    assert answer.headers["content-type"].startswith("application/json")


def test_a_cursor_outlives_its_row_but_an_offset_loses_one(own: Sandbox) -> None:
    def drop_first(record: RequestRecord) -> None:
        if record.get("page") == "2" or record.get("after_id"):
            own.before_request = None
            rows = own.company.rows(EMPLOYEES)
            own.company.delete(EMPLOYEES, rows[0]["id"])
            own.company.delete(EMPLOYEES, rows[8]["id"])

    own.before_request = drop_first
    seen = {row["id"] for row in read(own, EMPLOYEES, "cursor", limit=10)}
    assert {row["id"] for row in own.company.rows(EMPLOYEES)} <= seen
    own.before_request = drop_first
    seen = {row["id"] for row in read(own, EMPLOYEES, "page", limit=10)}
    assert len({row["id"] for row in own.company.rows(EMPLOYEES)} - seen) == 2


def test_attendance_shifts_ignore_page_and_limit(served: Sandbox) -> None:
    body = get(served, "attendance/shifts", ("page", 2), ("limit", 1)).json()
    assert body["data"] == served.company.rows("attendance/shifts")
    assert body["meta"]["limit"] is None


def test_oddities_of_the_envelope(own: Sandbox) -> None:
    own.ignore_page = True
    assert get(own, EMPLOYEES, ("page", 2), ("limit", 5)).json()["meta"]["has_previous_page"] is False
    own.ignore_page = False
    own.no_total = True
    assert "total" not in get(own, EMPLOYEES).json()["meta"]
    own.null_empty = True
    assert get(own, EMPLOYEES, ("page", 99)).json() == {"errors": None}
    own.null_empty, own.promise_without_page = False, True
    empty = get(own, EMPLOYEES, ("page", 99)).json()
    assert (empty["data"], empty["meta"]["has_next_page"]) == ([], True)
    own.promise_without_page, own.repeat_cursor = False, True
    first = get(own, EMPLOYEES, ("limit", 5)).json()["meta"]
    again = get(own, EMPLOYEES, ("limit", 5), ("after_id", first["end_cursor"])).json()["meta"]
    assert again["end_cursor"] == first["end_cursor"]
    assert again["has_next_page"] is True
