"""The classes of fields as dbt reads them: properties of a source, with ``meta`` and ``tags`` for each column.

The form is that of dbt's documentation of source properties, with the ``meta`` and ``tags`` of a column in its
``config``, as dbt has it since 1.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_factorialhr import fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_factorialhr.fields import Field

    JsonSchema = dict[str, Any]


def source(name: str, schema: str, tables: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The whole of a ``schema.yml``.

    Args:
        name: What dbt is to call the source.
        schema: The schema that the tables are in.
        tables: The tables, as `table` makes them.
    """
    return {"version": 2, "sources": [{"name": name, "schema": schema, "tables": list(tables)}]}


def table(name: str, schema: JsonSchema, facts: Mapping[str, Field], hashed: Iterable[str]) -> dict[str, Any]:
    """One table with its columns.

    Args:
        name: Its name.
        schema: The schema of its records.
        facts: What is known of fields, by dotted name.
        hashed: The fields, by dotted name, of which only hashes are written.
    """
    hashes = frozenset(hashed)
    return {
        "name": name,
        "columns": [_column(column, column, inner, facts, hashes) for column, inner in schema["properties"].items()],
    }


def _column(
    name: str, path: str, schema: JsonSchema, facts: Mapping[str, Field], hashed: frozenset[str]
) -> dict[str, Any]:
    meta = _meta(path, facts.get(path), hashed)
    if inside := _inside(path, schema, facts, hashed):
        meta["fields"] = inside
    tags = _tags([facts[one] for one in (path, *_paths(path, schema)) if one in facts])
    return {"name": name, **({"config": {"meta": meta, "tags": tags}} if meta else {})}


def _meta(path: str, fact: Field | None, hashed: frozenset[str]) -> dict[str, Any]:
    if fact is None:
        return {}
    meta: dict[str, Any] = {"privacy_class": fact.privacy_class, "special_category": fact.special}
    return {**meta, "hashed": True} if path in hashed else meta


def _inside(
    path: str, schema: JsonSchema, facts: Mapping[str, Field], hashed: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """What is known of the fields inside a column of JSON, by dotted name from the column on."""
    return {one.removeprefix(f"{path}."): _meta(one, facts.get(one), hashed) for one in _paths(path, schema)}


def _paths(path: str, schema: JsonSchema) -> list[str]:
    """The fields inside an object, or inside the objects of a list, that have no others inside."""
    while "items" in schema:
        schema = schema["items"]
    found = []
    for name, inner in (schema.get("properties") or {}).items():
        found += _paths(f"{path}.{name}", inner) or [f"{path}.{name}"]
    return found


def _tags(facts: list[Field]) -> list[str]:
    """What models can be selected by: the classes of persons that are in a column, and whether one is special."""
    classes = {fact.privacy_class for fact in facts if not fields.covers(fields.NOT_PERSONAL, fact.privacy_class)}
    special = ["special_category"] if any(fact.special for fact in facts) else []
    return [*sorted(classes), *special]
