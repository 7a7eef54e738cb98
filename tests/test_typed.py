"""Rows decoded into structs make the same records as rows decoded into dictionaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_factorialhr import openapi
from tap_factorialhr.decoding import decode_answer
from tap_factorialhr.records import Shaper
from tap_factorialhr.sandbox import Company, Sandbox
from tap_factorialhr.tap import TapFactorialHR
from tap_factorialhr.typed import TypedDecoder, TypedRows, as_dictionary
from tests.support.tap import config_for
from tests.test_records import FIELDS, ROWS, SCHEMA, encoder

if TYPE_CHECKING:
    from tests.support.tap import TapRunner

ID = {"type": ["string", "null"]}


def both(body: bytes, left_out: frozenset[str] = frozenset()) -> tuple[Any, Any]:
    """What comes of a body either way, as text, with the warnings."""
    results = []
    for is_typed in (True, False):
        shaper = Shaper(SCHEMA, lambda breadcrumb: breadcrumb[-1] not in left_out)
        decoder = TypedDecoder(shaper) if is_typed else decode_answer
        answer = decoder(body)
        records = shaper.shape_all(list(answer["data"]))
        results.append(([encoder.encode(one) for one in records], answer.get("meta"), list(shaper.warnings())))
    return results[0], results[1]


def fits(body: bytes, schema: dict[str, Any] = SCHEMA) -> bool:
    return isinstance(TypedDecoder(Shaper(schema))(body)["data"], TypedRows)


FITTING = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.none() | st.text(),
            "team_ids": st.none() | st.lists(st.none() | st.text() | st.integers()),
            "name": st.none() | st.text(),
            "hours": st.none() | st.integers(),
            "amount": st.none() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
            "active": st.none() | st.booleans(),
            "updated_at": st.none() | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | st.text(),
            "born_on": st.none() | st.dates().map(str),
            "tags": st.none() | st.lists(st.text()),
            "address": st.none() | st.fixed_dictionaries({}, optional={"city": st.text(), "odd": st.text()}),
            "extra": st.none() | st.dictionaries(st.text(), st.integers() | st.text()),
        },
    ),
    max_size=4,
)


LEFT_OUT = st.frozensets(st.sampled_from([*FIELDS, "city"]), max_size=4)


@given(FITTING, LEFT_OUT)
def test_rows_that_fit_become_the_same_records(rows: list[dict[str, Any]], left_out: frozenset[str]) -> None:
    body = encoder.encode({"data": rows, "meta": {"total": len(rows), "limit": None}})
    assert fits(body)
    typed, plain = both(body, left_out)
    assert typed == plain


@given(st.lists(ROWS, max_size=3), LEFT_OUT)
def test_any_rows_become_the_same_records(rows: list[dict[str, Any]], left_out: frozenset[str]) -> None:
    typed, plain = both(encoder.encode({"data": rows}), left_out)
    assert typed == plain


@pytest.mark.parametrize(
    "row",
    [
        b'{"id": 5}',
        b'{"hours": "5"}',
        b'{"hours": 5.5}',
        b'{"active": 1}',
        b'{"born_on": "2024-10-06T00:00:00.000Z"}',
        b'{"born_on": "2024-02-30"}',
        b'{"name": true}',
        b'{"name": "\\ud800"}',
        b'{"unknown": 1}',
        b'{"hours": 1e400}',
    ],
)
def test_what_does_not_fit_is_read_the_other_way(row: bytes) -> None:
    body = b'{"data": [{"id": "1"}, ' + row + b"]}"
    assert not fits(body)
    typed, plain = both(body)
    assert typed == plain


@pytest.mark.parametrize(
    "row",
    [
        b'{"hours": 5.0}',
        b'{"hours": -0.0}',
        b'{"hours": 123456789012345678901234567890}',
        b'{"amount": 0.10}',
        b'{"amount": 1e400}',
        b'{"id": "1", "id": "2"}',
        b'{"id": "1", "id": null}',
        b'{"born_on": "0001-01-01"}',
    ],
)
def test_values_at_the_edge_of_their_type_come_out_the_same(row: bytes) -> None:
    typed, plain = both(b'{"data": [' + row + b"]}")
    assert typed == plain


@pytest.mark.parametrize("body", [b'{"errors": null}', b'{"data": null}', b"{}", b"[]", b"null"])
def test_answers_without_rows_are_decoded_as_ever(body: bytes) -> None:
    assert TypedDecoder(Shaper(SCHEMA))(body) == decode_answer(body)


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"data": [{]}', b"\xff", b'{"data": ' + b"[" * 100_000])
def test_what_is_no_json_is_the_same_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(malformed|not UTF-8|nested too deeply)$"):
        TypedDecoder(Shaper(SCHEMA))(body)


def test_a_server_whose_rows_do_not_fit_is_not_tried_for_long() -> None:
    decoder = TypedDecoder(Shaper(SCHEMA))
    for body in [b'{"errors": null}', b'{"data": null}'] * 3 + [b'{"data": [{"id": 1}]}'] * 2:
        decoder(body)
    assert isinstance(decoder(b'{"data": [{"id": "1"}]}')["data"], TypedRows)
    decoder(b'{"data": [{"id": 1}]}')
    assert decoder(b'{"data": [{"id": "1"}]}') == {"data": [{"id": "1"}]}


def test_rows_with_names_that_a_struct_cannot_have_are_read_the_other_way() -> None:
    assert TypedDecoder.suits(Shaper(SCHEMA))
    assert not TypedDecoder.suits(Shaper({"type": "object", "properties": {"first-name": ID}}))


def test_every_schema_of_the_document_has_a_type() -> None:
    document = openapi.load()
    for path in document.resources:
        shaper = Shaper(document.schema(path))
        assert TypedDecoder.suits(shaper)
        assert fits(b'{"data": [{}]}', document.schema(path))


def test_a_record_as_a_dictionary_is_what_is_written() -> None:
    shaper = Shaper(SCHEMA)
    body = b'{"data": [{"id": "1", "born_on": "2024-01-02", "amount": 1.10}]}'
    record = shaper.shape_all(list(TypedDecoder(shaper)(body)["data"]))[0]
    assert encoder.encode(as_dictionary(record)) == encoder.encode(record)


def test_streams_take_the_short_way_and_none_of_its_records_shows_it(tap: TapRunner) -> None:
    with Sandbox(Company(employees=5, untidy=True)) as sandbox:
        config = config_for(sandbox)
        catalog = tap.catalog("employees", "teams")
        typed = tap(config, catalog=catalog)
        mapped = tap({**config, "stream_maps": {"employees": {}, "teams": {"name": "name"}}}, catalog=catalog)
        assert typed.records["employees"] == mapped.records["employees"]
        streams = TapFactorialHR(config=config, catalog=catalog).streams
        assert isinstance(streams["employees"].walk.decode, TypedDecoder)  # type: ignore[attr-defined]
