"""Another version of the API document: brought in as facts, with what changed and what is to be decided."""

from __future__ import annotations

import copy
import json
import resource
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from scripts.api_document import main
from tap_factorialhr import openapi
from tests.support import documents
from tests.support.documents import address as address_of
from tests.support.documents import listing, parameter, row, without_parameter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEXT = documents.NEXT
SENTENCE = "The person's first name, as it stands in the passport."


def test_the_same_document_brings_nothing_new(bring_in: Any, document: dict[str, Any], folder: Path) -> None:
    code, told = bring_in(document)
    assert code == 0
    assert "- Nothing that the tap reads." in told
    assert "To be decided:\n\n- Nothing." in told
    written = json.loads((folder / f"{NEXT}.json").read_text())
    assert written["paths"] == document["paths"]
    assert written["components"] == document["components"]


def test_ours_is_as_it_would_be_written(bring_in: Any, document: dict[str, Any], folder: Path) -> None:
    """Otherwise the next version would move streams in every table that is made of it."""
    bring_in(document)
    ours = (openapi.DOCUMENTS / f"{openapi.DEFAULT_VERSION}.json").read_text()
    assert (folder / f"{NEXT}.json").read_text().replace(NEXT, openapi.DEFAULT_VERSION) == ours


def test_what_changed_is_told_per_stream(bring_in: Any, document: dict[str, Any]) -> None:
    teams = row(document, "teams/teams")["properties"]
    teams["budget_in_cents"] = {"type": "integer"}
    del teams["description"]
    teams["name"] = {"type": "array", "items": {"type": "string"}}
    listing(document, "teams/teams")["parameters"].append(
        {"name": "depth", "in": "query", "required": False, "schema": {"type": "integer"}}
    )
    del document["paths"][f"/api/{NEXT}/resources/ats/answers"]
    code, told = bring_in(document)
    assert code == 0
    assert (
        "- `teams`: new `budget_in_cents` (integer); gone `description`; `name` is now list of string, was string; "
        "new parameters `depth`." in told
    )
    assert "- Gone streams: `ats_answers`." in told
    assert "- `teams` has fields without a privacy class: `budget_in_cents`." in told


def test_nested_fields_and_values_of_enumerations_are_told(bring_in: Any, document: dict[str, Any]) -> None:
    row(document, "tasks/tasks")["properties"]["status"]["enum"].append("on_hold")
    row(document, "timeoff/leaves")["properties"]["reviewer"] = {
        "type": "object",
        "properties": {"first_name": {"type": "string"}},
    }
    _, told = bring_in(document)
    assert "- `tasks`: `status` also takes `on_hold`." in told
    assert "new `reviewer` (object), `reviewer.first_name` (string)" in told


def test_what_needs_a_decision_is_named(bring_in: Any, document: dict[str, Any]) -> None:
    listing(document, "teams/teams")["parameters"] += [
        {"name": "legal_entity_id", "in": "query", "required": True, "schema": {"type": "string"}},
        {"name": "updated_after", "in": "query", "required": False, "schema": {"type": "string"}},
        {"name": "changed_since", "in": "query", "required": False, "schema": {"type": "string"}},
        {"name": "office_ids[]", "in": "query", "required": False, "schema": {"type": "array"}},
    ]
    new = copy.deepcopy(listing(document, "teams/teams"))
    schema = copy.deepcopy(row(document, "teams/teams"))
    del schema["properties"]["id"]
    document["components"]["schemas"]["desks_desk"] = schema
    new["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"]["items"] = {
        "$ref": "#/components/schemas/desks_desk"
    }
    document["paths"][f"/api/{NEXT}/resources/desks/desks"] = {"get": new}
    employees = listing(document, "employees/employees")
    employees["parameters"] = [one for one in employees["parameters"] if one["name"] != "only_active"]
    _, told = bring_in(document)
    decisions = told.partition("To be decided:")[2]
    assert "`desks` has no `id`" in decisions
    assert "`teams` requires `legal_entity_id`" in decisions
    assert "`teams` can be asked for changes by `updated_after`" in decisions
    assert "`employees` rests on what is not there: the document has no parameter only_active" in decisions
    for name in ("teams", "desks"):
        assert f"`{name}` can be asked for by `changed_since`, which the tap does not send" in decisions
    assert "office_ids" not in decisions
    assert "- New streams: `desks`." in told


def no_values(schema: dict[str, Any]) -> None:
    schema.get("items", schema).pop("enum")


def other_values(schema: dict[str, Any]) -> None:
    schema.get("items", schema)["enum"] = ["other"]


def a_string(schema: dict[str, Any]) -> None:
    schema.clear()
    schema["type"] = "string"


