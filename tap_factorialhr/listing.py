"""A listing before and while it is read: what is asked for, and what an answer says of rows after its own.

Facts: API notes, "Pagination". No input or output.
"""

from __future__ import annotations

from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, cast

from tap_factorialhr.consistency import PaginationError, is_ascending, is_before, keys_of
from tap_factorialhr.envelope import PaginationMeta
from tap_factorialhr.pagination import CursorPaginator, OffsetPaginator

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_factorialhr.consistency import Key, ShiftedPagesError, Trace
    from tap_factorialhr.envelope import Page
    from tap_factorialhr.openapi import Params


class Request(NamedTuple):
    """A request for a page of a listing.

    Attributes:
        params: Its parameters, besides those of the listing.
        following: How many pages after it are to be asked for as well, each by the cursor of the one before, as soon as
            that has come. They come as ``page.following``, as many as there are.
    """

    params: Params
    following: int = 0


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows of a listing came, and how many there are.

    Attributes:
        rows: Those that came, but for those of pages that had to be read again.
        total: Those that the server counts, 0 where that is not known.
        repeated: Those of the rows that had come before.
    """

    rows: int = 0
    total: int = 0
    repeated: int = 0

    @property
    def distinct(self) -> int:
        """Those that came, each once."""
        return self.rows - self.repeated

    @property
    def is_short(self) -> bool:
        """Whether fewer came: the others are not shown to these credentials, or the server did not give them."""
        return self.distinct < self.total

    def __add__(self, other: RowCount) -> RowCount:
        """Those of both together."""
        return RowCount(self.rows + other.rows, self.total + other.total, self.repeated + other.repeated)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The parts of a stream whose rows could not be read: parents, values or days, by what was answered.

    Attributes:
        gone: Parents that are not there (any more).
        refused: All others.
    """

    gone: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, status: str, *, is_gone: bool) -> None:
        """Count one more."""
        (self.gone if is_gone else self.refused)[status] += 1

    def __add__(self, other: LeftOut) -> LeftOut:
        """Those of both together."""
        return LeftOut(self.gone + other.gone, self.refused + other.refused)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.gone or self.refused)

    def __str__(self) -> str:
        """How many, and why."""
        return ", ".join(f"{count} times {status}" for status, count in (self.gone + self.refused).items())


class Promise(Enum):
    """What an answer says of rows after its own."""

    MORE = auto()
    NONE = auto()
    UNSAID = auto()


@dataclass(frozen=True, slots=True)
class Listing:
    """What is known of a listing before its first page.

    Attributes:
        page_size: Rows asked for per page, at most 100.
        key: The field that tells rows apart, None where there is none.
        filtered: Whether it lists a part of all rows, which a row can enter anywhere when it is changed.
        is_one_of_many: Whether there may be thousands of the kind, of which many have no rows.
        counts_rows: Whether total and limit count the rows of the listing, as they do but where it is known otherwise.
        side_by_side: How many pages can be asked for at the same time.
        note: Is told each time that page numbers turned out not to be trusted.
    """

    page_size: int
    key: str | None = "id"
    filtered: bool = False
    is_one_of_many: bool = False
    counts_rows: bool = True
    side_by_side: int = 1
    note: Callable[[ShiftedPagesError], None] = lambda _: None

    def page(self, number: int) -> Request:
        """The request for a page by number."""
        return Request(OffsetPaginator(self.page_size).params(number))

    def after(self, cursor: str | None) -> Request:
        """The request for the page after a cursor, the first one after none."""
        return Request(CursorPaginator(self.page_size).params(cursor))

    def promise(self, page: Page, *, is_first: bool, places: int | None = None, total: int | None = None) -> Promise:
        """Whether an answer promises more rows; a page that contradicts itself does, or leaves it in doubt.

        Args:
            page: The answer.
            is_first: Whether it is the first page of the listing, which its total can be held against. Of later ones
                that is not certain, since a page may show fewer rows than it counts.
            places: How many rows the pages before it count at the least, where that is known.
            total: How many rows an answer before it counted in all, for one that leaves that out.

        Raises:
            PaginationError: It tells of rows and holds none.
        """
        meta, size = page.meta, len(page.rows)
        if meta.has_next_page:
            return Promise.MORE
        own = self.total_of(meta)
        if is_first and own is not None and own > max(size, meta.limit or 0):
            # Where a page with room for more says that it is the last one, the others may be hidden.
            is_last = meta.has_next_page is False and meta.limit is None and 0 < size < self.page_size
            return Promise.UNSAID if is_last else Promise.MORE
        if is_first and own and not size:
            raise PaginationError("the server tells of rows and gives none")
        # Asking once more costs a request, taking it for the last page could cost rows.
        can_be_asked = meta.end_cursor is not None or meta.has_next_page is None or own is None
        counted = own if own is not None or not self.counts_rows else total
        is_doubtful = size and can_be_asked and _is_doubtful(meta, size, 0 if is_first else places, counted)
        return Promise.UNSAID if is_doubtful else Promise.NONE

    def is_full(self, page: Trace, rows: int) -> bool:
        """Whether there may be more rows than a page's that comes again: it is full, and counts more than came."""
        total = self.total_of(page.meta)
        has_room = page.size < min(self.page_size, page.meta.limit or self.page_size)
        return not has_room and (total is None or total > rows)

    def total_of(self, meta: PaginationMeta) -> int | None:
        """How many rows of the listing a page counts, None where it does not, or counts something else."""
        return meta.total if self.counts_rows else None


