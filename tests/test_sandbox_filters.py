"""The simulated company answers parameters as the API notes say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tap_factorialhr.sandbox import Sandbox, queries
from tests.support.sandbox import EMPLOYEES, get, read


def test_unknown_parameters_are_ignored_in_silence(served: Sandbox) -> None:
    assert get(served, EMPLOYEES, ("no_such_filter", "1")).json()["meta"]["total"] == 30


def test_array_filters(served: Sandbox) -> None:
    people = served.company.rows(EMPLOYEES)
    two = [("ids[]", people[1]["id"]), ("ids[]", people[4]["id"])]
    assert get(served, EMPLOYEES, *two).json()["data"] == [people[1], people[4]]
    shifts = get(served, "attendance/shifts", ("employee_ids[]", people[2]["id"])).json()["data"]
    assert len(shifts) == 5
    assert {row["employee_id"] for row in shifts} == {people[2]["id"]}


def test_rows_that_only_a_parameter_opens(served: Sandbox) -> None:
    everything = served.company.rows("timeoff/leaves")
    deleted = [row["id"] for row in everything if row.get("deleted_at")]
    assert deleted
    shown = get(served, "timeoff/leaves", ("limit", 100)).json()["data"]
    assert len(shown) == len(everything) - len(deleted)
    assert all(row.get("duration_attributes") is None for row in shown)
    active = get(served, EMPLOYEES, ("only_active", "true")).json()["data"]
    assert 0 < len(active) < 30


def test_flags_that_do_not_mean_what_they_seem_to(served: Sandbox) -> None:
    def ids(resource: str, *params: tuple[str, str]) -> set[str]:
        return {row["id"] for row in read(served, resource, "page", *params, limit=100)}

    leaves = ids("timeoff/leaves")
    pending = ids("timeoff/leaves", ("include_pending", "true"))
    approved = ids("timeoff/leaves", ("approved", "true"))
    assert pending < leaves
    assert pending
    assert ids("timeoff/leaves", ("approved", "true"), ("include_pending", "true")) == approved | pending
    documents = ids("documents/documents")
    binned = ids("documents/documents", ("by_trash_bin", "true"))
    assert binned
    assert binned | ids("documents/documents", ("by_trash_bin", "false")) == documents
    active = ids("finance/cost_center_memberships")
    assert active < ids("finance/cost_center_memberships", ("only_active", "false"))
    shifts = get(served, "attendance/shifts", ("half_day", "false")).json()["data"]
    assert len(shifts) == len(served.company.rows("attendance/shifts"))


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (EMPLOYEES, "updated_at_gteq"),
        ("banking/bank_accounts", "updated_from"),
        ("project_management/projects", "updated_after"),
        ("attendance/shifts", "updated_at"),
    ],
)
def test_changed_since(own: Sandbox, resource: str, name: str) -> None:
    today = datetime.now(UTC).date().isoformat()
    assert get(own, resource, (name, today)).json()["data"] == []
    changed = own.company.touch(resource, own.company.rows(resource)[1]["id"])
    found = get(own, resource, (name, f"{today}T23:59:59Z")).json()["data"]
    assert [row["id"] for row in found] == [changed["id"]]


def test_windows_mean_overlap(served: Sandbox) -> None:
    leave = next(
        row for row in served.company.rows("timeoff/leaves") if row["finish_on"] and row["finish_on"] > row["start_on"]
    )
    window = [("from", leave["finish_on"]), ("to", leave["finish_on"]), ("include_deleted_leaves", "true")]
    assert leave["id"] in {row["id"] for row in read(served, "timeoff/leaves", "page", *window)}
    day = served.company.rows("attendance/shifts")[40]["date"]
    found = get(served, "attendance/shifts", ("start_on", day), ("end_on", day)).json()["data"]
    assert len(found) == 30
    assert {row["date"] for row in found} == {day}


@pytest.mark.parametrize("resource", sorted(queries.REQUIRED))
def test_children_need_their_parents(served: Sandbox, resource: str) -> None:
    answer = get(served, resource)
    assert (answer.status_code, answer.text) == (400, "Invalid parameters")


@pytest.mark.parametrize(
    ("resource", "name", "parents"),
    [
        ("contracts/contract_activity_periods", "contract_id", "contracts/contracts"),
        ("tasks/task_files", "task_id", "tasks/tasks"),
        ("trainings/session_access_memberships", "session_id", "trainings/sessions"),
        ("posts/comments", "post_ids[]", "posts/posts"),
        ("performance/target_managers", "performance_review_process_ids[]", "performance/review_processes"),
        ("job_catalog/node_attributes", "node_uuid", "job_catalog/tree_nodes"),
    ],
)
def test_children_of_all_parents_are_all_children(served: Sandbox, resource: str, name: str, parents: str) -> None:
    found = []
    for parent in served.company.rows(parents):
        found += read(served, resource, "page", (name, parent.get("uuid") or parent["id"]), limit=100)
    assert sorted(row["id"] for row in found) == [row["id"] for row in served.company.rows(resource)]


def test_the_installation_settings_belong_to_the_company_and_an_integration(served: Sandbox) -> None:
    company = served.company
    credential = company.rows("api_public/credentials")[0]
    found = []
    for uuid in company.integration_uuids:
        params = [("company_id", credential["company_id"]), ("integration_uuid", uuid)]
        found += get(served, "marketplace/installation_settings", *params).json()["data"]
    assert found == company.rows("marketplace/installation_settings")
