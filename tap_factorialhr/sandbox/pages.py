"""Pages: which rows of a selection one answer holds, and the envelope around them (API notes, "Pagination")."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tap_factorialhr.sandbox.queries import InvalidParametersError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_factorialhr.sandbox.tables import Table

MOST = 100
"""Rows on a page by default, and at most."""

NOTHING = b'{"errors":null}'
"""A body that the API has been seen to send for an empty list, and with a 401."""


class PageOptions(Protocol):
    """How pages are to be odd; `Sandbox` says what each means."""

    ignore_page: bool
    short_pages: bool
    no_total: bool
    repeat_cursor: bool
    promise_without_page: bool
    null_empty: bool
    page_size_cap: int


@dataclass(slots=True)
class Page:
    """What is answered, and what the envelope says of it.

    Attributes:
        places: The places of the rows in their table.
        limit: The most rows of a page, None where all rows are in the one answer.
        total: How many rows all pages have together.
        has_next: Whether another page is promised.
        has_previous: Whether there is a page before.
    """

    places: list[int]
    limit: int | None
    total: int
    has_next: bool
    has_previous: bool


def whole(selected: list[int]) -> Page:
    """All rows in one answer, as resources without pages give them."""
    return Page(selected, None, len(selected), has_next=False, has_previous=False)


def page_of(table: Table, selected: list[int], asked: Mapping[str, str], options: PageOptions) -> Page:
    """The page that a request asks for.

    Args:
        table: The rows of the resource.
        selected: The places of those that the filters leave, in order.
        asked: The parameters; read are ``limit``, ``page`` and ``after_id``.
        options: How it is to be odd.

    Raises:
        InvalidParametersError: A number is none, or the cursor is none.
    """
    limit = min(_number(asked.get("limit", str(MOST))), options.page_size_cap)
    if "after_id" in asked:
        after = _after(asked["after_id"])
        start = bisect_right(selected, after, key=table.keys.__getitem__)
        if options.repeat_cursor:
            start = min(start, limit)
    elif options.ignore_page:
        start = 0
    else:
        start = (_number(asked.get("page", "1")) - 1) * limit
    stop = start + limit
    has_next = stop < len(selected)
    if options.short_pages and limit > 1 and (has_next or start):
        start, stop = _shortened(start, limit, cursor="after_id" in asked, total=len(selected))
        has_next = stop < len(selected)
    return Page(selected[start:stop], limit, len(selected), has_next or options.promise_without_page, start > 0)


def _shortened(start: int, limit: int, *, cursor: bool, total: int) -> tuple[int, int]:
    """Where a page begins and ends when every page in the middle lacks its last row."""
    size = limit - 1
    if not cursor:
        start = start // limit * size
    return start, min(start + size, total)


def envelope(table: Table, page: Page, blank: frozenset[str], options: PageOptions) -> bytes:
    """A page as JSON.

    Args:
        table: The rows of the resource.
        page: Which of them.
        blank: The fields to leave null.
        options: How the envelope is to be odd.
    """
    if options.null_empty and not page.places:
        return NOTHING
    first = table.keys[page.places[0]] if page.places else None
    last = table.keys[page.places[-1]] if page.places else None
    meta: dict[str, Any] = {
        "limit": page.limit,
        "total": page.total,
        "has_next_page": page.has_next,
        "has_previous_page": page.has_previous,
        "start_cursor": None if first is None else _cursor(first),
        "end_cursor": None if last is None else _cursor(last),
    }
    if options.repeat_cursor and page.places:
        meta["end_cursor"] = _cursor(table.keys[min(page.limit or 1, len(table.keys)) - 1])
        meta["has_next_page"] = True
    if options.no_total:
        del meta["total"]
    rows = b",".join([table.json(place, blank) for place in page.places])
    return b'{"data":[' + rows + b'],"meta":' + msgspec.json.encode(meta) + b"}"


def _number(text: str) -> int:
    """A positive whole number.

    Raises:
        InvalidParametersError: It is none.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InvalidParametersError("number")
    return int(text)


def _cursor(key: int) -> str:
    return base64.urlsafe_b64encode(f"after:{key}".encode()).decode()


def _after(cursor: str) -> int:
    """The key that a cursor stands for; the row need not exist any more.

    Raises:
        InvalidParametersError: It is no cursor, but for instance a plain id.
    """
    try:
        word, _, key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidParametersError("after_id") from error
    if word != "after" or not key.isdigit():
        raise InvalidParametersError("after_id")
    return int(key)
