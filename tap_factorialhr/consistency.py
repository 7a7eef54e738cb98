"""What shows that rows have moved between the pages of a listing, or that its server leads nowhere.

A row that is deleted during a read moves the later ones forward, over the edge of a page by number, and one that enters
moves them back. Pages that fit each other show that none has, as far as it is said here; none of their rows is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tap_factorialhr.pagination import OffsetPaginator
from tap_factorialhr.records import column

if TYPE_CHECKING:
    from tap_factorialhr.envelope import Page
    from tap_factorialhr.pagination import PaginationMeta

Key = int | str


class Resume(NamedTuple):
    """From where a read can go on by cursor: up to here every row has come that was there all the time.

    Attributes:
        cursor: The cursor of the last such row, None to begin again.
        rows: How many rows lie before that.
    """

    cursor: str | None = None
    rows: int = 0


class PaginationError(Exception):
    """A server's pages lead nowhere: it repeats one, or promises one and gives none."""


class MissingPageError(PaginationError):
    """Rows that are told of do not come, or cannot be asked for: they may have gone meanwhile, or the server errs."""


class ShiftedPagesError(Exception):
    """Page numbers cannot be trusted any more; the read goes on by cursor.

    Attributes:
        resume: From where.
        is_promised: Whether there are rows after that for certain.
    """

    def __init__(self, reason: str, resume: Resume, *, is_promised: bool = True) -> None:
        """Take what was noticed, without any value of a row, and from where the read can go on."""
        super().__init__(reason)
        self.resume = resume
        self.is_promised = is_promised


class IgnoredPageError(ShiftedPagesError):
    """The server answers every page with the first one."""


class Trace(NamedTuple):
    """What is remembered of a page: not its rows, which may be many and are needed elsewhere.

    Attributes:
        meta: Its meta.
        size: How many rows it had.
        keys: Their keys, as numbers where all are; without a key, one fingerprint of all of them.
    """

    meta: PaginationMeta
    size: int
    keys: list[Key]

    @classmethod
    def of(cls, page: Page, key: str | None) -> Trace:
        """The trace of a page, whose rows are told apart by a key."""
        rows = len(page.rows)
        if key is None:
            return cls(page.meta, rows, [hash(tuple(map(repr, page.rows)))] if rows else [])
        return cls(page.meta, rows, keys_of(page, key))


