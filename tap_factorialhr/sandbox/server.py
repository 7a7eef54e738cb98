"""The HTTP side of the simulated company, and a context manager that serves it to tests."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import OrderedDict
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

from tap_factorialhr import openapi
from tap_factorialhr.sandbox import authorize, pages, queries
from tap_factorialhr.sandbox.company import Company
from tap_factorialhr.sandbox.connections import Connections, CutResponse, DroppedResponse
from tap_factorialhr.sandbox.oauth import OAuth, OAuthError
from tap_factorialhr.sandbox.records import Answer, RequestRecord, record_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from starlette.types import Receive, Scope, Send

    from tap_factorialhr.sandbox.faults import Faults

UNPAGINATED = frozenset({"attendance/shifts"})
_JSON = "application/json; charset=utf-8"
_REMEMBERED = 64


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
        self.page_size_cap = pages.MOST
        self.before_request: Callable[[RequestRecord], None] | None = None
        self.answer: Callable[[RequestRecord], Answer | None] | None = None
        self.requests: list[RequestRecord] = []
        self.most_at_once = 0
        self._at_once = 0
        self._selections: OrderedDict[Any, list[int]] = OrderedDict()
        self._connections = Connections()
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
            http=self._connections.protocol(),
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
                Route(authorize.PATH, self._authorize, methods=["GET", "POST"]),
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
        record = record_of(request)
        self.requests.append(record)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            fault = self.faults.next() if self.faults else None
            if fault in {"reset", "timeout"}:
                await self._connections.drop(scope, self.fault_delay if fault == "timeout" else 0)
                return
            response = self._failed(fault, request, record) if fault else self._answered(request, record)
            if fault == "cut":
                await self._connections.cut(scope, send, response)
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
                return Response(pages.NOTHING, 401, media_type=_JSON)
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
        resource = record.resource
        table = self.company.table(resource)
        selected = self._selected(record)
        if resource in self.unpaginated:
            page = pages.whole(selected)
        else:
            page = pages.page_of(table, selected, dict(record.params), self)
        return pages.envelope(table, page, queries.blank(resource, record.params), self)

    def _selected(self, record: RequestRecord) -> list[int]:
        """The rows that the filters leave, remembered from page to page until a row changes."""
        filters = tuple(pair for pair in record.params if pair[0] not in {"page", "limit", "after_id"})
        key = (record.resource, self.company.table(record.resource).version, filters)
        if key not in self._selections:
            self._selections[key] = queries.select(self.company, record.resource, filters)
            if len(self._selections) > _REMEMBERED:
                self._selections.popitem(last=False)
        return self._selections[key]

    # --- tokens

    async def _authorize(self, request: Request) -> Response:
        self.requests.append(record_of(request))
        answer = authorize.ask if request.method == "GET" else authorize.decide
        asked = await authorize.parameters(request)
        with self.company.lock:
            return answer(self.oauth, asked)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        self.requests.append(record_of(request))
        if self.latency:
            await asyncio.sleep(self.latency)
        fault = self.token_faults.pop(0) if self.token_faults else None
        if fault and fault.isdigit():
            return Response(b"{}", int(fault), media_type=_JSON)
        with self.company.lock:
            response = self._granted(form)
        if fault == "reset":
            return DroppedResponse(self._connections)
        if fault == "cut":
            return CutResponse(self._connections, response)
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
