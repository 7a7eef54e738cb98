"""Partitions of a made-up resource, walked over a client that is no more than a function."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr.axes import ChunkOfParents, Parents, Windows
from tap_factorialhr.envelope import Page
from tap_factorialhr.partitions import Partition
from tap_factorialhr.walk import Fetcher, Pagination

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_factorialhr.walk import PartitionWalk

Answer = dict[str, Any]

PARENTS = Parents(resource="a/parents", parameter="parent[]", field="parent_id", chunk=80)
WINDOWS = Windows(start="from", end="to")

BOTH = pytest.mark.parametrize("concurrency", [1, 8])


def partition(number: int, **more: Any) -> Partition:
    """One of several partitions, which asks for its number."""
    return Partition("a/b", (("part", str(number)),), **more)


def chunk(first: int, last: int, **more: Any) -> Partition:
    """The children of the parents from one number to another, in one listing."""
    keys = tuple(map(str, range(first, last + 1)))
    return Partition("a/b", (("part", "1"),), (ChunkOfParents(PARENTS, keys),), filtered=True, **more)


def page_of(asked: dict[str, str], pages: int, rows: int = 1, *, has_cursor: bool = True) -> Answer:
    """A page of a listing of so many pages, which its number or its cursor asks for."""
    number = int(asked.get("after_id", 0)) + 1 if "after_id" in asked else int(asked.get("page", 1))
    first = (number - 1) * rows + 1
    end = str(number) if has_cursor else None
    meta = {"limit": rows, "total": pages * rows, "has_next_page": number < pages, "end_cursor": end}
    return {"data": [{"id": str(one)} for one in range(first, first + rows)], "meta": meta}


@dataclass
class Asked:
    """One request: for which stream, and its parameters."""

    stream: str
    params: dict[str, str]

    def __str__(self) -> str:
        page = self.params.get("page") or self.params.get("after_id", "") + "+"
        return f"{self.stream}{self.params['part']}:{page}"


class FunctionClient:
    """Answers by a function of the parameters, and notes what was asked, in order."""

    def __init__(self, answer: Callable[[dict[str, str]], Answer]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []

    def get(self, stream: str, path: str, params: tuple[tuple[str, str], ...], **how: Any) -> Page:
        del path, how
        asked = Asked(stream, dict(params))
        self.asked.append(asked)
        return self.respond(asked)

    def respond(self, asked: Asked) -> Page:
        """The answer to one request."""
        return Page.from_response(self.answer(asked.params))

    def asked_for(self, stream: str) -> int:
        """How many requests were for a stream."""
        return sum(asked.stream == stream for asked in self.asked)


class Rounds(FunctionClient):
    """Holds every request until all that can be in flight are, and answers them together: that is one round."""

    def __init__(self, answer: Callable[[dict[str, str]], Answer]) -> None:
        super().__init__(answer)
        self.sizes: list[int] = []
        self._held: list[threading.Event] = []

    def respond(self, asked: Asked) -> Page:
        self._held.append(event := threading.Event())
        assert event.wait(30)
        return super().respond(asked)

    @contextmanager
    def kept_going(self, fetcher: Fetcher) -> Iterator[None]:
        """While it lasts, round follows on round."""
        over = threading.Event()

        def go() -> None:
            while not over.is_set():
                time.sleep(0.0005)
                if self._all_wait(fetcher):
                    self.answer_all()

        thread = threading.Thread(target=go, daemon=True)
        thread.start()
        yield
        over.set()
        thread.join()

    def answer_all(self) -> None:
        """End the round."""
        held, self._held = self._held, []
        self.sizes.append(len(held))
        for event in held:
            event.set()

    def _all_wait(self, fetcher: Fetcher) -> bool:
        """Whether the main thread waits for a page, and every request in flight for its answer."""
        changed = fetcher.scheduler._changed
        with changed:
            is_waited_for = bool(changed._waiters)  # type: ignore[attr-defined]
            return is_waited_for and 0 < len(self._held) == fetcher.scheduler._in_flight


@contextmanager
def fetching(
    client: FunctionClient, *, concurrency: int, pagination: Pagination = "offset", page_size: int = 1
) -> Iterator[Fetcher]:
    """A fetcher over a client, closed in the end."""
    fetcher = Fetcher(client, concurrency=concurrency, pagination=pagination, page_size=page_size)  # type: ignore[arg-type]
    try:
        yield fetcher
    finally:
        fetcher.close()


def ids_of(walk: PartitionWalk) -> list[str]:
    """The ids of all rows of a walk."""
    return [row["id"] for _, page, _ in walk for row in page.rows]


def until_idle(fetcher: Fetcher) -> None:
    """Wait until nothing is in flight, nor will be before the main thread takes a page."""
    scheduler = fetcher.scheduler
    with scheduler._changed:
        assert scheduler._changed.wait_for(lambda: not scheduler._in_flight, timeout=30)
