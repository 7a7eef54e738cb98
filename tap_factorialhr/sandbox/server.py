"""The HTTP side of the simulated company, and a context manager that serves it to tests."""

from __future__ import annotations

import asyncio
import base64
import binascii
import socket
import threading
import time
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from tap_factorialhr import openapi
from tap_factorialhr.sandbox import queries
from tap_factorialhr.sandbox.company import Company
from tap_factorialhr.sandbox.oauth import OAuth, OAuthError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from starlette.types import Receive, Scope, Send

    from tap_factorialhr.sandbox.company import Table
    from tap_factorialhr.sandbox.faults import Faults

MOST = 100
"""Rows on a page by default, and at most."""

UNPAGINATED = frozenset({"attendance/shifts"})
_JSON = "application/json; charset=utf-8"
_REMEMBERED = 64
_NO_CREDENTIAL = b'{"errors":null}'


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that came in.

    Attributes:
        method: Such as ``GET``.
        path: Without the query.
        resource: ``<domain>/<resource>``, empty for other paths.
        params: The query as it came, in order.
        headers: The names of the headers, in lower case; their values may be secrets.
        at: When it came (``time.monotonic()``).
    """

    method: str
    path: str
    resource: str
    params: tuple[tuple[str, str], ...]
    headers: tuple[str, ...]
    at: float

    def get(self, name: str) -> str | None:
        """The last value of a parameter."""
        return dict(self.params).get(name)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a test's own, given instead of the company's.

    Attributes:
        status: The HTTP status.
        body: The body as it is sent.
        headers: Further headers; ``content-type`` is JSON if not named.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Page:
    """What is answered, and what the envelope says of it."""

    places: list[int]
    limit: int | None
    total: int
    has_next: bool
    has_previous: bool


class Sandbox:
    """A simulated company behind HTTP.

    ``with Sandbox(Company(50)) as sandbox:`` serves it on a free port of the loopback until the block ends.
    All options are plain attributes and may be changed while it runs.

    Attributes:
        company: The company; its rows are the truth.
        base_url: Where it is served, without a slash at the end.
        api_key: The only key that is accepted.
        oauth: Tokens: ``oauth.issue_tokens()``, ``oauth.refreshes``, ``oauth.invalid_grants``, lifetimes.
        latency: Seconds before each answer.
        faults: What goes wrong on the way to the resources, or None.
        fault_delay: Seconds that the fault ``timeout`` lasts.
        retry_after: Seconds that the faults ``429-seconds`` and ``429-date`` ask for.
        token_faults: What goes wrong with the next token requests, one each, first to last: ``reset`` and
            ``cut`` after the tokens were made (their answer is lost), a status before that.
        forbidden: Resources that answer 403.
        missing: Resources that answer 404.
        unpaginated: Resources that ignore ``limit`` and ``page`` and answer everything.
        ignore_page: Every page is the first one.
        short_pages: Pages in the middle have one row less than the limit.
        no_total: The envelope has no ``total``.
        repeat_cursor: ``end_cursor`` is the same on every page, and so are the rows after it.
        promise_without_page: The last page promises another one, which is empty and promises the same.
        null_empty: An empty list is sent as ``{"errors": null}``.
        page_size_cap: The most rows of a page.
        before_request: Called with each request before it is answered, under the company's lock: a test can
            change rows between two pages here.
        answer: Called with each request; what it returns, unless None, is sent instead of the company's.
        requests: All requests that came in.
        most_at_once: How many requests were in flight at one time, at most.
    """

    def __init__(self, company: Company | None = None, *, port: int = 0, **options: Any) -> None:  # noqa: ANN401 - the attributes above
        """Take the company (50 employees by default), a port (0: a free one), and attributes by name.

        Raises:
            TypeError: There is no such option.
        """
        self.company = company or Company()
        self.host = "127.0.0.1"
        self.port = port
        self.api_key = "sandbox-api-key"
        self.oauth = OAuth()
        self.latency = 0.0
        self.faults: Faults | None = None
        self.fault_delay = 5.0
        self.retry_after = 1
        self.token_faults: list[str] = []
        self.forbidden: set[str] = set()
        self.missing: set[str] = set()
        self.unpaginated: set[str] = set(UNPAGINATED)
        self.ignore_page = False
        self.short_pages = False
        self.no_total = False
        self.repeat_cursor = False
        self.promise_without_page = False
        self.null_empty = False
        self.page_size_cap = MOST
        self.before_request: Callable[[RequestRecord], None] | None = None
        self.answer: Callable[[RequestRecord], Answer | None] | None = None
        self.requests: list[RequestRecord] = []
        self.most_at_once = 0
        self._at_once = 0
        self._selections: OrderedDict[Any, list[int]] = OrderedDict()
        self._transports: dict[Any, asyncio.Transport] = {}
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        for name, value in options.items():
            self._set(name, value)

    def _set(self, name: str, value: Any) -> None:  # noqa: ANN401 - any option
        if name in {"access_token_lifetime", "refresh_token_lifetime"}:
            setattr(self.oauth, name, value)
        elif name.startswith("_") or name not in vars(self):
            raise TypeError(f"the sandbox has no option {name!r}")
        elif name in {"forbidden", "missing", "unpaginated"}:
            setattr(self, name, set(value))
        else:
            setattr(self, name, value)

    @property
    def base_url(self) -> str:
        """Where the company is served."""
        return f"http://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        """Serve in a thread; ready when this returns."""
        listening = self.listen()
        self._server = uvicorn.Server(self.config())
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.002)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop at once: open connections are closed."""
        if self._server and self._thread:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join(10)

    def listen(self) -> socket.socket:
        """Take the port (a free one for 0), and note it.

        Raises:
            OSError: The port is taken, or the host is not of this machine.
        """
        # The protocol is named, because asyncio sends small answers without delay on such sockets only.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((self.host, self.port))
        listening.listen(512)
        self.port = listening.getsockname()[1]
        return listening

    def config(self) -> uvicorn.Config:
        """How uvicorn has to serve the company."""
        return uvicorn.Config(
            self.app(),
            http=_protocol(self._transports),
            lifespan="off",
            log_level="critical",
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=1,
            server_header=False,
        )

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/oauth/token", self._token, methods=["POST"]),
                Route("/api/{version}/resources/{domain}/{name}", _Endpoint(self), methods=["GET"]),
            ]
        )

    def clear(self) -> None:
        """Forget the requests so far."""
        self.requests.clear()
        self.most_at_once = 0

    def requests_for(self, resource: str) -> list[RequestRecord]:
        """The requests of one resource, in order."""
        return [record for record in self.requests if record.resource == resource]

    # --- the answer of a resource

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a GET of a resource."""
        request = Request(scope, receive)
        record = _record(request)
        self.requests.append(record)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            fault = self.faults.next() if self.faults else None
            if fault in {"reset", "timeout"}:
                await self._drop(scope, self.fault_delay if fault == "timeout" else 0)
                return
            response = self._failed(fault, request, record) if fault else self._answered(request, record)
            if fault == "cut":
                await self._cut(scope, send, response)
                return
            await response(scope, receive, send)
        finally:
            self._at_once -= 1

    def _failed(self, fault: str, request: Request, record: RequestRecord) -> Response:  # noqa: PLR0911 - one a status
        match fault:
            case "html":
                return Response("<html><body><h1>We will be back soon</h1></body></html>", media_type="text/html")
            case "no_envelope":
                return Response(b'{"message":"ok"}', media_type=_JSON)
            case "429-seconds":
                return Response(b"{}", 429, {"retry-after": str(self.retry_after)}, _JSON)
            case "429-date":
                moment = datetime.now(UTC) + timedelta(seconds=self.retry_after)
                return Response(b"{}", 429, {"retry-after": format_datetime(moment, usegmt=True)}, _JSON)
            case "cut":
                return self._answered(request, record)
            case "half_json":
                whole = self._answered(request, record)
                return Response(bytes(whole.body)[: max(1, len(whole.body) // 2)], media_type=_JSON)
            case _:
                return Response(b'{"errors":null}', int(fault), media_type=_JSON)

    def _answered(self, request: Request, record: RequestRecord) -> Response:
        with self.company.lock:
            if self.before_request:
                self.before_request(record)
            if self.answer and (own := self.answer(record)):
                return Response(own.body, own.status, {"content-type": _JSON, **own.headers})
            if not self._known(request):
                return Response(_NO_CREDENTIAL, 401, media_type=_JSON)
            if record.resource not in openapi.load().resources or record.resource in self.missing:
                return Response(b'{"errors":{"errors":["Not found"]}}', 404, media_type=_JSON)
            if record.resource in self.forbidden:
                return Response(b'{"errors":{"errors":["Forbidden by policy"]}}', 403, media_type=_JSON)
            try:
                return Response(self._list(record), media_type=_JSON)
            except queries.InvalidParametersError:
                return Response(b"Invalid parameters", 400, media_type=_JSON)

    def _known(self, request: Request) -> bool:
        """Whether the request carries a credential that is good."""
        if (key := request.headers.get("x-api-key")) is not None:
            return key == self.api_key
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.oauth.accepts(token)

    def _list(self, record: RequestRecord) -> bytes:
        resource, asked = record.resource, dict(record.params)
        table = self.company.table(resource)
        selected = self._selected(record)
        if resource in self.unpaginated:
            page = _Page(selected, None, len(selected), has_next=False, has_previous=False)
        else:
            page = self._page(table, selected, asked)
        return self._envelope(table, page, queries.blank(resource, record.params))

    def _selected(self, record: RequestRecord) -> list[int]:
        """The rows that the filters leave, remembered from page to page until a row changes."""
        filters = tuple(pair for pair in record.params if pair[0] not in {"page", "limit", "after_id"})
        key = (record.resource, self.company.table(record.resource).version, filters)
        if key not in self._selections:
            self._selections[key] = queries.select(self.company, record.resource, filters)
            if len(self._selections) > _REMEMBERED:
                self._selections.popitem(last=False)
        return self._selections[key]

    def _page(self, table: Table, selected: list[int], asked: dict[str, str]) -> _Page:
        limit = min(_number(asked.get("limit", str(MOST))), self.page_size_cap)
        if "after_id" in asked:
            after = _after(asked["after_id"])
            start = bisect_right(selected, after, key=table.keys.__getitem__)
            if self.repeat_cursor:
                start = min(start, limit)
        elif self.ignore_page:
            start = 0
        else:
            start = (_number(asked.get("page", "1")) - 1) * limit
        stop = start + limit
        has_next = stop < len(selected)
        if self.short_pages and limit > 1 and (has_next or start):
            start, stop = self._shortened(start, limit, cursor="after_id" in asked, total=len(selected))
            has_next = stop < len(selected)
        places = selected[start:stop]
        return _Page(places, limit, len(selected), has_next or self.promise_without_page, start > 0)

    @staticmethod
    def _shortened(start: int, limit: int, *, cursor: bool, total: int) -> tuple[int, int]:
        """Where a page begins and ends when every page in the middle lacks its last row."""
        size = limit - 1
        if not cursor:
            start = start // limit * size
        return start, min(start + size, total)

    def _envelope(self, table: Table, page: _Page, blank: frozenset[str]) -> bytes:
        if self.null_empty and not page.places:
            return _NO_CREDENTIAL
        first = table.keys[page.places[0]] if page.places else None
        last = table.keys[page.places[-1]] if page.places else None
        meta: dict[str, Any] = {
            "limit": page.limit,
            "total": page.total,
            "has_next_page": page.has_next,
            "has_previous_page": page.has_previous,
            "start_cursor": None if first is None else _cursor(first),
            "end_cursor": None if last is None else _cursor(last),
        }
        if self.repeat_cursor and page.places:
            meta["end_cursor"] = _cursor(table.keys[min(page.limit or 1, len(table.keys)) - 1])
            meta["has_next_page"] = True
        if self.no_total:
            del meta["total"]
        rows = b",".join([table.json(place, blank) for place in page.places])
        return b'{"data":[' + rows + b'],"meta":' + msgspec.json.encode(meta) + b"}"

    # --- broken connections

    async def _drop(self, scope: Scope, delay: float) -> None:
        """Close the connection without an answer."""
        if delay:
            await asyncio.sleep(delay)
        if transport := self._transports.get(scope.get("client")):
            transport.abort()

    async def _cut(self, scope: Scope, send: Send, response: Response) -> None:
        """Announce the whole body, send half of it, and close."""
        headers = [(name, value) for name, value in response.raw_headers]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        half = bytes(response.body)[: len(response.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await asyncio.sleep(0)
        if transport := self._transports.get(scope.get("client")):
            transport.close()

    # --- tokens

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        self.requests.append(_record(request))
        if self.latency:
            await asyncio.sleep(self.latency)
        fault = self.token_faults.pop(0) if self.token_faults else None
        if fault and fault.isdigit():
            return Response(b"{}", int(fault), media_type=_JSON)
        with self.company.lock:
            response = self._granted(form)
        if fault == "reset":
            return _Dropped(self)
        if fault == "cut":
            return _Cut(self, response)
        return response

    def _granted(self, form: dict[str, str]) -> Response:
        try:
            return Response(msgspec.json.encode(self.oauth.grant(form)), media_type=_JSON)
        except OAuthError as error:
            body = {"error": error.error, "error_description": "The request was refused."}
            return Response(msgspec.json.encode(body), error.status, media_type=_JSON)


class _Endpoint:
    """An ASGI application of its own, so that a fault can reach the connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.sandbox.serve(scope, receive, send)


