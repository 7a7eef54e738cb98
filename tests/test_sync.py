"""The main job: every row of the company arrives exactly once, in the shape of its schema."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

from tap_factorialhr import openapi
from tap_factorialhr.resources import describe
from tap_factorialhr.sandbox import Answer, Company, RequestRecord, Sandbox
from tests.support.numbers import FIELDS, STREAMS
from tests.support.tap import TAP, Run, TapRunner, config_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

DOCUMENT = openapi.load()


def stream_name(path: str) -> str:
    domain, _, resource = path.partition("/")
    return resource if domain == resource else f"{domain}_{resource}"


def same(sent: Any, got: Any) -> bool:
    """Whether a record's value is the row's: ids as strings, one form of time stamps."""
    if isinstance(sent, dict):
        return isinstance(got, dict) and all(same(sent.get(name), value) for name, value in got.items())
    if isinstance(sent, list):
        return isinstance(got, list) and len(sent) == len(got) and all(map(same, sent, got))
    if isinstance(sent, str) and isinstance(got, str) and "T" in sent and got != sent:
        return datetime.fromisoformat(sent) == datetime.fromisoformat(got)
    if isinstance(got, str) or isinstance(sent, str):
        return str(sent) == str(got)
    return bool(sent == got)


TOLD_APART_BY = {
    "marketplace/installation_settings": ("company_code",),
    "project_management/exportable_expenses": ("date", "project_name", "employee_name", "amount", "expense_link"),
}
"""Rows that do not carry their key, or have none."""


def differences(company: Company, run: Run, paths: Iterable[str] = DOCUMENT.resources) -> list[str]:
    """Streams whose records are not the company's rows, each exactly once."""
    wrong = []
    for path in paths:
        rows, records = company.rows(path), run.records[stream_name(path)]
        if len(rows) != len(records):
            wrong.append(f"{path}: {len(rows)} rows, {len(records)} records")
            continue
        key = TOLD_APART_BY.get(path) or describe(DOCUMENT.resources[path], DOCUMENT.field_names(path)).key
        pairs = zip(_ordered(rows, key), _ordered(records, key), strict=True)
        wrong += [
            f"{path}: {name}" for row, record in pairs for name, value in row.items() if not same(value, record[name])
        ][:1]
    return wrong


def _ordered(rows: list[dict[str, Any]], key: Iterable[str]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: [str(row.get(name)) for name in key])


@pytest.mark.parametrize(("pagination", "integer_ids"), [("offset", True), ("cursor", False)])
def test_every_row_of_every_stream_arrives_exactly_once(tmp_path: Path, pagination: str, integer_ids: bool) -> None:
    tap = TapRunner(tmp_path)
    with Sandbox(Company(employees=12, integer_ids=integer_ids, untidy=True)) as sandbox:
        run = tap(config_for(sandbox, pagination=pagination, page_size=8))
        assert run.code == 0, run.stderr
        assert differences(sandbox.company, run) == []
        assert {record.method for record in sandbox.requests} == {"GET"}
    schemas = {message["stream"]: message["schema"] for message in run.of_type("SCHEMA")}
    assert len(schemas) == len(DOCUMENT.resources) == STREAMS
    for stream, records in run.records.items():
        validator = Draft7Validator(schemas[stream])
        for record in records[:20]:
            assert [error.json_path for error in validator.iter_errors(record)] == []
    assert Counter(message["type"] for message in run.messages)["SCHEMA"] == STREAMS
    assert "became null" not in run.stderr
    assert "does not know" not in run.stderr


def test_ids_past_two_to_the_53_keep_every_digit(tap: TapRunner) -> None:
    with Sandbox(Company(employees=3, integer_ids=True, untidy=True)) as sandbox:
        config = config_for(sandbox)
        run = tap(config, catalog=tap.catalog("employees", "teams"))
        rows = sandbox.company.rows("employees/employees")
        assert {record["id"] for record in run.records["employees"]} == {str(row["id"]) for row in rows}
        assert all(isinstance(one, str) for team in run.records["teams"] for one in team["employee_ids"])


