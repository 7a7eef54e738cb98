"""Which page comes next, and when a read can be trusted.

Everything here is pure: it takes decoded answers and gives back parameters. Facts: API notes, "Pagination".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tap_factorialhr.records import column

if TYPE_CHECKING:
    from tap_factorialhr.envelope import Page, PaginationMeta
    from tap_factorialhr.openapi import Params

_LONGEST_CURSOR = 4096
_SECOND = 2
"""The number of the page after the first."""


class PaginationError(Exception):
    """A server's pages lead nowhere: it repeats one, or promises one and gives none."""


class MissingPageError(PaginationError):
    """A page was promised and came without rows: rows may have gone meanwhile, or the server is at fault."""


class ShiftedPagesError(Exception):
    """Offset pages cannot be trusted any more; the read must go on by cursor.

    Attributes:
        cursor: Where the read was sure (the cursor after the last trusted row), None to begin again.
    """

    def __init__(self, reason: str, cursor: str | None) -> None:
        """Take what was noticed, without any value of a row, and the last trusted cursor."""
        super().__init__(reason)
        self.cursor = cursor


class GrownError(ShiftedPagesError):
    """There are more rows than before: where they were added at the end, and nothing else, nothing has shifted."""


class IgnoredPageError(ShiftedPagesError):
    """The server answers every page with the first one."""


Key = int | str


