"""Answers and proxies that never come to an end: each is given up in time."""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tap_factorialhr import auth
from tap_factorialhr.client import SlowError
from tap_factorialhr.errors import ConfigError, FactorialError
from tap_factorialhr.http_session import Session
from tests.support.authentication import AT_ONCE, LOGIN, failure, make
from tests.support.http import client_for, head, serving_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GZIP_HEADER = gzip.compress(b"")[:10]
EMPTY = {
    "empty blocks": (head("Transfer-Encoding: identity", "Content-Encoding: gzip") + GZIP_HEADER, b"\0\0\0\xff\xff"),
    "empty members": (head("Content-Encoding: gzip"), gzip.compress(b"")),
    "trailers": (head("Transfer-Encoding: chunked") + b"0\r\n", b"X-Trailer: y\r\n"),
    "chunks of empty blocks": (
        head("Transfer-Encoding: chunked", "Content-Encoding: gzip") + b"a\r\n" + GZIP_HEADER + b"\r\n",
        b"5\r\n\0\0\0\xff\xff\r\n",
    ),
}


def endless(case: str, pause: float) -> Callable[[socket.socket], None]:
    """Answers with a beginning, and then with something that is nothing, again and again."""
    beginning, nothing = EMPTY[case]

    def answer(connection: socket.socket) -> None:
        connection.sendall(beginning)
        while True:
            connection.sendall(nothing if pause else nothing * 1000)
            time.sleep(pause)

    return answer