@pytest.mark.parametrize(
    ("at", "change", "decision"),
    [
        (
            ("finance/contacts", "contact_type"),
            no_values,
            "`finance_contacts` can no longer be read: the document has no values",
        ),
        (
            ("finance/categories", "statuses[]"),
            no_values,
            "`finance_categories` can no longer be read: the document has",
        ),
        (("finance/categories", "category_level"), other_values, "has no value all of the parameter category_level"),
        (
            ("posts/comments", "post_ids[]"),
            a_string,
            "`post_ids[]`, which its rows are listed by: it is now string, was",
        ),
        (
            ("employees/employees", "only_active"),
            a_string,
            "`only_active`, which is always sent: it is now string, was",
        ),
    ],
)
def test_a_parameter_that_the_tap_rests_on_and_that_is_another_is_to_be_decided(
    bring_in: Any, document: dict[str, Any], at: tuple[str, str], change: Any, decision: str
) -> None:
    change(parameter(document, *at)["schema"])
    _, told = bring_in(document)
    assert decision in told.partition("To be decided:")[2]


@pytest.mark.parametrize(
    ("path", "name", "use"),
    [
        ("employees/employees", "updated_at_gteq", "which asks for changes"),
        ("tasks/task_files", "task_id", "which its rows are listed by"),
        ("attendance/shifts", "end_on", "which its rows are listed by"),
        ("finance/contacts", "contact_type", "which its rows are listed by"),
        ("timeoff/policy_timelines", "reference_date", "which is sent with the day of the run"),
        ("integrations/sync_runs", "created_at_gteq", "which is sent with the start_date"),
    ],
)
def test_a_parameter_that_the_tap_rests_on_and_that_is_gone_is_to_be_decided(
    bring_in: Any, document: dict[str, Any], path: str, name: str, use: str
) -> None:
    without_parameter(document, path, name)
    _, told = bring_in(document)
    assert f"the document has no parameter {name} of {path}, {use}" in told.partition("To be decided:")[2]


@pytest.mark.parametrize(
    ("path", "name", "use"),
    [
        ("employees/employees", "updated_at", "which bookmarks are taken from"),
        ("job_catalog/tree_nodes", "uuid", "which job_catalog/node_attributes is listed by"),
        ("project_management/projects", "name", "which tells the parents of project_management/exportable_expenses"),
        ("api_public/credentials", "company_id", "which contracts/materialized_templates is listed by"),
    ],
)
def test_a_field_that_the_tap_rests_on_and_that_is_gone_is_to_be_decided(
    bring_in: Any, document: dict[str, Any], path: str, name: str, use: str
) -> None:
    del row(document, path)["properties"][name]
    _, told = bring_in(document)
    assert f"the document has no field {name} of {path}, {use}" in told.partition("To be decided:")[2]


def test_a_field_of_bookmarks_that_is_another_is_to_be_decided(bring_in: Any, document: dict[str, Any]) -> None:
    row(document, "employees/employees")["properties"]["updated_at"] = {"type": "integer"}
    _, told = bring_in(document)
    assert "`updated_at`, which bookmarks are taken from: it is now integer, was" in told


@pytest.mark.parametrize(
    ("parent", "children"),
    [
        ("posts/posts", ["posts_comments"]),
        ("contracts/contract_versions", ["contracts_contract_version_meta_data"]),
        ("api_public/credentials", ["contracts_materialized_templates", "marketplace_installation_settings"]),
    ],
)
def test_streams_whose_parent_is_gone_are_to_be_decided(
    bring_in: Any, document: dict[str, Any], parent: str, children: list[str]
) -> None:
    del document["paths"][address_of(document, parent)]
    _, told = bring_in(document)
    for child in children:
        assert f"- `{child}` can no longer be read: the document has no list {parent}, which" in told


def test_resources_that_would_become_one_stream_are_to_be_decided(bring_in: Any, document: dict[str, Any]) -> None:
    document["paths"][address_of(document, "payroll/employees_identifiers")] = {"get": listing(document, "teams/teams")}
    _, told = bring_in(document)
    assert (
        "- `payroll/employees_identifiers`, `payroll_employees/identifiers` would become one stream, "
        "`payroll_employees_identifiers`" in told
    )


def test_values_and_kinds_of_parameters_are_told(bring_in: Any, document: dict[str, Any]) -> None:
    kinds = parameter(document, "finance/contacts", "contact_type")["schema"]["enum"]
    gone = kinds.pop()
    kinds.append("partner")
    a_string(parameter(document, "posts/comments", "post_ids[]")["schema"])
    row(document, "teams/teams")["properties"]["name"]["enum"] = ["one"]
    _, told = bring_in(document)
    assert "the parameter `contact_type` also takes `partner`" in told
    assert f"the parameter `contact_type` no longer takes `{gone}`" in told
    assert "- `posts_comments`: the parameter `post_ids[]` is now string, was list of string." in told
    assert "- `teams`: `name` now names its values." in told


def test_a_name_is_shown_whatever_is_in_it(bring_in: Any, document: dict[str, Any]) -> None:
    row(document, "teams/teams")["properties"]["od`d\nname\x1b[31m"] = {"type": "string"}
    _, told = bring_in(document)
    assert "- `teams`: new `od'd\\nname\\x1b[31m` (string)." in told
    assert "\x1b" not in told