class Trail:
    """The pages by number so far, each of which has to fit those before it.

    Attributes:
        is_counted: Whether the first page says how many pages there are.
        pages: How many there are as far as that page shows.
        total: Rows in all as the first page says; where pages are compared with the last one, all have to agree on it.
        limit: Rows of a page at the most, as the server has it.
        sure: Up to where rows have come for certain, whatever has moved.
    """

    def __init__(self, first: Page, *, key: str | None, page_size: int) -> None:
        """Take the first page, the field that tells rows apart, and how many rows a page was asked for."""
        self._key = key
        self._first = self._last = Trace.of(first, key)
        self._number = 1
        self._rows = self._first.size
        self._pages = {hash(tuple(self._first.keys))}
        keys = self._first.keys
        is_ordered = bool(keys) and is_ascending(keys)
        self._met = None if is_ordered or key is None else set(keys)
        paginator = OffsetPaginator(page_size)
        self.is_counted = paginator.last_number(first.meta) is not None
        numbers = paginator.numbers_after(1, first.meta)
        self.pages = numbers[-1] if numbers else 1  # not max(), which takes a total by its word and counts up to it
        self.total = first.meta.total
        self.limit = first.meta.limit
        self.sure = Resume(first.meta.end_cursor, self._rows if first.meta.end_cursor else 0)

    @property
    def rows(self) -> int:
        """How many rows have come."""
        return self._rows

    def shifted(self, reason: str, *, is_promised: bool = True) -> ShiftedPagesError:
        """The error that makes the read go on by cursor from where it is sure."""
        return ShiftedPagesError(reason, self.sure, is_promised=is_promised)

    def guard(self, page: Page) -> bool:
        """Take the page by the last number for a sentinel; whether it is the last page at all."""
        trace = Trace.of(page, self._key)
        self._check_number(trace)
        self._check_total(trace)
        self._sentinel = trace
        return bool(trace.keys) and not trace.meta.has_next_page

    def add(self, page: Page) -> None:
        """Take the next page.

        Raises:
            ShiftedPagesError: It does not fit those before.
            MissingPageError: It was promised, and is empty.
        """
        trace = Trace.of(page, self._key)
        self._check_number(trace)
        self._check_total(trace)
        if not trace.size:
            check_promise(trace, self._last, self._rows, (self._number + 1) * (trace.meta.limit or 0))
        self._append(trace)

    def add_overlapping(self, page: Page) -> Page:
        """Take the page that a chain begins with, which has to hold the last row so far.

        Returns:
            What of it comes after that row.
        """
        trace = Trace.of(page, self._key)
        self._check_number(trace)
        if len(trace.keys) != trace.size or self._last.keys[-1:] == [] or self._last.keys[-1] not in trace.keys:
            raise self.shifted("a page does not hold the last row before it")
        rest = page.without_first(trace.keys.index(self._last.keys[-1]) + 1)
        self._extend(rest)
        return rest

    def add_following(self, page: Page) -> None:
        """Take the next page of a chain, which has come by cursor."""
        if not len(page.rows):
            raise self.shifted("a page that was promised has no rows")
        self._extend(page)

    def _extend(self, page: Page) -> None:
        trace = Trace.of(page, self._key)
        if (fingerprint := hash(tuple(trace.keys))) in self._pages:
            raise self.shifted("a page comes twice")
        self._pages.add(fingerprint)
        self._last = trace if trace.size else self._last
        self._rows += trace.size
        if page.meta.end_cursor:
            self.sure = Resume(page.meta.end_cursor, self._rows)

    def add_last(self, page: Page) -> None:
        """Take the last page, which has to be what it was when it was made sentinel."""
        trace = Trace.of(page, self._key)
        if trace.keys != self._sentinel.keys:
            raise self.shifted("the last page changed during the read")
        self._append(trace)

    def confirm(self, first: Page) -> None:
        """Check that the first page is still what it was."""
        if Trace.of(first, self._key).keys != self._first.keys:
            raise self.shifted("the first page changed during the read")

    def _append(self, trace: Trace) -> None:
        self._check_order(trace.keys)
        self._rows += trace.size
        self._last = trace
        self._number += 1
        has_all = self.total is None or not trace.meta.limit or self._rows == self.total
        if not trace.meta.has_next_page and not has_all:
            raise self.shifted("the rows read are not as many as the total")

    def _check_number(self, trace: Trace) -> None:
        # Where pages were the first one again, nothing after it has been read.
        if trace.meta.has_previous_page is False and trace.size:
            raise IgnoredPageError("the server ignores the page number", self.sure)
        if trace.keys and trace.keys[:1] == self._first.keys[:1]:
            raise IgnoredPageError("the server answers with the first page again", self.sure)

    def _check_total(self, trace: Trace) -> None:
        if trace.meta.total != self.total:
            raise self.shifted("the total changed")

    def _check_order(self, keys: list[Key]) -> None:
        if self._key is None or not keys:
            return
        if self._met is not None:
            if not self._met.isdisjoint(keys):
                raise self.shifted("an id comes twice")
            self._met.update(keys)
        elif not is_ascending(keys) or (self._last.keys and not is_before(self._last.keys[-1], keys[0])):
            raise self.shifted("a page does not begin after the last one ended")


def keys_of(page: Page, key: str) -> list[Key]:
    """The values of a key, as numbers where all are."""
    values = column(page.rows, key)
    try:
        return [int(value) for value in values]
    except (ValueError, TypeError, OverflowError):
        return [str(value) for value in values if value is not None]


def is_ascending(keys: list[Key]) -> bool:
    """Whether keys are numbers, each larger than the one before."""
    return isinstance(keys[0], int) and keys == sorted(set(keys))


def is_before(one: Key, other: Key) -> bool:
    """Whether both are numbers, and the other one is larger."""
    return isinstance(one, int) and isinstance(other, int) and one < other


def check_rest(page: Page, rows: int) -> None:
    """Check an answer without rows, where some were promised: it is right where those before were all there are.

    That there are none at all is not believed where some have come: so an answer looks that is for other credentials
    (API notes, "Paths and versions").
    """
    total = page.meta.total
    if not len(page.rows) and (total is None or total > rows or (rows and not total)):
        raise MissingPageError("the server promised a next page and gave none")


def check_promise(page: Trace, last: Trace, rows: int, places: int) -> None:
    """Check an empty page after a promised one.

    It is right where its rows were all deleted meanwhile, so that those read so far are all there are; or where they
    are not for these credentials, and it is one of those in the middle, as long as the places passed so far, rows
    shown or not, are fewer than the total.
    """
    before, total = last.meta.total, page.meta.total
    if page.meta.has_next_page:
        is_right = total is not None and 0 < places < total
    else:
        is_right = before is not None and total is not None and total < before and 0 < total <= rows
    if not is_right:
        raise MissingPageError("the server promised a next page and gave none")
