"""What changed between two versions of the API document, in words for the changelog, and what is to be decided."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_factorialhr import fields
from tap_factorialhr.openapi import Document, ListResource
from tap_factorialhr.resources import RESOURCES, SINCE_FILTERS, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_factorialhr.openapi import JsonSchema


_IDS = re.compile(r"(^|_)(uu)?ids?(\[\])?$")
"""Parameters that choose rows by what they belong to: no rows are hidden without them."""


@dataclass(frozen=True, slots=True)
class _Stream:
    """A list resource as one version has it.

    Attributes:
        listed: Its parameters.
        types: The type of each field in words, fields of objects and of lists of objects dotted.
        enums: The values that the document names for a field.
    """

    listed: ListResource
    types: Mapping[str, str]
    enums: Mapping[str, frozenset[str]]


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What is different in a later document.

    Args:
        before: The facts of the earlier version.
        after: The facts of the later one.

    Returns:
        Markdown: a heading, a line per stream that changed, and a list of what somebody has to decide.
    """
    old, new = _streams(before), _streams(after)
    lines = [
        *_added_and_gone(old, new),
        *(line for path in sorted(old.keys() & new) for line in _changed(old, new, path)),
    ]
    decisions = list(_decisions(old, new))
    return "\n".join(
        [
            f"### API version {after['info']['version']}, compared with {_version_of(before, after)}",
            "",
            *(lines or ["- Nothing that the tap reads."]),
            "",
            "To be decided:",
            "",
            *(decisions or ["- Nothing."]),
            "",
        ]
    )


def _version_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    version = str(before["info"]["version"])
    return version if version != after["info"]["version"] else "the same as it was"


def _streams(document: Mapping[str, Any]) -> dict[str, _Stream]:
    parsed = Document(document)
    schemas = document["components"]["schemas"]
    return {
        path: _Stream(listed, dict(_types(parsed.schema(path))), dict(_enums(schemas, listed.row)))
        for path, listed in parsed.resources.items()
    }


def _types(schema: JsonSchema, inside: str = "") -> Iterator[tuple[str, str]]:
    for name, field in schema["properties"].items():
        yield inside + name, _words(field)
        of_object = field if "properties" in field else field.get("items") or {}
        if "properties" in of_object:
            yield from _types(of_object, f"{inside}{name}.")


def _words(field: JsonSchema) -> str:
    kind = next((kind for kind in field.get("type", ()) if kind != "null"), "anything")
    if kind == "array":
        return f"list of {_words(field.get('items') or {})}"
    return f"{kind}, {field['format']}" if "format" in field else kind


def _enums(schemas: Mapping[str, Any], row: str) -> Iterator[tuple[str, frozenset[str]]]:
    for name, field in schemas[row].get("properties", {}).items():
        values = field.get("enum") or (field.get("items") or {}).get("enum") or ()
        yield name, frozenset(map(str, values))


def _name(path: str) -> str:
    return Resource(path=path).name


def _added_and_gone(old: Mapping[str, _Stream], new: Mapping[str, _Stream]) -> Iterator[str]:
    for what, paths in (("New", new.keys() - old), ("Gone", old.keys() - new)):
        if paths:
            yield f"- {what} streams: {_names(map(_name, paths))}."


def _changed(old: Mapping[str, _Stream], new: Mapping[str, _Stream], path: str) -> Iterator[str]:
    before, after = old[path], new[path]
    both = before.types.keys() & after.types
    parameters_before, parameters_after = before.listed.parameters, after.listed.parameters
    told = [
        _told("new", after.types.keys() - before.types, after.types),
        _told("gone", before.types.keys() - after.types),
        *(
            f"`{name}` is now {after.types[name]}, was {before.types[name]}"
            for name in sorted(both)
            if after.types[name] != before.types[name]
        ),
        *(
            f"`{name}` also takes {_names(values)}"
            for name in sorted(both)
            if before.enums.get(name) and (values := after.enums.get(name, frozenset()) - before.enums[name])
        ),
        _told("new parameters", parameters_after.keys() - parameters_before),
        _told("parameters gone", parameters_before.keys() - parameters_after),
        *(
            f"the parameter `{name}` {'is required' if parameters_after[name].required else 'is not required any more'}"
            for name in sorted(parameters_after.keys() & parameters_before)
            if parameters_after[name].required != parameters_before[name].required
        ),
    ]
    if any(told):
        yield f"- `{_name(path)}`: {'; '.join(filter(None, told))}."


def _told(what: str, names: set[str], types: Mapping[str, str] | None = None) -> str:
    if not names:
        return ""
    return f"{what} " + ", ".join(f"`{name}`" + (f" ({types[name]})" if types else "") for name in sorted(names))


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _decisions(old: Mapping[str, _Stream], new: Mapping[str, _Stream]) -> Iterator[str]:
    nothing = ListResource("", {}, "")
    for path in sorted(old.keys() - new):
        if path in RESOURCES:
            yield f"- `{_name(path)}` is gone, and `resources.py` names it."
    for path, after in sorted(new.items()):
        before = old[path].listed if path in old else nothing
        decisions = (
            *_about_the_key(path, after),
            *_about_new_parameters(before, after.listed),
            *_about_parameters_gone(path, before, after.listed),
            *_about_privacy(path, after),
        )
        yield from (f"- `{_name(path)}` {decision}" for decision in decisions)


def _about_the_key(path: str, after: _Stream) -> Iterator[str]:
    resource = RESOURCES.get(path, Resource(path=path))
    if missing := set(resource.key) - after.types.keys() - set(resource.added_fields):
        yield f"has no {_names(missing)}: name what tells its rows apart in `resources.py`, or nothing."


def _about_new_parameters(before: ListResource, after: ListResource) -> Iterator[str]:
    for name, parameter in sorted(after.parameters.items()):
        was_required = name in before.parameters and before.parameters[name].required
        if parameter.required and not was_required:
            yield f"requires `{name}`, as it says: a parent, a value, days, or not enforced?"
        if name in SINCE_FILTERS and name not in before.parameters:
            yield f"can be asked for changes by `{name}`, and is from now on. Is that right?"
    optional = {name for name, parameter in after.parameters.items() if not parameter.required}
    if unsent := {name for name in optional - before.parameters.keys() if not _IDS.search(name)} - set(SINCE_FILTERS):
        yield (
            f"can be asked for by {_names(unsent)}, which the tap does not send: does one of them say what changed, or "
            "open rows that are hidden otherwise?"
        )


def _about_parameters_gone(path: str, before: ListResource, after: ListResource) -> Iterator[str]:
    sent = RESOURCES.get(path, Resource(path=path)).always
    for name in sorted(sent.keys() & before.parameters.keys() - after.parameters.keys()):
        yield f"does not take `{name}` any more, which the tap sends; the API ignores what it does not know."


def _about_privacy(path: str, after: _Stream) -> Iterator[str]:
    if unreviewed := after.types.keys() - fields.of_resource(path).keys():
        yield f"has fields without a privacy class: {_names(unreviewed)}."
