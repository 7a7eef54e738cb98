"""What changed between two versions of the API document, in words for the changelog, and what is to be decided."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scripts.api_schemas import one_line
from tap_factorialhr import fields
from tap_factorialhr.needs import Need, needs_of
from tap_factorialhr.openapi import Document, ListResource, Parameter
from tap_factorialhr.resources import RESOURCES, SINCE_FILTERS, describe, of_one_name, stream_name

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
        values: The values that the document names for a field.
    """

    listed: ListResource
    types: Mapping[str, str]
    values: Mapping[str, tuple[str, ...]]


_Streams = dict[str, _Stream]


def compare(before: Mapping[str, Any], after: Mapping[str, Any], left_out: Iterable[str] = ()) -> str:
    """What is different in a later document.

    Args:
        before: The facts of the earlier version.
        after: The facts of the later one.
        left_out: The reads of the later one that are no part of its facts, each with the reason.

    Returns:
        Markdown: a heading, a line per stream that changed, and a list of what somebody has to decide.
    """
    document = Document(after)
    old, new = _streams(Document(before)), _streams(document)
    lines = [
        *_added_and_gone(old, new),
        *(line for path in sorted(old.keys() & new) for line in _changed(old, new, path)),
    ]
    decisions = list(_decisions(old, new, document))
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
            *_not_taken_in(left_out),
        ]
    )


def _version_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    version = str(before["info"]["version"])
    return version if version != after["info"]["version"] else "the same as it was"


def _not_taken_in(left_out: Iterable[str]) -> list[str]:
    told = [f"- {one}" for one in left_out]
    return ["Not taken in:", "", *told, ""] if told else []