def test_deselected_streams_and_fields_stay_out(tap: TapRunner, config: dict[str, Any], sandbox: Sandbox) -> None:
    catalog = tap.catalog("employees", "timeoff_leaves")
    for entry in catalog["streams"]:
        for part in entry["metadata"]:
            if part["breadcrumb"] in (
                ["properties", "first_name"],
                ["properties", "duration_by_day_attributes", "properties", "used_units_by_day"],
            ):
                part["metadata"]["selected"] = False
    sandbox.clear()
    run = tap(config, catalog=catalog)
    assert run.code == 0, run.stderr
    assert set(run.records) == {"employees", "timeoff_leaves"}
    assert {record.resource for record in sandbox.requests} == {"employees/employees", "timeoff/leaves"}
    assert all("first_name" not in record and "last_name" in record for record in run.records["employees"])
    assert "deselected" not in run.stderr
    for message in run.of_type("SCHEMA"):
        assert "first_name" not in message["schema"]["properties"]
    nested = [record["duration_by_day_attributes"] for record in run.records["timeoff_leaves"]]
    assert all("used_units_by_day" not in one for one in nested if one is not None)


def test_a_child_can_be_selected_without_its_parent(tap: TapRunner, config: dict[str, Any]) -> None:
    run = tap(config, catalog=tap.catalog("contracts_contract_activity_periods"))
    assert run.code == 0, run.stderr
    assert list(run.records) == ["contracts_contract_activity_periods"]
    assert all(record["contract_id"] for record in run.records["contracts_contract_activity_periods"])


def test_without_integrations_there_is_nothing_to_read_and_one_line_says_so(
    tap: TapRunner, config: dict[str, Any]
) -> None:
    streams = ("integrations_sync_runs", "marketplace_installation_settings")
    del config["integration_uuids"]
    run = tap(config, catalog=tap.catalog(*streams))
    assert run.code == 0, run.stderr
    for stream in streams:
        assert sum(stream in line and "integration_uuids" in line for line in run.stderr.splitlines()) == 1


def test_a_parent_list_goes_in_chunks(tap: TapRunner) -> None:
    with Sandbox(Company(employees=170)) as sandbox:
        config = config_for(sandbox)
        run = tap(config, catalog=tap.catalog("attendance_reviews"))
        assert run.code == 0, run.stderr
        asked = sandbox.requests_for("attendance/reviews")
        assert len({tuple(value for name, value in one.params if name == "employee_ids[]") for one in asked}) == 3


def test_discovery_needs_neither_settings_nor_requests(tap: TapRunner) -> None:
    run = tap({}, "--discover")
    assert run.code == 0, run.stderr
    catalog = json.loads(run.stdout)
    assert len(catalog["streams"]) == STREAMS
    assert sum(len(entry["schema"]["properties"]) for entry in catalog["streams"]) >= FIELDS


BAD_SETTINGS = [
    ({"api_kay": "x"}, "unknown setting: api_kay (did you mean api_key?)"),
    ({"zzz": 1, "concurency": 1, "PageSize": 1}, "PageSize (did you mean page_size?), concurency (did you mean c"),
    ({"api_key": "key", "zzz": 1}, "unknown setting: zzz"),
    ({"api_key": ""}, "api_key must not be empty"),
    ({"api_key": 5}, "api_key must be of type string"),
    ({"start_date": "yesterday"}, "start_date is no date"),
    ({"start_date": "2026-W05-1"}, "start_date is no date"),
    ({"start_date": "0001-01-01T00:00:00+05:00"}, "start_date is no date"),
    ({"start_date": "9999-12-31T23:59:59-05:00"}, "start_date is no date"),
    ({"page_size": 0}, "page_size must be 1 or more"),
    ({"window_days": 10**12}, "window_days must be 36500 or less"),
    ({"request_timeout": "soon"}, "request_timeout must be of type number"),
    ({"page_size": 1000}, "page_size must be 100 or less"),
    ({"pagination": "both"}, "pagination must be one of offset, cursor"),
    ({"base_url": "factorial"}, "base_url is no URL"),
    ({"base_url": "http://api.example.com"}, "base_url must begin with https://"),
    ({"base_url": "http://127.0.0.1.example.com"}, "base_url must begin with https://"),
    ({"access_token": "y"}, "api_key"),
    ({"ca_bundle": "missing.pem"}, "ca_bundle"),
    ({"stream_maps": {"employes": {"email": None}}}, "employes, which is no stream; did you mean employees?"),
    ({"stream_maps": {"staff": {"__source__": "staffs"}}}, "staffs, which is no stream; see the README"),
]


