"""What is known of single resources fits the API document: parameters, keys, parents and fields are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tap_factorialhr import openapi
from tap_factorialhr.axes import Parents, SettingValues, Values
from tap_factorialhr.resources import RESOURCES, describe
from tap_factorialhr.settings import CONFIG_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_factorialhr.openapi import Document
    from tap_factorialhr.resources import Resource


@pytest.fixture(scope="module")
def document() -> Document:
    return openapi.load()


def parameters(resource: Resource) -> Iterator[str]:
    """The parameters that are sent for a resource, beside those of pages."""
    yield from resource.always
    yield from filter(None, (resource.changed_since, resource.today, resource.since))
    for axis in resource.axes:
        yield from axis.parameters


@pytest.mark.parametrize("path", RESOURCES)
def test_what_is_sent_is_what_the_document_names(document: Document, path: str) -> None:
    resource = describe(document.resources[path], document.field_names(path))
    known = document.resources[path].parameters
    assert set(parameters(resource)) <= set(known)
    for name, value in resource.always.items():
        if isinstance(value, str):
            assert value in known[name].values
        else:
            assert known[name].type == ("boolean" if isinstance(value, bool) else "string")
    for axis in resource.axes:
        if isinstance(axis, Values):
            assert known[axis.parameter].values, "there is nothing to ask for, one after the other"
        elif isinstance(axis, Parents):
            assert axis.parameter.endswith("[]") or axis.chunk == 1


@pytest.mark.parametrize("path", RESOURCES)
def test_keys_and_parents_are_fields_of_their_rows(document: Document, path: str) -> None:
    resource = RESOURCES[path]
    assert set(resource.key) <= {*document.schema(path)["properties"], *resource.added_fields}
    for axis in resource.axes:
        if isinstance(axis, Parents):
            parent = document.schema(axis.resource)["properties"]
            assert axis.key in parent
            if axis.label:
                assert axis.label[0] in parent
                assert axis.label[1] in document.schema(path)["properties"]
        elif isinstance(axis, SettingValues):
            assert axis.setting in CONFIG_SCHEMA["properties"]