def _is_doubtful(meta: PaginationMeta, size: int, places: int | None, total: int | None) -> bool:
    """Whether more rows may come after a page that promises none, with so many places before it, of so many in all."""
    if meta.is_unpaginated and places == 0:
        return False
    if meta.has_next_page is None:
        return True  # Also where the total says that all have come: it may be that of a moment ago.
    return bool(total and places and total > places + max(size, meta.limit or 0))


class _Met:
    """Counts rows once, however often they come.

    That a server sorts by key is said of the API, and not seen. As long as it does, the keys are kept as numbers alone,
    eight bytes for each.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._ordered = array("q")
        self._keys: set[Key] | None = None
        self._others = 0

    def add(self, keys: list[Key], rows: int) -> None:
        """Take the rows of the next page, and their keys as far as they have one."""
        self._others += rows - len(keys)
        if self._keys is None:
            if (numbers := self._following(keys)) is not None:
                self._ordered.extend(numbers)
                return
            self._keys = set(self._ordered)
        self._keys.update(keys)

    def forget(self, rows: int) -> None:
        """Forget the rows after so many, as far as it is known which they are; they come again."""
        if self._keys is None:
            del self._ordered[rows:]

    def _following(self, keys: list[Key]) -> array[int] | None:
        """The keys as numbers, where all are and come after those before."""
        if keys and not (is_ascending(keys) and (not self._ordered or is_before(self._ordered[-1], keys[0]))):
            return None
        with suppress(OverflowError):
            return array("q", cast("list[int]", keys))
        return None

    @property
    def distinct(self) -> int:
        """How many have come; one may count twice, but none is left out."""
        return self._others + len(self._ordered if self._keys is None else self._keys)


class Tally:
    """Counts the rows of a listing, and keeps what the server says of how many there are.

    Attributes:
        rows: How many have come.
        is_silent: Whether no answer has said anything but its rows.
    """

    def __init__(self, listing: Listing) -> None:
        """Begin with none."""
        self.is_silent = True
        self._listing = listing
        self._totals: list[int] = []
        self._met = _Met()
        self.rows = 0

    def begin(self, rows: int) -> None:
        """Begin again after so many rows; those after them come again."""
        self.rows = rows
        if rows:
            self._met.forget(rows)
        else:
            self._met = _Met()

    def add(self, page: Page) -> None:
        """Count the rows of the next page."""
        self.rows += len(page.rows)
        key = self._listing.key
        self._met.add([] if key is None else keys_of(page, key), len(page.rows))
        self.is_silent = self.is_silent and page.meta == PaginationMeta()
        if (total := self._listing.total_of(page.meta)) is not None:
            self._totals = [*self._totals[:1], total]

    @property
    def total(self) -> int | None:
        """How many rows the last answer counts that did count them."""
        return self._totals[-1] if self._totals else None

    @property
    def count(self) -> RowCount:
        """How many rows came, of how many that there are as far as the last answer shows."""
        # A row that enters a part of all rows can do so among those that have been read, and is none that is missing.
        totals = self._totals if self._listing.filtered else self._totals[-1:]
        return RowCount(self.rows, min(totals, default=0), max(self.rows - self._met.distinct, 0))
