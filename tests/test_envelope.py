"""What an answer says of itself, with every oddity that has been seen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tap_factorialhr.decoding import LARGE, PackedRows, decode_answer
from tap_factorialhr.envelope import EnvelopeError, Page
from tap_factorialhr.pagination import CursorPaginator, OffsetPaginator, PaginationMeta
from tap_factorialhr.records import Shaper
from tap_factorialhr.typed import TypedDecoder


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"data": [], "meta": {"limit": None}}, PaginationMeta(is_unpaginated=True)),
        ({"data": []}, PaginationMeta()),
        ({"data": [], "meta": None}, PaginationMeta()),
        ({"errors": None}, PaginationMeta()),
        ({"data": [], "meta": {"total": "7", "limit": 100}}, PaginationMeta(limit=100, total=7)),
        ({"data": [], "meta": {"total": -1, "limit": True}}, PaginationMeta()),
        (
            {"data": [], "meta": {"has_next_page": True, "has_previous_page": False, "end_cursor": 12}},
            PaginationMeta(has_next_page=True, has_previous_page=False, end_cursor="12"),
        ),
        (
            {"data": [], "meta": {"start_cursor": "a", "has_next_page": False}},
            PaginationMeta(has_next_page=False),
        ),
        ({"data": [], "meta": {"end_cursor": "", "has_next_page": None}}, PaginationMeta()),
        ({"data": [], "meta": {"has_next_page": "false"}}, PaginationMeta()),
    ],
)
def test_meta_reads_every_oddity(document: object, expected: PaginationMeta) -> None:
    assert PaginationMeta.from_response(document) == expected


DECODERS = [decode_answer, TypedDecoder(Shaper({"type": "object", "properties": {"id": {"type": ["string", "null"]}}}))]


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("body", [b'{"errors": null}', b'{"data": []}', b'{"data": [], "errors": null, "meta": {}}'])
def test_an_empty_result_is_a_list_or_exactly_the_one_odd_envelope(decode: Any, body: bytes) -> None:
    assert len(Page.from_response(decode(body)).rows) == 0


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize(
    "body",
    [
        *(b"[]", b"null", b'"x"', b"3", b"{}", b'{"meta": {}}'),
        *(b'{"data": null}', b'{"data": {}}', b'{"data": false}', b'{"data": ""}', b'{"data": 0}'),
        *(b'{"data": {"id": "1"}}', b'{"data": "rows"}', b'{"data": [1]}', b'{"data": [null]}'),
        *(b'{"errors": {"errors": ["x"]}}', b'{"errors": null, "meta": {}}', b'{"errors": null, "data": null}'),
        b'{"data": [], "errors": {"errors": ["x"]}}',
        b'{"data": [{"id": "1"}], "errors": ["the rest failed"]}',
    ],
)
def test_what_is_no_envelope_or_a_partial_one_is_an_error(decode: Any, body: bytes) -> None:
    with pytest.raises(EnvelopeError):
        Page.from_response(decode(body))


def test_a_large_answer_beside_errors_is_an_error() -> None:
    body = b'{"data": [' + b",".join([b'{"id": "%0200d"}' % 1] * 25_000) + b'], "errors": ["x"]}'
    assert len(body) > LARGE
    with pytest.raises(EnvelopeError):
        Page.from_response(decode_answer(body))


# Which pages there are follows from the meta


@pytest.mark.parametrize(
    ("meta", "number", "after"),
    [
        (PaginationMeta(limit=100, total=250, has_next_page=True), 1, [2, 3]),
        (PaginationMeta(limit=100, total=250, has_next_page=True), 2, [3]),
        (PaginationMeta(limit=100, total=250, has_next_page=False), 1, []),
        (PaginationMeta(limit=50, total=101, has_next_page=True), 1, [2, 3]),
        (PaginationMeta(limit=100, total=100, has_next_page=True), 1, [2]),  # It promises one, whatever it counts.
        (PaginationMeta(limit=None, total=250, has_next_page=True), 1, [2]),
        (PaginationMeta(limit=100, total=None, has_next_page=True), 4, [5]),
    ],
)
def test_the_pages_after_one_follow_from_its_meta(meta: PaginationMeta, number: int, after: list[int]) -> None:
    assert list(OffsetPaginator(page_size=100).numbers_after(number, meta)) == after


@pytest.mark.parametrize(("total", "limit", "last"), [(250, 100, 3), (200, 100, 2), (0, 100, 1), (None, 100, None)])
def test_the_last_page_follows_from_total_and_limit(total: int | None, limit: int, last: int | None) -> None:
    assert OffsetPaginator(page_size=100).last_number(PaginationMeta(limit=limit, total=total)) == last


def test_a_page_is_asked_for_by_its_number_or_by_the_cursor_before_it() -> None:
    assert OffsetPaginator(page_size=50).params(3) == (("page", "3"), ("limit", "50"))
    assert CursorPaginator(page_size=50).params(None) == (("limit", "50"),)
    assert CursorPaginator(page_size=50).params("abc") == (("limit", "50"), ("after_id", "abc"))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("packed", [True, False])
def test_the_rows_of_a_page_come_in_order_and_so_many_at_a_time(size: int, packed: bool) -> None:
    rows = [{"id": number} for number in range(5)]
    shelved: list[Any] | PackedRows = (
        PackedRows([msgspec.Raw(b'{"id": %d}' % number) for number in range(5)]) if packed else [*rows]
    )
    batches = list(Page(shelved, PaginationMeta()).batches(size))
    assert [row for batch in batches for row in batch] == rows
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert 0 < len(batches[-1]) <= size


def test_rows_leave_the_page_as_they_are_taken() -> None:
    page = Page([{"id": number} for number in range(5)], PaginationMeta())
    batches = page.batches(2)
    next(batches)
    next(batches)
    assert len(page.rows) == 3


def test_a_page_of_no_rows_has_no_batches() -> None:
    assert list(Page([], PaginationMeta()).batches(2)) == []
