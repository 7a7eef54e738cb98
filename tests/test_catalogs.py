"""Catalogs that people and older versions of the tap made: followed, or refused in one line before a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr.sandbox import Company, Sandbox
from tests.support.tap import TapRunner, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def company() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=6)) as sandbox:
        yield sandbox


def edited(tap: TapRunner, stream: str, *, without: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    """A catalog with one stream selected, some of its fields taken out, and its entry changed."""
    catalog = tap.catalog(stream)
    (entry,) = [entry for entry in catalog["streams"] if entry["tap_stream_id"] == stream]
    for name in without:
        del entry["schema"]["properties"][name]
    entry["metadata"] = [part for part in entry["metadata"] if not set(part["breadcrumb"]) & set(without)]
    for part in entry["metadata"]:
        if not part["breadcrumb"]:
            part["metadata"] |= changes.pop("metadata", {})
    entry |= changes
    return catalog


@pytest.mark.parametrize(
    ("stream", "changes", "told"),
    [
        (
            "employees",
            {"replication_key": "id"},
            "employees cannot be read by changes of id, but by those of updated_at",
        ),
        ("employees", {"replication_key": "no_such"}, "but by those of updated_at"),
        ("employees", {"replication_key": None, "metadata": {"replication-key": "id"}}, "but by those of updated_at"),
        (
            "teams",
            {"replication_method": "INCREMENTAL", "replication_key": "updated_at"},
            "teams cannot be read by changes of updated_at, but only whole",
        ),
        ("teams", {"replication_method": "LOG_BASED"}, "teams cannot be read by the method LOG_BASED"),
        ("teams", {"key_properties": ["no_such"]}, "teams has no field no_such, to be a key"),
        ("teams", {"key_properties": [], "metadata": {"table-key-properties": ["no_such"]}}, "has no field no_such"),
    ],
)
def test_what_a_stream_cannot_do_is_refused_before_a_request(
    tap: TapRunner, company: Sandbox, stream: str, changes: dict[str, Any], told: str
) -> None:
    company.clear()
    run = tap(config_for(company), catalog=edited(tap, stream, **changes))
    assert run.code == 1
    assert told in run.stderr.splitlines()[-1]
    assert "the catalog" in run.stderr.splitlines()[-1]
    assert company.requests == []


@pytest.mark.parametrize("stream", ["employees", "teams"])
def test_a_method_that_is_set_for_all_streams_is_followed_where_it_can_be(
    tap: TapRunner, company: Sandbox, stream: str
) -> None:
    """Meltano's metadata extra takes ``"*"``; streams that are read whole can only be read whole."""
    changes: dict[str, Any] = {"replication_method": None, "metadata": {"forced-replication-method": "INCREMENTAL"}}
    config = config_for(company)
    run = tap(config, catalog=edited(tap, stream, **changes))
    assert run.code == 0, run.stderr
    assert run.records[stream]
    assert ("replication_key_value" in run.state.get("bookmarks", {}).get(stream, {})) == (stream == "employees")
    again = tap(config, catalog=edited(tap, stream, **changes), state=run.state)
    assert again.code == 0, again.stderr


def test_a_full_table_stays_one(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company)
    run = tap(config, catalog=edited(tap, "employees", replication_method="FULL_TABLE", replication_key=None))
    assert run.code == 0, run.stderr
    assert "replication_key_value" not in run.state.get("bookmarks", {}).get("employees", {})


def test_an_older_catalog_leaves_newer_fields_out_and_says_that_it_does(tap: TapRunner, company: Sandbox) -> None:
    run = tap(config_for(company), catalog=edited(tap, "employees", without=("full_name", "country")))
    assert run.code == 0, run.stderr
    assert "full_name" not in run.records["employees"][0]
    (line,) = [line for line in run.stderr.splitlines() if "full_name" in line]
    assert "employees: fields left out, as the catalog does not have them: country, full_name; discover it anew" in line
    assert "API document" not in run.stderr


@pytest.mark.parametrize("replication", [{}, {"replication_key": None, "replication_method": None}])
def test_a_catalog_without_the_replication_key_gets_it_and_bookmarks(
    tap: TapRunner, company: Sandbox, replication: dict[str, Any]
) -> None:
    catalog = edited(tap, "employees", without=("updated_at", "id"), **replication)
    run = tap(config_for(company), catalog=catalog)
    assert run.code == 0, run.stderr
    assert {"id", "updated_at"} <= run.records["employees"][0].keys()
    assert run.state["bookmarks"]["employees"]["replication_key_value"]
    (schema,) = run.of_type("SCHEMA")
    assert {"id", "updated_at"} <= schema["schema"]["properties"].keys()
    assert schema["key_properties"] == ["id"]


def test_a_run_that_has_nothing_to_read_says_so(tap: TapRunner, company: Sandbox) -> None:
    company.clear()
    run = tap(config_for(company), catalog=tap.catalog())
    assert run.code == 0, run.stderr
    assert "no stream is selected" in run.stderr
    assert [message["type"] for message in run.messages] == ["STATE"]
    assert not company.requests
