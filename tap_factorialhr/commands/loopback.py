"""The address on this machine to which the browser brings a code (RFC 8252, section 7.3)."""

from __future__ import annotations

import contextlib
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self, TextIO
from urllib.parse import parse_qsl, urlsplit

from tap_factorialhr.errors import ConfigError, SessionError

if TYPE_CHECKING:
    from types import TracebackType

_HOSTS = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1"}
"""The hosts of a redirect URI that are this machine, and where they are listened for."""
_PAGE = (
    b'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>tap-factorialhr</title></head>'
    b"<body><h1>Thank you</h1><p>The terminal says how it went. You can close this page.</p></body></html>\n"
)


def is_loopback(redirect_uri: str) -> bool:
    """Whether the browser can bring the code to this machine.

    Raises:
        ConfigError: It is no address at all.
    """
    try:
        parts = urlsplit(redirect_uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("--redirect-uri is no address; it looks like http://127.0.0.1:8910/callback") from None
    if not parts.scheme or parts.fragment:
        raise ConfigError("--redirect-uri is no address; it looks like http://127.0.0.1:8910/callback")
    return parts.scheme == "http" and host in _HOSTS


class LoopbackListener:
    """Listens on the loopback interface for one browser that comes back.

    Args:
        redirect_uri: The registered redirect URI, for which `is_loopback` is true. Without a port it gets a free one.

    Attributes:
        takes_lines: Whether a line may come for an answer as well.
    """

    def __init__(self, redirect_uri: str) -> None:
        self.takes_lines = False
        self._parts = urlsplit(redirect_uri)
        self._answers: queue.Queue[dict[str, str] | str] = queue.Queue()

    def __enter__(self) -> Self:
        """Begin to listen.

        Raises:
            ConfigError: The port is in use, or may not be had.
        """
        handler = type("Handler", (_Handler,), {"path_expected": self._parts.path or "/", "answers": self._answers})
        host = self._parts.hostname or ""
        try:
            self._server = _Server((_HOSTS[host], self._parts.port or 0), handler)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{self._parts.port} ({error.strerror or type(error).__name__}), where the "
                "code comes back: end the program that uses the port, or name another redirect URI of the OAuth "
                "application with --redirect-uri, or paste the code with --paste"
            ) from None
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to listen."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def redirect_uri(self) -> str:
        """The redirect URI, with the port."""
        if self._parts.port:
            return self._parts.geturl()
        return self._parts._replace(netloc=f"{self._parts.hostname}:{self._server.server_port}").geturl()

    def take_lines(self, source: TextIO) -> None:
        """Take what is typed or pasted for an answer as well, from now on.

        Args:
            source: Where it comes from, line by line.
        """
        self.takes_lines = True
        threading.Thread(target=self._take_lines, args=(source,), daemon=True).start()

    def _take_lines(self, source: TextIO) -> None:
        with contextlib.suppress(OSError, ValueError):  # It has been closed, or holds what is no text.
            for line in source:
                if line.strip():
                    self._answers.put(line)

    def wait(self, seconds: float) -> dict[str, str] | str:
        """What comes first: the parameters with which the browser comes back, or a line.

        Args:
            seconds: How long to wait.

        Raises:
            SessionError: Nothing has come by then.
        """
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty:
            raise SessionError(f"No answer came back within {seconds:.0f} seconds. Run login again") from None


class _Server(ThreadingHTTPServer):
    """A thread for each connection: browsers open some ahead of need and send nothing on them."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a connection that a browser gives up is no news."""


class _Handler(BaseHTTPRequestHandler):
    path_expected: str
    answers: queue.Queue[dict[str, str] | str]

    def do_GET(self) -> None:
        try:
            asked = urlsplit(self.path)
        except ValueError:
            self.send_error(404)
            return
        answer = dict(parse_qsl(asked.query))
        if asked.path != self.path_expected or not answer.keys() & {"code", "error"}:
            self.send_error(404)
            return
        try:
            self._thank()
        finally:
            self.answers.put(answer)  # Also where the browser has gone by then.

    def _thank(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(_PAGE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Log nothing: the address holds the code."""
