"""The partitions of a stream, one after the other, each read to its end or split where it cannot be read as it is."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

from tap_factorialhr.client import LargeError, RejectedError, SlowError, UnavailableError
from tap_factorialhr.consistency import IgnoredPageError, PaginationError
from tap_factorialhr.decoding import decode_answer
from tap_factorialhr.envelope import PaginationMeta
from tap_factorialhr.errors import FactorialError
from tap_factorialhr.listing import LeftOut, Listing, RowCount
from tap_factorialhr.pagination import CursorPaginator
from tap_factorialhr.reading import read
from tap_factorialhr.scheduler import Job, Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_factorialhr.client import Client, Decode
    from tap_factorialhr.consistency import ShiftedPagesError
    from tap_factorialhr.envelope import Page
    from tap_factorialhr.listing import Request
    from tap_factorialhr.openapi import Params
    from tap_factorialhr.partitions import Partition
    from tap_factorialhr.reading import Reading
    from tap_factorialhr.scheduler import Send

logger = logging.getLogger("tap-factorialhr")

Pagination = Literal["offset", "cursor"]
_Given = tuple["Partition", "Page", bool]
_Refusal = UnavailableError | RejectedError

_REFUSALS = 100
"""Parts that are refused, after which it is looked whether it is the resource as a whole."""
_KEPT, _ASKED_AGAIN = 10, 40
"""Parts that could be read, of which it is looked whether they still can be: so many of the first and of the last are
kept for it, and so many asked for at the most, with the parts of those that are refused."""


class PagesError(FactorialError):
    """A resource whose rows do not all come: its pages lead nowhere, or it is refused after some have come."""


class Fetcher:
    """What the walks of all streams share: the client, the scheduler, and how pages are asked for."""

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
        self.ignoring_pages: set[str] = set()
        self.scheduler = Scheduler(concurrency, check)

    def begin_ahead(self, walks: Sequence[PartitionWalk]) -> None:
        """Let walks be read ahead of their turn, the nearest first, in place of those named before."""
        self.scheduler.upcoming = walks

    def walk(  # noqa: PLR0913 (what a stream is read by)
        self,
        stream: str,
        key: str | None,
        partitions: Iterable[Partition],
        pagination: Pagination | None = None,
        decode: Decode = decode_answer,
        *,
        only_once: bool = False,
    ) -> PartitionWalk:
        """The pages of a stream's partitions.

        Args:
            stream: Its name.
            key: The field that tells rows apart, None where there is none.
            partitions: What to read; drawn in the main thread, also before it is the walk's turn.
            pagination: How pages are asked for, None for the tap's own way.
            decode: Decodes a body, in any thread; raises ValueError where it is not JSON.
            only_once: Whether no row may come twice, as where a target cannot tell it from the one before: the pages
                of a partition come when all are there, since what is read again in parts would come once more.
        """
        return PartitionWalk(
            self,
            stream=stream,
            key=key,
            partitions=partitions,
            pagination=pagination,
            decode=decode,
            only_once=only_once,
        )

    def close(self) -> None:
        """Ask for nothing more; requests in flight are left to themselves."""
        self.scheduler.close()


class PartitionWalk:
    """The pages of a stream's partitions, in order, those that come next under way.

    Attributes:
        stream: Its name.
        decode: Decodes a body.
        left_out: Parents, values and days whose rows could not be read.
        short: The rows of those listings of which fewer came than the server counts.
        jobs: The partitions that are being read, the one whose pages are taken first.
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
        only_once: bool,
    ) -> None:
        """Take the partitions; they are asked for one by one, as there is room."""
        self.stream = stream
        self.decode = decode
        self.left_out = LeftOut()
        self.short = RowCount()
        self.jobs: deque[_PartitionJob] = deque()
        self._fetcher = fetcher
        self._key = key
        self._only_once = only_once
        self._by_number = (pagination or fetcher.pagination) == "offset"
        # Where one way of asking is known to be the only one, it is because total and limit count something else.
        self._counts_rows = pagination is None
        self._advice = "try again"
        if pagination is None and fetcher.pagination == "cursor":
            self._advice += ", or set pagination to offset"
        self._partitions = iter(partitions)
        self._longest = timedelta.max
        self._is_there = False
        self._was_refused = False
        self._refusals: list[_Refusal] = []
        self._readable: list[Partition] = []
        self._cut: PagesError | None = None

    def __iter__(self) -> Iterator[_Given]:
        """Every page of every partition, in order: its partition, the page, and whether it is the partition's last.

        An empty page is given as well, so that the end of each partition is seen. A window that times out or is too
        large is read again in halves, down to one day, and rows of several parents that do not say whose they are one
        parent after the other. A parent or a value whose rows cannot be read (any more) is left out and counted, but
        where that goes for all of them, or for all from some point on, it is the resource itself.

        Raises:
            UnavailableError: The resource is not there for these credentials.
            RejectedError: The API takes what is asked for wrong.
            PagesError: The pages of a partition lead nowhere, or access ended while they were read.
        """
        with self._fetcher.scheduler.turn_of(self):
            try:
                while self.jobs or self.start_next():
                    yield from self._pages(self.jobs[0])
                    if len(self._refusals) >= _REFUSALS:
                        self._judge_refusals()
                self._judge_refusals()
                if self._cut:
                    raise self._cut
            finally:
                self._replace(len(self.jobs), ())

    def start_next(self) -> bool:
        """Start the next partition; False where there is no other, or none is to be sent ahead.

        That is where the first ones were refused: it may be the resource itself, and each more would be refused, too.
        """
        if self.jobs and self._was_refused and not self._is_there:
            return False
        partition = next(self._partitions, None)
        if partition is None:
            return False
        with self._fetcher.scheduler.changing():
            self.jobs.extend(map(self._job, partition.up_to(self._longest)))
        return True

    def _pages(self, job: _PartitionJob) -> Iterator[_Given]:
        """The pages of the first of the jobs, which has been taken or replaced when they have come."""
        partition, has_begun = job.partition, False
        held: list[_Given] = []
        try:
            for page in job:
                self._is_there = True
                # An answer that says nothing at all is no beginning.
                has_begun = has_begun or len(page.rows) > 0 or page.meta != PaginationMeta()
                if partition.is_ambiguous(page.rows):
                    self._replace(1, partition.one_by_one())
                    return
                held.append((partition, page, job.is_done))
                if not self._only_once:
                    yield held.pop()
            yield from _since_it_began_again(held, job.count.rows)
            if job.count.is_short:
                self.short += job.count
            self._readable.append(partition)
            del self._readable[_KEPT:-_KEPT]
            self._replace(1, ())
        except PaginationError as error:
            raise PagesError(f"{self.stream}: {error}; {self._advice}") from None
        except (SlowError, LargeError) as error:
            self._halve(partition, error)
        except (UnavailableError, RejectedError) as error:
            self._leave_out(partition, error, has_begun=has_begun)

    def _leave_out(self, partition: Partition, error: _Refusal, *, has_begun: bool) -> None:
        self._was_refused = True
        smaller = partition.split()
        if not smaller:
            is_gone = partition.is_gone(error.status)
            # A parent may go while it is read. Otherwise what was there a page ago is no matter of access.
            if has_begun and not is_gone and (partition.can_be_left_out or isinstance(error, UnavailableError)):
                self._cut = self._lost(error)
            elif not partition.can_be_left_out:
                raise error
            self.left_out.add(error.status, is_gone=is_gone)
            self._refusals.append(error)
        self._replace(1, smaller)

    def _judge_refusals(self) -> None:
        """Raise where it is no single parts that are refused, if any are.

        It is not where nothing could be read before, and where what could be is refused by now as well: single ones may
        be refused for good, or have gone, but that all are from some moment on can be an access that ended. Which they
        are is not for the order of the partitions to say, as those that come next are asked for ahead.
        """
        refusals, self._refusals = self._refusals, []
        if refusals and not self._is_there:
            raise refusals[-1]
        # Of one alone, a part had come: it may have gone meanwhile, but not all of them.
        if refusals and (self._readable or refusals[1:]) and not self._is_still_there():
            raise self._lost(refusals[-1])

    def _is_still_there(self) -> bool:
        """Whether any of what could be read still can be; some of it may have gone, a part of a chunk as well."""
        left = deque(self._readable)
        for _ in range(_ASKED_AGAIN):
            if not left:
                break
            if self._is_answered(partition := left.popleft()):
                return True
            left.extend(partition.split())
        return False

    def _is_answered(self, partition: Partition) -> bool:
        with self._fetcher.scheduler.changing():
            self.jobs.appendleft(job := self._job(partition, is_split=False))
        try:
            next(iter(job), None)
        except (UnavailableError, RejectedError):
            return False
        except (PaginationError, LargeError):
            return True
        finally:
            self._replace(1, ())
        return True

    def _lost(self, error: _Refusal) -> PagesError:
        return PagesError(f"{self.stream}: {error.status}, after a part of its rows had come; try again")

    def _halve(self, partition: Partition, error: SlowError | LargeError) -> None:
        if partition.window is None or not partition.can_halve:
            raise error
        what = "no answer in time for" if isinstance(error, SlowError) else "too large an answer for"
        logger.warning("%s: %s a window of days, halving it and those that follow", self.stream, what)
        self._longest = min(self._longest, partition.window.length / 2)
        self._replace(1, partition.up_to(self._longest))

    def _replace(self, count: int, partitions: Iterable[Partition]) -> None:
        """Drop the first jobs, and put others in their place."""
        with self._fetcher.scheduler.changing():
            for _ in range(count):
                self.jobs.popleft().stop()
            self.jobs.extendleft(reversed([self._job(partition) for partition in partitions]))

    def _job(self, partition: Partition, *, is_split: bool = True) -> _PartitionJob:
        """The reading of a partition; one that is not split where it is too slow is tried again instead."""
        fetcher = self._fetcher
        listing = Listing(
            fetcher.page_size,
            self._key,
            partition.filtered,
            is_one_of_many=partition.is_one_of_many,
            counts_rows=self._counts_rows,
            side_by_side=fetcher.scheduler.concurrency,
            note=self._note,
        )
        flow = read(listing, by_number=self._by_number and self.stream not in fetcher.ignoring_pages)
        get = partial(self._get, partition, retry_timeouts=not (is_split and partition.can_halve))
        return _PartitionJob(fetcher.scheduler, flow, partial(self._send, get), fetcher.page_size, partition)

    def _send(self, get: Callable[[Params], Page], request: Request) -> Page:
        """Send a request, in any thread, and those for the pages that are to come with its page."""
        page = last = get(request.params)
        following: list[Page] = []
        while len(following) < request.following and last.meta.has_next_page and last.meta.end_cursor is not None:
            try:
                last = get(CursorPaginator(self._fetcher.page_size).params(last.meta.end_cursor))
            except RejectedError:  # The flow judges what has come.
                break
            following.append(last)
        return replace(page, following=tuple(following)) if following else page

    def _get(self, partition: Partition, params: Params, *, retry_timeouts: bool) -> Page:
        return self._fetcher.client.get(
            self.stream,
            partition.path,
            (*partition.params, *params),
            retry_timeouts=retry_timeouts,
            decode=self.decode,
        )

    def _note(self, shift: ShiftedPagesError) -> None:
        """Say that a listing goes on by cursor; that page numbers are ignored is news once for a stream."""
        ignoring = self._fetcher.ignoring_pages
        is_news = isinstance(shift, IgnoredPageError) and self.stream not in ignoring
        if is_news:
            ignoring.add(self.stream)
        logger.log(logging.WARNING if is_news else logging.INFO, "%s: %s, going on by cursor", self.stream, shift)


def _since_it_began_again(held: list[_Given], rows: int) -> list[_Given]:
    """The last of these pages, as many as hold the rows that a reading counts, which are not those it read in vain."""
    first = len(held)
    while first and (rows > 0 or first == len(held)):
        first -= 1
        rows -= len(held[first][1].rows)
    return held[first:]


class _PartitionJob(Job):
    """The reading of one partition."""

    def __init__(self, scheduler: Scheduler, flow: Reading, send: Send, page_size: int, partition: Partition) -> None:
        super().__init__(scheduler, flow, send, page_size)
        self.partition = partition
