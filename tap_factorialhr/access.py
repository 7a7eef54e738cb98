"""What the credentials can read: the first page of each stream, and what it tells.

One request for each resource, side by side; a few more where it is asked for in parts, of which the first is refused.
What a stream needs of a parent is taken from the parent's first page.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from tap_factorialhr.axes import Scope
from tap_factorialhr.client import GONE, RejectedError, UnavailableError, UnreachableError
from tap_factorialhr.consistency import PaginationError
from tap_factorialhr.errors import FactorialError, SessionError
from tap_factorialhr.listing import Listing, Promise
from tap_factorialhr.partitions import Partitions
from tap_factorialhr.resources import CHANGE_KEY, WHOSE_CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date

    from tap_factorialhr.axes import Parents
    from tap_factorialhr.envelope import Page, PaginationMeta, Row
    from tap_factorialhr.partitions import Partition
    from tap_factorialhr.resources import Resource
    from tap_factorialhr.run import Run
    from tap_factorialhr.streams import FactorialStream

T = TypeVar("T")

READABLE, EMPTY, FORBIDDEN, NOT_THERE = "readable", "empty", "forbidden", "not there"
NOTHING_TO_ASK, REJECTED, FAILED = "nothing to ask", "rejected", "failed"
OF_THE_CREDENTIALS = ("legal_name", "company_id", "role", "employee_id")
"""What of it says for whom they are, without naming a person."""
LATELY = timedelta(days=7)
"""How long ago the days are that streams by days are looked at for."""
_LOOK = 0.2
"""Seconds after which a wait looks whether the run is to end."""
_TRIED = 5
"""Parts of a resource that are asked for at the most, where each is refused: that may be the part, or the resource."""


class NothingToAskError(FactorialError):
    """There is no row of a parent, or no value of a setting, to list a resource for."""


@dataclass(frozen=True, slots=True)
class FirstPage:
    """The first page of a resource.

    Attributes:
        rows: Its rows.
        meta: What the answer says about itself.
        is_part: Whether only a part of the resource's rows was asked for.
        refused: Why other parts are refused, where that is no matter of parents that have gone.
    """

    rows: Sequence[Row]
    meta: PaginationMeta
    is_part: bool
    refused: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one stream.

    Attributes:
        stream: Its name.
        outcome: One of the words above.
        note: Why, where that is more to say; with the status of HTTP where there is one.
        rows: Rows on the page.
        total: Rows that the answer promises in all; None where it does not say.
        has_next_page: Whether it says that there are more.
        is_part: Whether both counts are those of a part, such as the rows of some parents or of some days.
        null_fields: The fields that are null in all rows of the page.
    """

    stream: str
    outcome: str
    note: str = ""
    rows: int = 0
    total: int | None = None
    has_next_page: bool = False
    is_part: bool = False
    null_fields: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether a run can read the stream."""
        return self.outcome in {READABLE, EMPTY, NOTHING_TO_ASK}


class Access:
    """Reads first pages, each resource's once."""

    def __init__(self, run: Run, *, page_size: int, check: Callable[[], None]) -> None:
        """Take what the pages are read with.

        Args:
            run: Client, documents and settings.
            page_size: Rows to ask for.
            check: Called while waiting; raises to end.
        """
        self._run = run
        self._page_size = page_size
        self._check = check
        self._pages: dict[str, Future[FirstPage]] = {}
        self._lock = threading.Lock()

    def examine(self, streams: Sequence[FactorialStream], concurrency: int) -> Iterator[Finding]:
        """Look at streams side by side; the findings come as they are made.

        Raises:
            SessionError: The credentials are refused.
        """
        yield from self._side_by_side([partial(self._finding, stream) for stream in streams], concurrency)

    def _side_by_side(self, calls: Sequence[Callable[[], T]], concurrency: int) -> Iterator[T]:
        """What calls give, as it comes; where the run is to end, those under way are left to themselves."""
        pool = ThreadPoolExecutor(concurrency, thread_name_prefix="check")
        try:
            waiting = {pool.submit(call) for call in calls}
            while waiting:
                done, waiting = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
                self._check()
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def whose(self) -> dict[str, Any] | None:
        """For whom the credentials are; nothing in it where that is nobody's, None where the API does not say.

        Raises:
            SessionError: They are refused.
            UnreachableError: There is no server to ask.
        """
        try:
            (page,) = self._side_by_side([partial(self._first_page, WHOSE_CREDENTIALS)], 1)
        except (SessionError, UnreachableError):
            raise
        except (FactorialError, KeyError):
            return None
        if not page.rows:
            return {}
        own = {name: page.rows[0].get(name) for name in OF_THE_CREDENTIALS}
        return {name: value if isinstance(value, str | int) else None for name, value in own.items()}

    def _finding(self, stream: FactorialStream) -> Finding:
        try:
            page = self._first_page(stream.resource.path)
        except SessionError:
            raise
        except NothingToAskError as error:
            return Finding(stream.name, NOTHING_TO_ASK, str(error))
        except UnavailableError as error:
            return Finding(stream.name, NOT_THERE if error.status in GONE else FORBIDDEN, str(error))
        except RejectedError as error:
            return Finding(stream.name, REJECTED, str(error).removeprefix(f"{stream.name}: "))
        except FactorialError as error:
            return Finding(stream.name, FAILED, str(error).removeprefix(f"{stream.name}: "))
        own = set(stream.schema["properties"]) - set(stream.resource.added_fields) - {CHANGE_KEY}
        if page.refused and self._run.report.fails_at_once:
            return Finding(stream.name, FORBIDDEN, f"{page.refused} of a part; on_forbidden is fail")
        return Finding(
            stream.name,
            READABLE if page.rows else EMPTY,
            f"{page.refused} of a part" if page.refused else "",
            rows=len(page.rows),
            total=page.meta.total,
            has_next_page=bool(page.meta.has_next_page),
            is_part=page.is_part,
            null_fields=[
                name
                for name in stream.schema["properties"]
                if name in own
                and stream.mask["properties", name]
                and page.rows
                and all(row.get(name) is None for row in page.rows)
            ],
        )

    def _first_page(self, path: str) -> FirstPage:
        """The first page of a resource, read by the first who asks."""
        with self._lock:
            is_first = path not in self._pages
            page = self._pages.setdefault(path, Future())
        if is_first:
            try:
                page.set_result(self._read(path))
            except BaseException as error:  # noqa: BLE001 (raised below, and to all others who ask)
                page.set_exception(error)
        return page.result()

    def _read(self, path: str) -> FirstPage:
        run = self._run
        resource = run.describe(path)
        if resource.setting and not run.sync.values.get(resource.setting):
            raise NothingToAskError(f"the setting {resource.setting} is not set")
        scope = Scope(listed=run.document.resources[path], sync=run.sync, since=None, parents=self._keys)
        partitions = _in_turn(list(Partitions(resource, scope, incremental=False)), run.sync.today - LATELY)
        if not partitions:
            raise NothingToAskError("there are no rows of its parent")
        is_part = bool(partitions[0].slices)
        page, refused = self._answer(resource, partitions)
        self._check_page(resource, page)
        rows = [row for batch in page.batches(self._page_size) for row in batch]
        return FirstPage(rows, page.meta, is_part, refused)

    def _check_page(self, resource: Resource, page: Page) -> None:
        """See that a run would not stop at a first page.

        Raises:
            FactorialError: It would.
        """
        listing = Listing(self._page_size, counts_rows=resource.pagination is None)
        try:
            promise = listing.promise(page, is_first=True)
        except PaginationError as error:
            raise FactorialError(str(error)) from None
        if promise is Promise.MORE and not page.meta.has_next_page and page.meta.end_cursor is None:
            raise FactorialError("the server tells of more rows, and of no page or cursor to ask for")

    def _answer(self, resource: Resource, partitions: deque[Partition]) -> tuple[Page, str]:
        """The first page of the first of these partitions that is not refused, and why one before it is.

        Raises:
            RefusedError: The first few are.
        """
        limit = ("limit", str(self._page_size))
        tried, refused = 0, ""
        while True:
            partition = partitions.popleft()
            tried += 1
            try:
                # Who waits for an answer does not want to wait for it as often as a run does.
                page = self._run.client.get(
                    resource.name, resource.path, (*partition.params, limit), retry_timeouts=False
                )
            except (UnavailableError, RejectedError) as error:
                smaller = partition.split()
                partitions.extendleft(reversed(smaller))
                if tried == _TRIED or not partitions:
                    raise
                if not smaller and not partition.is_gone(error.status):
                    refused = error.status
            else:
                return page, refused

    def _keys(self, parents: Parents) -> Mapping[str, str | None]:
        try:
            rows = self._first_page(parents.resource).rows
        except UnavailableError as error:
            parent = self._run.describe(parents.resource).name
            # With the status, since one that is not there is not one that is forbidden.
            raise UnavailableError(error.status, f"{error} of its parent {parent}") from None
        return {str(row[parents.key]): None for row in rows if row.get(parents.key) is not None}


def _in_turn(partitions: Sequence[Partition], day: date) -> deque[Partition]:
    """The partition that tells most before the others: of windows the one with a day that is over and not long ago."""

    def is_recent(one: Partition) -> bool:
        return one.window is not None and one.window.first <= day <= one.window.last

    return deque(sorted(partitions, key=is_recent, reverse=True))
