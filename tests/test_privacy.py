"""Runs with classes of fields dropped and hashed: catalog, messages, state and what is said."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

from tap_factorialhr.errors import ConfigError
from tap_factorialhr.fields import Field
from tap_factorialhr.privacy.maps import check_stream_maps
from tap_factorialhr.privacy.policy import Policy
from tap_factorialhr.privacy.rows import RowPrivacy
from tap_factorialhr.sandbox import Company, Sandbox
from tap_factorialhr.tap import TapFactorialHR
from tests.support.tap import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.tap import Run, TapRunner

KEY = "0123456789abcdef-the-key-itself"
EMAIL, BANK, FIRST = "leak.me@example.org", "ES00LEAK0000", "Markerita-Leak"
DEBUG = {"LOGLEVEL": "DEBUG", "TAP_FACTORIALHR_LOGLEVEL": "DEBUG"}
PRIVATE = {
    "drop_classes": ["user.contact", "user.financial"],
    "hash_classes": ["user.name", "user.unique_id"],
    "hash_key": KEY,
}


def hashed(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def company() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=7)) as sandbox:
        for row in sandbox.company.rows("employees/employees"):
            sandbox.company.touch(
                "employees/employees", row["id"], email=EMAIL, bank_number=BANK, first_name=FIRST, last_name="Zoe\u0308"
            )
        yield sandbox


def schemas(run: Run) -> dict[str, dict[str, Any]]:
    return {message["stream"]: message["schema"] for message in run.of_type("SCHEMA")}


def assert_agreeing(run: Run) -> None:
    """Every record has the fields of its schema, and none else, in the types of its schema."""
    for stream, schema in schemas(run).items():
        validator = Draft7Validator(schema)
        for record in run.records[stream]:
            assert record.keys() == schema["properties"].keys(), stream
            validator.validate(record)


def test_dropped_and_hashed_fields_of_a_run(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company, page_size=2, **PRIVATE)
    run = tap(config, catalog=tap.catalog("employees", "attendance_shifts", "timeoff_policy_timelines"))
    assert run.code == 0, run.stderr
    assert_agreeing(run)
    properties = schemas(run)["employees"]["properties"]
    assert not {"email", "phone_number", "bank_number", "address_line_1"} & properties.keys()
    assert properties["first_name"] == {"type": ["string", "null"]}
    assert properties["id"] == {"type": "string"}
    rows = company.company.rows("employees/employees")
    assert [one["id"] for one in run.records["employees"]] == [hashed(str(row["id"])) for row in rows]
    assert {one["first_name"] for one in run.records["employees"]} == {hashed(FIRST)}
    assert {one["last_name"] for one in run.records["employees"]} == {hashed("Zo\u00eb")}
    # The same person is the same hash everywhere, in the fields that the tap itself fills as well.
    people = {one["id"] for one in run.records["employees"]}
    for stream in ("attendance_shifts", "timeoff_policy_timelines"):
        assert {one["employee_id"] for one in run.records[stream]} <= people
    assert len(run.records["timeoff_policy_timelines"]) == len(company.company.rows("timeoff/policy_timelines"))
    # Requests for children name the parents as the API knows them.
    asked = {value for one in company.requests for name, value in one.params if name == "employee_id"}
    assert asked == {str(row["id"]) for row in rows}


def test_whatever_is_dropped_or_hashed_every_stream_agrees_with_its_schema(tap: TapRunner, company: Sandbox) -> None:
    run = tap(config_for(company, drop_classes=["special_category", "user.name"], hash_classes=["user"], hash_key=KEY))
    assert run.code == 0, run.stderr[-2000:]
    assert_agreeing(run)
    left = [field for schema in schemas(run).values() for field in schema["properties"]]
    assert "first_name" not in left
    assert "employee_id" in left


def test_bookmarks_and_keys_are_those_of_a_run_without(tap: TapRunner, company: Sandbox) -> None:
    streams = ("employees", "attendance_shifts", "project_management_projects")
    config = config_for(company)
    plain = tap(config, catalog=tap.catalog(*streams))
    private = {**config, **PRIVATE, "hash_classes": ["user"]}
    first = tap(private, catalog=tap.catalog(*streams))
    assert first.code == plain.code == 0, first.stderr
    for stream, bookmark in plain.state["bookmarks"].items():
        ours = first.state["bookmarks"][stream]
        assert ours["replication_key"] == bookmark["replication_key"]
        if stream == "attendance_shifts":  # Those of the others may be that of the run.
            assert ours == bookmark
    again = tap(private, state=first.state, catalog=tap.catalog(*streams))
    assert again.code == 0, again.stderr
    assert len(again.records["employees"]) <= len(first.records["employees"])


@pytest.mark.parametrize(("pagination", "concurrency"), [("offset", 8), ("cursor", 1)])
def test_hashed_keys_disturb_no_reading(tap: TapRunner, company: Sandbox, pagination: str, concurrency: int) -> None:
    config = config_for(company, page_size=1, pagination=pagination, concurrency=concurrency)
    catalog = tap.catalog("employees", "teams_memberships")
    plain = tap(config, catalog=catalog)
    private = tap({**config, "hash_classes": ["user.unique_id"], "hash_key": KEY}, catalog=catalog)
    assert private.code == 0, private.stderr
    assert "going on by cursor" not in private.stderr
    for stream, key in (("employees", "id"), ("teams_memberships", "employee_id")):
        expected = [hashed(one[key]) for one in plain.records[stream]]
        assert [one[key] for one in private.records[stream]] == expected


def test_an_older_catalog_brings_nothing_back(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company)
    older = tap.catalog("employees")
    for entry in older["streams"]:
        for part in entry["metadata"]:
            part["metadata"]["selected"] = part["metadata"].get("selected", True)
    run = tap({**config, **PRIVATE}, catalog=older)
    assert run.code == 0, run.stderr
    assert "email" not in schemas(run)["employees"]["properties"]
    assert EMAIL not in run.stdout + run.stderr
    assert_agreeing(run)


def test_a_catalog_of_the_same_settings_gives_the_same_hashes(tap: TapRunner, company: Sandbox) -> None:
    """There the hashed fields are plain strings, and what is dropped is not there at all."""
    private = config_for(company, drop_classes=["user.contact"], hash_classes=["user.demographic"], hash_key=KEY)
    older = tap(private, catalog=tap.catalog("employees"))
    catalog = json.loads(tap(private, "--discover").stdout)
    catalog["streams"] = [entry for entry in catalog["streams"] if entry["tap_stream_id"] == "employees"]
    run = tap(private, catalog=catalog)
    assert run.code == 0, run.stderr
    assert run.records["employees"] == older.records["employees"]
    assert "fields left out" not in run.stderr
    born = company.company.rows("employees/employees")[0]["birthday_on"]
    assert run.records["employees"][0]["birthday_on"] == hashed(born)


def test_discovery_shows_classes(tap: TapRunner, company: Sandbox) -> None:
    run = tap(config_for(company), "--discover")
    streams = {entry["tap_stream_id"]: entry for entry in json.loads(run.stdout)["streams"]}
    shown = {tuple(part["breadcrumb"]): part["metadata"] for part in streams["employees"]["metadata"]}
    assert shown["properties", "email"]["privacy-class"] == "user.contact.email"
    assert shown["properties", "email"]["special-category"] is False
    assert shown["properties", "id"] | {"inclusion": "automatic"} == shown["properties", "id"]
    leaves = {tuple(part["breadcrumb"]): part["metadata"] for part in streams["timeoff_leaves"]["metadata"]}
    assert leaves["properties", "leave_type_id"]["special-category"] is True
    nested = ("properties", "duration_by_day_attributes", "properties", "used_units_by_day")
    assert leaves[nested]["privacy-class"] == "user.workplace.absence"


def test_discovery_shows_what_is_left(tap: TapRunner, company: Sandbox) -> None:
    run = tap(config_for(company, **PRIVATE), "--discover")
    entry = next(one for one in json.loads(run.stdout)["streams"] if one["tap_stream_id"] == "employees")
    assert "email" not in entry["schema"]["properties"]
    assert ["properties", "email"] not in [part["breadcrumb"] for part in entry["metadata"]]
    assert entry["schema"]["properties"]["first_name"] == {"type": ["string", "null"]}


def test_a_stream_of_nothing_but_keys_is_not_requested_and_that_is_said_once(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company, drop_classes=["user.workplace", "user.content"])
    run = tap(config, catalog=tap.catalog("timeoff_policy_assignments", "employees", "posts_comments"))
    assert run.code == 0, run.stderr
    assert set(schemas(run)) == {"employees"}
    assert {one.resource for one in company.requests} == {"employees/employees"}
    assert run.stderr.count("posts_comments") == 1 + run.stderr.count("deselected stream 'posts_comments'")
    assert "not requested" in run.stderr
    assert "posts_comments, timeoff_policy_assignments" in run.stderr


def test_such_a_stream_cannot_be_selected_nor_tested(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company, drop_classes=["user.workplace", "user.content"])
    discovered = json.loads(tap(config, "--discover").stdout)
    entry = next(one for one in discovered["streams"] if one["tap_stream_id"] == "posts_comments")
    root = next(part["metadata"] for part in entry["metadata"] if not part["breadcrumb"])
    assert root["inclusion"] == "unsupported"
    assert tap(config, "--test").code == 0
    assert "posts/comments" not in {one.resource for one in company.requests}


@pytest.mark.parametrize(
    "definition",
    [
        {"employees": {"email": "md5(email)"}},
        {"employees": {"email": None}},
        {"employees": {"domain": "email.split('@')[-1]"}},
        {"employees": {"domain": "record['email']"}},
        {"employees": {"domain": "_.get('email', '')"}},
        {"employees": {"__filter__": "email != ''"}},
        {"emp*": {"email": "'x'"}},
        {"people": {"__source__": "employees", "mail": "email"}},
    ],
)
def test_a_stream_map_for_a_dropped_field_is_an_error(company: Sandbox, definition: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^stream_maps names employees\.email, which drop_classes or hash_classes"):
        TapFactorialHR(config=config_for(company, stream_maps=definition, **PRIVATE))


def test_a_stream_map_for_what_is_left_of_an_object_is_none() -> None:
    policy = Policy.of({"drop_classes": ["user.contact"]})
    facts = {"home.city": Field("user.contact"), "home.floor": Field("user.device")}
    schema: dict[str, Any] = {"properties": {"home": {"properties": {"city": {}, "floor": {}}}}}
    privacy = {
        name: RowPrivacy(policy, known, schema, keys=(), replication_key=None)
        for name, known in (("employees", facts), ("teams", dict.fromkeys(facts, Field("user.device"))))
    }
    check_stream_maps({"employees": {"level": "home['floor']", "record": "home"}, "teams": {"x": "home.city"}}, privacy)
    for expression in ("home['city']", "home.city", "record['home'].get('city')"):
        with pytest.raises(ConfigError, match=r"employees\.home\.city"):
            check_stream_maps({"employees": {"x": expression}}, privacy)


def test_stream_maps_for_other_fields_see_hashes(tap: TapRunner, company: Sandbox) -> None:
    maps = {"employees": {"short": "first_name[:8]", "__else__": None, "__key_properties__": ["short"]}}
    config = config_for(company, stream_maps=maps, **PRIVATE)
    run = tap(config, catalog=tap.catalog("employees"))
    assert run.code == 0, run.stderr
    assert {one["short"] for one in run.records["employees"]} == {hashed(FIRST)[:8]}
    assert run.records["employees"][0].keys() == {"short"}


@pytest.mark.parametrize("option", [(), ("--discover",), ("--test",)])
def test_wrong_settings_are_one_line_before_any_request(
    tap: TapRunner, company: Sandbox, option: tuple[str, ...]
) -> None:
    run = tap(config_for(company, hash_classes=["user.name"], hash_key=KEY[:15]), *option)
    assert (run.code, run.stdout) == (1, "")
    assert [line for line in run.stderr.splitlines() if "hash_key must have at least 16 bytes" in line]
    assert run.stderr.count("ERROR") == 1
    assert KEY[:15] not in run.stderr
    assert not company.requests


def test_a_catalog_cannot_make_a_key_of_what_is_dropped(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company, **PRIVATE)
    for change in ({"key_properties": ["email"]}, {"replication_key": "first_name"}):
        catalog = tap.catalog("employees")
        next(one for one in catalog["streams"] if one["tap_stream_id"] == "employees").update(change)
        run = tap(config, catalog=catalog)
        assert run.code == 1
        assert "a key of employees, which drop_classes or hash_classes" in run.stderr
        assert not company.requests


def test_what_cannot_be_hashed_is_dropped_and_that_is_said(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company, hash_classes=["user.workplace"], hash_key=KEY)
    run = tap(config, catalog=tap.catalog("employees"))
    assert run.code == 0, run.stderr
    assert "left out instead, for a boolean" in run.stderr
    assert "employees.active" in run.stderr
    assert "active" not in schemas(run)["employees"]["properties"]


def test_what_is_said_counts_fields_by_class(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company, **PRIVATE)
    run = tap(config, catalog=tap.catalog("employees"))
    assert "privacy: left out: " in run.stderr
    assert "user.contact.email 5" in run.stderr
    assert "privacy: hashed: " in run.stderr
    assert "user.unique_id 5" in run.stderr


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_no_message_holds_a_value_or_the_key(tap: TapRunner, company: Sandbox, level: str) -> None:
    config = config_for(company, **PRIVATE)
    company.company.touch(
        "employees/employees", company.company.rows("employees/employees")[0]["id"], birthday_on=FIRST
    )
    filtered = {**config, "stream_maps": {"employees": {"__filter__": "first_name"}}}
    for settings in (config, filtered) if level == "DEBUG" else (config,):
        run = tap(
            settings,
            catalog=tap.catalog("employees"),
            LOGLEVEL=level,
            TAP_FACTORIALHR_LOGLEVEL=level,
        )
        assert run.code == 0, run.stderr
        states = [line for line in run.stdout.splitlines() if '"STATE"' in line[:40]]
        for value in (EMAIL, BANK, FIRST, "Zoe\u0308", KEY, hashed(FIRST)):
            assert value not in run.stderr + "".join(states)
        for value in (EMAIL, BANK, FIRST, KEY):
            assert value not in run.stdout


def test_the_key_is_no_part_of_what_the_tap_says_of_itself(tap: TapRunner, company: Sandbox) -> None:
    for option in ("--about --format=json", "--discover"):
        run = tap(config_for(company, **PRIVATE), *option.split(), **DEBUG)
        assert run.code == 0, run.stderr
        assert KEY not in run.stdout + run.stderr


def test_the_lists_can_come_from_the_environment(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company)
    env = {
        f"TAP_FACTORIALHR_{name.upper()}": json.dumps(value) for name, value in PRIVATE.items() if name != "hash_key"
    }
    catalog = tap.catalog("employees")
    run = tap(config, "--config=ENV", catalog=catalog, TAP_FACTORIALHR_HASH_KEY=KEY, **env)
    assert run.code == 0, run.stderr
    assert run.records["employees"][0]["first_name"] == hashed(FIRST)
    assert "email" not in run.records["employees"][0]


def test_a_field_that_an_unknown_document_brings_is_treated_strictly(company: Sandbox) -> None:
    tap = TapFactorialHR(config=config_for(company, drop_classes=["user.device"]))
    employees = tap.discover_streams()[[one.name for one in tap.discover_streams()].index("employees")]
    given = {**employees.schema, "properties": {**employees.schema["properties"], "shoe_size": {"type": ["integer"]}}}
    assert "shoe_size" not in employees.privacy.under(given).output["properties"]
