"""Raw HTTP, byte by byte, and the tap's own client to meet it."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from tap_factorialhr.authenticators import ApiKeyAuthenticator, FactorialAuthenticator
from tap_factorialhr.client import Client
from tap_factorialhr.http_session import Session
from tap_factorialhr.openapi import DEFAULT_VERSION
from tap_factorialhr.retry_policy import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests


@contextlib.contextmanager
def serving_bytes(answer: Callable[[socket.socket], None], seen: list[bytes] | None = None) -> Iterator[str]:
    """A server whose answers are written byte by byte, one to a connection; its URL."""

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while b"\r\n\r\n" not in (request := connection.recv(65536)):
                pass
            if seen is not None:
                seen.append(request)
            answer(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def head(*more: str, status: str = "200 OK") -> bytes:
    """The status line and the headers of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *more, "", ""]).encode()


def client_for(
    base_url: str,
    *,
    timeout: float | tuple[float, float] = 5,
    max_retries: int = 0,
    concurrency: int = 1,
    policy: RetryPolicy | None = None,
    session: requests.Session | None = None,
    authenticator: FactorialAuthenticator | None = None,
) -> Client:
    """The tap's client, with an API key unless there is something else."""
    return Client(
        base_url=base_url,
        api_version=DEFAULT_VERSION,
        session=session or Session(base_url, connections=2),
        authenticator=authenticator or ApiKeyAuthenticator(base_url, "key"),
        timeout=timeout if isinstance(timeout, tuple) else (timeout, timeout),
        policy=policy or RetryPolicy(retries=max_retries),
        concurrency=concurrency,
    )


def exchange(authenticator: FactorialAuthenticator, session: requests.Session, request: requests.Request) -> int:
    """Send a request as its authentication method has it; the status of the answer that counts."""
    flow = authenticator.flow(session.prepare_request(request))
    following = next(flow)
    while True:
        response = session.send(following, timeout=10)
        try:
            following = flow.send(response)
        except StopIteration:
            return response.status_code
