"""The facts of an API document: paths, parameters, fields, types and enumerations of the reads, and no sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_READ = re.compile(r"^(?:/api/[^/]+)?/resources/([^/{}]+)/([^/{}]+)(/\{[^/{}]+\})?$")
_SCHEMAS = "#/components/schemas/"
_PLAIN = ("type", "format", "nullable", "$ref")
_SEVERAL = ("oneOf", "anyOf", "allOf")


class DocumentError(Exception):
    """A document cannot be had, or cannot be used; the message says why in one line."""


def facts_of(raw: object, version: str) -> dict[str, Any]:
    """Strip a document to what the tap needs.

    Args:
        raw: The decoded document (OpenAPI 3).
        version: The version that it is to be.

    Returns:
        A document of the same form with the reads alone, their parameters and the schemas that their rows use.

    Raises:
        DocumentError: It is no OpenAPI document with lists of resources, or it says that it is of another version.
    """
    paths = raw.get("paths") if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(paths, Mapping):
        raise DocumentError("it is no OpenAPI document: it has no paths")
    _check_version(raw, version)
    kept = dict(sorted(_reads(paths, version)))
    schemas = (raw.get("components") or {}).get("schemas") or {}
    if not any(path.count("/") == len(("", "api", version, "resources", "domain")) for path in kept):
        raise DocumentError("it has no lists of resources (/api/VERSION/resources/DOMAIN/RESOURCE)")
    return {
        "openapi": "3.1.0",
        "info": {"title": "Factorial API, read side: facts only", "version": version},
        "servers": [{"url": str(one["url"])} for one in raw.get("servers") or () if "url" in one],
        "paths": kept,
        "components": {"schemas": _used(schemas, kept)},
    }


def _check_version(raw: Mapping[str, Any], version: str) -> None:
    versions = {match[1] for path in raw["paths"] if (match := re.match(r"^/api/(\d{4}-\d{2}-\d{2})/", str(path)))}
    if versions and versions != {version}:
        # One without support is answered with another one (API notes, "Paths and versions").
        raise DocumentError(f"it is of version {', '.join(sorted(versions))}, not of {version}")


def _reads(paths: Mapping[str, Any], version: str) -> Iterator[tuple[str, Any]]:
    for path, item in paths.items():
        match = _READ.match(path)
        operation = item.get("get") if match else None
        schema = _answer(operation) if operation else None
        if match and operation and schema is not None:
            domain, resource, one = match[1], match[2], match[3] or ""
            parameters = [_parameter(raw) for raw in (*item.get("parameters", ()), *operation.get("parameters", ()))]
            yield (
                f"/api/{version}/resources/{domain}/{resource}{one}",
                {
                    "get": {
                        "operationId": f"{domain}_{resource}" + ("_id" if one else ""),
                        "tags": [domain],
                        "parameters": parameters,
                        "responses": {"200": {"content": {"application/json": {"schema": _schema(schema)}}}},
                    }
                },
            )


def _answer(operation: Mapping[str, Any]) -> Any:  # noqa: ANN401 (a schema, or None)
    content = operation.get("responses", {}).get("200", {}).get("content", {})
    return next((one.get("schema") for kind, one in content.items() if "json" in kind), None)


def _parameter(raw: Mapping[str, Any]) -> dict[str, Any]:
    if "name" not in raw or "in" not in raw:
        raise DocumentError("a parameter is given by reference, which this script does not follow")
    return {
        "name": raw["name"],
        "in": raw["in"],
        "required": bool(raw.get("required")),
        "schema": _schema(raw.get("schema") or {}),
    }


def _schema(raw: object) -> Any:  # noqa: ANN401 (a schema may be a boolean)
    """A schema without its sentences. Names of properties are kept whatever they are, ``description`` included."""
    if not isinstance(raw, Mapping):
        return {}
    kept: dict[str, Any] = {name: raw[name] for name in _PLAIN if name in raw}
    if "enum" in raw:
        kept["enum"] = [value for value in raw["enum"] if value is not None]
    if "required" in raw:
        kept["required"] = list(raw["required"])
    if "items" in raw:
        kept["items"] = _schema(raw["items"])
    if "properties" in raw:
        kept["properties"] = {name: _schema(inner) for name, inner in raw["properties"].items()}
    for name in _SEVERAL:
        if name in raw:
            kept[name] = [_schema(inner) for inner in raw[name]]
    # One schema in a wrapping, as OpenAPI 3.0 does beside a description or `nullable`, is that schema.
    only = [inner for name in _SEVERAL for inner in kept.get(name, ()) if inner != {"type": "null"}]
    if len(only) == 1 and "properties" not in kept:
        return only[0]
    return kept


def _used(schemas: Mapping[str, Any], paths: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting = list(_references(paths))
    while waiting:
        name = waiting.pop()
        if name not in found:
            if name not in schemas:
                raise DocumentError(f"it refers to the schema {name}, which it does not hold")
            found[name] = _schema(schemas[name])
            waiting += _references(found[name])
    return dict(sorted(found.items()))


def _references(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SCHEMAS):
            yield reference.removeprefix(_SCHEMAS)
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)
