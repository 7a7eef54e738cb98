"""How the pages of one listing are read, so that no row is lost, whatever moves meanwhile. No input or output.

Each way of reading is a generator that is told from top to bottom. It yields a `Request`, and is sent its `Page` or
thrown what the request raised; a `Prefetch` of requests that it knows to come, so that they can be sent ahead; and
each `Page` whose rows are to be written. Who drives it needs to know nothing of pagination.

Page numbers are used only where it shows when rows move from page to page (`consistency`), and wherever it shows, the
read goes on by cursor from where it was sure. Facts: API notes, "Pagination".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from tap_factorialhr.client import RefusedError
from tap_factorialhr.consistency import (
    MissingPageError,
    PaginationError,
    Resume,
    ShiftedPagesError,
    Trace,
    Trail,
    check_promise,
    check_rest,
)
from tap_factorialhr.envelope import Page
from tap_factorialhr.listing import Listing, Promise, Request, RowCount, Tally
from tap_factorialhr.pagination import OffsetPaginator

_IN_DOUBT = "the server leaves it in doubt whether there are more rows, and gives no cursor to ask with"
_LONGEST_CURSOR = 4096
_MOST_RESTARTS = 3
"""Pages that were promised and did not come, after which a listing is given up and not begun again."""
_SECOND = 2
"""The number of the page after the first."""
_MOST_ALIKE = 10
"""Pages whose rows are alike, where these have no key to tell them apart."""
_FEWEST_SIDE_BY_SIDE = 4
"""Pages of a listing from which on reading them in chains is faster than by cursor."""
_SHORTEST = 2
"""Rows of a page by number at the least: with fewer there would be half as many requests again as pages."""
_LONGEST_CHAIN = 5
"""Pages of a chain at the most, since all of them wait in memory. Where that is too few for all chains to be sent at
once, they are as short as can be, and come one after the other."""
_PLANNED = 1000
"""Requests that are named ahead at once, more than are sent ahead: a server can count more pages than fit memory."""


class Prefetch(NamedTuple):
    """The requests that come next as far as is known; those known before that are not among them are not needed."""

    requests: tuple[Request, ...] = ()


Flow = Generator[Request | Prefetch | Page, Page, None]
Reading = Generator[Request | Prefetch | Page, Page, RowCount]
Answer = Generator[Request, Page, Page | None]


def _counted(tally: Tally, flow: Flow) -> Flow:
    """The same flow, each page of which is counted."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Page):
                tally.add(step)
            try:
                answer = yield step
            except Exception as error:  # noqa: BLE001 (for the flow to judge)
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration:
        return


def read(listing: Listing, *, by_number: bool) -> Reading:
    """All pages of a listing, in order: by number as long as that can be trusted, else by cursor.

    Args:
        listing: What to read.
        by_number: Whether page numbers may be used at all.

    Returns:
        How many rows came, of how many that there are as far as the last answer shows.

    Raises:
        PaginationError: The server repeats a page or a cursor, or promises a next page and gives none.
    """
    flow = _by_number(listing) if by_number else _by_cursor(listing)
    tally, had_rows, was_doubtful = Tally(listing), False, False
    for attempt in count(1):
        try:
            yield from _counted(tally, flow)
        except ShiftedPagesError as shift:
            listing.note(shift)
            tally.begin(shift.resume.rows)
            promise = Promise.MORE if shift.is_promised else Promise.UNSAID
            flow = _by_cursor(listing, shift.resume, promise, total=tally.total)
        except MissingPageError as missing:
            if attempt == _MOST_RESTARTS:
                raise
            listing.note(ShiftedPagesError(str(missing), Resume()))
            had_rows = had_rows or tally.rows > 0
            tally.begin(0)
            flow = _by_cursor(listing, Resume())
        else:
            if had_rows and not tally.rows:
                raise PaginationError("the server gave rows, and then told of none")
            is_doubtful = tally.is_silent and not tally.rows and not listing.is_one_of_many
            if was_doubtful or not is_doubtful:
                return tally.count
            # An empty list that says nothing else looks as the body of a 401 does, and lets the table be emptied, or
            # a bookmark pass the rows: it is asked for once more (API notes, "The envelope").
            was_doubtful, flow = True, _by_number(listing) if by_number else _by_cursor(listing)
        yield Prefetch()
    raise AssertionError  # The loop has no end of its own.


def _if_answered(request: Request) -> Answer:
    """The page; None where the server refuses it, since not every server knows all that is asked for here."""
    with suppress(RefusedError):
        return (yield request)
    return None


# By cursor


