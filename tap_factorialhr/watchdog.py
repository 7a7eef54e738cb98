"""Answers whose headers never end: a read time-out bounds each read, but not how many there are.

A server that sends one byte of a header at a time, or interim answers without end, would hold a request up for ever.
So a thread of its own watches the connections that wait for an answer, and shuts those down whose time is over.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests.adapters
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import PreparedRequest
    from urllib3 import HTTPResponse, PoolManager, ProxyManager
    from urllib3.connectionpool import ConnectionPool

LONGEST_ANSWER = 4
"""How many times the read time-out an answer's headers may take, and its body as well."""
_POLL = 0.25
"""Seconds between two looks at the connections."""


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


class _Watched(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """Give the answer.

        Raises:
            TimeoutError: Its headers do not come to their end in time.
        """
        if self.sock is None or not self.timeout:
            return super().getresponse()
        with _watchdog.over(self.sock, LONGEST_ANSWER * self.timeout) as overdue:
            try:
                return super().getresponse()
            finally:
                # Whatever came of it: headers that end with the connection look whole.
                if overdue.is_set():
                    raise TimeoutError("timed out")


class _WatchedTLS(_Watched, HTTPSConnection):
    pass


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
