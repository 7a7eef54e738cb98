"""The server that all are measured against: pages that are ready to send, so that the reader is what is measured.

`python -m benchmarks.server --rows 20000 --latency 0.05` prints its address and serves until it is ended. The rows
are those of the simulated company (54 fields each); from the 20,000th on they come again under other ids, so that a
million of them need no more memory than that. Every other list resource answers one page of the company's rows.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
import uvicorn

from tap_factorialhr.sandbox.company import FIRST_ID, Company

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

EMPLOYEES = "employees/employees"
DIFFERENT = 20_000
MOST = 100


class Server:
    """The list resources of one company, as an ASGI application."""

    def __init__(self, rows: int, latency: float) -> None:
        """Take how many employees there are, and the seconds before each answer."""
        self.rows = rows
        self.latency = latency
        self._company = Company(min(rows, DIFFERENT))
        # Each row without its id, which comes first: a row is its number and the rest of its text.
        self._rests = [
            msgspec.json.encode({name: value for name, value in row.items() if name != "id"})[1:]
            for row in self._company.rows(EMPLOYEES)
        ]
        self._small = cache(self._small_page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        resource = "/".join(scope["path"].split("/")[-2:])
        asked = dict(parse_qsl(scope["query_string"].decode()))
        if self.latency:
            await asyncio.sleep(self.latency)
        body = self._page(asked) if resource == EMPLOYEES else self._small(resource)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _page(self, asked: dict[str, str]) -> bytes:
        limit = min(int(asked.get("limit", MOST)), MOST)
        start = int(asked["after_id"]) if "after_id" in asked else (int(asked.get("page", 1)) - 1) * limit
        stop = min(start + limit, self.rows)
        rests, different = self._rests, len(self._rests)
        rows = b",".join(
            b'{"id":"%d",%b' % (FIRST_ID + place, rests[place % different]) for place in range(start, stop)
        )
        meta = {
            "limit": limit,
            "total": self.rows,
            "has_next_page": stop < self.rows,
            "has_previous_page": start > 0,
            "start_cursor": str(start),
            "end_cursor": str(stop),
        }
        return b'{"data":[' + rows + b'],"meta":' + msgspec.json.encode(meta) + b"}"

    def _small_page(self, resource: str) -> bytes:
        rows = self._company.rows(resource)[:MOST]
        meta: dict[str, Any] = {"limit": MOST, "total": len(rows), "has_next_page": False, "has_previous_page": False}
        return msgspec.json.encode({"data": rows, "meta": meta})


def main() -> None:
    """Serve on a free port of the loopback, and say which."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args()
    server = Server(options.rows, options.latency)
    # The protocol is named, because asyncio sends small answers without delay on such sockets only.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        config = uvicorn.Config(server, lifespan="off", log_level="critical", access_log=False, ws="none")
        uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
