"""The simulated company is a good likeness: clients that know nothing of this project read it as the real API.

Each runs as a program in an environment of its own; `make .clients/.installed` makes them, and so does `make test`.
"""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import requests

from scripts.environments import PROJECT, python_of
from tap_factorialhr.sandbox import Company, Sandbox, queries
from tap_factorialhr.sandbox.consistency import NODE_TYPES
from tests.support.proxy import proxy_to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.tap import TapRunner

Listings = list[dict[str, Any]]

EVER = {"start_on": "2000-01-01", "end_on": "2100-01-01"}
SINCE = "2000-01-01"


def ask(package: str, script: str, asked: list[dict[str, Any]], **env: str) -> list[dict[str, Any]]:
    """Run a client's script in the client's environment, once for all that is asked: its imports are dear."""
    python = python_of(package)
    if not python.exists():
        pytest.skip(f"{package} is not there: make .clients/.installed")
    done = subprocess.run(
        [python, PROJECT / "tests" / "clients" / script],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()} | env,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer


# --- Factorial's own client


def parents(company: Company) -> dict[str, Listings]:
    """The listings of what cannot be listed without a parent, a day or a kind, in the client's words."""

    def keys(resource: str, name: str = "id") -> list[Any]:
        return [row[name] for row in company.rows(resource)]

    def each(name: str, values: Any, **others: Any) -> Listings:
        return [{name: value, **others} for value in values]

    employees, nodes = keys("employees/employees"), keys("job_catalog/tree_nodes", "uuid")
    kinds = ("competency", "it_management", "salary_range", "working_conditions")
    return {
        "attendance/estimated_times": [{**EVER, "employee_ids": employees}],
        "attendance/reviews": [{**EVER, "employee_ids": employees}],
        "attendance/worked_times": [dict(EVER)],
        "contracts/contract_activity_periods": each("contract_id", keys("contracts/contracts")),
        "contracts/contract_version_meta_data": [{"contract_version_ids": keys("contracts/contract_versions")}],
        "contracts/materialized_templates": each(
            "template_type", ("company", "contract_type", "country", "legal_entity"), company_id=company.company_id
        ),
        "finance/categories": each("statuses", ("deleted", "disabled", "enabled"), category_level="all", type_="all"),
        "integrations/sync_runs": each(
            "marketplace_integration_uuid", company.integration_uuids, created_at_gteq=SINCE
        ),
        "job_catalog/node_attributes": [
            {"node_uuid": node, "attribute_types": kind} for node, kind in product(nodes, kinds)
        ],
        "job_catalog/tree_nodes": each("node_type", NODE_TYPES),
        "marketplace/installation_settings": each(
            "integration_uuid", company.integration_uuids, company_id=company.company_id
        ),
        "payroll_employees/identifiers": each("country", ("de", "it", "pt")),
        "payroll_integrations_base/codes": each(
            "integrations", sorted(set(keys("payroll_integrations_base/codes", "integration")))
        ),
        "performance/target_managers": [
            {"performance_review_process_ids": [key]} for key in keys("performance/review_processes")
        ],
        "posts/comments": [{"post_ids": keys("posts/posts")}],
        "project_management/exportable_expenses": [
            {"project_ids": keys("project_management/projects"), "start_date": SINCE, "end_date": EVER["end_on"]}
        ],
        "project_management/project_tasks": each("due_status", ("due_in_future", "due_today", "no_due", "over_due")),
        "tasks/task_files": each("task_id", keys("tasks/tasks")),
        "timeoff/policy_timelines": each("employee_id", employees, reference_date=company.today.isoformat()),
        "trainings/session_access_memberships": each("session_id", keys("trainings/sessions")),
    }


def opened(resource: str) -> dict[str, bool]:
    """The parameters that show rows and fields which are hidden without them."""
    names = {*queries.OPENS.get(resource, ()), *queries.SHOWS.get(resource, ())}
    closed = {"only_active": False} if resource == "finance/cost_center_memberships" else {}
    return dict.fromkeys(names, True) | closed


def as_texts(rows: Any) -> list[str]:
    """Rows in an order of their own; one that came in two listings counts once."""
    return sorted({json.dumps(row, sort_keys=True) for row in rows})


def bought(sandbox: Sandbox) -> str:
    """The access token that a refresh token buys; the client has no refreshing of its own."""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": sandbox.oauth.issue_tokens()["refresh_token"],
        "client_id": sandbox.oauth.client_id,
        "client_secret": sandbox.oauth.client_secret,
    }
    answer = requests.post(f"{sandbox.base_url}/oauth/token", data=form, timeout=10).json()
    return str(answer["access_token"])