@pytest.mark.parametrize(("settings", "says"), BAD_SETTINGS)
def test_bad_settings_are_one_clear_line_before_any_request(
    tap: TapRunner, sandbox: Sandbox, config: dict[str, Any], settings: dict[str, Any], says: str
) -> None:
    sandbox.clear()
    run = tap({**config, **settings})
    assert run.code == 1
    assert run.stdout == ""
    assert says in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert sandbox.requests == []


def test_settings_without_a_value_and_numbers_as_text_are_read(tap: TapRunner, config: dict[str, Any]) -> None:
    config |= {"page_size": None, "concurrency": None, "lookback_days": None, "request_timeout": "20.5"}
    run = tap(config, catalog=tap.catalog("teams"))
    assert run.code == 0, run.stderr
    assert run.records["teams"]


def test_a_setting_that_needs_another_one_ends_with_an_exit_code(tap: TapRunner, config: dict[str, Any]) -> None:
    run = tap({**config, "flattening_enabled": True})
    assert (run.code, run.stdout) == (1, "")


def test_what_knows_only_cursors_is_asked_by_cursor(tap: TapRunner) -> None:
    with Sandbox(Company(employees=250)) as sandbox:
        config = config_for(sandbox)
        run = tap(config, catalog=tap.catalog("timeoff_allowance_stats"))
        assert run.code == 0, run.stderr
        asked = sandbox.requests_for("timeoff/allowance_stats")
        assert len(asked) == 3
        assert not any(one.get("page") for one in asked)


def test_what_cannot_be_listed_whole_is_listed_for_its_parents(tap: TapRunner) -> None:
    needs = {
        "compensations/additional_compensations": "employee_ids[]",
        "timeoff/french_leave_day_counts": "leave_ids[]",
    }

    def insist(record: RequestRecord) -> Answer | None:
        name = needs.get(record.resource)
        return Answer(400, b"Invalid parameters") if name and record.get(name) is None else None

    with Sandbox(Company(employees=12), answer=insist) as sandbox:
        config = config_for(sandbox)
        run = tap(config, catalog=tap.catalog(*map(stream_name, needs)))
        assert run.code == 0, run.stderr
        assert differences(sandbox.company, run, needs) == []


def test_contacts_of_every_type_come_once(tap: TapRunner) -> None:
    with Sandbox(Company(employees=5)) as sandbox:
        config = config_for(sandbox)
        run = tap(config, catalog=tap.catalog("finance_contacts"))
        assert {one.get("contact_type") for one in sandbox.requests} == {"client", "vendor"}
        assert differences(sandbox.company, run, ["finance/contacts"]) == []


def test_rows_without_an_id_all_come_where_a_resource_is_read_for_several_values(tap: TapRunner) -> None:
    rows = [{"id": None, "name": "a"}, {"id": None, "name": "b"}, {"id": "1"}]
    body = json.dumps({"data": rows, "meta": {"has_next_page": False}}).encode()
    with Sandbox(Company(employees=2)) as sandbox:
        sandbox.answer = lambda record: Answer(body=body) if record.resource == "finance/contacts" else None
        run = tap(config_for(sandbox), catalog=tap.catalog("finance_contacts"))
    assert sorted(str(record["name"]) for record in run.records["finance_contacts"]) == ["None", "a", "a", "b", "b"]


