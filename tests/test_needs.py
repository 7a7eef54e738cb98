"""What the tap rests on in the API document: where a document lacks it, a stream fails, and never reads too little."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr import openapi
from tap_factorialhr.needs import needs_of
from tap_factorialhr.resources import describe, stream_name
from tests.support import documents

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.tap import Run, TapRunner


@pytest.fixture
def document() -> dict[str, Any]:
    """Ours, to be changed."""
    return documents.vendored()


@pytest.fixture
def read(tap: TapRunner, config: dict[str, Any], document: dict[str, Any]) -> Callable[..., Run]:
    """Reads streams as the document has them by then."""

    def run(*streams: str) -> Run:
        catalog = tap.catalog(*streams)
        known = {stream_name(path) for path in openapi.Document(document).resources}
        catalog["streams"] = [entry for entry in catalog["streams"] if entry["stream"] in known]
        tap.wrapper = documents.tap_with(document, tap.folder)
        return tap(config, catalog=catalog)

    return run


def without_values(parameter: dict[str, Any]) -> None:
    schema = parameter["schema"]
    schema.get("items", schema).pop("enum")


@pytest.mark.parametrize(
    ("path", "parameter", "stream"),
    [
        ("finance/contacts", "contact_type", "finance_contacts"),
        ("finance/categories", "statuses[]", "finance_categories"),
        ("job_catalog/tree_nodes", "node_type", "job_catalog_node_attributes"),
    ],
)
def test_without_the_values_that_it_is_listed_by_a_stream_fails(
    read: Callable[..., Run], document: dict[str, Any], path: str, parameter: str, stream: str
) -> None:
    without_values(documents.parameter(document, path, parameter))
    run = read("employees", stream, "teams")  # It is looked at ahead of its turn as well, in that of another one.
    assert run.code == 1
    assert run.records.keys() == {"employees", "teams"}
    told = f"{stream}: the API document of version {openapi.DEFAULT_VERSION} has no values of the parameter {parameter}"
    assert told in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("parent", "stream"),
    [
        ("posts/posts", "posts_comments"),
        ("api_public/credentials", "contracts_materialized_templates"),
    ],
)
def test_without_its_parent_a_stream_fails_and_others_are_read(
    read: Callable[..., Run], document: dict[str, Any], parent: str, stream: str
) -> None:
    del document["paths"][documents.address(document, parent)]
    run = read(stream, "employees", "teams")
    assert run.code == 1
    assert run.records["employees"], run.stderr
    assert run.records["teams"]
    last = run.stderr.splitlines()[-1]
    assert f"1 stream failed, the first: {stream}: the API document" in last
    assert f"has no list {parent}, which" in last


def test_a_check_names_what_the_document_lacks_and_looks_at_the_others(
    tap: TapRunner, config: dict[str, Any], document: dict[str, Any]
) -> None:
    del document["paths"][documents.address(document, "posts/posts")]
    without_values(documents.parameter(document, "finance/contacts", "contact_type"))
    tap.wrapper = documents.tap_with(document, tap.folder)
    run = tap(config, "check", "--json")
    assert run.code == 3, run.stderr
    found = {stream["stream"]: stream for stream in json.loads(run.stdout)["streams"]}
    unreadable = {name: stream["note"] for name, stream in found.items() if not stream["can_be_read"]}
    assert unreadable.keys() == {"posts_comments", "finance_contacts"}
    assert "has no list posts/posts, which posts/comments is listed by" in unreadable["posts_comments"]
    assert "has no values of the parameter contact_type" in unreadable["finance_contacts"]


def test_without_what_divides_it_a_stream_would_give_each_parent_all_rows(
    read: Callable[..., Run], document: dict[str, Any]
) -> None:
    documents.without_parameter(document, "tasks/task_files", "task_id")
    run = read("tasks_task_files")
    assert run.code == 1
    assert not run.records
    assert "has no parameter task_id of tasks/task_files" in run.stderr.splitlines()[-1]


def test_without_its_key_a_stream_fails_and_the_catalog_is_there(
    read: Callable[..., Run], document: dict[str, Any]
) -> None:
    del documents.row(document, "job_catalog/tree_nodes")["properties"]["uuid"]
    run = read("job_catalog_tree_nodes", "teams")
    assert run.code == 1
    assert run.records["teams"]
    assert "has no field uuid of job_catalog/tree_nodes" in run.stderr.splitlines()[-1]


def test_a_key_of_no_certain_type_is_one(read: Callable[..., Run], document: dict[str, Any]) -> None:
    documents.row(document, "job_catalog/tree_nodes")["properties"]["uuid"] = {"type": ["string", "integer"]}
    run = read("job_catalog_tree_nodes")
    assert run.code == 0, run.stderr
    assert all(record["uuid"] for record in run.records["job_catalog_tree_nodes"])


def test_two_resources_of_one_name_are_an_error(read: Callable[..., Run], document: dict[str, Any]) -> None:
    both = ("payroll/employees_identifiers", "payroll_employees/identifiers")
    teams = copy.deepcopy(document["paths"][documents.address(document, "teams/teams")])
    document["paths"][documents.address(document, both[0])] = teams
    run = read("teams")
    assert (run.code, run.stdout) == (1, "")
    assert "Traceback" not in run.stderr
    assert ", ".join(both) in run.stderr.splitlines()[-1]


def test_a_reference_to_what_is_no_object_is_followed(read: Callable[..., Run], document: dict[str, Any]) -> None:
    fields = documents.row(document, "tasks/tasks")["properties"]
    document["components"]["schemas"]["tasks_status"] = fields["status"]
    fields["status"] = {"$ref": "#/components/schemas/tasks_status"}
    run = read("tasks")
    assert run.code == 0, run.stderr
    assert all(isinstance(record["status"], str) for record in run.records["tasks"])


def test_a_row_in_itself_ends_somewhere(document: dict[str, Any]) -> None:
    listed = documents.content(document, "employees/employees")["schema"]["properties"]["data"]["items"]
    fields = documents.row(document, "employees/employees")["properties"]
    fields["manager"] = dict(listed)
    fields["reports"] = {"type": "array", "items": dict(listed)}
    parsed = openapi.Document(document)
    schema = parsed.schema("employees/employees")["properties"]
    assert schema["manager"] == {"type": ["object", "null"]}
    assert schema["reports"] == {"type": ["array", "null"], "items": {"type": ["object", "null"]}}
    assert not [name for name in parsed.values("employees/employees") if name.startswith(("manager", "reports"))]


def test_the_document_has_all_that_the_tap_rests_on() -> None:
    document = openapi.load()
    for path, listed in document.resources.items():
        fields = document.field_names(path)
        needs = list(needs_of(describe(listed, fields), fields))
        assert [need.lack(document) for need in needs if need.lack(document)] == []