def _by_cursor(
    listing: Listing,
    resume: Resume | None = None,
    promise: Promise = Promise.MORE,
    first: Trace | None = None,
    *,
    total: int | None = None,
) -> Flow:
    """One page after the other, each from the last row of the one before.

    Args:
        listing: What to read.
        resume: From where; None for a listing of which nothing is known.
        promise: What has been said of rows from there on.
        first: The page before that, where it is the first one and has come by number.
        total: How many rows an answer before that counted in all.
    """
    cursor, rows = resume or Resume()
    promise = promise if resume else Promise.UNSAID
    pages = Counter([hash(tuple(first.keys))] if first else [])
    cursors, empty, places = {cursor}, 0, rows
    last: Trace | None = None
    while True:
        page = yield listing.after(cursor)
        before, promise = promise, listing.promise(page, is_first=cursor is None, places=places, total=total)
        total = total if page.meta.total is None else page.meta.total
        trace = Trace.of(page, listing.key)
        is_same = trace.meta.end_cursor == cursor  # Rows without a key may be alike on another page.
        is_end = before is Promise.UNSAID and is_same and not listing.is_full(trace, rows)
        if last is None and promise is Promise.NONE and not (is_end and hash(tuple(trace.keys)) in pages):
            if before is Promise.MORE:
                check_rest(page, rows)
            yield page
            return
        if last is not None and not trace.size and before is Promise.MORE:
            empty += 1
            check_promise(trace, last, rows, rows + empty * (trace.meta.limit or 0))
        if trace.keys and _comes_again(listing, trace, pages, is_end=is_end):
            yield page.without_first(trace.size)  # So that the end is seen.
            return
        if cursor is None and promise is Promise.UNSAID and page.meta.end_cursor is None:
            yield from _check_alone(listing, trace)
            promise = Promise.NONE
        if promise is Promise.NONE:
            yield page
            return
        rows, last, cursor = rows + trace.size, trace, _next_cursor(page, cursors)
        cursors.add(cursor)
        places += max(trace.size, trace.meta.limit or 0)
        yield page


def _comes_again(listing: Listing, page: Trace, before: Counter[int], *, is_end: bool) -> bool:
    """Whether a page that was asked for only to be sure is one that has come, so that the server knows of no other.

    Raises:
        PaginationError: It has come, and more was promised, or it is full, so that there may be more.
    """
    fingerprint = hash(tuple(page.keys))
    before[fingerprint] += 1
    if before[fingerprint] == 1:
        return False
    if is_end:
        return True
    if before[fingerprint] > (_MOST_ALIKE if listing.key is None else 1):
        raise PaginationError("the server repeats a page")
    return False


def _check_alone(listing: Listing, first: Trace) -> Generator[Request, Page, None]:
    """Check that a first page that says nothing of others, and gives no cursor to ask with, is the only one.

    Raises:
        PaginationError: There are other rows, or it is full and comes again: nobody knows what it would give next.
    """
    second = yield from _if_answered(listing.page(_SECOND))
    is_full = listing.is_full(first, first.size)
    if second is None and is_full and first.size <= listing.page_size:
        raise PaginationError(_IN_DOUBT)
    if second is None or not len(second.rows):
        return
    if is_full or Trace.of(second, listing.key).keys != first.keys:
        raise PaginationError(_IN_DOUBT)


def _next_cursor(page: Page, before: set[str | None]) -> str:
    cursor = page.meta.end_cursor
    if cursor is None:
        if page.meta.has_next_page:
            raise PaginationError("the server promises a next page and gives no cursor for it")
        # One that says it is the last one is held against a total from before, of which rows may have gone.
        raise MissingPageError(_IN_DOUBT) if page.meta.has_next_page is False else PaginationError(_IN_DOUBT)
    if len(cursor) > _LONGEST_CURSOR:
        raise PaginationError(f"the server's cursor is longer than {_LONGEST_CURSOR} characters")
    if cursor in before:
        raise PaginationError("the server repeats a cursor")
    return cursor


# By page number


def _by_number(listing: Listing) -> Flow:
    """The first page by number, which tells how the rest can be read."""
    first = yield listing.page(1)
    if not first.meta.has_next_page:
        promise, trace = listing.promise(first, is_first=True), Trace.of(first, listing.key)
        if promise is Promise.UNSAID and first.meta.end_cursor is None:
            yield from _check_alone(listing, trace)
            promise = Promise.NONE
        if promise is not Promise.NONE:
            _next_cursor(first, set())
        yield first
        if promise is not Promise.NONE:
            resume = Resume(first.meta.end_cursor, trace.size)
            yield from _by_cursor(listing, resume, promise, trace, total=first.meta.total)
        return
    trail = Trail(first, key=listing.key, page_size=listing.page_size)
    chains = Chains.of(trail, listing)
    yield first
    if chains is not None:
        yield from _overlap_checked(listing, trail, chains)
    elif first.meta.end_cursor:
        yield from _by_cursor(listing, trail.sure, total=trail.total)
    elif trail.is_counted and listing.key and trail.pages > _SECOND:
        yield from _consistency_checked(listing, trail)
    else:
        yield from _page_after_page(listing, trail)