def _streams(document: Document) -> _Streams:
    return {
        path: _Stream(listed, dict(_types(document.schema(path))), document.values(path))
        for path, listed in document.resources.items()
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


def _kind(parameter: Parameter) -> str:
    kind = parameter.type or "anything"
    return f"list of {kind}" if parameter.is_list else kind


# What changed


def _added_and_gone(old: _Streams, new: _Streams) -> Iterator[str]:
    for what, paths in (("New", new.keys() - old), ("Gone", old.keys() - new)):
        if paths:
            yield f"- {what} streams: {_names(map(stream_name, paths))}."


def _changed(old: _Streams, new: _Streams, path: str) -> Iterator[str]:
    told = [*_changed_fields(old[path], new[path]), *_changed_parameters(old[path].listed, new[path].listed)]
    if any(told):
        yield f"- `{stream_name(path)}`: {'; '.join(filter(None, told))}."


def _changed_fields(before: _Stream, after: _Stream) -> Iterator[str]:
    yield _told("new", after.types.keys() - before.types, after.types)
    yield _told("gone", before.types.keys() - after.types)
    for name in sorted(before.types.keys() & after.types):
        what = _code(name)
        if after.types[name] != before.types[name]:
            yield f"{what} is now {after.types[name]}, was {before.types[name]}"
        yield from _changed_values(what, before.values.get(name, ()), after.values.get(name, ()))


def _changed_parameters(before: ListResource, after: ListResource) -> Iterator[str]:
    yield _told("new parameters", after.parameters.keys() - before.parameters)
    yield _told("parameters gone", before.parameters.keys() - after.parameters)
    for name in sorted(before.parameters.keys() & after.parameters):
        what, was, now = f"the parameter {_code(name)}", before.parameters[name], after.parameters[name]
        if now.required != was.required:
            yield f"{what} {'is required' if now.required else 'is not required any more'}"
        if _kind(now) != _kind(was):
            yield f"{what} is now {_kind(now)}, was {_kind(was)}"
        yield from _changed_values(what, was.values, now.values)


def _changed_values(what: str, before: Iterable[str], after: Iterable[str]) -> Iterator[str]:
    """What became of an enumeration; one that comes or goes as a whole says nothing of single values."""
    was, now = set(map(str, before)), set(map(str, after))
    if was and now:
        yield f"{what} also takes {_names(now - was)}" if now - was else ""
        yield f"{what} no longer takes {_names(was - now)}" if was - now else ""
    elif was or now:
        yield f"{what} {'now names' if now else 'no longer names'} its values"


def _told(what: str, names: set[str], types: Mapping[str, str] | None = None) -> str:
    if not names:
        return ""
    return f"{what} " + ", ".join(_code(name) + (f" ({types[name]})" if types else "") for name in sorted(names))


def _names(names: Iterable[str]) -> str:
    return ", ".join(_code(name) for name in sorted(names))


def _code(name: str) -> str:
    """A name as Markdown shows it, whatever is in it."""
    return f"`{one_line(name).replace('`', chr(39))}`"


# What is to be decided


def _decisions(old: _Streams, new: _Streams, document: Document) -> Iterator[str]:
    for path in sorted(old.keys() - new):
        if path in RESOURCES:
            yield f"- `{stream_name(path)}` is gone, and `resources.py` names it."
    for same in of_one_name(new):
        yield (
            f"- {_names(same)} would become one stream, `{stream_name(same[0])}`: the tap refuses this document until "
            "one of them has another name."
        )
    nothing = _Stream(ListResource("", {}, ""), {}, {})
    for path, after in sorted(new.items()):
        before = old.get(path, nothing)
        decisions = (
            *_about_the_key(path, after),
            *_about_needs(path, old, new, document),
            *_about_new_parameters(before.listed, after.listed),
            *_about_privacy(path, after),
        )
        yield from (f"- `{stream_name(path)}` {decision}" for decision in decisions)


def _about_the_key(path: str, after: _Stream) -> Iterator[str]:
    if path not in RESOURCES and "id" not in after.types:
        yield "has no `id`: name what tells its rows apart in `resources.py`, or nothing."


def _about_needs(path: str, old: _Streams, new: _Streams, document: Document) -> Iterator[str]:
    """What it rests on that is not there, or is not what it was."""
    for need in _needs(path, old, new):
        lack, was, now = need.lack(document), _form(need, old), _form(need, new)
        if lack and need.is_vital:
            yield f"can no longer be read: the document has {lack}. What takes its place?"
        elif lack:
            yield f"rests on what is not there: the document has {lack}. Is it still read right?"
        elif was and now != was:
            name = _code(need.parameter or need.field or "")
            yield f"rests on {name}, {need.use}: it is now {now}, was {was}. Is that right?"


def _needs(path: str, old: _Streams, new: _Streams) -> Iterator[Need]:
    """What it rests on, also if it does so only by what the earlier document has: a filter that is gone is missed."""
    after, before = new[path], old.get(path, new[path])
    resource = describe(after.listed, after.types)
    filter_before = describe(before.listed, before.types).changed_since
    yield from needs_of(replace(resource, changed_since=filter_before or resource.changed_since), before.types)


def _form(need: Need, streams: _Streams) -> str | None:
    """What kind of parameter or field it is in one version, in words; None where it is none."""
    stream = streams.get(need.path)
    if stream is None:
        return None
    if need.parameter is not None:
        parameter = stream.listed.parameters.get(need.parameter)
        return _kind(parameter) if parameter else None
    return stream.types.get(need.field or "")


def _about_new_parameters(before: ListResource, after: ListResource) -> Iterator[str]:
    for name, parameter in sorted(after.parameters.items()):
        was_required = name in before.parameters and before.parameters[name].required
        if parameter.required and not was_required:
            yield f"requires {_code(name)}, as it says: a parent, a value, days, or not enforced?"
        if name in SINCE_FILTERS and name not in before.parameters:
            yield f"can be asked for changes by {_code(name)}, and is from now on. Is that right?"
    optional = {name for name, parameter in after.parameters.items() if not parameter.required}
    if unsent := {name for name in optional - before.parameters.keys() if not _IDS.search(name)} - set(SINCE_FILTERS):
        yield (
            f"can be asked for by {_names(unsent)}, which the tap does not send: does one of them say what changed, or "
            "open rows that are hidden otherwise?"
        )


def _about_privacy(path: str, after: _Stream) -> Iterator[str]:
    if unreviewed := after.types.keys() - fields.of_resource(path).keys():
        yield f"has fields without a privacy class: {_names(unreviewed)}."