@contextlib.contextmanager
def within(least: float, most: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert least < time.monotonic() - began < most


@pytest.mark.parametrize("pause", [0.0, 0.05], ids=["as fast as it goes", "dripping"])
@pytest.mark.parametrize("case", EMPTY)
def test_a_page_that_decodes_to_nothing_for_ever_is_given_up(case: str, pause: float) -> None:
    given_up = pytest.raises(SlowError, match=r"teams: the answer does not come to its end in time")
    with serving_bytes(endless(case, pause)) as url, within(1.0, 5), given_up:
        client_for(url, timeout=0.3).get("teams", "teams/teams", ())


@pytest.mark.parametrize("case", EMPTY)
def test_a_token_answer_that_decodes_to_nothing_for_ever_is_given_up(case: str) -> None:
    with serving_bytes(endless(case, 0.02)) as url, within(0.3, 10):
        assert "may have been used up" in failure(make(LOGIN, url, timeout=(0.5, 0.5)), url)


@contextlib.contextmanager
def proxy(monkeypatch: pytest.MonkeyPatch, answer: Callable[[socket.socket], None]) -> Iterator[list[bytes]]:
    """A proxy for HTTPS that answers like this; what it is asked."""
    seen: list[bytes] = []
    with serving_bytes(answer, seen) as url:
        monkeypatch.setenv("HTTPS_PROXY", url.replace("http://", "http://somebody:SECRET-BODY@"))
        monkeypatch.setenv("NO_PROXY", "")
        yield seen


API = "https://api.example"


@pytest.mark.parametrize(
    "address",
    ["http://u:SECRET@", "http://u:SECRET@[x", "u:SECRET@host:x", "gopher://SECRET@x", "http://SECRET@x:99999"],
)
def test_a_proxy_that_cannot_be_one_is_told_before_any_request(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(ConfigError, match=r"^HTTPS_PROXY, or ALL_PROXY, is no address of an HTTP proxy") as caught:
        Session("https://api.example", connections=1)
    assert "SECRET" not in repr(caught.value) + repr(caught.value.__context__)


@pytest.mark.parametrize(
    "address", ["http://u:a b@x:1", "//x:1", "HTTP://x:1", "http://[::1]:1/", "x.example:1", "http://u:p%40@x"]
)
def test_any_other_is_for_requests_to_try(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    monkeypatch.setenv("NO_PROXY", "")
    with Session("https://api.example", connections=1) as session:
        assert session.proxies["https"] == address


class TestProxy:
    @pytest.mark.parametrize("part", [b"x", b"X: y\r\n"], ids=["a header that drips", "headers without end"])
    def test_whose_answer_does_not_end_is_given_up(self, monkeypatch: pytest.MonkeyPatch, part: bytes) -> None:
        def answer(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\nX-Long: ")
            while True:
                connection.sendall(part)
                time.sleep(0.05)

        with proxy(monkeypatch, answer), within(1.0, 5), pytest.raises(SlowError, match="teams: no answer in time"):
            client_for(API, timeout=0.3).get("teams", "teams/teams", ())
        # The token request has used nothing up, so it is sent again as often as that policy says.
        monkeypatch.setattr(auth, "UNUSED_POLICY", AT_ONCE)
        with proxy(monkeypatch, answer) as seen, within(0.3, 10):
            message = failure(make(LOGIN, API, timeout=(0.3, 0.3)), API)
        assert len(seen) == 1 + AT_ONCE.retries
        assert "used up" not in message
        assert "no connection" in message

    @pytest.mark.parametrize(
        ("status", "says"),
        [
            ("407 Proxy Authentication Required", "the proxy wants a login"),
            ("403 Forbidden", "the proxy does not let"),
        ],
    )
    def test_that_refuses_ends_the_run_at_once(self, monkeypatch: pytest.MonkeyPatch, status: str, says: str) -> None:
        def answer(connection: socket.socket) -> None:
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

        with proxy(monkeypatch, answer) as seen:
            with pytest.raises(FactorialError, match=f"teams: {says}") as caught:
                client_for(API, max_retries=3).get("teams", "teams/teams", ())
            assert "HTTPS_PROXY" in str(caught.value)
            assert "SECRET" not in repr(caught.value)
            assert len(seen) == 1
            message = failure(make(LOGIN, API), API)
            assert says in message.lower()
            assert "used up" not in message
            assert len(seen) == 2

    def test_that_is_down_for_a_moment_is_asked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def answer(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

        with proxy(monkeypatch, answer) as seen, pytest.raises(FactorialError, match="given up after 1 retry"):
            client_for(API, max_retries=1).get("teams", "teams/teams", ())
        assert len(seen) == 2

    def test_sees_a_tunnel_and_nothing_else(self, monkeypatch: pytest.MonkeyPatch, certificate: str) -> None:
        passed: list[bytes] = []
        requests: list[bytes] = []
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)

        def answer(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            tunnel = ssl.MemoryBIO(), ssl.MemoryBIO()
            server = context.wrap_bio(*tunnel, server_side=True)
            _speak(server, tunnel, connection, passed=passed, requests=requests)

        bundle = _certificate_of(certificate)
        with proxy(monkeypatch, answer) as seen:
            session = Session("https://localhost", connections=1, ca_bundle=bundle)
            client = client_for("https://localhost", session=session)
            assert client.get("teams", "teams/teams", (("limit", "7"),)).rows == []
        assert b"x-api-key: key" in requests[0]
        assert seen[0].startswith(b"CONNECT localhost:443 ")
        for secret in (b"x-api-key", b"limit=7", b"teams", b"resources"):
            assert secret not in seen[0] + b"".join(passed)


def _speak(
    server: ssl.SSLObject,
    tunnel: tuple[ssl.MemoryBIO, ssl.MemoryBIO],
    connection: socket.socket,
    *,
    passed: list[bytes],
    requests: list[bytes],
) -> None:
    """Speak TLS over a connection, and answer one request, which is noted before, with an empty list."""
    incoming, outgoing = tunnel
    request = b""

    def step(do: Callable[[], object]) -> object:
        while True:
            try:
                done = do()
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                data = connection.recv(65536)
                passed.append(data)
                incoming.write(data)
            else:
                connection.sendall(outgoing.read())
                return done

    step(server.do_handshake)
    while b"\r\n\r\n" not in request:
        request += step(lambda: server.read(65536))  # type: ignore[operator]
    body = b'{"data": [], "meta": {"has_next_page": false}}'
    requests.append(request)
    step(lambda: server.write(head(f"Content-Length: {len(body)}") + body))


def _certificate_of(path: str) -> str:
    """The file of a certificate without its key, beside it."""
    with open(path) as both, open(f"{path}.cert", "w") as alone:  # noqa: PTH123
        alone.write(re.sub(r"-----BEGIN PRIVATE.*?-----END PRIVATE KEY-----\n", "", both.read(), flags=re.DOTALL))
    return f"{path}.cert"


def test_a_file_for_the_keys_of_tls_is_not_written(
    monkeypatch: pytest.MonkeyPatch, certificate: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It would let whoever reads it decrypt what was sent."""
    keys = tmp_path_factory.mktemp("keys") / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.keylog_filename = None  # type: ignore[assignment]
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with context.wrap_socket(listening.accept()[0], server_side=True) as connection:
                connection.recv(65536)
                body = b'{"data": [], "meta": {"has_next_page": false}}'
                connection.sendall(head(f"Content-Length: {len(body)}", "Connection: close") + body)

        keys.unlink(missing_ok=True)
        threading.Thread(target=serve, daemon=True).start()
        url = f"https://localhost:{listening.getsockname()[1]}"
        session = Session(url, connections=1, ca_bundle=_certificate_of(certificate))
        assert client_for(url, session=session).get("teams", "teams/teams", ()).rows == []
    assert not keys.exists()
