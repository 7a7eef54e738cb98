"""The facts of an API document: paths, parameters, fields, types and enumerations of the reads, and no sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.api_schemas import DocumentError, Schemas, a_list, a_text, an_object, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ = re.compile(r"^(?:/api/[^/]+)?/resources/([^/{}]+)/([^/{}]+)(/\{[^/{}]+\})?$")
_GOOD = ("200", "2XX", "2xx", "default")
"""The statuses whose answer has the rows, the most exact one first."""


class _NotTakenInError(Exception):
    """A read is none that becomes a stream; the message says why."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tap needs of a document.

    Attributes:
        document: A document of the same form with the reads alone, their parameters and the schemas of their rows.
        left_out: The reads below ``/resources/`` that are no part of it, each with the reason, in Markdown.
    """

    document: dict[str, Any]
    left_out: list[str]


def facts_of(raw: object, version: str) -> Facts:
    """Strip a document to what the tap needs.

    Args:
        raw: The decoded document (OpenAPI 3).
        version: The version that it is to be.

    Raises:
        DocumentError: It is no OpenAPI document with lists of resources, it says that it is of another version, or a
            part of it is not as it should be.
    """
    paths = raw.get("paths") if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(paths, Mapping):
        raise DocumentError("it is no OpenAPI document: it has no paths")
    _check_version(paths, version)
    reads = _Reads(raw, version)
    kept = dict(sorted(reads.all(paths)))
    if not any(_is_list(path) for path in kept):
        raise DocumentError("it has no lists of resources (/api/VERSION/resources/DOMAIN/RESOURCE)")
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Factorial API, read side: facts only", "version": version},
        "servers": _servers(raw.get("servers")),
        "paths": kept,
        "components": {"schemas": reads.schemas.used(kept)},
    }
    return Facts(document, sorted(reads.left_out))


def _check_version(paths: Mapping[str, Any], version: str) -> None:
    versions = {match[1] for path in paths if (match := re.match(r"^/api/(\d{4}-\d{2}-\d{2})/", path))}
    if versions and versions != {version}:
        # One without support is answered with another one (API notes, "Paths and versions").
        raise DocumentError(f"it is of version {', '.join(sorted(versions))}, not of {version}")


def _servers(raw: object) -> list[dict[str, str]]:
    known = raw if isinstance(raw, list) else []
    return [{"url": str(one["url"])} for one in known if isinstance(one, Mapping) and "url" in one]


def _is_list(path: str) -> bool:
    match = _READ.match(path)
    return match is not None and match[3] is None


class _Reads:
    """The reads of a document.

    Attributes:
        schemas: Its schemas.
        left_out: The reads that are not taken in, each with the reason.
    """

    def __init__(self, raw: Mapping[str, Any], version: str) -> None:
        self.schemas = Schemas(raw)
        self.left_out: list[str] = []
        self._version = version

    def all(self, paths: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Each read as it is kept, by its path."""
        for path, raw in paths.items():
            if "/resources/" not in path:
                continue
            item, at = self.schemas.followed(raw, f"paths > {path}")
            if "get" in item:
                try:
                    yield self._read(path, item, at)
                except _NotTakenInError as error:
                    self.left_out.append(f"`GET {one_line(path)}`: {error}.")

    def _read(self, path: str, item: Mapping[str, Any], at: str) -> tuple[str, Any]:
        match = _READ.match(path)
        if match is None:
            raise _NotTakenInError("its address is not that of a resource or of one row")
        domain, resource, one = match[1], match[2], match[3] or ""
        operation = an_object(item["get"], f"{at} > get")
        schema = self.schemas.facts(*self._answer(operation, f"{at} > get"))
        kept = {
            "operationId": f"{domain}_{resource}" + ("_id" if one else ""),
            "tags": [domain],
            "parameters": [*self._parameters(item, at), *self._parameters(operation, f"{at} > get")],
            "responses": {
                "200": {
                    "content": {
                        "application/json": {"schema": schema if one else self._list(schema, f"{domain}_{resource}")}
                    }
                }
            },
        }
        return f"/api/{self._version}/resources/{domain}/{resource}{one}", {"get": kept}

    def _answer(self, operation: Mapping[str, Any], at: str) -> tuple[object, str]:
        """The schema of what a read answers with, and where it stands."""
        responses = an_object(operation.get("responses", {}), f"{at} > responses")
        status = next((status for status in _GOOD if status in responses), None)
        if status is None:
            raise _NotTakenInError("it has no answer")
        response, at = self.schemas.followed(responses[status], f"{at} > responses > {status}")
        content = an_object(response.get("content", {}), f"{at} > content")
        kind = next((kind for kind in content if "json" in kind), "*/*")
        if kind not in content:
            raise _NotTakenInError("its answer is no JSON")
        at = f"{at} > content > {kind}"
        return an_object(content[kind], at).get("schema", {}), f"{at} > schema"

    def _parameters(self, holder: Mapping[str, Any], at: str) -> Iterator[dict[str, Any]]:
        at = f"{at} > parameters"
        for number, given in enumerate(a_list(holder.get("parameters", []), at)):
            raw, where = self.schemas.followed(given, f"{at} > {number}")
            yield {
                "name": a_text(raw.get("name"), f"{where} > name"),
                "in": a_text(raw.get("in"), f"{where} > in"),
                "required": bool(raw.get("required")),
                "schema": self.schemas.facts(raw.get("schema", {}), f"{where} > schema"),
            }

    def _list(self, schema: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The schema of a list's answer, with its rows as a schema that has a name."""
        answer = self.schemas.resolved(schema)
        data = self.schemas.resolved(answer.get("properties", {}).get("data", {}))
        row = data.get("items", {})
        if not row:
            raise _NotTakenInError("its answer is no list of rows")
        if "properties" not in self.schemas.resolved(row):
            raise _NotTakenInError("its rows are no objects with fields")
        row = row if "$ref" in row else self.schemas.give_name(f"{name}_row", row)
        return {**answer, "properties": {**answer["properties"], "data": {**data, "items": row}}}