def test_settings_of_the_sdk_can_come_from_the_environment(tap: TapRunner) -> None:
    environment = {"TAP_FACTORIALHR_API_KEY": "key", "TAP_FACTORIALHR_STREAM_MAPS": "{}"}
    command = [*TAP, "--config=ENV", "--discover"]
    done = subprocess.run(command, capture_output=True, check=False, cwd=tap.folder, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("value", ["inf", "1e10", "nan", "-1", 1e10, -1])
def test_a_time_out_that_cannot_be_waited_is_named(tap: TapRunner, value: Any) -> None:
    run = tap({"api_key": "key", "request_timeout": value})
    assert (run.code, run.stdout) == (1, "")
    assert "request_timeout must be" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("content", ["null", "5", "[1]", "[" * 100_000, "{"])
@pytest.mark.parametrize("mode", [(), ("--discover",)])
def test_a_file_of_settings_that_is_no_object_is_one_clear_line(
    tap: TapRunner, content: str, mode: tuple[str, ...]
) -> None:
    run = tap(content, *mode)
    assert (run.code, run.stdout) == (1, "")
    assert re.search(r"the file of --config, \S+, is not", run.stderr.splitlines()[-1])
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("mode", ["--test", "--discover", None])
@pytest.mark.parametrize(
    ("variable", "value"),
    [("TAP_FACTORIALHR_PAGE_SIZE", "abc"), ("TAP_FACTORIALHR_STARTDATE", "2026-01-01")],
)
def test_bad_settings_in_the_environment_are_one_clear_line(
    tap: TapRunner, variable: str, value: str, mode: str | None
) -> None:
    command = [*TAP, "--config=ENV", *([mode] if mode else [])]
    environment = {**os.environ, "TAP_FACTORIALHR_API_KEY": "key", "TAP_FACTORIALHR_LOGLEVEL": "INFO", variable: value}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tap.folder, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert variable in done.stderr.splitlines()[-1]
    assert value not in done.stderr
    assert "Traceback" not in done.stderr


def test_no_way_in_is_named(tap: TapRunner) -> None:
    run = tap({})
    assert run.code == 1
    last = run.stderr.splitlines()[-1]
    assert all(name in last for name in ("api_key", "access_token", "refresh_token", "token_file"))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"catalog": {"streams": [{"tap_stream_id": "nobody", "schema": {"properties": {}}}]}}, "nobody"),
        ({"state": {"bookmarks": []}}, "the state"),
        ({"state": {"bookmarks": {"employees": {"replication_key_value": "soon"}}}}, "employees"),
        ({"state": {"foo": 1}}, "the state"),
        ({"state": {"bookmarks": {"employees": {"partitions": "x"}}}}, "the state"),
        ({"state": {"bookmarks": {"employees": {"partitions": [None]}}}}, "the state"),
        ({"state": {"bookmarks": {"employees": {"progress_markers": "x"}}}}, "the state"),
        ({"state": {"bookmarks": {"nobody": "x"}}}, "the state"),
        ({"state": []}, "--state"),
        ({"catalog": {}}, "--catalog"),
        ({"catalog": {"streams": "x"}}, "--catalog"),
        ({"catalog": {"streams": [1]}}, "--catalog"),
        ({"catalog": {"streams": [{"tap_stream_id": "teams", "schema": 5}]}}, "--catalog"),
        ({"catalog": {"streams": [{"stream": "teams", "schema": {"properties": {}}}]}}, "--catalog"),
        ({"catalog": {"streams": [{"tap_stream_id": "teams", "schema": {}}]}}, "--catalog"),
        (
            {"catalog": {"streams": [{"tap_stream_id": "teams", "schema": {"properties": {}}, "metadata": [1]}]}},
            "--cat",
        ),
        ({"state": "[" * 100_000}, "--state"),
        ({"state": "{"}, "--state"),
    ],
)
def test_bad_catalog_and_state_are_one_clear_line(
    tap: TapRunner, sandbox: Sandbox, config: dict[str, Any], files: dict[str, Any], says: str
) -> None:
    sandbox.clear()
    run = tap(config, **files)
    assert run.code == 1
    assert run.stdout == ""
    assert says in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stream": "people_teams"}, "the catalog gives teams another name"),
        ({"key_properties": 5}, "--catalog"),
        ({"key_properties": "id"}, "--catalog"),
        ({"metadata": [{"breadcrumb": ["properties"], "metadata": {}}]}, "--catalog"),
        ({"metadata": [{"breadcrumb": [5], "metadata": {}}]}, "--catalog"),
        ({"schema": {"properties": {"id": None}}}, "--catalog"),
        ({"schema": {"properties": {"id": True}}}, "--catalog"),
        ({"schema": {"properties": {"id": {"type": 5}}}}, "--catalog"),
        ({"schema": {"properties": {"id": {"type": [None]}}}}, "--catalog"),
        ({"schema": {"properties": {"id": {"items": []}}}}, "--catalog"),
        ({"schema": {"properties": {"id": {"properties": 1}}}}, "--catalog"),
        ({"schema": {"properties": {"id": {"anyOf": {}}}}}, "--catalog"),
        ({"schema": {"properties": {"id": {"items": {"anyOf": [{"properties": {"x": 1}}]}}}}}, "--catalog"),
    ],
)
def test_a_catalog_that_was_changed_into_none_is_one_clear_line(
    tap: TapRunner, sandbox: Sandbox, config: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    sandbox.clear()
    catalog = tap.catalog("teams")
    next(entry for entry in catalog["streams"] if entry["tap_stream_id"] == "teams").update(changes)
    run = tap(config | {"drop_classes": ["user.contact"]}, catalog=catalog)
    assert (run.code, run.stdout) == (1, "")
    assert says in run.stderr.splitlines()[-1]
    assert "unexpected" not in run.stderr
    assert sandbox.requests == []


def test_a_catalog_may_be_written_by_others(tap: TapRunner, config: dict[str, Any]) -> None:
    catalog = tap.catalog("teams")
    teams = next(entry for entry in catalog["streams"] if entry["tap_stream_id"] == "teams")
    teams["stream"] = None
    teams["schema"]["properties"]["name"].update(items=None, properties=None, anyOf=None)
    teams["metadata"].append({"breadcrumb": ["properties", "properties"], "metadata": {"selected": True}})
    run = tap(config | {"drop_classes": ["user.contact"]}, catalog=catalog)
    assert run.code == 0, run.stderr
    assert run.records["teams"]


@pytest.mark.parametrize("stream", ["employees", "attendance_shifts"])
@pytest.mark.parametrize("value", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "2026-W05-1", 20260131])
def test_a_bookmark_that_is_no_day_of_the_calendar_is_one_clear_line_that_does_not_show_it(
    tap: TapRunner, sandbox: Sandbox, config: dict[str, Any], stream: str, value: Any
) -> None:
    sandbox.clear()
    run = tap(config, state={"bookmarks": {stream: {"replication_key_value": value}}})
    assert (run.code, run.stdout) == (1, "")
    last = run.stderr.splitlines()[-1]
    assert f"the state's replication_key_value of {stream} is no date; correct or remove it" in last
    assert "Traceback" not in run.stderr
    assert str(value) not in run.stderr
    assert sandbox.requests == []


