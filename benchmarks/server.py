"""The server that all are measured against: pages that are ready to send, so that the reader is what is measured.

`python -m benchmarks.server` prints its address and serves until it is ended. The rows are those of the simulated
company, 54 fields each; from the 20,000th on they come again under other ids, so that a million of them need no more
memory than that. Any version of the API is served, with the ids that it has: text, or integers before 2026-07-01.

`POST /setting?rows=20000&latency=0.05` says how many rows there are and how many seconds each answer takes;
`GET /record` tells what has been asked for since.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
import uvicorn

from tap_factorialhr.sandbox.company import FIRST_ID, Company

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

EMPLOYEES = "employees/employees"
TEXT_IDS_SINCE = "2026-07-01"
DIFFERENT = 20_000
MOST = 100
KEPT = 512
"""Pages that stay ready: all of 20,000 rows, with either kind of id. Those of larger sets are joined when asked for."""


@dataclass
class Record:
    """What has been asked for since the last setting; times are those of `time.monotonic`, the same in all processes.

    Attributes:
        requests: How many requests have come.
        first: When the first one came, None before.
        last: When the last answer was sent.
        most_at_once: How many were in flight at one time, at most.
    """

    requests: int = 0
    first: float | None = None
    last: float | None = None
    most_at_once: int = 0
    at_once: int = field(default=0, repr=False)

    def begin(self) -> None:
        """Note a request."""
        self.requests += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.first is None:
            self.first = time.monotonic()

    def end(self) -> None:
        """Note its answer."""
        self.at_once -= 1
        self.last = time.monotonic()


class Server:
    """The employees of one company, as an ASGI application."""

    def __init__(self) -> None:
        self.rows = DIFFERENT
        self.latency = 0.0
        self.record = Record()
        self._rests = {integers: _rests(integers=integers) for integers in (False, True)}
        self._ready = lru_cache(KEPT)(self._page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        asked = dict(parse_qsl(scope["query_string"].decode()))
        path = scope["path"].split("/")
        if path[-2:] == EMPLOYEES.split("/"):
            await self._employees(path, asked, send)
        elif path[-1] == "setting":
            self.rows, self.latency = int(asked["rows"]), float(asked["latency"])
            self.record = Record()
            self._ready.cache_clear()
            await _answer(send, b"{}")
        elif path[-1] == "record":
            await _answer(send, msgspec.json.encode(asdict(self.record)))
        else:
            await _answer(send, b'{"errors":null}', status=404)

    async def _employees(self, path: list[str], asked: dict[str, str], send: Send) -> None:
        record = self.record
        record.begin()
        limit = min(int(asked.get("limit", MOST)), MOST)
        start = int(asked["after_id"]) if "after_id" in asked else (int(asked.get("page", 1)) - 1) * limit
        if self.latency:
            await asyncio.sleep(self.latency)
        await _answer(send, self._ready(start, limit, integers=path[-4] < TEXT_IDS_SINCE))
        record.end()

    def _page(self, start: int, limit: int, *, integers: bool) -> bytes:
        stop = min(start + limit, self.rows)
        rests = self._rests[integers]
        row = b'{"id":%d,%b' if integers else b'{"id":"%d",%b'
        rows = b",".join(row % (FIRST_ID + place, rests[place % DIFFERENT]) for place in range(start, stop))
        meta = {
            "limit": limit,
            "total": self.rows,
            "has_next_page": stop < self.rows,
            "has_previous_page": start > 0,
            "start_cursor": str(start),
            "end_cursor": str(stop),
        }
        return b'{"data":[' + rows + b'],"meta":' + msgspec.json.encode(meta) + b"}"


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
    config = uvicorn.Config(Server(), http="httptools", loop="uvloop", **options)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
