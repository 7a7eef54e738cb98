"""The API document: which list resources there are, their parameters, and what their rows look like.

The documents lie beside this module as ``openapi/<version>.json``. A newer version of the API is one more file here.
Which plain strings are dates and time stamps they do not say: ``fields`` does, field by field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tap_factorialhr import fields

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from tap_factorialhr.fields import Field

DOCUMENTS = Path(__file__).with_name("openapi")
DEFAULT_VERSION = "2026-10-01"

_LIST_PATH = re.compile(r"^/api/[^/]+/resources/(?P<resource>[^/{}]+/[^/{}]+)$")
_ID = re.compile(r"(^|_)ids?$")
_CLOCKS = frozenset({"clock_in", "clock_out"})

JsonSchema = dict[str, Any]
Params = tuple[tuple[str, str], ...]
"""Query parameters with their values, in the order in which they are sent."""


def kinds(schema: Mapping[str, Any]) -> list[str]:
    """The types that a schema names besides null, none where it leaves them open (OpenAPI 3.1 allows lists)."""
    declared = schema.get("type") or ()
    return [kind for kind in ([declared] if isinstance(declared, str) else declared) if kind != "null"]


def only_kind(schema: Mapping[str, Any]) -> str | None:
    """The one type of a schema besides null; None where it allows anything, or several."""
    found = kinds(schema)
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter of a list resource.

    Attributes:
        name: The name as it is sent, ``[]`` of an array included.
        type: The JSON type of the value (of one item, for an array); None where the document leaves it open.
        is_list: Whether it takes several values at once.
        required: What the document says, which is often not enforced (API notes, "Parameters").
        values: The values that the document names, empty when any is allowed.
    """

    name: str
    type: str | None
    is_list: bool
    required: bool
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListResource:
    """A resource that can be listed.

    Attributes:
        path: ``<domain>/<resource>``.
        parameters: Its query parameters by name.
        row: The name of the schema of its rows.
    """

    path: str
    parameters: Mapping[str, Parameter]
    row: str


def is_id(field: str) -> bool:
    """Whether a field of this name holds one id or several, which are strings in every version of the tap."""
    return _ID.search(field) is not None