class _Dropped(Response):
    """No answer: the connection is closed."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await self.sandbox._drop(scope, 0)  # noqa: SLF001 - one module


class _Cut(Response):
    """Half an answer."""

    def __init__(self, sandbox: Sandbox, whole: Response) -> None:
        super().__init__()
        self.sandbox = sandbox
        self.whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await self.sandbox._cut(scope, send, self.whole)  # noqa: SLF001 - one module


def _protocol(transports: dict[Any, asyncio.Transport]) -> type[asyncio.Protocol]:
    """Uvicorn's protocol, with the connections noted by the client's address, so that they can be broken."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            transports[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(self.client, None)
            super().connection_lost(exc)

    return Protocol


def _record(request: Request) -> RequestRecord:
    parts = request.path_params
    resource = f"{parts['domain']}/{parts['name']}" if "domain" in parts else ""
    params = tuple(parse_qsl(request.url.query, keep_blank_values=True))
    return RequestRecord(request.method, request.url.path, resource, params, tuple(request.headers), time.monotonic())


def _number(text: str) -> int:
    """A positive whole number.

    Raises:
        InvalidParametersError: It is none.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise queries.InvalidParametersError("number")
    return int(text)


def _cursor(key: int) -> str:
    return base64.urlsafe_b64encode(f"after:{key}".encode()).decode()


def _after(cursor: str) -> int:
    """The key that a cursor stands for; the row need not exist any more.

    Raises:
        InvalidParametersError: It is no cursor, but for instance a plain id.
    """
    try:
        word, _, key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise queries.InvalidParametersError("after_id") from error
    if word != "after" or not key.isdigit():
        raise queries.InvalidParametersError("after_id")
    return int(key)
