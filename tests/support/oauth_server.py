"""A local server with nothing but `/oauth/token` and something to read, whose refresh tokens serve once."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Fault:
    """What the token endpoint does once instead of answering as it should."""

    status: int = 200
    body: bytes = b"SECRET-BODY"
    headers: tuple[tuple[str, str], ...] = ()
    renews: bool = False
    """The tokens are renewed all the same: the client just does not hear of it."""
    cut: bool = False
    """The connection ends in the middle of the body."""
    silence: float = 0.0
    """Seconds until the answer."""
    drip: float = 0.0
    """Seconds between two bytes of the body."""


@dataclass
class OAuthServer:
    """Tokens are numbered: the n-th refresh gives `access-n` and `refresh-n`."""

    url: str = ""
    lifetime: float = 7200
    faults: list[Fault] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    """Laid over the token endpoint's answer; `None` takes a key out."""
    status: int = 200
    """The status of an answer that holds tokens."""
    ending: str = ""
    """How tokens end: `short` of what their length says, in an `unclosed` chunk, or never, with the line `open`."""
    number: int = 0
    ends: dict[str, float] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    token_headers: list[dict[str, str]] = field(default_factory=list)
    reads: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None
    """Called while a token request is under way."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def refresh_token(self) -> str:
        return f"refresh-{self.number}"

    def renew(self) -> dict[str, Any]:
        """Hand out the next tokens."""
        self.number += 1
        access_token = f"access-{self.number}"
        self.ends[access_token] = time.monotonic() + self.lifetime
        answer = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "refresh_token": self.refresh_token,
            "scope": "read",
            "created_at": int(time.time()),
        } | self.extra
        return {key: value for key, value in answer.items() if value is not None}

    def grant(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Answer a token request as the API does."""
        if (form["client_id"], form["client_secret"]) != ("the-client", "the-secret"):
            return 401, {"error": "invalid_client", "error_description": "SECRET-BODY"}
        if form["refresh_token"] != self.refresh_token:
            self.refused.append(form["refresh_token"])
            return 400, {"error": "invalid_grant", "error_description": "SECRET-BODY"}
        return self.status, self.renew()

    def accepts(self, authorization: str) -> bool:
        return self.ends.get(authorization.removeprefix("Bearer "), 0.0) > time.monotonic()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: OAuthServer

    def do_POST(self) -> None:
        form = {k: v[0] for k, v in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()}
        state = self.state
        headers: tuple[tuple[str, str], ...] = ()
        state.meanwhile()
        with state.lock:
            state.forms.append(form)
            state.token_headers.append(dict(self.headers))
            fault = state.faults.pop(0) if state.faults else None
            if fault is None:
                status, answer = state.grant(form)
                body = json.dumps(answer).encode()
                if state.ending:
                    self._answer_without_end(status, body)
                    return
            else:
                status, body, headers = fault.status, fault.body, fault.headers
                if fault.renews:
                    state.grant(form)
        if fault and fault.silence:
            time.sleep(fault.silence)
        self._answer(status, body, headers, cut=bool(fault and fault.cut), drip=fault.drip if fault else 0.0)

    def do_GET(self) -> None:
        state = self.state
        with state.lock:
            state.reads.append(dict(self.headers))
            is_good = state.accepts(self.headers.get("Authorization", ""))
        self._answer(200 if is_good else 401, b'{"data": []}' if is_good else b'{"errors": null}')

    def _answer(
        self,
        status: int,
        body: bytes,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        cut: bool = False,
        drip: float = 0.0,
    ) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for start in range(0, len(body), 1) if drip else ():
                self.wfile.write(body[start : start + 1])
                time.sleep(drip)
            if not drip:
                self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True

    def _answer_without_end(self, status: int, body: bytes) -> None:
        """Give the whole body, and not the end that the headers promise."""
        ending = self.state.ending
        self.send_response(status)
        if ending == "unclosed":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n" % (len(body), body)
        else:
            self.send_header("Content-Length", str(len(body) + 100))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = ending != "open"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the tests' output quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Many processes connect at once, and a full queue costs each of them a second.
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up: some tests are about just that."""


@contextlib.contextmanager
def serving(lifetime: float = 7200) -> Iterator[OAuthServer]:
    """Run a server as long as the block."""
    state = OAuthServer(lifetime=lifetime)
    handler = type("Handler", (_Handler,), {"state": state})
    server = _Server(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
