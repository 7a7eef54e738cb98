"""A list resource in memory, with the API's two ways of paging, and a driver that runs a flow against it."""

from __future__ import annotations

import base64
from collections.abc import Callable  # noqa: TC003 (dataclasses look at it)
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_factorialhr.client import RejectedError
from tap_factorialhr.envelope import Page
from tap_factorialhr.listing import Listing, Request
from tap_factorialhr.reading import Flow, Prefetch, Reading, read

if TYPE_CHECKING:
    import random

    from tap_factorialhr.consistency import ShiftedPagesError

Asked = dict[str, str]


@dataclass
class Shelf:
    """Rows in the order of their ids.

    Attributes:
        ids: The ids of the rows that are there now.
        limit: Rows per page.
        ignores: Parameters that this server does not know.
        name: What the id of a row looks like in an answer.
        change: Is called with the number of each request, from 1, before it is answered: rows may come and go.
        twist: Changes an answer, given what was asked, so that a test can tell of an odd server.
        asked: The parameters of all requests so far.
    """

    ids: list[int]
    limit: int = 3
    ignores: frozenset[str] = frozenset()
    name: Callable[[int], str] = str
    change: Callable[[int], None] = lambda _: None
    twist: Callable[[dict[str, Any], Asked], None] = lambda _answer, _asked: None
    asked: list[Asked] = field(default_factory=list)

    def get(self, params: tuple[tuple[str, str], ...]) -> Page:
        """Answer one request."""
        self.asked.append(dict(params))
        assert len(self.asked) < 500, "the read goes round in circles"
        self.change(len(self.asked))
        asked = {name: value for name, value in params if name not in self.ignores}
        begin, size = self._place(asked), self._size(asked)
        rows = self.ids[begin : begin + size]
        meta = {
            "limit": size if "limit" in asked else None,
            "total": len(self.ids),
            "has_next_page": begin + size < len(self.ids),
            "has_previous_page": begin > 0,
            "start_cursor": cursor(rows[0]) if rows else None,
            "end_cursor": cursor(rows[-1]) if rows else None,
        }
        answer = {"data": [{"id": self.name(one)} for one in rows], "meta": meta}
        self.twist(answer, dict(params))
        return Page.from_response(answer)

    def _size(self, asked: Asked) -> int:
        return min(int(asked["limit"]), self.limit) if "limit" in asked else len(self.ids)

    def _place(self, asked: Asked) -> int:
        if "after_id" in asked:
            return sum(one <= int(base64.b64decode(asked["after_id"])) for one in self.ids)
        return (int(asked.get("page", 1)) - 1) * self._size(asked)

    @property
    def pages_asked(self) -> list[int | str]:
        """What was asked for, in short: the number of a page, or `next` by cursor."""
        return [int(asked["page"]) if "page" in asked else "next" for asked in self.asked]


def cursor(row: int) -> str:
    """The cursor of a row."""
    return base64.b64encode(str(row).encode()).decode()


def read_shelf(
    shelf: Shelf,
    *,
    by_number: bool = True,
    rng: random.Random | None = None,
    notes: list[str] | None = None,
    **listing: Any,
) -> list[str]:
    """All ids that a read of a shelf gives, in order.

    Args:
        shelf: What to read.
        by_number: Whether page numbers may be used.
        rng: Sends requests ahead of need in random order; without it, each is sent when its page is needed.
        notes: Gets what was noticed of page numbers that could not be trusted.
        listing: More that is known of the listing, as `Listing` has it.
    """
    noted = [] if notes is None else notes

    def note(shift: ShiftedPagesError) -> None:
        noted.append(str(shift))

    known = Listing(shelf.limit, **{"side_by_side": 4 if rng else 1, "note": note, **listing})
    return [row["id"] for page in drive(read(known, by_number=by_number), shelf, rng) for row in page.rows]


def drive(flow: Flow | Reading, shelf: Shelf, rng: random.Random | None = None) -> list[Page]:
    """Run a flow to its end, as the scheduler does, with no threads."""
    pages: list[Page] = []
    planned: list[Request] = []
    came: dict[Request, Page | Exception] = {}
    try:
        step = next(flow)
        while True:
            if isinstance(step, Page):
                pages.append(step)
                step = next(flow)
            elif isinstance(step, Prefetch):
                came = {request: came[request] for request in step.requests if request in came}
                planned = [request for request in step.requests if request not in came]
                step = next(flow)
            else:
                ahead = rng.sample(planned, rng.randint(0, len(planned))) if rng else []
                for request in ahead:
                    came[request] = _send(shelf, request)
                planned = [request for request in planned if request not in came]
                answer = came.pop(step) if step in came else _send(shelf, step)
                step = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
    except StopIteration:
        return pages


def _send(shelf: Shelf, request: Request) -> Page | Exception:
    try:
        page = shelf.get(request.params)
        following = [page]
        with suppress(RejectedError):
            while len(following) <= request.following and (cursor := following[-1].meta.end_cursor):
                if not following[-1].meta.has_next_page:
                    break
                following.append(shelf.get((("limit", str(shelf.limit)), ("after_id", cursor))))
    except Exception as error:  # noqa: BLE001 (for the flow to judge)
        return error
    return Page(page.rows, page.meta, tuple(following[1:]))
