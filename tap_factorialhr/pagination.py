"""Pages: what an answer says about itself, which page comes next, and when a read can be trusted.

Everything here is pure: it takes decoded answers and gives back parameters. Facts: API notes, "The envelope" and
"Pagination".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = dict[str, Any]
Params = tuple[tuple[str, str], ...]

_LONGEST_CURSOR = 4096


class EnvelopeError(ValueError):
    """An answer is not the envelope ``{"data": [...], "meta": {...}}``."""


class PaginationError(Exception):
    """A server's pages lead nowhere: it repeats one, or promises one and gives none."""


class ShiftedPagesError(Exception):
    """Offset pages cannot be trusted any more; the read must go on by cursor.

    Attributes:
        cursor: Where the read was sure (the cursor after the last trusted row), None to begin again.
    """

    def __init__(self, reason: str, cursor: str | None) -> None:
        """Take what was noticed, without any value of a row, and the last trusted cursor."""
        super().__init__(reason)
        self.cursor = cursor


class IgnoredPageError(ShiftedPagesError):
    """The server answers every page with the first one."""


@dataclass(frozen=True, slots=True)
class PaginationMeta:
    """The ``meta`` of an answer.

    Attributes:
        limit: Rows per page; None where the resource is not paginated.
        total: Rows in all; None where the server does not say.
        has_next_page: Whether there is a next page: the only sign that a read is not over.
        has_previous_page: Whether there is a page before; None where the server does not say.
        start_cursor: The cursor of the first row.
        end_cursor: The cursor of the last row.
    """

    limit: int | None = None
    total: int | None = None
    has_next_page: bool = False
    has_previous_page: bool | None = None
    start_cursor: str | None = None
    end_cursor: str | None = None

    @classmethod
    def from_response(cls, document: object) -> PaginationMeta:
        """Read the meta of a decoded answer; what is missing or odd counts as not said.

        Raises:
            EnvelopeError: The answer is not an envelope.
        """
        raw = _envelope(document).get("meta")
        meta: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
        return cls(
            limit=_count(meta.get("limit")),
            total=_count(meta.get("total")),
            has_next_page=meta.get("has_next_page") is True,
            has_previous_page=_flag(meta.get("has_previous_page")),
            start_cursor=_cursor(meta.get("start_cursor")),
            end_cursor=_cursor(meta.get("end_cursor")),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """One decoded answer: its rows and its meta."""

    rows: list[Row]
    meta: PaginationMeta

    @classmethod
    def from_response(cls, document: object) -> Page:
        """Read a decoded answer.

        Raises:
            EnvelopeError: The answer is not an envelope, or its rows are not objects.
        """
        meta = PaginationMeta.from_response(document)
        rows = _envelope(document).get("data") or []
        if not isinstance(rows, list) or not all(row.__class__ is dict for row in rows):
            raise EnvelopeError("its data is not a list of objects")
        return cls(rows, meta)


class Paginator(Protocol):
    """Which page to ask for, and whether there is one more."""

    @property
    def finished(self) -> bool:
        """Whether the last page has been taken."""

    @property
    def params(self) -> Params:
        """The parameters of the next page."""

    def take(self, page: Page) -> None:
        """Check the page that was asked for and move on."""


@dataclass(slots=True)
class OffsetPaginator:
    """Pages by number, from 1, until an answer says that there is no next page.

    A row that is deleted during the read shifts the later ones forward, over a page's edge, and an added one
    may shift them back. Each page is therefore checked against those before it.

    Attributes:
        page_size: Rows asked for per page, at most 100.
        key: The field that tells rows apart, None where there is none.
    """

    page_size: int
    key: str | None = "id"
    number: int = 1
    finished: bool = False
    _first: Page | None = None
    _last: Page | None = None
    _rows: int = 0

    @property
    def params(self) -> Params:
        """The parameters of the next page."""
        return self.params_of(self.number)

    def params_of(self, number: int) -> Params:
        """The parameters of any page, by its number from 1."""
        return (("page", str(number)), ("limit", str(self.page_size)))

    @property
    def last_number(self) -> int:
        """The number of the last page as far as is known, for reading ahead of need."""
        meta = self._last.meta if self._last else None
        if meta is None or self.finished:
            return self.number
        if not meta.total or not meta.limit:
            return self.number
        return max(self.number, -(-meta.total // meta.limit))

    def take(self, page: Page) -> None:
        """Check the page that was asked for and move on to the next.

        Raises:
            ShiftedPagesError: Rows have moved, or the server ignores the page number.
            PaginationError: A next page was promised, and none came.
        """
        if self._last is not None:
            self._check(page, self._last)
        self._rows += len(page.rows)
        self._first = self._first or page
        if not page.meta.has_next_page:
            self._check_count(page)
        self._last = page
        self.number += 1
        self.finished = not page.meta.has_next_page

    def _check(self, page: Page, last: Page) -> None:
        sure = last.meta.end_cursor
        if page.meta.has_previous_page is False and page.rows:
            raise IgnoredPageError("the server ignores the page number", self._sure_of_first)
        if self._begins_like_first(page):
            raise IgnoredPageError("the server answers with the first page again", self._sure_of_first)
        if page.meta.total != last.meta.total:
            raise ShiftedPagesError("the total changed", sure)
        if not page.rows:
            _check_promise(page, last)
            return
        if _overlaps(last.rows, page.rows, self.key):
            raise ShiftedPagesError("a page does not begin after the last one ended", sure)

    @property
    def _sure_of_first(self) -> str | None:
        # The pages after the first were the first again: nothing after it has been read.
        return self._first.meta.end_cursor if self._first else None

    def _begins_like_first(self, page: Page) -> bool:
        if self._first is None or not page.rows or not self._first.rows:
            return False
        if self.key is None:
            return page.rows == self._first.rows
        return bool(page.rows[0].get(self.key) == self._first.rows[0].get(self.key))

    def _check_count(self, page: Page) -> None:
        total = page.meta.total
        if self._last is not None and total is not None and page.meta.limit and self._rows != total:
            raise ShiftedPagesError("the rows read are not as many as the total", None)


@dataclass(slots=True)
class CursorPaginator:
    """Pages by the cursor of the last row, until an answer says that there is no next page.

    Attributes:
        page_size: Rows asked for per page, at most 100.
        cursor: Where to begin, None for the start.
    """

    page_size: int
    cursor: str | None = None
    finished: bool = False
    _last: Page | None = None
    _seen: set[int] = field(default_factory=set)

    @property
    def params(self) -> Params:
        """The parameters of the next page."""
        limit = (("limit", str(self.page_size)),)
        return (*limit, ("after_id", self.cursor)) if self.cursor else limit

    def take(self, page: Page) -> None:
        """Check the page that was asked for and move on to the next.

        Raises:
            PaginationError: The server repeats a page or a cursor, or promised a next page and gave none.
        """
        if self._last is not None:
            if not page.rows:
                _check_promise(page, self._last)
            elif page.rows == self._last.rows:
                raise PaginationError("the server repeats a page")
        self._last = page
        self.finished = not page.meta.has_next_page
        if not self.finished:
            self._advance(page.meta.end_cursor)

    def _advance(self, cursor: str | None) -> None:
        if cursor is None:
            raise PaginationError("the server promises a next page and gives no cursor for it")
        if len(cursor) > _LONGEST_CURSOR:
            raise PaginationError(f"the server's cursor is longer than {_LONGEST_CURSOR} characters")
        if hash(cursor) in self._seen or cursor == self.cursor:
            raise PaginationError("the server repeats a cursor")
        self._seen.add(hash(cursor))
        self.cursor = cursor


def _check_promise(page: Page, last: Page) -> None:
    """An empty page after a promised one is right only where the last rows were deleted meanwhile."""
    before, now = last.meta.total, page.meta.total
    shrunk = before is None or now is None or now < before
    if page.meta.has_next_page or not shrunk:
        raise PaginationError("the server promised a next page and gave none")


def _overlaps(before: list[Row], after: list[Row], key: str | None) -> bool:
    """Whether a page begins before the end of the one before it, or repeats one of its rows."""
    if key is None or not before or not after:
        return False
    old = [row.get(key) for row in before]
    if not set(map(str, old)).isdisjoint(str(row.get(key)) for row in after):
        return True
    numbers = [_number(value) for value in old]
    first = _number(after[0].get(key))
    if first is None or None in numbers:
        return False
    known = [number for number in numbers if number is not None]
    # Only where the page before was itself in order does an earlier id mean that rows have moved.
    return known == sorted(known) and first < known[-1]


def _number(value: object) -> int | None:
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def _envelope(document: object) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise EnvelopeError("it is not an object")
    # An empty result has been seen as {"errors": null}.
    if "data" not in document and not ("errors" in document and document["errors"] is None):
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