def test_a_document_that_was_amended_is_compared_with_itself(
    document: dict[str, Any], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row(document, "teams/teams")["properties"]["budget_in_cents"] = {"type": "integer"}
    same = openapi.DEFAULT_VERSION
    (tmp_path / "new.json").write_text(json.dumps(document).replace(NEXT, same))
    assert main([same, "--file", str(tmp_path / "new.json"), "--into", str(folder)]) == 0
    told = capsys.readouterr().out
    assert f"### API version {same}, compared with the same as it was" in told
    assert "- `teams`: new `budget_in_cents` (integer)." in told
    assert "budget_in_cents" in (folder / f"{same}.json").read_text()


def test_what_is_to_be_decided_can_be_asked_for_again(bring_in: Any, document: dict[str, Any]) -> None:
    row(document, "teams/teams")["properties"]["budget_in_cents"] = {"type": "integer"}
    _, first = bring_in(document)
    assert "without a privacy class: `budget_in_cents`" in first
    _, again = bring_in(document, "--compare", openapi.DEFAULT_VERSION)
    assert again == first


def test_no_sentence_comes_in(bring_in: Any, document: dict[str, Any], folder: Path) -> None:
    document["info"]["description"] = SENTENCE
    operation = listing(document, "employees/employees")
    operation |= {"summary": SENTENCE, "description": SENTENCE}
    operation["parameters"][0] |= {"description": SENTENCE, "example": SENTENCE}
    field = row(document, "employees/employees")["properties"]["first_name"]
    field |= {"description": SENTENCE, "title": SENTENCE, "example": SENTENCE, "x-note": SENTENCE}
    document["paths"][f"/api/{NEXT}/resources/teams/teams"]["post"] = {"description": SENTENCE}
    document["components"]["schemas"]["unused"] = {"type": "object", "description": SENTENCE}
    code, told = bring_in(document)
    assert code == 0
    assert "- Nothing that the tap reads." in told
    written = (folder / f"{NEXT}.json").read_text()
    assert SENTENCE not in written
    assert "description" in row(json.loads(written), "teams/teams")["properties"], "a field of that name is a fact"


def test_a_dry_run_writes_nothing(bring_in: Any, document: dict[str, Any], folder: Path) -> None:
    code, _ = bring_in(document, "--dry-run")
    assert code == 0
    assert [file.stem for file in folder.iterdir()] == [openapi.DEFAULT_VERSION]


def test_what_is_compared_with_and_is_broken_is_one_line(bring_in: Any, document: dict[str, Any], folder: Path) -> None:
    before = folder / f"{openapi.DEFAULT_VERSION}.json"
    for broken, why in ((before.read_text()[:99], "is not JSON"), ("{}", "is broken")):
        before.write_text(broken)
        code, told = bring_in(document)
        assert code == 1
        assert str(before) in told
        assert why in told
        assert told.count("\n") == 1


def test_a_disk_that_is_full_leaves_what_was_there(
    document: dict[str, Any], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = openapi.DEFAULT_VERSION
    before = (folder / f"{same}.json").read_bytes()
    (tmp_path / "new.json").write_text(json.dumps(document).replace(NEXT, same))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        code = main([same, "--file", str(tmp_path / "new.json"), "--into", str(folder)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    told = capsys.readouterr().err
    assert "cannot be written" in told
    assert told.count("\n") == 1
    assert [file.name for file in folder.iterdir()] == [f"{same}.json"]
    assert (folder / f"{same}.json").read_bytes() == before


@pytest.mark.parametrize("version", ["2027-13-45", "2027-1-1", "20270101", "next"])
def test_a_version_is_a_day(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([version, "--dry-run"])
    assert f"{version} is no version" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "is not JSON"),
        ([], "it is no OpenAPI document"),
        ({"paths": {}}, "it has no lists of resources"),
        ({"paths": {"/api/2020-01-01/resources/a/b": {}}}, f"it is of version 2020-01-01, not of {NEXT}"),
    ],
)
def test_what_is_no_document_is_one_line_and_writes_nothing(bring_in: Any, bad: object, why: str, folder: Path) -> None:
    code, told = bring_in(bad)
    assert code == 1
    assert why in told
    assert told.count("\n") == 1
    assert [file.stem for file in folder.iterdir()] == [openapi.DEFAULT_VERSION]


@pytest.fixture
def address(document: dict[str, Any]) -> Iterator[str]:
    """A server that serves the document as Factorial does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == f"/oas/?version={NEXT}"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode() if found else b"")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/oas/"
        server.shutdown()


def test_it_is_fetched_from_its_address(address: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([NEXT, "--address", address, "--into", str(folder)]) == 0
    assert (folder / f"{NEXT}.json").exists()
    assert main(["2027-04-01", "--address", address, "--into", str(folder)]) == 1
    assert "answers with HTTP 404" in capsys.readouterr().err