@dataclass(slots=True)
class OffsetPaginator:
    """Pages by number, from 1, until an answer says that there is no next page.

    A row that is deleted during the read shifts the later ones forward, over a page's edge, and an added one may
    shift them back. So each page is checked against those before it. What these checks cannot see is a deletion that
    an addition makes up for, since the total stays the same.

    In a listing of all rows, added ones come last (API notes, "Pagination": rows are sorted by id). So the last page is
    looked at before those in the middle (`probe`) and read after them, and the first one is looked at again
    (`confirm`): where both are as they were, nothing has moved. A part of the rows, such as those changed since a day,
    can gain one anywhere. Its pages are sewn together: each comes with the row that follows it by cursor, and the next
    page has to begin with that one. Where neither can be done, there is a `safe_cursor` to go on with.

    Attributes:
        page_size: Rows asked for per page, at most 100.
        key: The field that tells rows apart, None where there is none.
        is_part: Whether it lists a part of all rows, which a row can enter anywhere.
        number: The number of the next page.
        finished: Whether the last page has been taken.
        is_guarded: Whether the last page waits until all others have come, to be compared with the one probed.
    """

    page_size: int
    key: str | None = "id"
    is_part: bool = False
    number: int = 1
    finished: bool = False
    is_guarded: bool = False
    _first: _Trace | None = None
    _last: _Trace | None = None
    _probed: _Trace | None = None
    _rows: int = 0
    _met: set[Key] | None = None
    """The keys met so far where they are not in ascending order, None where they are and the last one tells all."""

    def params_of(self, number: int) -> Params:
        """The parameters of any page, by its number from 1."""
        return (("page", str(number)), ("limit", str(self.page_size)))

    @property
    def last_number(self) -> int:
        """The number of the last page as far as is known."""
        meta = self._last.meta if self._last else None
        if meta is None or self.finished or not meta.total or not meta.limit:
            return self.number
        return max(self.number, -(-meta.total // meta.limit))

    @property
    def last_ahead(self) -> int:
        """The number of the last page that may be asked for before those in front of it have come."""
        return self.last_number - 1 if self.is_guarded else self.last_number

    @property
    def probe_number(self) -> int | None:
        """After the first page: the number of the page to `probe`, None where there is none in the middle."""
        return self.last_number if self.is_guarded and self.number == _SECOND else None

    @property
    def safe_cursor(self) -> str | None:
        """After the first page: the cursor to go on with where rows could move without a sign of it, else None."""
        if self.finished or self._last is None or self._is_sewn:
            return None
        meta = self._last.meta
        ends_where_it_grows = not self.is_part and self.key is not None and self._met is None
        shows_moves = ends_where_it_grows and meta.total is not None and meta.limit is not None
        return None if shows_moves else meta.end_cursor

    @property
    def _sure(self) -> str | None:
        """The cursor up to which every row has come that was there all the time, None where there is none.

        What was on the first page when it was read has come, whatever moved since. Of the pages after it that can be
        said only where they are sewn together.
        """
        trace = self._last if self._is_sewn else self._first
        return trace.meta.end_cursor if trace else None

    @property
    def needs_following(self) -> bool:
        """Whether a page is to come with the row that follows it by cursor, where pages are read side by side."""
        return self.is_part and self.key is not None

    @property
    def _is_sewn(self) -> bool:
        return self._first is not None and self._first.following is not None

    @property
    def may_be_whole(self) -> bool:
        """After the first page of a part: whether it can be told that the part holds all rows."""
        if self.number != _SECOND or self.finished or self._last is None or self._last.meta.total is None:
            return False
        return self.is_part and not self._is_sewn and self.key is not None

    def settle(self, total: int | None) -> bool:
        """Learn after the first page how many rows there are in all; whether this is all of them.

        Where it is, no row can enter anywhere but at the end. That the total stays the same from now on (`take`), and
        that none is added (`probe`), makes sure that it was so all the time.
        """
        if total is not None and self._last is not None and self._last.meta.total == total:
            self.is_part = False
        return not self.is_part

    def sew(self, following: Page | None) -> None:
        """Learn after the first page which row follows it, in a page of its own; None where that is not known."""
        if self._first is not None and following is not None and self.key is not None:
            self._first = self._last = replace(self._first, following=_keys(following, self.key)[:1])
            self.is_guarded = False

    @property
    def needs_confirmation(self) -> bool:
        """Whether the first page is to be looked at again before the read counts as whole."""
        return self.finished and self.number > _SECOND and self.key is not None and not self._is_sewn

    def take(self, page: Page) -> None:
        """Check the page that was asked for and move on to the next.

        Raises:
            ShiftedPagesError: Rows have moved, or the server ignores the page number.
            PaginationError: A next page was promised, and none came.
        """
        if self._last is None and not page.meta.has_next_page:
            self.finished = True
            return
        trace = _Trace.of(page, self.key)
        if self._last is not None:
            self._check(trace, self._last)
        self._check_order(trace.keys)
        self._rows += len(page.rows)
        if not page.meta.has_next_page:
            self._check_end(trace)
        self._first = self._first or trace
        self._last = trace
        self.number += 1
        self.finished = not page.meta.has_next_page
        if self.number == _SECOND:
            self.is_guarded = self.key is not None and self.last_number > _SECOND and not self._is_sewn

    def probe(self, page: Page | None) -> None:
        """Remember the last page as it was before those in the middle were asked for; None where there is no such page.

        Raises:
            ShiftedPagesError: Rows have moved since the first page, the server ignores the page number, or there is
                no telling the last page.
        """
        if page is not None and self._last is not None:
            trace = _Trace.of(page, self.key)
            self._check_page(trace, self._last)
            # Where the total is not what it seems, it is not the last page, and there is nothing to compare.
            self._probed = trace if trace.keys and not trace.meta.has_next_page else None
        self.is_guarded = self._probed is not None
        if not self.is_guarded and self._sure:
            raise ShiftedPagesError("the last page cannot be told beforehand", self._sure)

    def confirm(self, first: Page) -> None:
        """Check that the first page is still what it was.

        Raises:
            ShiftedPagesError: It is not.
        """
        trace = _Trace.of(first, self.key)
        if self._first is not None and trace.keys != self._first.keys:
            raise ShiftedPagesError("the first page changed during the read", self._sure)

    @property
    def params_of_added(self) -> Params | None:
        """The parameters of the rows added since the last page was probed, None where it was not."""
        cursor = self._probed.meta.end_cursor if self._probed else None
        return (("limit", str(self.page_size)), ("after_id", cursor)) if cursor else None

    def sure_cursor(self, first: Page, added: Page) -> str | None:
        """Where a read that has grown was sure.

        That is after the last page taken where rows were added since the probe, and none deleted: then as many have
        come as there are more in all. A deletion may have been made up for unseen before, so that only the first page
        is sure.

        Args:
            first: The first page, asked for again.
            added: The rows added since, asked for after that.

        Returns:
            The cursor to go on with, None to begin again.
        """
        if self._first is None or self._last is None or _Trace.of(first, self.key).keys != self._first.keys:
            return self._sure
        grown = (first.meta.total or 0) - (self._first.meta.total or 0)
        only_added = (
            len(added.rows) == grown > 0 and not added.meta.has_next_page and added.meta.total == first.meta.total
        )
        return self._last.meta.end_cursor if only_added else self._sure

    def rows_until(self, cursor: str | None) -> int:
        """How many rows have been read up to a cursor, which is that of the first page, the last one taken, or None."""
        if cursor is None or self._first is None:
            return 0
        return self._first.count if cursor == self._first.meta.end_cursor else self._rows

    def _check(self, page: _Trace, last: _Trace) -> None:
        self._check_page(page, last)
        if self._is_sewn and page.keys[:1] != last.following:
            raise ShiftedPagesError("a page does not begin with the row after the last one", self._sure)
        if not page.count:
            _check_promise(page, last, self._rows, self.number * (page.meta.limit or 0))

    def _check_page(self, page: _Trace, last: _Trace) -> None:
        # Where pages were the first one again, nothing after it has been read.
        sure_of_first = self._first.meta.end_cursor if self._first else None
        if page.meta.has_previous_page is False and page.count:
            raise IgnoredPageError("the server ignores the page number", sure_of_first)
        if self._first and page.keys and page.begins_like(self._first):
            raise IgnoredPageError("the server answers with the first page again", sure_of_first)
        if page.meta.total != last.meta.total:
            has_grown = (page.meta.total or 0) > (last.meta.total or 0)
            raise (GrownError if has_grown else ShiftedPagesError)("the total changed", self._sure)

    def _check_order(self, keys: list[Key]) -> None:
        if self.key is None or not keys:
            return
        if self._met is not None:
            if not self._met.isdisjoint(keys):
                raise ShiftedPagesError("an id comes twice", self._sure)
            self._met.update(keys)
        elif not _ascending(keys) and self._last is None:
            self._met = set(keys)
        elif not _ascending(keys) or (self._last and self._last.keys and not _before(self._last.keys[-1], keys[0])):
            raise ShiftedPagesError("a page does not begin after the last one ended", self._sure)

    def _check_end(self, page: _Trace) -> None:
        total = page.meta.total
        if self._last is not None and total is not None and page.meta.limit and self._rows != total:
            raise ShiftedPagesError("the rows read are not as many as the total", self._sure)
        if self._probed and page.keys != self._probed.keys:
            raise ShiftedPagesError("the last page changed during the read", self._sure)


@dataclass(slots=True)
class CursorPaginator:
    """Pages by the cursor of the last row, until an answer says that there is no next page.

    Attributes:
        page_size: Rows asked for per page, at most 100.
        key: The field that tells rows apart, None where there is none.
        cursor: Where to begin, None for the start.
        finished: Whether the last page has been taken.
        passed: How many rows lie before that.
        is_again: Whether rows have come already, so that an answer that says nothing is not the end.
    """

    page_size: int
    key: str | None = "id"
    cursor: str | None = None
    finished: bool = False
    passed: int = 0
    is_again: bool = False
    _last: _Trace | None = None
    _empty: int = 0
    _pages: set[int] = field(default_factory=set)
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
        if self._last is None and not page.meta.has_next_page:
            self._check_rest(page)
            self.finished = True
            return
        trace = _Trace.of(page, self.key)
        if self._last is not None and not trace.count:
            self._empty += 1
            _check_promise(trace, self._last, self.passed, self.passed + self._empty * (trace.meta.limit or 0))
        if self.key is not None and trace.keys:  # Rows without a key may be alike.
            fingerprint = hash(tuple(trace.keys))
            if fingerprint in self._pages:
                raise PaginationError("the server repeats a page")
            self._pages.add(fingerprint)
        self.passed += trace.count
        self._last = trace
        self.finished = not page.meta.has_next_page
        if not self.finished:
            self._advance(page.meta.end_cursor)

    def _check_rest(self, page: Page) -> None:
        """After rows by other means, nothing more is right only where those were all there are."""
        has_rows_before = bool(self.passed) or self.is_again
        if has_rows_before and not len(page.rows) and (page.meta.total is None or page.meta.total > self.passed):
            raise MissingPageError("the server promised a next page and gave none")

    def _advance(self, cursor: str | None) -> None:
        if cursor is None:
            raise PaginationError("the server promises a next page and gives no cursor for it")
        if len(cursor) > _LONGEST_CURSOR:
            raise PaginationError(f"the server's cursor is longer than {_LONGEST_CURSOR} characters")
        if hash(cursor) in self._seen or cursor == self.cursor:
            raise PaginationError("the server repeats a cursor")
        self._seen.add(hash(cursor))
        self.cursor = cursor


@dataclass(frozen=True, slots=True)
class _Trace:
    """What a paginator remembers of a page: not its rows, which may be many and are needed elsewhere.

    Attributes:
        meta: Its meta.
        count: How many rows it had.
        keys: Their keys, as numbers where all are; without a key, one fingerprint of all of them.
        following: The key of the row that follows by cursor, or none; None where it was not asked for.
    """

    meta: PaginationMeta
    count: int
    keys: list[Key]
    following: list[Key] | None = None

    @classmethod
    def of(cls, page: Page, key: str | None) -> _Trace:
        count = len(page.rows)
        if key is None:
            return cls(page.meta, count, [hash(tuple(map(repr, page.rows)))] if count else [])
        keys = _keys(page, key)
        return cls(page.meta, count, keys, _keys(page.following, key)[:1] if page.following else None)

    def begins_like(self, other: _Trace) -> bool:
        return bool(other.keys) and self.keys[0] == other.keys[0]


def _keys(page: Page, key: str) -> list[Key]:
    values = column(page.rows, key)
    try:
        return [int(value) for value in values]
    except (ValueError, TypeError, OverflowError):
        return [str(value) for value in values if value is not None]


def following(cursor: str) -> Params:
    """The parameters of the one row that follows a cursor."""
    return (("limit", "1"), ("after_id", cursor))


def _ascending(keys: list[Key]) -> bool:
    return isinstance(keys[0], int) and keys == sorted(set(keys))


def _before(one: Key, other: Key) -> bool:
    return isinstance(one, int) and isinstance(other, int) and one < other


def _check_promise(page: _Trace, last: _Trace, rows: int, places: int) -> None:
    """Check an empty page after a promised one.

    It is right where its rows were all deleted meanwhile, so that those read so far are all there are; or where they
    are not for these credentials, and it is one of those in the middle, as long as the places passed so far, rows
    shown or not, are fewer than the total.
    """
    before, total = last.meta.total, page.meta.total
    if page.meta.has_next_page:
        is_right = total is not None and 0 < places < total
    else:
        is_right = before is not None and total is not None and total < before and total <= rows
    if not is_right:
        raise MissingPageError("the server promised a next page and gave none")
