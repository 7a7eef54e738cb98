"""What every answer looks like: rows, and what the answer says about itself.

Facts: API notes, "The envelope".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tap_factorialhr.decoding import PackedRows
from tap_factorialhr.typed import TypedRows

Row = dict[str, Any]

_LONGEST_COUNT = 40
"""Digits of a number that can be a count of rows."""


class EnvelopeError(ValueError):
    """An answer is not the envelope ``{"data": [...], "meta": {...}}``."""


@dataclass(frozen=True, slots=True)
class PaginationMeta:
    """The ``meta`` of an answer; whatever it leaves out, or says in a way that means nothing, is None.

    Attributes:
        limit: Rows per page; None also where the resource is not paginated.
        total: Rows in all.
        has_next_page: Whether there is a next page.
        has_previous_page: Whether there is a page before.
        end_cursor: The cursor of the last row.
        is_unpaginated: Whether it says that all rows are in this one answer, by a limit of null.
    """

    limit: int | None = None
    total: int | None = None
    has_next_page: bool | None = None
    has_previous_page: bool | None = None
    end_cursor: str | None = None
    is_unpaginated: bool = False

    @classmethod
    def from_response(cls, document: object) -> PaginationMeta:
        """Read the meta of a decoded answer.

        Raises:
            EnvelopeError: The answer is not an envelope.
        """
        raw = _envelope(document).get("meta")
        meta: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
        return cls(
            limit=_count(meta.get("limit")),
            total=_count(meta.get("total")),
            has_next_page=_flag(meta.get("has_next_page")),
            has_previous_page=_flag(meta.get("has_previous_page")),
            end_cursor=_cursor(meta.get("end_cursor")),
            is_unpaginated="limit" in meta and meta["limit"] is None,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """One decoded answer: its rows and its meta.

    Attributes:
        rows: The rows, in order.
        meta: What the answer says about itself.
        following: The pages after it as their cursors give them, where they were asked for with it.
    """

    rows: list[Row] | PackedRows | TypedRows
    meta: PaginationMeta
    following: tuple[Page, ...] = ()

    @classmethod
    def from_response(cls, document: object) -> Page:
        """Read a decoded answer.

        Raises:
            EnvelopeError: The answer is not an envelope, or its rows are not objects.
        """
        meta = PaginationMeta.from_response(document)
        rows = _envelope(document).get("data", [])
        if isinstance(rows, PackedRows | TypedRows) or (
            isinstance(rows, list) and all(row.__class__ is dict for row in rows)
        ):
            return cls(rows, meta)
        raise EnvelopeError("its data is not a list of objects")

    def without_first(self, count: int) -> Page:
        """The same without so many of its rows, and without the pages after it."""
        return Page(self.rows[count:], self.meta)

    def batches(self, size: int) -> Iterator[list[Row]]:
        """Its rows in order, at most ``size`` at a time, each taken out of the page."""
        if not isinstance(self.rows, list):
            yield from self.rows.batches(size)
            return
        self.rows.reverse()  # From the end of a list rows come off without moving the others.
        while self.rows:
            yield self.rows[: -size - 1 : -1]
            del self.rows[-size:]


def _number(value: object) -> int | None:
    if isinstance(value, int):
        return value
    is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_COUNT
    return int(str(value)) if is_number else None


def _envelope(document: object) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise EnvelopeError("it is not an object")
    if document.get("errors"):
        raise EnvelopeError("it tells of errors")
    # An empty result has been seen as exactly {"errors": null}.
    if "data" not in document and document != {"errors": None}:
        raise EnvelopeError("it has no data")
    return document


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _count(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    number = _number(value)
    return number if number is None or number >= 0 else None


def _cursor(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
