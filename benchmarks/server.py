"""The server that all are measured against: pages that are ready to send, so that the reader is what is measured.

`python -m benchmarks.server` prints its address and serves until its standard input ends. The rows are those of the
simulated company, 54 fields each; from the 20,000th on they come again under other ids, so that a million of them need
no more memory than that. Any version of the API is served, with the ids that it has: text, or integers before
2026-07-01.

`/setting?rows=20000&latency=0.05` says how many rows there are and how many seconds each answer takes; `/record` tells
what has been asked for since.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
import uvicorn

from benchmarks.serving import Record
from tap_factorialhr.sandbox.company import Company
from tap_factorialhr.sandbox.identity import FIRST_ID

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

EMPLOYEES = "employees/employees"
CHILDREN = "timeoff/policy_timelines"
"""Rows that hang off employees, asked for one employee at a time: two pages of each."""
TEXT_IDS_SINCE = "2026-07-01"
DIFFERENT = 20_000
MOST = 100


class Server:
    """The employees of one company, as an ASGI application."""

    def __init__(self) -> None:
        self.rows = 0
        self.latency = 0.0
        self.record = Record()
        self._at_once = 0
        self._rests = {integers: _rests(integers=integers) for integers in (False, True)}
        # All pages of the different rows with either kind of id; those of larger sets are joined when asked for.
        self._ready = lru_cache(2 * DIFFERENT // MOST)(self._page)
        self._set(DIFFERENT, 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        asked = dict(parse_qsl(scope["query_string"].decode()))
        path = scope["path"].split("/")
        if path[-2:] == EMPLOYEES.split("/"):
            await self._employees(path, asked, send)
        elif path[-2:] == CHILDREN.split("/"):
            await self._children(asked, send)
        elif path[-1] == "setting":
            self._set(int(asked["rows"]), float(asked["latency"]))
            await _answer(send, b"{}")
        elif path[-1] == "record":
            await _answer(send, msgspec.json.encode(self.record))
        else:
            await _answer(send, b'{"errors":null}', status=404)

    def _set(self, rows: int, latency: float) -> None:
        if rows != self.rows:
            self.rows = rows
            self._ready.cache_clear()
            for start in range(0, min(rows, DIFFERENT), MOST):
                for integers in self._rests:
                    self._ready(start, MOST, integers=integers)
        self.latency = latency
        self.record = Record()

    async def _employees(self, path: list[str], asked: dict[str, str], send: Send) -> None:
        self._note(self.record)
        start, limit = _place(asked)
        if self.latency:
            await asyncio.sleep(self.latency)
        await _answer(send, self._ready(start, limit, integers=path[-4] < TEXT_IDS_SINCE))
        self._at_once -= 1

    async def _children(self, asked: dict[str, str], send: Send) -> None:
        self._note(self.record)
        start, limit = _place(asked)
        parent = int(asked["employee_id"])
        if self.latency:
            await asyncio.sleep(self.latency)
        stop = min(start + limit, 2 * MOST)
        rows = [{"id": f"{parent}{place:04}", "employee_id": str(parent)} for place in range(start, stop)]
        await _answer(send, msgspec.json.encode({"data": rows, "meta": _meta(start, stop, limit, 2 * MOST)}))
        self._at_once -= 1

    def _note(self, record: Record) -> None:
        self._at_once += 1
        record.requests += 1
        record.most_at_once = max(record.most_at_once, self._at_once)
        if record.first is None:
            record.first = time.monotonic()

    def _page(self, start: int, limit: int, *, integers: bool) -> bytes:
        stop = min(start + limit, self.rows)
        rests = self._rests[integers]
        row = b'{"id":%d,%b' if integers else b'{"id":"%d",%b'
        rows = b",".join(row % (FIRST_ID + place, rests[place % DIFFERENT]) for place in range(start, stop))
        meta = _meta(start, stop, limit, self.rows)
        return b'{"data":[' + rows + b'],"meta":' + msgspec.json.encode(meta) + b"}"


def _place(asked: dict[str, str]) -> tuple[int, int]:
    """Where a page begins, and how many rows it may have."""
    limit = min(int(asked.get("limit", MOST)), MOST)
    return int(asked["after_id"]) if "after_id" in asked else (int(asked.get("page", 1)) - 1) * limit, limit


def _meta(start: int, stop: int, limit: int, total: int) -> dict[str, Any]:
    return {
        "limit": limit,
        "total": total,
        "has_next_page": stop < total,
        "has_previous_page": start > 0,
        "start_cursor": str(start),
        "end_cursor": str(stop),
    }


def _rests(*, integers: bool) -> list[bytes]:
    """Each row without its id, which comes first: a row is its number and the rest of its text."""
    company = Company(DIFFERENT, integer_ids=integers)
    return [
        msgspec.json.encode({name: value for name, value in row.items() if name != "id"})[1:]
        for row in company.rows(EMPLOYEES)
    ]


async def _answer(send: Send, body: bytes, status: int = 200) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve on a free port of the loopback, and say which."""
    options: dict[str, Any] = {"lifespan": "off", "log_level": "critical", "access_log": False, "ws": "none"}
    server = uvicorn.Server(uvicorn.Config(Server(), http="httptools", loop="uvloop", **options))

    def end_with_input() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=end_with_input, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        server.run([listening])


if __name__ == "__main__":
    main()
