"""What of the API document each resource rests on, and what a document lacks of that.

A run asks for what nothing can be read without, the script that brings in a newer document for all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from tap_factorialhr.axes import EVERY_VALUE, Parents, Values
from tap_factorialhr.errors import FactorialError
from tap_factorialhr.resources import describe, own_replication_key, texts

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from tap_factorialhr.axes import Axis
    from tap_factorialhr.openapi import Document
    from tap_factorialhr.resources import Resource


class LackingError(FactorialError):
    """The API document has not what a resource is read by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing that a resource rests on: a parameter or a field.

    Attributes:
        path: The resource in the document that has it, which may be the parent of the one that needs it.
        use: What it is for.
        parameter: The parameter, None for a field.
        field: The field of the rows, None for a parameter.
        values: The values that the parameter has to allow.
        every_value: Whether it is sent with each value that the document names.
        is_vital: Whether nothing can be read without it, or rows would come to the wrong parent, value or day.
    """

    path: str
    use: str
    parameter: str | None = None
    field: str | None = None
    values: tuple[str, ...] = ()
    every_value: bool = False
    is_vital: bool = False

    def lack(self, document: Document) -> str | None:
        """What a document does not have of it, in words; None where it has all."""
        missing = self._missing(document)
        return f"{missing}, {self.use}" if missing else None

    def _missing(self, document: Document) -> str | None:
        listed = document.resources.get(self.path)
        if listed is None:
            return f"no list {self.path}" if self.is_vital else None
        if self.field is not None:
            return None if self.field in document.field_names(self.path) else f"no field {self.field} of {self.path}"
        name = f"{self.parameter} of {self.path}"
        parameter = listed.parameters.get(self.parameter or "")
        if parameter is None:
            return f"no parameter {name}"
        if self.every_value and not parameter.values:
            return f"no values of the parameter {name}"
        refused = [value for value in self.values if parameter.values and value not in parameter.values]
        return f"no value {', '.join(refused)} of the parameter {name}" if refused else None


def needs_of(resource: Resource, fields: Container[str]) -> Iterator[Need]:
    """All that a resource rests on.

    Args:
        resource: How it is read.
        fields: The fields of its rows.
    """
    own = partial(Need, path=resource.path)
    for axis in resource.axes:
        yield from _of_axis(resource.path, axis)
    for name, value in resource.always.items():
        every = value == EVERY_VALUE
        yield own(use="which is always sent", parameter=name, values=texts(value), every_value=every, is_vital=every)
    for parameter, use in (
        (resource.changed_since, "which asks for changes"),
        (resource.today, "which is sent with the day of the run"),
        (resource.since, "which is sent with the start_date"),
    ):
        if parameter:
            yield own(use=use, parameter=parameter)
    for key in resource.key:
        if key not in resource.added_fields:
            yield own(use="which tells its rows apart", field=key, is_vital=True)
    bookmark = own_replication_key(resource, fields)
    if bookmark is not None and bookmark in fields:
        yield own(use="which bookmarks are taken from", field=bookmark)


def _of_axis(path: str, axis: Axis) -> Iterator[Need]:
    given = axis.values if isinstance(axis, Values) else ()
    every = isinstance(axis, Values) and not given
    for name in axis.parameters:
        use = "which its rows are listed by"
        yield Need(path=path, use=use, parameter=name, values=given, every_value=every, is_vital=True)
    if isinstance(axis, Parents):
        yield Need(path=axis.resource, use=f"which {path} is listed by", field=axis.key, is_vital=True)
        if axis.label:
            of_parent, of_child = axis.label
            yield Need(path=axis.resource, use=f"which tells the parents of {path}", field=of_parent)
            yield Need(path=path, use="which tells its parent", field=of_child)


def check(path: str, document: Document) -> None:
    """Hold a resource, and those that it hangs off, against the API document.

    Args:
        path: ``<domain>/<resource>``.
        document: The document.

    Raises:
        LackingError: The document has not what it is read by.
    """
    if lack := _lack(path, document):
        raise LackingError(
            f"the API document of version {document.version} has {lack}; set api_version to one that has, or update "
            "the tap"
        )


@cache  # It is asked of a stream again and again while those before it are read.
def _lack(path: str, document: Document) -> str | None:
    if path not in document.resources:
        return f"no list {path}"
    resource = describe(document.resources[path], document.field_names(path))
    vital = (need for need in needs_of(resource, document.field_names(path)) if need.is_vital)
    lack = next(filter(None, (need.lack(document) for need in vital)), None)
    return lack or (_lack(resource.parents.resource, document) if resource.parents else None)
