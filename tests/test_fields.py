"""What is known of each field: that nothing is missing, nothing is left over, and what must be special is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from fideslang.default_taxonomy import DEFAULT_TAXONOMY

from scripts import data_dictionary
from scripts.data_dictionary import every_field
from tap_factorialhr import fields
from tap_factorialhr.fields import Field, Reference
from tap_factorialhr.tap import TapFactorialHR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_factorialhr.streams import FactorialStream

STREAMS: list[FactorialStream] = TapFactorialHR(config={}, validate_config=False).discover_streams()
FIDESLANG = frozenset(category.fides_key for category in DEFAULT_TAXONOMY.data_category)


def reviewed() -> Iterator[tuple[str, str, Field]]:
    """Every field of which something is known: stream, name, facts."""
    for stream in STREAMS:
        for name, known in fields.of_resource(stream.resource.path).items():
            yield stream.name, name, known


def test_every_field_of_every_stream_has_been_reviewed() -> None:
    missing = [
        f"{stream.name}.{name}"
        for stream in STREAMS
        for name, _ in every_field(stream.schema)
        if fields.find(stream.resource.path, name) is None
    ]
    assert not missing, f"review them, and give each a line in tap_factorialhr/fields: {', '.join(missing)}"


def test_nothing_is_said_of_what_is_no_field() -> None:
    there = {stream.resource.path: {name for name, _ in every_field(stream.schema)} for stream in STREAMS}
    said = {
        f"{file.stem}/{resource}": set(entries)
        for file in fields.FACTS.glob("*.json")
        if file != fields.CLASSES
        for resource, entries in json.loads(file.read_bytes()).items()
    }
    assert said.keys() == there.keys()
    assert {path: names - there[path] for path, names in said.items() if names - there[path]} == {}


def test_an_object_with_fields_has_no_line_of_its_own() -> None:
    for file in fields.FACTS.glob("*.json"):
        if file == fields.CLASSES:
            continue
        for resource, entries in json.loads(file.read_bytes()).items():
            objects = {name.rpartition(".")[0] for name in entries}
            assert not objects & set(entries), f"{file.stem}/{resource}"


def test_the_taxonomy_is_that_of_fideslang() -> None:
    classes = json.loads(fields.CLASSES.read_bytes())
    assert set(classes["taxonomy"]) == FIDESLANG
    assert len(classes["taxonomy"]) == len(FIDESLANG)


def test_extensions_hang_below_the_taxonomy_and_are_documented() -> None:
    index = data_dictionary.PAGES / "README.md"
    for name, meaning in fields.extensions().items():
        assert name not in FIDESLANG, "fideslang has it by now"
        assert name.rpartition(".")[0] in FIDESLANG
        assert f"| `{name}` | {meaning} |" in index.read_text()


def test_every_class_is_known() -> None:
    unknown = {f"{stream}.{name}": known.privacy_class for stream, name, known in reviewed()}
    assert {name: each for name, each in unknown.items() if each not in fields.known_classes()} == {}
    assert set(fields.special_classes()) <= fields.known_classes()


def test_references_lead_to_the_key_of_a_stream() -> None:
    keys = {(stream.name, key) for stream in STREAMS for key in stream.primary_keys}
    keys.add(("employees", "access_id"))  # Not their key, but as good: it is the id of their account.
    keys.add(("api_public_credentials", "company_id"))  # There is no stream of companies; this one is read as one.
    for stream, name, known in reviewed():
        if known.refers_to:
            assert known.refers_to in keys, f"{stream}.{name}"


def test_references_to_people_are_classed_as_people_are() -> None:
    people = {"employees", "ats_candidates"}
    for stream, name, known in reviewed():
        if known.refers_to and known.refers_to.stream in people:
            assert known.privacy_class == "user.unique_id", f"{stream}.{name}"
    for stream in people:
        path = "employees/employees" if stream == "employees" else "ats/candidates"
        assert fields.of_resource(path)["id"].privacy_class == "user.unique_id"


def test_whoever_has_an_employee_or_a_candidate_says_so() -> None:
    """Names with one meaning in the whole API; what is less clear was decided field by field."""
    for stream, name, known in reviewed():
        last = name.rpartition(".")[2]
        if last in {"employee_id", "employee_ids", "author_employee_id", "ats_candidate_id"}:
            assert known.refers_to in {("employees", "id"), ("ats_candidates", "id")}, f"{stream}.{name}"
        if last in {"tax_id", "issuer_tax_id", "recipient_tax_id", "external_id"}:
            assert not known.is_reference, f"{stream}.{name}"


def test_what_leads_from_a_person_to_a_kind_of_absence_is_special() -> None:
    rules = {  # What a company has laid down for all its people, or pays them for: nobody was absent for that.
        ("compensations_additional_compensations", "per_worked_day_definition.timeoff_leave_type_ids"),
        ("timeoff_blocked_periods", "leave_type_ids"),
    }
    about_people = {stream for stream, _, known in reviewed() if known.refers_to == ("employees", "id")}
    for stream, name, known in reviewed():
        leads = known.refers_to in {("timeoff_leave_types", "id"), ("timeoff_allowances", "id")}
        if leads and stream in about_people and (stream, name) not in rules:
            assert known.special, f"{stream}.{name}"


def test_the_same_of_a_contract_is_known_in_all_its_streams() -> None:
    versions = fields.of_resource("contracts/contract_versions")
    for path in (
        "contracts/reference_contracts",
        "contracts/contract_version_histories",
        "employee_updates/contract_changes",
    ):
        for name, known in fields.of_resource(path).items():
            if name in versions.keys() - {"id"}:
                assert known == versions[name], f"{path}: {name}"


def test_names_of_files_and_links_to_them_are_private() -> None:
    for stream, name, known in reviewed():
        if name.rpartition(".")[2] in {"filename", "download_url"}:
            assert known.privacy_class == "user.content.private", f"{stream}.{name}"


def test_formats_are_those_of_text_and_units_are_not() -> None:
    for stream in STREAMS:
        for name, schema in every_field(stream.schema):
            known = fields.find(stream.resource.path, name)
            assert known is not None
            text = data_dictionary.kind(schema)
            if known.format:
                assert text in {"string", "date", "date-time"}, f"{stream.name}.{name}"
            if known.unit:
                assert known.format is None, f"{stream.name}.{name}"
                assert text != "boolean", f"{stream.name}.{name}"


def test_what_is_counted_in_cents_says_of_what() -> None:
    for stream, name, known in reviewed():
        if name.endswith("_cents"):
            assert known.unit, f"{stream}.{name}"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("employees/employees", "disability_percentage_cents"),
        ("payroll_employees/german_employee_data", "denomination"),
        ("payroll_employees/german_employee_data", "spouses_denomination"),
        ("payroll_employees/german_employee_data", "health_insurer_company_number"),
        ("timeoff/leaves", "leave_type_id"),
        ("timeoff/leaves", "leave_type_name"),
        ("timeoff/leaves", "reason"),
        ("timeoff/leaves", "description"),
        ("employee_updates/absences", "leave_type_id"),
        ("employee_updates/absences", "leave_type_name"),
        ("employee_updates/absences", "description"),
        ("contracts/contract_versions", "fr_mutual_id"),
        ("employee_updates/contract_changes", "fr_mutual_name"),
        ("timeoff/allowance_incidences", "description"),
        ("contracts/contract_versions", "es_contract_type_id"),
        ("employee_updates/contract_changes", "es_contract_type_name"),
        ("contracts/contract_versions", "version_data.country_data.fields.value_id"),
        ("contracts/contract_versions", "version_data.country_data.fields.value_label"),
    ],
)
def test_what_is_special(path: str, name: str) -> None:
    assert fields.of_resource(path)[name].special


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("employees/employees", "bank_number", "user.financial.bank_account"),
        ("employees/employees", "social_security_number", "user.government_id.national_identification_number"),
        ("employees/employees", "birthday_on", "user.demographic.date_of_birth"),
        ("attendance/shifts", "in_location_latitude", "user.location.precise"),
        ("contracts/contract_versions", "salary_amount", "user.financial.salary"),
        ("timeoff/leaves", "start_on", "user.workplace.absence"),
        ("performance/review_evaluation_scores", "score", "user.workplace.performance_review"),
        ("attendance/overtime_requests", "approver_full_name", "user.name"),
        ("attendance/worked_times", "id", "user.unique_id"),
        ("timeoff/leave_types", "name", "system.operations"),
        ("banking/bank_accounts", "iban", "system.operations"),
        ("ats/candidates", "medium", "user.name"),
        ("ats/feedbacks", "description", "user.content.free_text"),
        ("performance/agreements", "conclusions.text", "user.content.free_text"),
        ("expenses/expenses", "description", "user.content.free_text"),
        ("expenses/expenses", "merchant_tin", "user.behavior.purchase_history"),
        ("integrations/syncable_states", "sync_type", "user.workplace.employment"),
        ("timeoff/policy_timelines", "items.policy_assignment.timeoff_policy_name", "user.workplace.absence"),
    ],
)
def test_what_is_neither_special_nor_in_doubt(path: str, name: str, expected: str) -> None:
    known = fields.of_resource(path)[name]
    assert known.privacy_class == expected
    assert not known.special


def test_what_the_law_calls_special_is() -> None:
    """Articles 9 and 10 of the GDPR, in the words of the taxonomy."""
    law = {
        "user.biometric",
        "user.criminal_history",
        "user.demographic.political_opinion",
        "user.demographic.race_ethnicity",
        "user.demographic.religious_belief",
        "user.demographic.sexual_orientation",
        "user.health_and_medical",
        "user.workplace.union_membership",
    }
    assert law <= set(fields.special_classes())


def test_a_line_is_a_class_or_more() -> None:
    assert fields.find("employees/employees", "birthday_on") == Field("user.demographic.date_of_birth", format="date")
    team = Field("system.operations", refers_to=Reference("teams", "id"), is_reference=True)
    assert fields.find("teams/memberships", "team_id") == team


def test_a_number_of_a_person_is_no_reference() -> None:
    known = fields.of_resource("employees/employees")
    assert known["manager_id"].is_reference
    assert known["access_id"].is_reference
    assert not known["company_identifier"].is_reference
    assert known["company_identifier"].privacy_class == "user.unique_id"


def test_an_id_of_a_row_that_no_stream_has_is_a_reference() -> None:
    known = fields.of_resource("contracts/contract_versions")["fr_level_id"]
    assert known.is_reference
    assert known.refers_to is None


def test_what_nobody_reviewed_is_unknown() -> None:
    assert fields.find("employees/employees", "shoe_size") is None
    assert fields.find("employees/hats", "id") is None
    assert fields.find("hats/hats", "id") is None


def test_an_object_is_what_all_in_it_is() -> None:
    used = fields.find("timeoff/leaves", "duration_by_day_attributes.used_units_by_day")
    assert used == Field("user.workplace.absence")
    assert fields.find("attendance/estimated_times", "breaks") == Field("system"), "mixed with what is not personal"


def test_a_class_covers_what_is_below_it() -> None:
    assert fields.covers("user.financial", "user.financial.bank_account")
    assert fields.covers("user.financial", "user.financial")
    assert not fields.covers("user.name", "user.namesake")
    assert not fields.covers("user.financial.bank_account", "user.financial")


def test_the_dictionary_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert data_dictionary.main(["--check"]) == 0, capsys.readouterr().err
