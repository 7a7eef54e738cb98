"""The simulated company behaves as the API notes say."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_factorialhr import openapi
from tap_factorialhr.sandbox import Company, Faults, RequestRecord, Sandbox, queries
from tap_factorialhr.sandbox.cli import REFRESH_TOKEN
from tap_factorialhr.sandbox.faults import KINDS
from tap_factorialhr.sandbox.server import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

Params = list[tuple[str, str]]
EMPLOYEES = "employees/employees"


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    with Sandbox(Company(30)) as sandbox:
        yield sandbox


@pytest.fixture
def own() -> Iterator[Sandbox]:
    with Sandbox(Company(30)) as sandbox:
        yield sandbox


def get(sandbox: Sandbox, resource: str, *params: tuple[str, Any], **headers: str) -> requests.Response:
    url = f"{sandbox.base_url}/api/2026-10-01/resources/{resource}"
    return requests.get(url, params=params, headers=headers or {"x-api-key": sandbox.api_key}, timeout=10)


def read(sandbox: Sandbox, resource: str, mode: str, *params: tuple[str, Any], limit: int = 7) -> list[dict[str, Any]]:
    """All pages, as a careful client reads them."""
    rows: list[dict[str, Any]] = []
    step: Params = []
    for number in range(2, 1000):
        body = get(sandbox, resource, ("limit", limit), *step, *params).json()
        rows += body["data"]
        if not body["meta"]["has_next_page"]:
            return rows
        step = [("page", str(number))] if mode == "page" else [("after_id", body["meta"]["end_cursor"])]
    raise AssertionError("no end")


def openers(resource: str) -> Params:
    names = [*queries.OPENS.get(resource, ()), *queries.SHOWS.get(resource, ())]
    closed = [("only_active", "false")] if resource == "finance/cost_center_memberships" else []
    return [*((name, "true") for name in names), *closed]


# --- the data


def test_every_resource_has_rows_with_no_field_but_the_documents() -> None:
    company = Company(10)
    assert len(company.resources) == 169
    for resource in company.resources:
        fields = openapi.load().schema(resource)["properties"]
        assert company.rows(resource), resource
        assert all(row.keys() <= fields.keys() for row in company.rows(resource)), resource


def test_every_field_is_filled_somewhere() -> None:
    company = Company(60)
    seen: set[tuple[str, str]] = set()
    for resource in company.resources:
        seen |= {(resource, name) for row in company.rows(resource) for name, value in row.items() if value is not None}
    all_fields = {(name, field) for name in company.resources for field in openapi.load().schema(name)["properties"]}
    assert len(all_fields) == 2032
    assert len(all_fields - seen) < 10, all_fields - seen


def test_ids_are_distinct_sorted_and_past_what_a_float_can_hold() -> None:
    company = Company(10)
    seen: set[str] = set()
    for resource in company.resources:
        ids = [row["id"] for row in company.rows(resource) if "id" in row]
        assert all(isinstance(id_, str) and int(id_) > 18446744073709550 for id_ in ids)
        assert ids == sorted(ids, key=int)
        assert not seen & set(ids), resource
        seen |= set(ids)


def test_integer_ids_are_the_same_numbers() -> None:
    strings, numbers = Company(10), Company(10, integer_ids=True)
    for resource in (EMPLOYEES, "teams/memberships"):
        ours = [(row["id"], row.get("team_id")) for row in numbers.rows(resource)]
        assert all(isinstance(id_, int) for id_, _ in ours)
        theirs = [(row["id"], row.get("team_id")) for row in strings.rows(resource)]
        assert [(str(one), other and str(other)) for one, other in ours] == theirs


@pytest.mark.parametrize(
    ("resource", "field", "target"),
    [
        ("contracts/contract_versions", "employee_id", EMPLOYEES),
        ("contracts/contract_versions", "contracts_contract_id", "contracts/contracts"),
        ("contracts/compensations", "contract_version_id", "contracts/contract_versions"),
        ("teams/memberships", "team_id", "teams/teams"),
        ("timeoff/leaves", "leave_type_id", "timeoff/leave_types"),
        ("posts/comments", "author_id", EMPLOYEES),
        ("posts/comments", "post_id", "posts/posts"),
        ("tasks/task_files", "task_id", "tasks/tasks"),
        ("employees/employees", "manager_id", EMPLOYEES),
        ("ats/applications", "ats_candidate_id", "ats/candidates"),
    ],
)
def test_foreign_keys_point_at_rows(resource: str, field: str, target: str) -> None:
    company = Company(40)
    there = {row["id"] for row in company.rows(target)}
    points = {row.get(field) for row in company.rows(resource)} - {None}
    assert points
    assert points <= there


def test_a_contract_version_and_its_contract_are_about_one_person() -> None:
    company = Company(40)
    person = {row["id"]: row["employee_id"] for row in company.rows("contracts/contracts")}
    versions = [row for row in company.rows("contracts/contract_versions") if row.get("contracts_contract_id")]
    assert all(person[row["contracts_contract_id"]] == row["employee_id"] for row in versions)


def test_the_same_seed_gives_the_same_company_in_whatever_order_it_is_read() -> None:
    one, other = Company(20, seed=5), Company(20, seed=5)
    for resource in reversed(other.resources):
        other.rows(resource)
    assert all(one.rows(resource) == other.rows(resource) for resource in one.resources)
    assert Company(20, seed=6).rows(EMPLOYEES) != one.rows(EMPLOYEES)


def test_a_large_company_is_made_piece_by_piece() -> None:
    begun = time.perf_counter()
    company = Company(20_000)
    assert len(company.rows("teams/teams")) == 2000
    assert company.count("attendance/shifts") == 100_000
    assert time.perf_counter() - begun < 5


def test_touch_add_and_delete() -> None:
    company = Company(10)
    row = company.rows(EMPLOYEES)[3]
    before = row["updated_at"]
    company.touch(EMPLOYEES, row["id"], first_name="Zoë")
    assert row["updated_at"] > before
    assert row["first_name"] == "Zoë"
    added = company.add(EMPLOYEES, first_name="New")
    assert company.rows(EMPLOYEES)[-1] is added
    assert int(added["id"]) > int(company.rows(EMPLOYEES)[-2]["id"])
    company.delete(EMPLOYEES, row["id"])
    assert len(company.rows(EMPLOYEES)) == 10
    with pytest.raises(LookupError):
        company.touch(EMPLOYEES, row["id"])


# --- pages


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


# --- filters


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


# --- ways in


def test_the_key_is_no_bearer_token(served: Sandbox) -> None:
    for headers in ({"Authorization": f"Bearer {served.api_key}"}, {"x-api-key": "wrong"}, {"accept": "*/*"}):
        answer = get(served, EMPLOYEES, **headers)
        assert (answer.status_code, answer.json()) == (401, {"errors": None})


def token(sandbox: Sandbox, **form: str) -> requests.Response:
    data = {"client_id": sandbox.oauth.client_id, "client_secret": sandbox.oauth.client_secret, **form}
    return requests.post(f"{sandbox.base_url}/oauth/token", data=data, timeout=10)


def test_refresh_tokens_rotate_and_access_tokens_expire(own: Sandbox) -> None:
    own.oauth.access_token_lifetime = 0.2
    old = own.oauth.issue_tokens()["refresh_token"]
    new = token(own, grant_type="refresh_token", refresh_token=old).json()
    bearer = {"Authorization": f"Bearer {new['access_token']}"}
    assert get(own, "api_public/credentials", **bearer).status_code == 200
    time.sleep(0.25)
    assert get(own, "api_public/credentials", **bearer).status_code == 401
    dead = token(own, grant_type="refresh_token", refresh_token=old)
    assert (dead.status_code, dead.json()["error"]) == (400, "invalid_grant")
    assert token(own, grant_type="refresh_token", refresh_token=new["refresh_token"]).status_code == 200
    assert (own.oauth.refreshes, own.oauth.invalid_grants) == (2, 1)


def test_a_code_serves_once(own: Sandbox) -> None:
    form = {"grant_type": "authorization_code", "code": own.oauth.issue_code()}
    uri = own.oauth.redirect_uri
    assert token(own, **form, redirect_uri=uri).status_code == 200
    assert token(own, **form, redirect_uri=uri).json()["error"] == "invalid_grant"


def test_a_wrong_client_is_refused(own: Sandbox) -> None:
    answer = token(own, grant_type="refresh_token", refresh_token="any", client_secret="wrong")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_lost_token_answer_has_spent_the_refresh_token(own: Sandbox) -> None:
    old = own.oauth.issue_tokens()["refresh_token"]
    own.token_faults = ["reset"]
    with pytest.raises(requests.ConnectionError):
        token(own, grant_type="refresh_token", refresh_token=old)
    assert own.oauth.refreshes == 1
    assert token(own, grant_type="refresh_token", refresh_token=old).json()["error"] == "invalid_grant"


# --- what goes wrong


def test_forbidden_missing_and_unknown(own: Sandbox) -> None:
    own.forbidden, own.missing = {"teams/teams"}, {"posts/posts"}
    assert get(own, "teams/teams").status_code == 403
    assert get(own, "posts/posts").status_code == 404
    assert get(own, "no/such").status_code == 404
    assert get(own, EMPLOYEES).status_code == 200


def what_came(sandbox: Sandbox) -> str:
    """What a client sees of one request."""
    try:
        answer = get(sandbox, "teams/teams")
    except requests.RequestException as error:
        return type(error).__name__
    if answer.status_code != 200:
        return str(answer.status_code)
    try:
        return "rows" if "data" in answer.json() else "no rows"
    except requests.JSONDecodeError:
        return "no JSON"


EXPECTED = {
    "reset": "ConnectionError",
    "cut": "ChunkedEncodingError",
    "timeout": "ConnectionError",
    "429-seconds": "429",
    "429-date": "429",
    "html": "no JSON",
    "half_json": "no JSON",
    "no_envelope": "no rows",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_hits_each_nth_request_alone(own: Sandbox, kind: str) -> None:
    own.fault_delay = 0.05
    own.faults = Faults(kind, every=3)
    seen = [what_came(own) for _ in range(6)]
    assert seen == ["rows", "rows", EXPECTED.get(kind, kind)] * 2


def test_mixed_faults_take_turns(own: Sandbox) -> None:
    own.fault_delay = 0.05
    own.faults = Faults("mixed", every=1)
    assert [what_came(own) for _ in KINDS] == [EXPECTED.get(kind, kind) for kind in KINDS]


def test_retry_after_in_both_forms(own: Sandbox) -> None:
    own.retry_after = 3
    own.faults = Faults(["429-seconds", "429-date"], every=1)
    assert get(own, EMPLOYEES).headers["retry-after"] == "3"
    moment = parsedate_to_datetime(get(own, EMPLOYEES).headers["retry-after"])
    assert 0 < (moment - datetime.now(UTC)).total_seconds() <= 3


def test_there_is_no_fault_of_that_name() -> None:
    with pytest.raises(ValueError, match="no fault"):
        Faults("explosion")


def test_an_answer_of_ones_own(own: Sandbox) -> None:
    own.answer = lambda record: Answer(200, b"[" * 10, {"x-test": record.resource})
    answer = get(own, EMPLOYEES)
    assert (answer.content, answer.headers["x-test"]) == (b"[" * 10, EMPLOYEES)


def test_requests_are_noted_without_the_values_of_headers(own: Sandbox) -> None:
    get(own, EMPLOYEES, ("limit", 3))
    (record,) = own.requests_for(EMPLOYEES)
    assert (record.method, record.params) == ("GET", (("limit", "3"),))
    assert "x-api-key" in record.headers
    assert own.api_key not in repr(record)


def test_requests_wait_side_by_side(own: Sandbox) -> None:
    own.latency = 0.2
    begun = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: get(own, EMPLOYEES), range(8)))
    assert time.perf_counter() - begun < 1
    assert own.most_at_once == 8


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="no option"):
        Sandbox(Company(5), shortpages=True)


# --- the command


def run(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from tap_factorialhr.sandbox.cli import main; main()", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_stopped(stop: signal.Signals) -> None:
    process = run("--employees", "12", "--port", "0", "--forbidden", "teams/teams")
    try:
        assert process.stdout
        greeting = "".join(process.stdout.readline() for _ in range(9))
        found = re.search(r"http://127\.0\.0\.1:\d+", greeting)
        assert found, greeting
        assert REFRESH_TOKEN in greeting
        url = f"{found.group()}/api/2026-10-01/resources"
        headers = {"x-api-key": "sandbox-api-key"}
        body = requests.get(f"{url}/{EMPLOYEES}", headers=headers, timeout=10).json()
        assert body["meta"]["total"] == 12
        assert requests.get(f"{url}/teams/teams", headers=headers, timeout=10).status_code == 403
        process.send_signal(stop)
        rest, errors = process.communicate(timeout=5)
        assert (process.returncode, rest, errors) == (0, "", "")
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--employees", "0"], "employees"),
        (["--fault", "explosion"], "explosion"),
        (["--forbidden", "no/such"], "no/such"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_bad_options_are_one_line(options: list[str], word: str) -> None:
    process = run("--port", "0", *options)
    out, errors = process.communicate(timeout=10)
    assert (process.returncode, out, len(errors.splitlines())) == (1, "", 1)
    assert word in errors


def test_without_the_extra_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from tap_factorialhr.sandbox.cli import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", code, "--port", "0"], capture_output=True, text=True, timeout=10, check=False
    )
    assert process.returncode == 1
    assert process.stderr == "Error: the sandbox needs its extra: pip install 'tap-factorialhr[sandbox]'\n"
