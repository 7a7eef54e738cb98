"""What the rows of each resource look like, read from the API document itself.

The tap's own reading of the document (``Document.schema``) is not used: a mistake in it must not be mirrored
in what tests it. Only the list of resources and their parameters are shared, and which strings are dates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from tap_factorialhr import fields, openapi

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOO_DEEP = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """One field of a row.

    Attributes:
        kind: ``string``, ``integer``, ``number``, ``boolean``, ``array``, ``object``, or ``unknown``.
        values: The values that the document names, empty when any is allowed.
        format: ``date-time``, ``date``, ``time`` or None.
        required: Whether the document promises the field.
        item: The shape of one item of an array.
        fields: The fields of an object.
    """

    kind: str
    values: tuple[str, ...] = ()
    format: str | None = None
    required: bool = False
    item: Shape | None = None
    fields: Mapping[str, Shape] = field(default_factory=dict)


@cache
def _schemas(version: str) -> Mapping[str, Any]:
    document = msgspec.json.decode((openapi.DOCUMENTS / f"{version}.json").read_bytes())
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    return schemas


@cache
def row(resource: str, version: str = openapi.DEFAULT_VERSION) -> Mapping[str, Shape]:
    """The top-level fields of a resource's rows, in the document's order.

    Raises:
        KeyError: The document has no such list resource.
    """
    formats = {name: known.format for name, known in fields.of_resource(resource).items()}
    return _fields(openapi.load(version).resources[resource].row, version, formats, 0)


def _fields(name: str, version: str, formats: Mapping[str, str | None], depth: int) -> Mapping[str, Shape]:
    schema = _schemas(version)[name]
    required = frozenset(schema.get("required", ()))
    return {
        key: _shape(raw, formats.get(key) or _plain_format(key), key in required, version, depth)
        for key, raw in schema.get("properties", {}).items()
    }


def _shape(raw: Mapping[str, Any], format_: str | None, required: bool, version: str, depth: int) -> Shape:  # noqa: FBT001 - a fact of the field, passed on by position through a recursion
    if "$ref" in raw:
        name = raw["$ref"].rpartition("/")[2]
        referred = _schemas(version)[name]
        if referred.get("type", "object") != "object":
            return _shape(referred, format_, required, version, depth + 1)
        inner = _fields(name, version, {}, depth + 1) if depth < _TOO_DEEP else {}
        return Shape("object", required=required, fields=inner)
    kind = raw.get("type", "unknown")
    if kind == "array":
        item = _shape(raw.get("items", {}), None, required, version, depth + 1)
        return Shape("array", required=required, item=item)
    return Shape(kind, tuple(raw.get("enum", ())), format_ if kind == "string" else None, required)


def _plain_format(name: str) -> str | None:
    if name in {"created_at", "updated_at", "deleted_at"}:
        return "date-time"
    return "date" if name.endswith("_on") else None