def test_factorials_own_client_reads_every_resource_to_the_last_row() -> None:
    with Sandbox(Company(60)) as tidy, Sandbox(Company(60, untidy=True)) as untidy:
        company, listings = tidy.company, parents(tidy.company)
        everything = {
            resource: [given | opened(resource) for given in listings.get(resource, [{}])]
            for resource in company.resources
        }
        # Without the parameters that open fields, those of them that are lists and objects must not be null.
        closed = {resource: listings.get(resource, [{}]) for resource in queries.SHOWS}
        some: dict[str, Listings] = {"contracts/contracts": [{}]}
        key = {"base_url": tidy.base_url, "api_key": tidy.api_key}
        asked = [
            {**key, "reads": everything},
            {**key, "reads": closed},
            {"base_url": tidy.base_url, "token": bought(tidy), "reads": some},
            {"base_url": untidy.base_url, "api_key": untidy.api_key, "reads": some},
        ]
        found, by_default, by_token, broken = ask("factorial-api-client", "official.py", asked)
    assert len(found) == 169
    assert {resource: rows for resource, rows in found.items() if isinstance(rows, str)} == {}
    for resource, rows in found.items():
        assert as_texts(rows) == as_texts(company.rows(resource)), resource
    assert {resource: type(rows) for resource, rows in by_default.items()} == dict.fromkeys(queries.SHOWS, list)
    assert all(by_default.values())
    assert as_texts(by_token["contracts/contracts"]) == as_texts(company.rows("contracts/contracts"))
    # So that all this is known to see what it looks for.
    assert "None is not a valid" in broken["contracts/contracts"]


# --- factorialhr


@pytest.fixture(scope="module")
def earlier() -> Iterator[Sandbox]:
    """A company as of an earlier version of the API, with more employees than a page holds."""
    with Sandbox(Company(employees=120, integer_ids=True)) as sandbox:
        yield sandbox


def read_with_factorialhr(sandbox: Sandbox, *authentications: dict[str, Any]) -> None:
    """Read all there is with each authentication, and compare."""
    # The client asks for new tokens on the host's standard port, whatever the port of the API.
    with proxy_to(f"127.0.0.1:{sandbox.port}") as proxy:
        asked = [{"base_url": "http://127.0.0.1", "auth": auth} for auth in authentications]
        answers = ask("factorialhr", "factorialhr_client.py", asked, HTTP_PROXY=proxy)
    company = sandbox.company
    expected = {
        "employees/employees": company.rows("employees/employees"),
        "timeoff/leaves": [row for row in company.rows("timeoff/leaves") if not row.get("deleted_at")],
        "attendance/shifts": company.rows("attendance/shifts"),
    }
    ids = {resource: [row["id"] for row in rows] for resource, rows in expected.items()}
    for found in answers:
        assert {resource: [row["id"] for row in rows] for resource, rows in found.items()} == ids


def session(sandbox: Sandbox, *, age: timedelta = timedelta()) -> dict[str, str]:
    """A session of the age given, in the client's words."""
    tokens = sandbox.oauth.issue_tokens()
    return {
        "refresh_token": tokens["refresh_token"],
        "client_id": sandbox.oauth.client_id,
        "client_secret": sandbox.oauth.client_secret,
        "access_token": tokens["access_token"],
        "token_type": "Bearer",
        "created_at": (datetime.now(UTC) - age).isoformat(),
    }


def test_factorialhr_reads_with_each_of_its_authentications(earlier: Sandbox, tmp_path: Path) -> None:
    file, before = str(tmp_path / "tokens.json"), earlier.oauth.refreshes
    two_hours = timedelta(hours=2)
    read_with_factorialhr(
        earlier,
        {"name": "ApiKeyAuth", "api_key": earlier.api_key},
        {"name": "AccessTokenAuth", "access_token": earlier.oauth.issue_access_token()},
        {"name": "RefreshTokenAuth", **session(earlier, age=two_hours)},
        {"name": "RefreshTokenAuthFile", "file": file, **session(earlier, age=two_hours)},
        {"name": "RefreshTokenAuthFile", "file": file},
    )
    assert earlier.oauth.refreshes == before + 2
    assert earlier.oauth.invalid_grants == 0


def grow_older(file: Path) -> None:
    """Have two hours pass for a token file."""
    kept = json.loads(file.read_text())
    kept["created_at"] = (datetime.fromisoformat(kept["created_at"]) - timedelta(hours=2)).isoformat()
    file.write_text(json.dumps(kept))


def test_factorialhr_and_the_tap_go_on_with_each_others_token_file(
    earlier: Sandbox, tmp_path: Path, tap: TapRunner
) -> None:
    file, before = tmp_path / "tokens.json", earlier.oauth.refreshes
    tokens = earlier.oauth.issue_tokens()
    config = {"base_url": earlier.base_url, "token_file": str(file)}
    login = {
        "refresh_token": tokens["refresh_token"],
        "client_id": earlier.oauth.client_id,
        "client_secret": earlier.oauth.client_secret,
    }
    catalog = tap.catalog("teams")

    def run(settings: dict[str, Any]) -> None:
        done = tap(settings, catalog=catalog)
        assert done.code == 0, done.stderr
        assert len(done.records["teams"]) == len(earlier.company.rows("teams/teams"))

    read = {"name": "RefreshTokenAuthFile", "file": str(file)}
    run(config | login)  # The tap makes the file, which takes the first renewal.
    assert earlier.oauth.refreshes == before + 1
    grow_older(file)
    read_with_factorialhr(earlier, read)
    assert earlier.oauth.refreshes == before + 2
    run(config)  # From here on the file is the other client's.
    assert earlier.oauth.refreshes == before + 2
    grow_older(file)
    run(config)
    read_with_factorialhr(earlier, read)
    assert earlier.oauth.refreshes == before + 3
    assert earlier.oauth.invalid_grants == 0
