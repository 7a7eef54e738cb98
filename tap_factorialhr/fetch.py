"""Pages ahead of need: bounded, in order, across pages, partitions and streams.

Threads send and decode; the main thread alone decides which pages are asked for and takes them, in order. What runs
ahead is bounded by the pages that wait to be taken, an answer of many rows counting for as many pages.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Literal

from tap_factorialhr.client import LargeError, RejectedError, SlowError, UnavailableError
from tap_factorialhr.decoding import decode_answer
from tap_factorialhr.errors import FactorialError
from tap_factorialhr.pagination import (
    CursorPaginator,
    GrownError,
    IgnoredPageError,
    MissingPageError,
    OffsetPaginator,
    PaginationError,
    ShiftedPagesError,
    following,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_factorialhr.client import Client, Decode
    from tap_factorialhr.envelope import Page
    from tap_factorialhr.openapi import Params
    from tap_factorialhr.partitions import Partition

logger = logging.getLogger("tap-factorialhr")

Pagination = Literal["offset", "cursor"]

_POLL = 0.2
"""Seconds between two looks at whether the run was interrupted."""
_AHEAD = 2
"""Pages that wait to be taken of the stream whose turn it is, at most, as a multiple of the concurrency."""
_UPCOMING = 4
"""The same of all streams that come after it."""
_MOST_MISSING = 3
"""Pages that were promised and did not come, after which a listing is given up and not begun again."""
_PARENTS_TRIED = 100
"""Parents whose rows are not there, after which a resource is given up, where no parent's rows were."""


class PagesError(FactorialError):
    """A resource whose pages lead nowhere, however they are asked for."""


