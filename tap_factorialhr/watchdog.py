"""Answers that never end: a read time-out bounds each read, but not how many there are.

A server that sends one byte of a header at a time, interim answers without end, or a body that decodes to nothing,
would hold a request up for ever, and so would a proxy. So a thread of its own watches the connections that wait for
an answer, and shuts those down whose time is over.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import requests.adapters
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import PreparedRequest
    from urllib3 import BaseHTTPResponse, HTTPResponse, PoolManager, ProxyManager
    from urllib3.connectionpool import ConnectionPool

LONGEST_ANSWER = 4
"""How many times the read time-out an answer's headers may take, and its body as well; a proxy's answer likewise."""
_CHUNK = 256 * 1024
_POLL = 0.25
"""Seconds between two looks at the connections."""


class EndlessError(Exception):
    """The body of an answer does not come to its end in time."""


class TunnelError(NewConnectionError):
    """A proxy does not make the tunnel that is asked for; nothing has been sent through it.

    Attributes:
        status: The proxy's answer; None where it gave none.
    """

    status: int | None = None


class _Watchdog:
    def __init__(self) -> None:
        self._watched: dict[threading.Event, tuple[float, socket.socket]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def over(self, connected: socket.socket, seconds: float) -> Iterator[threading.Event]:
        """Shut a connection down if this lasts longer; then the event is set."""
        overdue = threading.Event()
        with self._lock:
            self._watched[overdue] = time.monotonic() + seconds, connected
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
        try:
            yield overdue
        finally:
            with self._lock:
                self._watched.pop(overdue, None)

    def _watch(self) -> None:
        while True:
            time.sleep(_POLL)
            with self._lock:
                now = time.monotonic()
                over = [(event, connected) for event, (due, connected) in self._watched.items() if due < now]
                for event, connected in over:
                    del self._watched[event]
                    event.set()
                    with contextlib.suppress(OSError):
                        socket.socket.shutdown(connected, socket.SHUT_RDWR)


_watchdog = _Watchdog()
watching = _watchdog.over


class _Watched(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """Give the answer.

        Raises:
            TimeoutError: Its headers do not come to their end in time.
        """
        connected = self.sock
        if connected is None or not self.timeout:
            return super().getresponse()
        with _watchdog.over(connected, LONGEST_ANSWER * self.timeout) as overdue:
            try:
                answer = super().getresponse()
            finally:
                # Whatever came of it: headers that end with the connection look whole.
                if overdue.is_set():
                    raise TimeoutError("timed out")
        _connections[answer] = connected
        return answer

    def _tunnel(self) -> None:
        """Have a proxy make a tunnel.

        Raises:
            ConnectTimeoutError: Its answer does not come to its end in time.
            TunnelError: It does not do it.
        """
        with _watchdog.over(self.sock, LONGEST_ANSWER * (self.timeout or 0)) as overdue:
            try:
                super()._tunnel()
            except TimeoutError:
                raise ConnectTimeoutError(self, "timed out") from None
            except OSError as error:
                refused = TunnelError(self, "the proxy makes no tunnel")
                if status := re.match(r"Tunnel connection failed: (\d+)", str(error)):
                    refused.status = int(status[1])
                raise refused from None
            finally:
                if overdue.is_set():
                    raise ConnectTimeoutError(self, "timed out")


class _WatchedTLS(_Watched, HTTPSConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (as urllib3 has it)
        # urllib3's own would write the keys of the connection into the file that SSLKEYLOGFILE names.
        kwargs["ssl_context"] = kwargs.get("ssl_context") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        super().__init__(*args, **kwargs)


_connections: WeakKeyDictionary[BaseHTTPResponse, socket.socket] = WeakKeyDictionary()
"""What the answers come over whose bodies are being read."""


def read_body(answer: BaseHTTPResponse, into: bytearray, *, most: int, seconds: float) -> bool:
    """Read on in the decoded body of an answer, as it comes.

    Args:
        answer: An answer of `WatchedAdapter`, whose headers have come.
        into: Takes what is read.
        most: Bytes from which on nothing more is read.
        seconds: How long it may take.

    Returns:
        Whether the body has come to its end.

    Raises:
        EndlessError: It has not in time.
        HTTPError: What urllib3 raises where a connection breaks.
    """
    with _watchdog.over(_connections[answer], seconds) as overdue:
        try:
            # A reader that waits until its chunk is full would not notice a body that drips.
            while chunk := answer.read1(_CHUNK, decode_content=True):
                into += chunk
                if len(into) > most:
                    return False
        finally:
            # Whatever came of it: a body that ends with the connection may look whole.
            if overdue.is_set():
                raise EndlessError
    return True


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class WatchedAdapter(requests.adapters.HTTPAdapter):
    """The transport of `requests`, over connections whose answers begin in time or not at all.

    All requests to a server go by the certificates and proxies that the first one goes by.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (as requests has it)
        """Make the pools of connections."""
        super().init_poolmanager(*args, **kwargs)
        _watch(self.poolmanager)
        self._pools: dict[object, ConnectionPool] = {}

    def get_connection_with_tls_context(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> ConnectionPool:  # noqa: ANN401 (as requests has it)
        """Give the connections to a request's server, which `requests` would look up for every request."""
        server = urlsplit(request.url)[:2]
        if server not in self._pools:
            self._pools[server] = super().get_connection_with_tls_context(request, *args, **kwargs)
        return self._pools[server]

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> ProxyManager:  # noqa: ANN401 (as requests has it)
        """Make the pools of connections through a proxy."""
        manager: ProxyManager = super().proxy_manager_for(*args, **kwargs)
        _watch(manager)
        return manager


def _watch(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
