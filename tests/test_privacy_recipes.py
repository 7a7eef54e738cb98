"""The recipes of docs/privacy.md, run as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr import fields, openapi
from tap_factorialhr.resources import describe
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support.tap import Run, TapRunner, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (Path(__file__).parents[1] / "docs" / "privacy.md").read_text()
PERSON = "Markerita-Leak"
KEY = "a key that nobody else has"


@pytest.fixture(scope="module")
def company() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=12)) as sandbox:
        for row in sandbox.company.rows("employees/employees"):
            marked = {
                name: f"{PERSON}-{name}-{row['id']}" for name in ("email", "last_name", "full_name", "bank_number")
            }
            sandbox.company.touch("employees/employees", row["id"], **marked)
        yield sandbox


def recipe(title: str) -> dict[str, Any]:
    found = re.search(rf"^### {title}\n\n```json\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found, title
    settings: dict[str, Any] = json.loads(found[1])
    if "hash_key" in settings:
        settings["hash_key"] = KEY  # What stands there is too short to be taken by mistake.
    return settings


def run(tap: TapRunner, company: Sandbox, title: str) -> Run:
    done = tap(config_for(company, **recipe(title)))
    assert done.code == 0, done.stderr[-2000:]
    assert set(done.records)
    return done


def classes_of(done: Run) -> dict[str, dict[str, fields.Field]]:
    """What is known of each field that is left, by stream."""
    document = openapi.load()
    paths = {describe(document.resources[path], document.field_names(path)).name: path for path in document.resources}
    left = {}
    for message in done.of_type("SCHEMA"):
        facts = fields.of_resource(paths[message["stream"]])
        left[message["stream"]] = {path: facts[path] for path in leaves(message["schema"])}
    return left


def leaves(schema: dict[str, Any], above: str = "") -> Iterator[str]:
    while "items" in schema:
        schema = schema["items"]
    if not schema.get("properties"):
        yield above.removesuffix(".")
    for name, inner in schema.get("properties", {}).items():
        yield from leaves(inner, f"{above}{name}.")


def test_no_special_categories(tap: TapRunner, company: Sandbox) -> None:
    done = run(tap, company, "No special categories")
    left = classes_of(done)
    assert not [f"{stream}.{path}" for stream, facts in left.items() for path, fact in facts.items() if fact.special]
    assert "disability_percentage_cents" not in left["employees"]
    assert "leave_type_id" not in left["timeoff_leaves"]
    assert {"email", "birthday_on", "bank_number"} <= left["employees"].keys()


def test_analysts_without_names(tap: TapRunner, company: Sandbox) -> None:
    done = run(tap, company, "Analysts without names")
    people = company.company.rows("employees/employees")
    assert people
    assert PERSON not in done.stdout + done.stderr
    assert not {"email", "full_name", "identifier", "birthday_on", "phone_number"} & done.records["employees"][0].keys()
    known = {employee["id"] for employee in done.records["employees"]}
    assert len(known) == len(people)
    assert {shift["employee_id"] for shift in done.records["attendance_shifts"]} <= known
    assert {row["employee_id"] for row in done.records["contracts_contract_versions"]} <= known
    assert not known & {str(person["id"]) for person in people}
    assert KEY not in done.stdout + done.stderr


def test_only_what_a_headcount_needs(tap: TapRunner, company: Sandbox) -> None:
    done = run(tap, company, "Only what a headcount needs")
    replication_keys = {one["stream"]: one.get("bookmark_properties") or [] for one in done.of_type("SCHEMA")}
    for stream, facts in classes_of(done).items():
        for path, fact in facts.items():
            is_allowed = fact.privacy_class == "user.workplace" or any(
                fields.covers(one, fact.privacy_class)
                for one in ("system", "user.unique_id", "user.workplace.employment", "user.job_title")
            )
            assert is_allowed or path in replication_keys[stream], f"{stream}.{path}"
    employees = done.records["employees"]
    assert {"id", "active", "terminated_on", "legal_entity_id", "manager_id"} <= employees[0].keys()
    assert len({employee["id"] for employee in employees}) == len(company.company.rows("employees/employees"))
    assert {row["employee_id"] for row in done.records["teams_memberships"]} <= {one["id"] for one in employees}
    told = next(line for line in done.stderr.splitlines() if "not requested" in line)
    assert "posts_comments" in told
    assert "posts_comments" not in done.records


def test_every_class_that_the_page_names_is_one() -> None:
    named = set(re.findall(r"`(user(?:\.[a-z_]+)+)`", PAGE))
    assert named
    assert named <= fields.known_classes()