class Fetcher:
    """Runs requests in threads, for all streams of the tap."""

    def __init__(
        self,
        client: Client,
        *,
        concurrency: int,
        pagination: Pagination,
        page_size: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the client and how many requests may be in flight at once (1: nothing runs ahead).

        Args:
            client: Sends the requests.
            concurrency: Requests in flight.
            pagination: How pages are asked for.
            page_size: Rows per page.
            check: Called while waiting; raises to end the run.
        """
        self.client = client
        self.pagination: Pagination = pagination
        self.page_size = page_size
        self.upcoming: Sequence[StreamReading] = ()
        self.ignoring_pages: set[str] = set()
        self._check = check
        self.concurrency = concurrency
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="fetch")
        self._waiting: set[Future[Page]] = set()
        self._weights: dict[Future[Page], int] = {}
        self._current: StreamReading | None = None

    def reading(
        self,
        stream: str,
        key: str | None,
        partitions: Iterable[Partition],
        pagination: Pagination | None = None,
        decode: Decode = decode_answer,
    ) -> StreamReading:
        """The partitions of a stream, one after the other, with the next ones under way.

        Args:
            stream: Its name.
            key: The field that tells rows apart, None where there is none.
            partitions: What to read.
            pagination: How pages are asked for, None for the tap's own way.
            decode: Decodes a body, in any thread; raises ValueError where it is not JSON.
        """
        return StreamReading(self, stream=stream, key=key, partitions=partitions, pagination=pagination, decode=decode)

    @contextmanager
    def turn_of(self, reading: StreamReading) -> Iterator[None]:
        """While it lasts, the pages of this reading are taken, and its requests go before those of others."""
        before, self._current = self._current, reading
        try:
            yield
        finally:
            if self._current is reading:
                self._current = before

    def submit(self, reading: StreamReading, partition: Partition, params: Params, *, sewn: bool) -> Future[Page]:
        """Ask for a page now; where it is to be sewn, for the row that follows it as well."""
        future = self._pool.submit(self._get_sewn if sewn else self._get, reading, partition, params)
        self._waiting.add(future)
        return future

    def _get(self, reading: StreamReading, partition: Partition, params: Params) -> Page:
        asked = (*partition.params, *params)
        return self.client.get(
            reading.stream, partition.path, asked, retry_timeouts=not partition.can_halve, decode=reading.decode
        )

    def _get_sewn(self, reading: StreamReading, partition: Partition, params: Params) -> Page:
        page = self._get(reading, partition, params)
        cursor = page.meta.end_cursor
        if self.concurrency > 1 and page.meta.has_next_page and cursor is not None:
            with suppress(RejectedError):  # Not every server gives a single row; then it is read by cursor alone.
                page = replace(page, following=self._get(reading, partition, following(cursor)))
        return page

    def take(self, future: Future[Page]) -> Page:
        """Wait for a page; raises what its request raised."""
        self._check()
        while not future.done():
            wait((future,), timeout=_POLL)
            self._check()
        self.drop(future)
        return future.result()

    def drop(self, future: Future[Page]) -> None:
        """Forget a page that is not needed any more."""
        future.cancel()
        self._waiting.discard(future)
        self._weights.pop(future, None)

    def may_ask(self, reading: StreamReading) -> bool:
        """Whether one more page of a reading may be asked for ahead of need.

        The one whose turn it is may fill all threads and as many pages again. Others fill the threads that it leaves
        idle, so that they never stand in its way.
        """
        if self.concurrency == 1:
            return False
        if reading is self._current:
            room = _AHEAD * self.concurrency
            return len(reading.waiting) < room and self.weight(reading.waiting) < room
        in_flight = sum(not future.done() for future in self._waiting)
        of_current = self.weight(self._current.waiting) if self._current else 0
        return in_flight < self.concurrency and self.weight(self._waiting) - of_current < _UPCOMING * self.concurrency

    def weight(self, futures: Iterable[Future[Page]]) -> int:
        """How many pages wait to be taken, or will; an answer of many rows counts for as many pages."""
        return sum(self._weights.get(future) or self._weigh(future) for future in futures)

    def _weigh(self, future: Future[Page]) -> int:
        if not future.done() or future.cancelled() or future.exception():
            return 1
        # Noted, since all pages that wait are weighed several times for each one that is taken.
        weight = self._weights[future] = 1 + len(future.result().rows) // self.page_size
        return weight

    def run_ahead(self) -> None:
        """Start the first pages of the streams that come next, while there is room."""
        for reading in self.upcoming:
            if not self.may_ask(reading):
                return
            reading.run_ahead()

    def close(self) -> None:
        """Ask for nothing more; requests in flight are left to themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class StreamReading:
    """The partitions of one stream, taken in order, the next ones under way.

    Attributes:
        stream: Its name.
        decode: Decodes a body.
        advice: What to do where its pages lead nowhere.
        waiting: The pages that have been asked for and not been taken.
        left_out: Why the rows of some parents or values could not be read, and of how many.
    """

    def __init__(  # noqa: PLR0913 (each is needed, all by name)
        self,
        fetcher: Fetcher,
        *,
        stream: str,
        key: str | None,
        partitions: Iterable[Partition],
        pagination: Pagination | None,
        decode: Decode,
    ) -> None:
        """Take the partitions; they are asked for one by one, as there is room."""
        self.stream = stream
        self.advice = "try again"
        if pagination is None and fetcher.pagination == "cursor":
            self.advice += ", or set pagination to offset"
        self.decode = decode
        self.waiting: set[Future[Page]] = set()
        self.left_out: Counter[str] = Counter()
        self._fetcher = fetcher
        self._pagination: Pagination = pagination or fetcher.pagination
        self._key = key
        self._partitions = iter(partitions)
        self._begun: deque[_Reading] = deque()
        self._longest = timedelta.max

    def run_ahead(self) -> None:
        """Begin further partitions while there is room."""
        for reading in self._begun:
            reading.run_ahead()
        while self.may_ask and self._begin():
            pass

    @property
    def runs_ahead(self) -> bool:
        """Whether pages are asked for ahead of need at all."""
        return self._fetcher.concurrency > 1

    @property
    def may_ask(self) -> bool:
        """Whether one more page may be asked for ahead of need."""
        return self._fetcher.may_ask(self)

    def submit(self, partition: Partition, params: Params, *, sewn: bool = False) -> Future[Page]:
        """Ask for a page of one of its partitions now."""
        future = self._fetcher.submit(self, partition, params, sewn=sewn)
        self.waiting.add(future)
        return future

    def take(self, future: Future[Page]) -> Page:
        """Wait for a page; raises what its request raised."""
        try:
            return self._fetcher.take(future)
        finally:
            self.waiting.discard(future)

    def drop(self, future: Future[Page]) -> None:
        """Forget a page that is not needed any more."""
        self._fetcher.drop(future)
        self.waiting.discard(future)

    def __iter__(self) -> Iterator[tuple[Partition, Page, bool]]:
        """Every page of every partition, in order: its partition, the page, and whether it is the last of it.

        An empty page is given as well, so that each end is seen. A window that times out or is too large
        is read again in halves, down to one day, and rows of several parents that do not say whose they are one parent
        after the other. A parent or a value whose rows cannot be read (any more) is left out and counted, but where
        that goes for all of them, it is the resource itself.

        Raises:
            UnavailableError: The resource is not there for these credentials.
            RejectedError: The API takes what is asked for wrong.
            PagesError: The pages of a partition lead nowhere.
        """
        with self._fetcher.turn_of(self):
            try:
                is_there, refusal = False, None
                while self._begun or self._begin():
                    reading = self._begun.popleft()
                    try:
                        for page in reading.pages(self._go_on(reading)):
                            is_there = True
                            if reading.partition.is_ambiguous(page.rows):
                                reading.drop()
                                self._begin_first(reading.partition.one_by_one())
                                break
                            yield reading.partition, page, reading.finished
                    except (SlowError, LargeError) as error:
                        self._halve(reading, error)
                    except (UnavailableError, RejectedError) as error:
                        self._leave_out(reading, error)
                        refusal = error
                        if not is_there and self.left_out.total() > _PARENTS_TRIED:
                            break
                if refusal and not is_there:
                    raise refusal
            finally:
                for future in tuple(self.waiting):
                    self.drop(future)

    def _leave_out(self, reading: _Reading, error: UnavailableError | RejectedError) -> None:
        reading.drop()
        if smaller := reading.partition.split():
            self._begin_first(smaller)
        elif reading.partition.can_be_left_out:
            self.left_out[error.status] += 1
        else:
            raise error

    def _halve(self, reading: _Reading, error: SlowError | LargeError) -> None:
        window = reading.partition.window
        if window is None or not reading.partition.can_halve:
            raise error
        what = "no answer in time for" if isinstance(error, SlowError) else "too large an answer for"
        logger.warning("%s: %s a window of days, halving it and those that follow", self.stream, what)
        reading.drop()
        self._longest = min(self._longest, window.length / 2)
        self._begin_first(reading.partition.up_to(self._longest))

    def _begin_first(self, partitions: Iterable[Partition]) -> None:
        self._begun.extendleft(reversed([self._reading(partition) for partition in partitions]))

    def _go_on(self, current: _Reading) -> Callable[[], None]:
        def run_ahead() -> None:
            current.run_ahead()
            self.run_ahead()
            self._fetcher.run_ahead()

        return run_ahead

    def _begin(self) -> bool:
        for partition in islice(self._partitions, 1):
            self._begun.extend(map(self._reading, partition.up_to(self._longest)))
            return True
        return False

    def _reading(self, partition: Partition) -> _Reading:
        by_cursor = self.stream in self._fetcher.ignoring_pages
        return _Reading(
            self, partition, self._key, "cursor" if by_cursor else self._pagination, self._fetcher.page_size
        )

    def note_ignored_page(self) -> bool:
        """Ask for no more pages of this stream by number; whether that is news."""
        is_news = self.stream not in self._fetcher.ignoring_pages
        self._fetcher.ignoring_pages.add(self.stream)
        return is_news


class _Reading:
    """One partition in progress, its first page asked for at once."""

    def __init__(
        self, owner: StreamReading, partition: Partition, key: str | None, pagination: Pagination, page_size: int
    ) -> None:
        self.partition = partition
        self._owner = owner
        self._key = key
        self._page_size = page_size
        self._paginator: OffsetPaginator | CursorPaginator = (
            OffsetPaginator(page_size, key, partition.filtered)
            if pagination == "offset"
            else CursorPaginator(page_size, key)
        )
        self._pages: deque[Future[Page]] = deque()
        self._probe: Future[Page] | None = None
        self._first_again: Future[Page] | None = None
        self._everything: Future[Page] | None = None
        self._missing = 0
        self._took_rows = False
        self._ask()

    @property
    def finished(self) -> bool:
        """Whether its last page has been taken."""
        return self._paginator.finished

    def pages(self, run_ahead: Callable[[], None]) -> Iterator[Page]:
        """Its pages in order; ``run_ahead`` is called whenever there may be more to ask for."""
        while not self._paginator.finished:
            run_ahead()
            try:
                page = self._next_page(run_ahead)
            except ShiftedPagesError as error:
                self._go_on_by_cursor(error)
                continue
            except PaginationError as error:
                if not self._may_begin_again(error):
                    raise PagesError(f"{self._owner.stream}: {error}; {self._owner.advice}") from None
                self._go_on_by_cursor(ShiftedPagesError(str(error), None))
                continue
            if not self._paginator.finished and not self._pages and not self._is_settling:
                self._ask()
            run_ahead()
            self._took_rows = self._took_rows or len(page.rows) > 0
            yield page
        self.drop()

    def _may_begin_again(self, error: PaginationError) -> bool:
        """Whether rows that have gone may have caused it, and not the server, which would do it again."""
        self._missing += 1
        return isinstance(error, MissingPageError) and self._missing < _MOST_MISSING

    def _next_page(self, run_ahead: Callable[[], None]) -> Page:
        if self._everything and isinstance(self._paginator, OffsetPaginator):
            self._take_everything(self._paginator, self._everything)
        if self._probe and isinstance(self._paginator, OffsetPaginator):
            self._take_probe(self._paginator, self._probe)
        if not self._pages:
            self._ask()
            run_ahead()
        page = self._owner.take(self._pages.popleft())
        self._take(page)
        return page

    def run_ahead(self) -> None:
        """Ask for the pages that are known to come, while there is room."""
        if isinstance(self._paginator, OffsetPaginator) and not self._paginator.finished and not self._is_settling:
            while self._next_number <= self._paginator.last_ahead and self._owner.may_ask:
                self._ask()

    @property
    def _is_settling(self) -> bool:
        """Whether pages in the middle have to wait, until it is known which of them can be trusted how."""
        return bool(self._probe or self._everything)

    def drop(self) -> None:
        """Forget what was asked for and not taken."""
        for future in (*self._pages, self._probe, self._first_again, self._everything):
            if future:
                self._owner.drop(future)
        self._pages.clear()
        self._probe = self._first_again = self._everything = None

    def _take(self, page: Page) -> None:
        paginator = self._paginator
        paginator.take(page)
        if not isinstance(paginator, OffsetPaginator):
            return
        if paginator.may_be_whole and self.partition.unfiltered_params is not None and self._owner.runs_ahead:
            one = (("page", "1"), ("limit", "1"))
            self._everything = self._owner.submit(replace(self.partition, always=self.partition.unfiltered_params), one)
            if number := paginator.probe_number:
                self._probe = self._submit(paginator.params_of(number))
        elif cursor := paginator.safe_cursor:
            self._read_on_by_cursor(paginator, cursor)
        elif number := paginator.probe_number:
            self._probe = self._submit(paginator.params_of(number))
        elif paginator.needs_confirmation:
            paginator.confirm(self._owner.take(self._first_again or self._submit(paginator.params_of(1))))
            self._first_again = None

    def _take_everything(self, paginator: OffsetPaginator, asked: Future[Page]) -> None:
        """Trust the pages of a part that holds all rows as those of the whole; sew them together otherwise."""
        self._everything = everything = None
        with suppress(RejectedError, UnavailableError):
            everything = self._owner.take(asked)
        is_whole = paginator.settle(everything.meta.total if everything else None)
        if (cursor := paginator.safe_cursor) and not is_whole:
            self.drop()
            with suppress(RejectedError):
                paginator.sew(self._owner.take(self._submit(following(cursor))))
        if cursor := paginator.safe_cursor:
            self.drop()
            self._read_on_by_cursor(paginator, cursor)

    def _read_on_by_cursor(self, paginator: OffsetPaginator, cursor: str) -> None:
        self._paginator = CursorPaginator(self._page_size, self._key, cursor, passed=paginator.rows_until(cursor))

    def _take_probe(self, paginator: OffsetPaginator, probe: Future[Page]) -> None:
        self._probe = None
        page = None
        with suppress(RejectedError, UnavailableError):  # Not all servers go that far; the pages before tell the rest.
            page = self._owner.take(probe)
        paginator.probe(page)

    @property
    def _next_number(self) -> int:
        assert isinstance(self._paginator, OffsetPaginator)  # noqa: S101 (for the type checker)
        return self._paginator.number + len(self._pages)

    def _ask(self) -> None:
        paginator = self._paginator
        if not isinstance(paginator, OffsetPaginator):
            self._pages.append(self._submit(paginator.params))
            return
        number = self._next_number
        # Of the first page it may not be needed, and it can be asked for later.
        sewn = paginator.needs_following and not (number == 1 and self.partition.unfiltered_params)
        self._pages.append(self._owner.submit(self.partition, paginator.params_of(number), sewn=sewn))
        if paginator.is_guarded and number > paginator.last_ahead and not self._first_again:
            self._first_again = self._submit(paginator.params_of(1))

    def _submit(self, params: Params) -> Future[Page]:
        return self._owner.submit(self.partition, params)

    def _go_on_by_cursor(self, error: ShiftedPagesError) -> None:
        is_news = isinstance(error, IgnoredPageError) and self._owner.note_ignored_page()
        level = logging.WARNING if is_news else logging.INFO
        logger.log(level, "%s: %s, going on by cursor", self._owner.stream, error)
        self.drop()
        cursor = error.cursor
        passed = 0
        if isinstance(self._paginator, OffsetPaginator):
            if isinstance(error, GrownError) and (added := self._paginator.params_of_added):
                first = self._owner.take(self._submit(self._paginator.params_of(1)))
                cursor = self._paginator.sure_cursor(first, self._owner.take(self._submit(added)))
            passed = self._paginator.rows_until(cursor)
        self._paginator = CursorPaginator(self._page_size, self._key, cursor, passed=passed, is_again=self._took_rows)
