"""The classes of fields as a schema.yml for dbt, by the command `export-dbt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.support.numbers import STREAMS

if TYPE_CHECKING:
    from tests.support.tap import TapRunner

COLUMN = {"name", "config"}
"""What dbt documents of a column of a source, and we use."""


def exported(tap: TapRunner, config: dict[str, Any], *options: str, catalog: Any = None) -> dict[str, dict[str, Any]]:
    """The columns of each table, by name; once it is sure that all is of the documented form."""
    run = tap(config, "export-dbt", *options, catalog=catalog)
    assert run.code == 0, run.stderr
    assert run.stderr == ""
    loaded = yaml.safe_load(run.stdout)
    assert loaded.keys() == {"version", "sources"}
    assert loaded["version"] == 2
    (source,) = loaded["sources"]
    assert source.keys() == {"name", "schema", "tables"}
    assert all(table.keys() == {"name", "columns"} for table in source["tables"])
    for table in source["tables"]:
        for column in table["columns"]:
            assert {"name"} <= column.keys() <= COLUMN
            assert column.get("config", {}).keys() <= {"meta", "tags"}
            assert all(isinstance(tag, str) for tag in column.get("config", {}).get("tags", []))
    return {
        table["name"]: {column["name"]: column.get("config", {}) for column in table["columns"]}
        for table in source["tables"]
    }


def test_every_column_has_its_class_in_meta_and_in_tags(tap: TapRunner) -> None:
    tables = exported(tap, {})
    assert len(tables) == STREAMS
    assert tables["employees"]["email"] == {
        "meta": {"privacy_class": "user.contact.email", "special_category": False},
        "tags": ["user.contact.email"],
    }
    assert tables["employees"]["disability_percentage_cents"]["tags"] == ["user.health_and_medical", "special_category"]
    assert tables["teams"]["name"]["tags"] == []
    nested = tables["timeoff_leaves"]["duration_by_day_attributes"]["meta"]["fields"]
    assert nested["used_units_by_day.days"] == {"privacy_class": "user.workplace.absence", "special_category": False}
    assert not [column for columns in tables.values() for column in columns.values() if not column]


def test_columns_are_those_of_the_records(tap: TapRunner) -> None:
    key = "a key that is nobody's business"
    config = {"drop_classes": ["user.contact"], "hash_classes": ["user.name", "user.unique_id"], "hash_key": key}
    catalog = tap.catalog("employees", "teams")
    for entry in catalog["streams"]:
        for part in entry["metadata"]:
            if part["breadcrumb"] == ["properties", "gender"]:
                part["metadata"]["selected"] = False
    tables = exported(tap, config, catalog=catalog)
    assert tables.keys() == {"employees", "teams"}
    assert not {"email", "gender", "phone_number"} & tables["employees"].keys()
    assert tables["employees"]["first_name"]["meta"]["hashed"] is True
    assert tables["teams"]["employee_ids"]["meta"]["hashed"] is True
    assert "hashed" not in tables["employees"]["nationality"]["meta"]
    run = tap(config, "export-dbt", "--source", "hr", "--schema", "raw_hr")
    assert key not in run.stdout
    source = yaml.safe_load(run.stdout)["sources"][0]
    assert (source["name"], source["schema"]) == ("hr", "raw_hr")


def test_stream_maps_and_flattening_are_followed(tap: TapRunner) -> None:
    config = {
        "stream_maps": {"employees": {"__alias__": "people", "initial": "first_name[0]"}, "teams": None},
        "flattening_enabled": True,
        "flattening_max_depth": 2,
    }
    tables = exported(tap, config, catalog=tap.catalog("employees", "teams", "timeoff_leaves"))
    assert tables.keys() == {"people", "timeoff_leaves"}
    assert tables["people"]["email"]["tags"] == ["user.contact.email"]
    assert tables["people"]["initial"] == {}
    flat = tables["timeoff_leaves"]["duration_by_day_attributes__used_units_by_day__days"]
    assert flat["tags"] == ["user.workplace.absence"]


def test_what_is_wrong_is_one_line(tap: TapRunner) -> None:
    for config, options, told in (
        ({"drop_classes": ["user.finance"]}, [], "unknown class, user.finance"),
        ({}, ["--catalog", tap.file("catalog.json", {"streams": 1})], "--catalog"),
    ):
        run = tap(config, "export-dbt", *options)
        assert run.code == 1
        assert run.stdout == ""
        assert told in run.stderr
        assert len(run.stderr.splitlines()) == 1
