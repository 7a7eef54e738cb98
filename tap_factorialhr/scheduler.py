"""Runs the readings of many listings side by side: sends what they ask for, those first whose turn is nearest.

A reading is a generator, a flow, that yields requests and is sent their pages (see `reading`); what it asks for, and
why, is its own business. Threads send requests and bring each flow forward as far as the answers allow; the pages that
it gives out wait for the main thread, which alone takes them, in order.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from tap_factorialhr.envelope import Page
from tap_factorialhr.listing import Request, RowCount
from tap_factorialhr.reading import Prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_factorialhr.reading import Flow, Reading

    Send = Callable[[Request], Page]

T = TypeVar("T")

_POLL = 0.2
"""Seconds between two looks at whether the run was interrupted."""
MOST_WAITING = 2
"""Pages that are asked for and not taken of the source whose turn it is, at most, as a multiple of the concurrency."""
MOST_WAITING_AHEAD = 4
"""The same of all sources that come after it."""


class Source(Protocol):
    """Where flows come from, one after the other, such as the listings of a stream."""

    @property
    def jobs(self) -> Sequence[Job]:
        """Those that have been started and not been taken to their end, in the order in which they will be."""

    def start_next(self) -> bool:
        """Start one more, from the main thread; False where there is no other."""


class _Call:
    """One request on its way, or answered and not yet given to its flow."""

    def __init__(self, job: Job, request: Request) -> None:
        self.job = job
        self.request = request
        self.is_dropped = False
        self.weight = 1
        self.page: Page | None = None
        self.error: BaseException | None = None


class Job:
    """A flow that has been started.

    Attributes:
        count: What it says at its end of how many rows came, nothing before.
    """

    def __init__(self, scheduler: Scheduler, flow: Flow | Reading, send: Send, page_size: int) -> None:
        """Take the flow; the source that it is for puts it among its `jobs`.

        Args:
            scheduler: What is to run it.
            flow: What to run.
            send: Sends one of its requests, in any thread.
            page_size: Rows that count as a page where pages that wait are counted.
        """
        self._scheduler = scheduler
        self._flow = flow
        self.send = send
        self._page_size = page_size
        self._planned: deque[Request] = deque()
        self._sent: dict[Request, _Call] = {}
        self._awaited: Request | None = None
        self._pages: deque[Page] = deque()
        self._error: BaseException | None = None
        self._is_over = False
        self.count = RowCount()
        self._step(lambda: next(flow))

    def __iter__(self) -> Iterator[Page]:
        """Its pages, for the main thread; raises what the flow raised."""
        while (page := self._scheduler.take(self)) is not None:
            yield page

    @property
    def is_done(self) -> bool:
        """Whether its last page has been taken."""
        return self._is_over and not self._pages and self._error is None

    # For the scheduler, under its lock

    @property
    def unsent(self) -> int:
        """How many requests are known and not sent."""
        return len(self._planned)

    @property
    def weight(self) -> int:
        """How many pages are asked for and not taken; one of many rows counts for as many pages."""
        return sum(call.weight for call in self._sent.values()) + sum(map(self._weigh, self._pages))

    @property
    def is_starved(self) -> bool:
        """Whether what it needs next has not been sent, and there is no page to take meanwhile."""
        return not self._pages and self._awaited is not None and self._awaited not in self._sent

    @property
    def is_ready(self) -> bool:
        """Whether there is a page to take, or never will be one."""
        return bool(self._pages) or self._is_over

    def call_next(self) -> _Call:
        """The next request, which is to be sent."""
        request = self._planned.popleft()
        call = self._sent[request] = _Call(self, request)
        return call

    def pop(self) -> Page | None:
        """The next page; None after the last."""
        if self._pages:
            return self._pages.popleft()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return None

    def answered(self, call: _Call) -> None:
        """Take an answer, and bring the flow forward where it waits for that."""
        if call.page is not None:
            call.weight = self._weigh(call.page)
        if call.request == self._awaited:
            self._step(lambda: self._give(call))

    def stop(self) -> None:
        """Drop everything."""
        self._plan(())
        self._pages.clear()
        self._is_over = True
        self._awaited = None
        self._flow.close()

    def _weigh(self, page: Page) -> int:
        own = max(1, -(-len(page.rows) // self._page_size))
        return own + sum(map(self._weigh, page.following))

    def _step(self, advance: Callable[[], Request | Prefetch | Page]) -> None:
        """Bring the flow forward until it waits for an answer, or is over."""
        self._awaited = None
        try:
            step = advance()
            while True:
                if isinstance(step, Page):
                    self._pages.append(step)
                    step = next(self._flow)
                elif isinstance(step, Prefetch):
                    self._plan(step.requests)
                    step = next(self._flow)
                elif (call := self._sent.get(step)) and (call.page is not None or call.error is not None):
                    step = self._give(call)
                else:
                    self._await(step)
                    return
        except StopIteration as end:
            self.count, self._is_over = end.value or self.count, True
        except BaseException as error:  # noqa: BLE001 (raised in the main thread, when it comes to that)
            self._error, self._is_over = error, True
        self._plan(())

    def _give(self, call: _Call) -> Request | Prefetch | Page:
        del self._sent[call.request]
        if call.error is not None:
            return self._flow.throw(call.error)
        assert call.page is not None  # noqa: S101 (for the type checker)
        return self._flow.send(call.page)

    def _await(self, request: Request) -> None:
        self._awaited = request
        if request not in self._sent and (not self._planned or self._planned[0] != request):
            self._planned = deque((request, *(one for one in self._planned if one != request)))

    def _plan(self, requests: tuple[Request, ...]) -> None:
        for request in self._sent.keys() - set(requests):
            self._sent.pop(request).is_dropped = True
        self._planned = deque(request for request in requests if request not in self._sent)


class Scheduler:
    """Sends requests in threads, at most so many at once, the nearest first."""

    def __init__(self, concurrency: int, check: Callable[[], None] = lambda: None) -> None:
        """Take how many requests may be in flight at once (1: nothing is sent ahead of the flow whose turn it is).

        Args:
            concurrency: Requests in flight.
            check: Called in the main thread while it waits; raises to end the run.
        """
        self.concurrency = concurrency
        self.upcoming: Sequence[Source] = ()
        self._check = check
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="request")
        self._current: Source | None = None
        self._in_flight = 0
        self._is_closed = False
        self._changed = threading.Condition(threading.RLock())

    @contextmanager
    def turn_of(self, source: Source) -> Iterator[None]:
        """While it lasts, the pages of this source are taken, and its requests go before those of others."""
        before, self._current = self._current, source
        try:
            yield
        finally:
            self._current = before

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While it lasts, the main thread may change a source's `jobs`, which all threads look at."""
        with self._changed:
            yield

    def take(self, job: Job) -> Page | None:
        """Wait for the next page of a flow, from the main thread; None after the last.

        Raises:
            Exception: What the flow raised.
        """
        self._check()
        while True:
            self._start_further()
            with self._changed:
                if job.is_ready:
                    page = job.pop()
                    self._dispatch()
                    return page
                self._dispatch()
                self._changed.wait(_POLL)
            self._check()

    def call(self, do: Callable[[], T]) -> T:
        """Do something in one of the threads, and wait for it, from the main thread.

        Raises:
            Exception: What it raised.
        """
        doing = self._pool.submit(do)
        while not wait([doing], timeout=_POLL).done:
            self._check()
        return doing.result()

    def close(self) -> None:
        """Send nothing more; requests in flight are left to themselves."""
        with self._changed:
            self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start_further(self) -> None:
        """Start the flows that come next, so that all that there is room for can be sent."""
        with self._changed:
            room_of_current, room = self._room_of_current(), self._room_ahead()
        if self._current is not None:
            _start(self._current, room_of_current)
        for source in self.upcoming:
            if source is not self._current:
                room -= _start(source, room)
            if room <= 0:
                return

    def _room_of_current(self) -> int:
        """How many pages more of the source whose turn it is may be asked for ahead of need; under the lock."""
        if self.concurrency == 1 or self._current is None:
            return 0
        return MOST_WAITING * self.concurrency - _weight(self._current)

    def _room_ahead(self) -> int:
        """How many pages more of the sources after it may be asked for; under the lock."""
        if self.concurrency == 1:
            return 0
        ahead = sum(_weight(source) for source in self.upcoming if source is not self._current)
        return MOST_WAITING_AHEAD * self.concurrency - ahead

    def _dispatch(self) -> None:
        """Send what may be sent, under the lock."""
        while not self._is_closed and self._in_flight < self.concurrency and (call := self._next_call()):
            self._in_flight += 1
            self._pool.submit(self._send, call)

    def _next_call(self) -> _Call | None:
        current = self._current
        if current is not None and current.jobs:
            if current.jobs[0].is_starved:
                return current.jobs[0].call_next()
            if self._room_of_current() > 0 and (call := _first_call(current)):
                return call
        if self._room_ahead() <= 0:
            return None
        return next(filter(None, (_first_call(source) for source in self.upcoming if source is not current)), None)

    def _send(self, call: _Call) -> None:
        page, error = None, None
        try:
            page = call.job.send(call.request)
        except BaseException as caught:  # noqa: BLE001 (raised where the page is taken)
            error = caught
        with self._changed:
            self._in_flight -= 1
            call.page, call.error = page, error
            if not call.is_dropped:
                call.job.answered(call)
            self._dispatch()
            self._changed.notify_all()


def _weight(source: Source) -> int:
    return sum(job.weight for job in source.jobs)


def _first_call(source: Source) -> _Call | None:
    return next((job.call_next() for job in source.jobs if job.unsent), None)


def _start(source: Source, most: int) -> int:
    """Start flows of a source until so many requests are ready to be sent, if there are as many; how many are."""
    ready = sum(job.unsent for job in source.jobs)
    while ready < most and source.start_next():
        ready += 1
    return max(min(ready, most), 0)