class Document:
    """One version of the API document."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        """Take the decoded document."""
        self._raw = raw
        self._schemas: Mapping[str, Any] = raw["components"]["schemas"]
        self.version = str(raw["info"]["version"])

    @cached_property
    def resources(self) -> dict[str, ListResource]:
        """Every list resource by its path ``<domain>/<resource>``."""
        found = {}
        for path, item in self._raw["paths"].items():
            if (match := _LIST_PATH.match(path)) and "get" in item:
                resource = match["resource"]
                found[resource] = self._list_resource(resource, item["get"])
        return found

    def schema(self, resource: str) -> JsonSchema:
        """The JSON Schema of a resource's rows, references resolved, every field nullable.

        Raises:
            KeyError: The document has no such list resource.
        """
        row = self.resources[resource].row
        place = _Place(fields.of_resource(resource), within=frozenset({row}))
        return {"type": "object", "properties": self._fields(self._schemas[row], place)}

    def field_names(self, resource: str) -> Container[str]:
        """The fields of a resource's rows.

        Raises:
            KeyError: The document has no such list resource.
        """
        names: Container[str] = self._schemas[self.resources[resource].row].get("properties", {}).keys()
        return names

    def values(self, resource: str) -> dict[str, tuple[str, ...]]:
        """The values that the document names for fields of a resource, by field, dotted where nested.

        They are what the document knows, and never all that comes: enumerations change between versions.

        Raises:
            KeyError: The document has no such list resource.
        """
        row = self.resources[resource].row
        return dict(self._values(self._schemas[row], _Place({}, within=frozenset({row}))))

    def _values(self, raw: Mapping[str, Any], place: _Place) -> Iterator[tuple[str, tuple[str, ...]]]:
        while "$ref" in raw or "items" in raw:
            if "$ref" in raw:
                name = _referred(raw)
                if name in place.within:
                    return
                raw, place = self._schemas[name], place.inside(name)
            else:
                raw = raw["items"]
        if "enum" in raw:
            yield place.path, tuple(raw["enum"])
        for name, inner in raw.get("properties", {}).items():
            yield from self._values(inner, place.at(name))

    def _list_resource(self, path: str, operation: Mapping[str, Any]) -> ListResource:
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        row = answer["properties"]["data"]["items"]["$ref"].rpartition("/")[2]
        parameters = (self._parameter(raw) for raw in operation.get("parameters", ()) if raw["in"] == "query")
        return ListResource(path, {parameter.name: parameter for parameter in parameters}, row)

    def _parameter(self, raw: Mapping[str, Any]) -> Parameter:
        schema = self._resolved(raw.get("schema", {}))
        one = self._resolved(schema.get("items") or schema)
        values = schema.get("enum") or one.get("enum") or ()
        is_list = only_kind(schema) == "array"
        return Parameter(raw["name"], only_kind(one), is_list, bool(raw.get("required")), tuple(values))

    def _resolved(self, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._schemas[_referred(raw)] if "$ref" in raw else raw

    def _fields(self, raw: Mapping[str, Any], place: _Place) -> JsonSchema:
        return {name: self._field(name, inner, place.at(name)) for name, inner in raw.get("properties", {}).items()}

    def _field(self, field: str, raw: Mapping[str, Any], place: _Place) -> JsonSchema:  # noqa: PLR0911 (one return per kind)
        if "$ref" in raw:
            name = _referred(raw)
            if name in place.within:  # A manager is an employee, who has a manager: whatever comes from here on.
                return {"type": ["object", "null"]}
            return self._field(field, self._schemas[name], place.inside(name))
        kind = only_kind(raw)
        if kind == "array":
            items = raw.get("items") or {}
            return {"type": ["array", "null"], "items": self._field(field, items, place)}
        if kind == "object":
            properties = self._fields(raw, place)
            return {"type": ["object", "null"], **({"properties": properties} if properties else {})}
        if is_id(field):
            return {"type": ["string", "null"]}
        if kind is None:
            return {}
        if kind == "string" and (format_ := _evident_format(field, place.known)):
            return {"type": ["string", "null"], "format": format_}
        return {"type": [kind, "null"]}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a row a schema stands.

    Attributes:
        facts: What is known of the row's fields, by their paths.
        within: The schemas that it is a part of, by their names.
        path: The names of the fields that lead to it, dotted.
    """

    facts: Mapping[str, Field]
    within: frozenset[str]
    path: str = ""

    @property
    def known(self) -> Field | None:
        """What is known of the field."""
        return self.facts.get(self.path)

    def at(self, field: str) -> _Place:
        """The place of one of its fields."""
        return replace(self, path=f"{self.path}.{field}" if self.path else field)

    def inside(self, schema: str) -> _Place:
        """The same place, in a schema that is referred to."""
        return replace(self, within=self.within | {schema})


def _referred(raw: Mapping[str, Any]) -> str:
    name: str = raw["$ref"].rpartition("/")[2]
    return name


def _evident_format(field: str, known: Field | None) -> str | None:
    """The format of a string, only where there is evidence: what is known of it, or else a name of one meaning."""
    if field in _CLOCKS:  # Times of day in some resources and versions, time stamps in others.
        return None
    if known:
        return known.format if known.format in {"date", "date-time"} else None
    if field in {"created_at", "updated_at"}:
        return "date-time"
    return "date" if field.endswith("_on") else None


def _nearest(version: str) -> Path:
    """The file of a version, else that of the newest one before it, else the oldest (as the API itself does)."""
    files = sorted(DOCUMENTS.glob("[0-9]*.json"))
    return max((file for file in files if file.stem <= version), default=files[0])


@cache
def newest_version() -> str:
    """The newest version of which there is a document."""
    return max(file.stem for file in DOCUMENTS.glob("[0-9]*.json"))


@cache
def load(version: str = DEFAULT_VERSION) -> Document:
    """The document for a version of the API (a date such as ``2026-10-01``), read once a process.

    Returns:
        The vendored document of that version, or the nearest older one.
    """
    return Document(msgspec.json.decode(_nearest(version).read_bytes()))
