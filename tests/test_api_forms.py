"""An API document in other forms than ours: read as the same, or refused in one line that says where."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr import openapi
from tests.support import documents
from tests.support.documents import address as address_of
from tests.support.documents import content, listing, row

if TYPE_CHECKING:
    from pathlib import Path

NEXT = documents.NEXT
SENTENCE = "The person's first name, as it stands in the passport."
S = "#/components/schemas/"


def rows_of_all_of(document: dict[str, Any], path: str) -> None:
    schema = row(document, path)
    first, *others = schema.pop("properties").items()
    document["components"]["schemas"]["base"] = {"type": "object", "properties": dict([first])}
    name = content(document, path)["schema"]["properties"]["data"]["items"]["$ref"].removeprefix(S)
    document["components"]["schemas"][name] = {"allOf": [{"$ref": f"{S}base"}, {**schema, "properties": dict(others)}]}


def rows_of_another_name(document: dict[str, Any], path: str) -> None:
    data = content(document, path)["schema"]["properties"]["data"]
    document["components"]["schemas"] |= {"alias": data["items"], "again": {"$ref": f"{S}alias"}}
    data["items"] = {"$ref": f"{S}again"}


def rows_without_a_name(document: dict[str, Any], path: str) -> None:
    content(document, path)["schema"]["properties"]["data"]["items"] = row(document, path)


def an_answer_of_a_name(document: dict[str, Any], path: str) -> None:
    document["components"]["schemas"]["answer"] = content(document, path)["schema"]
    content(document, path)["schema"] = {"$ref": f"{S}answer"}


def a_response_of_a_name(document: dict[str, Any], path: str) -> None:
    document["components"]["responses"] = {"rows": listing(document, path)["responses"]["200"]}
    listing(document, path)["responses"]["200"] = {"$ref": "#/components/responses/rows"}


def another_status(document: dict[str, Any], path: str) -> None:
    responses = listing(document, path)["responses"]
    responses["default"] = responses.pop("200")


def any_kind(document: dict[str, Any], path: str) -> None:
    response = listing(document, path)["responses"]["200"]
    response["content"] = {"*/*": response["content"]["application/json"]}


def a_field_beside_its_description(document: dict[str, Any], path: str) -> None:
    fields = row(document, path)["properties"]
    fields["name"] = {"allOf": [fields["name"], {"description": SENTENCE}]}


def a_parameter_of_a_name(document: dict[str, Any], path: str) -> None:
    parameters = listing(document, path)["parameters"]
    document["components"]["parameters"] = {"one": parameters[0]}
    parameters[0] = {"$ref": "#/components/parameters/one"}


@pytest.mark.parametrize(
    "form",
    [
        rows_of_all_of,
        rows_of_another_name,
        rows_without_a_name,
        an_answer_of_a_name,
        a_response_of_a_name,
        another_status,
        any_kind,
        a_field_beside_its_description,
        a_parameter_of_a_name,
    ],
)
def test_the_same_in_another_form_comes_to_the_same(bring_in: Any, document: dict[str, Any], form: Any) -> None:
    form(document, "locations/locations")
    code, told = bring_in(document)
    assert code == 0
    assert "- Nothing that the tap reads." in told
    assert "To be decided:\n\n- Nothing." in told
    assert "Not taken in" not in told


def test_reads_that_are_no_lists_are_named_and_the_others_come_in(bring_in: Any, document: dict[str, Any]) -> None:
    teams = listing(document, "teams/teams")
    summary, picture = copy.deepcopy(teams), copy.deepcopy(teams)
    summary["responses"]["200"]["content"]["application/json"]["schema"] = {"type": "object", "properties": {}}
    picture["responses"]["200"]["content"] = {"image/png": {}}
    document["paths"] |= {
        address_of(document, "teams/summary"): {"get": summary},
        address_of(document, "teams/picture"): {"get": picture},
        address_of(document, "teams/teams/history"): {"get": teams},
    }
    code, told = bring_in(document)
    assert code == 0
    assert "- Nothing that the tap reads." in told
    left_out = told.partition("Not taken in:")[2]
    assert f"- `GET {address_of(document, 'teams/summary')}`: its answer is no list of rows." in left_out
    assert f"- `GET {address_of(document, 'teams/picture')}`: its answer is no JSON." in left_out
    assert f"- `GET {address_of(document, 'teams/teams/history')}`: its address is not that of" in left_out


def test_a_schema_that_holds_itself_comes_in(bring_in: Any, document: dict[str, Any]) -> None:
    employee = content(document, "employees/employees")["schema"]["properties"]["data"]["items"]
    row(document, "employees/employees")["properties"] |= {
        "boss": employee,
        "reports": {"type": "array", "items": employee},
    }
    code, told = bring_in(document)
    assert code == 0
    assert "- `employees`: new `boss` (object), `reports` (list of object)." in told


def set_at(*steps: str, to: Any) -> Any:
    """Sets a value somewhere in the list of teams, or with a first step `row` in their rows."""

    def change(document: dict[str, Any]) -> None:
        *others, last = steps
        node = row(document, "teams/teams") if others[:1] == ["row"] else document
        for step in others[1:] if others[:1] == ["row"] else others:
            node = node[step]
        node[last] = to

    return change


TEAMS = f"/api/{NEXT}/resources/teams/teams"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (set_at("paths", TEAMS, to=None), f"at paths > {TEAMS} there should be an object"),
        (set_at("paths", TEAMS, "get", to="x"), f"at paths > {TEAMS} > get there should be an object"),
        (set_at("paths", TEAMS, "get", "parameters", to=None), "> get > parameters there should be a list"),
        (set_at("paths", TEAMS, "get", "responses", "200", to=[]), "> responses > 200 there should be an object"),
        (set_at("row", "properties", to=[]), "> teams_team > properties there should be an object"),
        (set_at("row", "properties", "name", "required", to=True), "> properties > name > required there should be a"),
        (set_at("row", "properties", "name", "enum", to=None), "> properties > name > enum there should be a list"),
        (set_at("row", "properties", "name", "enum", to=[{}]), "> properties > name > enum there should be texts or"),
        (set_at("row", "properties", "name", "type", to={}), "> properties > name > type there should be a list"),
        (set_at("row", "properties", "name", to={"$ref": 5}), "> properties > name > $ref there should be a text"),
        (set_at("row", "properties", "name", to={"$ref": "o.json#/A"}), "it refers to o.json#/A, which it does not"),
        (set_at("row", "properties", "name", to={"$ref": f"{S}Nope"}), f"it refers to {S}Nope, which it does not hold"),
        (set_at("components", to=[1]), "at components there should be an object"),
        (set_at("components", "schemas", "teams_team", to={"$ref": f"{S}teams_team"}), "go round in a circle"),
        (
            set_at(
                "components", "schemas", "teams_team", to={"allOf": [{"$ref": f"{S}teams_team"}, {"type": "object"}]}
            ),
            "the schema teams_team is made of itself",
        ),
        (set_at("row", "properties", "name", to={"allOf": [{"type": "string"}, {"type": "object"}]}), "differ in type"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_says_where(
    bring_in: Any, document: dict[str, Any], folder: Path, change: Any, where: str
) -> None:
    change(document)
    code, told = bring_in(document)
    assert code == 1
    assert where in told
    assert told.count("\n") == 1
    assert [file.stem for file in folder.iterdir()] == [openapi.DEFAULT_VERSION]


def test_the_form_of_openapi_3_0_comes_to_the_same(bring_in: Any, document: dict[str, Any]) -> None:
    """Nullable types, and a reference in a wrapping."""
    for schema in document["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            if "$ref" in field:
                schema["properties"][name] = {"allOf": [field], "nullable": True}
            else:
                field["nullable"] = True
    _, told = bring_in(document)
    assert "- Nothing that the tap reads." in told


def test_a_mark_of_the_encoding_is_passed_over(bring_in: Any, document: dict[str, Any]) -> None:
    code, _ = bring_in("\ufeff" + json.dumps(document))
    assert code == 0