def test_a_config_file_that_is_no_json_is_one_clear_line(tap: TapRunner) -> None:
    run = tap("{")
    assert (run.code, run.stdout) == (1, "")
    assert "--config" in run.stderr.splitlines()[-1]


def test_rows_that_do_not_carry_their_parent_get_it(tap: TapRunner, config: dict[str, Any], sandbox: Sandbox) -> None:
    streams = ("job_catalog_node_attributes", "project_management_exportable_expenses")
    run = tap(config, catalog=tap.catalog(*streams))
    assert run.code == 0, run.stderr
    nodes = {row["uuid"] for row in sandbox.company.rows("job_catalog/tree_nodes")}
    assert {record["node_uuid"] for record in run.records[streams[0]]} <= nodes
    projects: dict[str, set[str]] = {}
    for row in sandbox.company.rows("project_management/projects"):
        projects.setdefault(row["name"], set()).add(str(row["id"]))
    for record in run.records[streams[1]]:
        assert record["project_id"] in projects[record["project_name"]]


def test_rows_of_several_parents_that_do_not_say_whose_they_are_are_read_one_parent_at_a_time(tap: TapRunner) -> None:
    with Sandbox(Company(employees=5)) as sandbox:
        posts = [str(row["id"]) for row in sandbox.company.rows("posts/posts")]

        def comments(record: RequestRecord) -> Answer | None:
            if record.resource != "posts/comments":
                return None
            asked = [value for name, value in record.params if name == "post_ids[]"]
            rows = [{"id": f"{post}7", "content": "Well said"} for post in asked]
            return Answer(body=json.dumps({"data": rows, "meta": {"has_next_page": False}}).encode())

        sandbox.answer = comments
        config = config_for(sandbox)
        run = tap(config, catalog=tap.catalog("posts_comments"))
        assert run.code == 0, run.stderr
        assert {(one["id"], one["post_id"]) for one in run.records["posts_comments"]} == {
            (f"{post}7", post) for post in posts
        }
        assert len(sandbox.requests_for("posts/comments")) == 1 + len(posts)


def test_odd_names_of_parents_cost_no_stream(tap: TapRunner) -> None:
    with Sandbox(Company(employees=5)) as sandbox:
        names = iter([{"x": 1}, ["y"], 7, None])
        for row in sandbox.company.rows("project_management/projects"):
            sandbox.company.touch("project_management/projects", row["id"], name=next(names, "same"))
        config = config_for(sandbox)
        run = tap(config, catalog=tap.catalog("project_management_exportable_expenses"))
        assert run.code == 0, run.stderr
        assert all(record["project_id"] for record in run.records["project_management_exportable_expenses"])
