"""The rows of the simulated company fit the API document and each other."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

from tap_factorialhr import openapi
from tap_factorialhr.sandbox import Company, shapes
from tests.support import documents
from tests.support.numbers import FIELDS, STREAMS
from tests.support.sandbox import EMPLOYEES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("untidy", [False, True])
def test_every_resource_has_rows_with_no_field_but_the_documents(untidy: bool) -> None:
    company = Company(10, untidy=untidy)
    assert len(company.resources) == STREAMS
    for resource in company.resources:
        fields = openapi.load().schema(resource)["properties"]
        assert company.rows(resource), resource
        assert all(row.keys() <= fields.keys() for row in company.rows(resource)), resource


@pytest.mark.parametrize("untidy", [False, True])
def test_every_field_is_filled_somewhere(untidy: bool) -> None:
    company = Company(60, untidy=untidy)
    seen: set[tuple[str, str]] = set()
    for resource in company.resources:
        seen |= {(resource, name) for row in company.rows(resource) for name, value in row.items() if value is not None}
    all_fields = {(name, field) for name in company.resources for field in openapi.load().schema(name)["properties"]}
    assert len(all_fields) == FIELDS
    assert len(all_fields - seen) < 10, all_fields - seen


def promises() -> dict[str, Any]:
    """The API document as a schema that its own client holds rows to: what is optional may be null, but no list."""
    document: dict[str, Any] = json.loads((openapi.DOCUMENTS / f"{openapi.DEFAULT_VERSION}.json").read_bytes())
    for schema in document["components"]["schemas"].values():
        for name, declared in schema.get("properties", {}).items():
            kind = declared.get("type")
            if kind == "unknown":
                declared["type"] = ["object", "string", "number", "array", "boolean"]
            elif name not in schema.get("required", ()) and kind not in {None, "array", "object"}:
                declared["type"] = [kind, "null"]
                if "enum" in declared:
                    declared["enum"].append(None)
    return document


def promises_broken_by(company: Company) -> set[str]:
    document = promises()
    found: set[str] = set()
    for resource in company.resources:
        validator = Draft7Validator(
            {**document, "$ref": f"#/components/schemas/{openapi.load().resources[resource].row}"}
        )
        for row in company.rows(resource):
            for error in validator.iter_errors(row):
                where = ".".join(part for part in error.absolute_path if isinstance(part, str))
                found.add(f"{resource} {where}: {error.message if error.validator == 'required' else error.validator}")
    return found


def test_a_company_keeps_the_promises_of_the_document_unless_it_is_untidy() -> None:
    assert promises_broken_by(Company(25)) == set()
    broken = promises_broken_by(Company(25, untidy=True))
    assert "contracts/contracts schedule: enum" in broken
    assert "trainings/trainings author_id: type" in broken
    assert "ats/feedbacks evaluation_form_answers: type" in broken
    assert len(broken) > 20


def test_what_is_odd_in_reality_is_odd_in_a_tidy_company_too() -> None:
    """An optional field is null or missing, a value has two spellings, and a number comes as text (API notes)."""
    company = Company(200)
    leaves = company.rows("timeoff/leaves")
    optional = {name for name, shape in shapes.row("timeoff/leaves").items() if not shape.required}
    assert any(row.get(name, "") is None for row in leaves for name in optional)
    assert any(name not in row for row in leaves for name in optional)
    assert {"beginning_of_day", "beggining_of_day"} <= {row.get("half_day") for row in leaves}
    times = {row.get("clock_in") for row in company.rows("attendance/shifts")}
    assert {"08:00", "08:30:00"} <= times


def test_a_field_gets_what_its_reference_leads_to(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a newer document may have it; ours refers to objects alone."""
    document["components"]["schemas"]["Colour"] = {"type": "string", "enum": ["red"]}
    documents.row(document, "teams/teams")["properties"]["colour"] = {"$ref": "#/components/schemas/Colour"}
    (tmp_path / f"{documents.NEXT}.json").write_text(json.dumps(document))
    monkeypatch.setattr(openapi, "DOCUMENTS", tmp_path)
    assert shapes.row("teams/teams", documents.NEXT)["colour"] == shapes.Shape("string", ("red",))


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