class Chains(NamedTuple):
    """How a listing is divided into chains of pages that are read side by side, each of which overlaps the next.

    A chain begins with a page by number that is a row shorter than others, and goes on by cursor with whole pages. So
    one that is as long as the numbers say ends with a row of the chain after it, or several.

    Attributes:
        page_size: Rows of the pages by number.
        length: Pages of a chain.
        numbers: The numbers of the pages that chains begin with, as far as they are known.
    """

    page_size: int
    length: int
    numbers: range

    @classmethod
    def of(cls, trail: Trail, listing: Listing) -> Chains | None:
        """The chains of a listing after its first page; None where they could not be checked, or gain nothing."""
        if not (listing.key and trail.sure.cursor and trail.total and trail.limit):
            return None
        page_size = min(trail.limit, listing.page_size) - 1
        if page_size < _SHORTEST or listing.side_by_side == 1 or trail.pages < _FEWEST_SIDE_BY_SIDE:
            return None
        rest = -(-(trail.total - 1) // page_size) - 1
        length = -(-rest // listing.side_by_side)
        length = max(length, 2) if length <= _LONGEST_CHAIN else 2
        return cls(page_size, length, range(_SECOND, rest + 2, length))

    def places(self, number: int, following: int) -> int:
        """How many rows there can be up to a page of a chain.

        Args:
            number: The number of the page that the chain begins with.
            following: How many pages of it come after that.
        """
        return number * self.page_size + following * (self.page_size + 1)

    def request(self, number: int) -> Request:
        """The request for a chain, by the number of its first page."""
        return Request(OffsetPaginator(self.page_size).params(number), self.length - 1)


def _overlap_checked(listing: Listing, trail: Trail, chains: Chains) -> Flow:
    """Chains of pages side by side, each of which has to hold the row that the one before it ends with.

    It does not matter what goes or enters, and where: what lies between two rows that have come, by cursor or on one
    page, has come.

    The pages come in any order, so that the last one may count rows that have gone since; where it counts more than
    came, it is given out with the total of one answer more.
    """
    for position, number in enumerate(count(_SECOND, chains.length)):
        yield from _planned(position, chains.numbers, chains.request)
        first = yield from _if_answered(chains.request(number))
        if first is None:
            raise trail.shifted("the server refuses a page by number")
        page = trail.add_overlapping(first)
        for following in first.following:
            yield page
            trail.add_following(following)
            page = following
        total = trail.total if page.meta.total is None else page.meta.total
        is_last, is_again = page.meta.has_next_page is False, page.meta.end_cursor is None
        if is_last and total is not None and trail.rows < total <= chains.places(number, len(first.following)):
            latest = yield from _if_answered(listing.page(1))
            page = replace(page, meta=replace(page.meta, total=latest.meta.total if latest else total))
        yield page
        if is_last:
            if total is not None and total > chains.places(number, len(first.following)):
                raise trail.shifted("a page that is not the last one says that it is", is_promised=is_again)
            return
        if page.meta.has_next_page is None:
            raise trail.shifted("a page does not say whether it is the last one", is_promised=is_again)
        if len(first.following) < chains.length - 1:
            raise trail.shifted("the server does not give the page after a cursor")


def _planned(position: int, numbers: range, request: Callable[[int], Request]) -> Iterator[Prefetch]:
    """Name the requests that come next, from a position on, every so often."""
    if position % _PLANNED == 0:
        yield Prefetch(tuple(map(request, numbers[position : position + 2 * _PLANNED])))


def _consistency_checked(listing: Listing, trail: Trail) -> Flow:
    """Pages side by side where there are no cursors, after the last one, which stands sentinel.

    A row that goes moves all those behind it forward. Those read after that are one further than those read before, the
    sentinel among them, so that somewhere a row comes twice or out of order. What the sentinel cannot tell is whether a
    row of the first page had gone before; so that one is looked at again. Nor can it tell that a row entered, and
    pushed another out of its reach; so it is read again at the end, and has to be the same.
    """
    number = trail.pages
    last = yield from _if_answered(listing.page(number))
    if last is None or not trail.guard(last):
        yield from _page_after_page(listing, trail)
        return
    middle = range(_SECOND, number)
    for position, one in enumerate(middle):
        yield from _planned(position, middle, listing.page)
        page = yield listing.page(one)
        trail.add(page)
        yield page
    yield Prefetch((listing.page(number), listing.page(1)))
    last = yield listing.page(number)
    trail.add_last(last)
    trail.confirm((yield listing.page(1)))
    yield last


def _page_after_page(listing: Listing, trail: Trail) -> Flow:
    """Pages by number in order, to the one that says that it is the last; and the first one again."""
    for number in count(_SECOND):
        page = yield listing.page(number)
        trail.add(page)
        if listing.promise(page, is_first=False) is Promise.UNSAID:
            raise PaginationError("the server does not say whether there is a next page, and gives no cursor")
        if not page.meta.has_next_page:
            break
        yield page
    if listing.key is not None:
        trail.confirm((yield listing.page(1)))
    yield page
