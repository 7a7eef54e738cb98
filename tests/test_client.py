"""What the client makes of each answer, and what it says of it, word for word: people search for these words."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
import urllib3

from tap_factorialhr import client as client_module
from tap_factorialhr.client import (
    LargeError,
    RejectedError,
    RetriableError,
    SlowError,
    UnavailableError,
    UnreachableError,
)
from tap_factorialhr.errors import FactorialError, SessionError
from tap_factorialhr.openapi import DEFAULT_VERSION
from tap_factorialhr.retry_policy import RetryPolicy
from tests.support.http import client_for, head, serving_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = b'{"data": [{"id": 1}], "meta": {"total": 1}}'
AT_ONCE = RetryPolicy(retries=2, first_wait=0.001, longest_wait=0.001)


def whole(status: int, body: bytes = b"", *headers: str) -> bytes:
    length = f"Content-Length: {len(body)}"
    return head(length, "Connection: close", *headers, status=f"{status} Status") + body


def answers(*given: bytes) -> Callable[[socket.socket], None]:
    """Each connection gets the next one, and the last one is given again and again."""
    left = list(given)

    def answer(connection: socket.socket) -> None:
        connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return answer


def get(url: str, *params: tuple[str, str], **how: Any) -> Any:
    return client_for(url, **how).get("teams", "teams/teams", params)


def test_a_request_says_what_it_is_for() -> None:
    seen: list[bytes] = []
    with serving_bytes(answers(whole(200, GOOD)), seen) as url:
        page = get(f"{url}/", ("page", "2"), ("ids[]", "a b"))
    assert [*page.rows] == [{"id": 1}]
    assert page.meta.total == 1
    line, *headers = seen[0].decode().split("\r\n")
    assert line == f"GET /api/{DEFAULT_VERSION}/resources/teams/teams?page=2&ids%5B%5D=a+b HTTP/1.1"
    assert "x-api-key: key" in headers


def test_a_server_that_is_not_there_is_said_with_what_to_look_at() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # so that nobody else gets the port, and not listening
        with pytest.raises(UnreachableError) as caught:
            get(f"http://127.0.0.1:{nobody.getsockname()[1]}")
    given_up = "teams: no connection to the server, given up after 0 retries"
    assert str(caught.value) == f"{given_up}; check base_url and the network, or try again later"


def test_a_request_without_parameters_has_no_question_mark() -> None:
    seen: list[bytes] = []
    with serving_bytes(answers(whole(200, GOOD)), seen) as url:
        get(url)
    assert seen[0].startswith(f"GET /api/{DEFAULT_VERSION}/resources/teams/teams HTTP/1.1\r\n".encode())
    assert b"\r\nUser-Agent: tap-factorialhr/" in seen[0]


@pytest.mark.parametrize(
    ("given", "is_answered", "requests"),
    [
        ((whole(200, GOOD),), True, 1),
        ((whole(403),), True, 1),
        ((whole(400),), True, 1),
        ((whole(503, b"", "Retry-After: 0"), whole(404)), True, 2),
        ((whole(503, b"", "Retry-After: 0"),), False, 2),
        ((b"",), False, 2),
    ],
)
def test_whether_a_server_answers_at_all(given: tuple[bytes, ...], is_answered: bool, requests: int) -> None:
    seen: list[bytes] = []
    with serving_bytes(answers(*given), seen) as url:
        client = client_for(url, policy=RetryPolicy(retries=1, first_wait=0.01))
        assert client.is_answered("whose", "api_public/credentials") == is_answered
        assert client.requests == {"whose": requests}
    assert {line.partition(b"\r\n")[0] for line in seen} == {
        f"GET /api/{DEFAULT_VERSION}/resources/api_public/credentials HTTP/1.1".encode()
    }


def test_of_a_server_that_keeps_one_waiting_it_is_not_asked_again() -> None:
    released = threading.Event()

    def wait(_: socket.socket) -> None:
        released.wait(30)

    with serving_bytes(wait) as url:
        client = client_for(url, timeout=0.2, policy=RetryPolicy(retries=3, first_wait=0.01))
        assert not client.is_answered("whose", "api_public/credentials")
        assert client.requests == {"whose": 1}
        released.set()


@pytest.mark.parametrize(
    ("off", "says"),
    [
        (timedelta(minutes=50), None),
        (-timedelta(minutes=50), None),
        (timedelta(minutes=70.5), "this machine's clock is 70 minutes behind the server's; "),
        (timedelta(hours=3.5), "this machine's clock is 3 hours behind the server's; "),
        (-timedelta(days=1826.5), "this machine's clock is 1826 days ahead of the server's; "),
    ],
)
def test_a_clock_that_is_wrong_is_told_once(off: timedelta, says: str | None, caplog: pytest.LogCaptureFixture) -> None:
    date = format_datetime(datetime.now(UTC) + off, usegmt=True)
    with serving_bytes(answers(whole(200, GOOD, f"Date: {date}"))) as url:
        client = client_for(url)
        for _ in range(2):
            client.get("teams", "teams/teams", ())
    assert [message.startswith(says or "") for message in caplog.messages] == ([True] if says else [])


@pytest.mark.parametrize("form", ["%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S -0000", "%a, %d %b %Y %H:%M:%S"])
def test_a_date_without_a_zone_is_in_utc(
    form: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the zone of this machine is (HTTP, RFC 9110, section 5.6.7)."""
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    with serving_bytes(answers(whole(200, GOOD, f"Date: {datetime.now(UTC).strftime(form)}"))) as url:
        get(url)
    monkeypatch.undo()
    time.tzset()
    assert caplog.messages == []


@pytest.mark.parametrize("date", ["yesterday", "", "Mon, 99 Xyz 99999 00:00:00 GMT"])
def test_a_date_that_is_none_says_nothing_of_the_clock(date: str, caplog: pytest.LogCaptureFixture) -> None:
    with serving_bytes(answers(whole(200, GOOD, f"Date: {date}"))) as url:
        get(url)
    assert caplog.messages == []


REDIRECT = "a redirect, which is not followed so that credentials stay with base_url's host; check base_url"
GIVEN_UP = ", given up after 0 retries; try again later"


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        *((whole(status), UnavailableError, f"HTTP {status}") for status in (402, 403, 404, 410)),
        *(
            (whole(status), RetriableError, f"teams: HTTP {status}{GIVEN_UP}")
            for status in (204, 206, 425, 500, 502, 503, 599)
        ),
        *((whole(status), SlowError, f"teams: HTTP {status}{GIVEN_UP}") for status in (408, 504)),
        (whole(302, b"", "Location: /elsewhere"), FactorialError, f"teams: HTTP 302, {REDIRECT}"),
        (whole(300), FactorialError, f"teams: HTTP 300, {REDIRECT}"),
        (
            whole(400),
            RejectedError,
            "teams: HTTP 400, the API rejects the request; check api_version and the settings",
        ),
        (
            whole(401),
            SessionError,
            "teams: HTTP 401, the API does not accept the credentials; check api_key or access_token, or log in again",
        ),
        (
            whole(200, b"[]"),
            RetriableError,
            f"teams: HTTP 200 without the API's envelope (it is not an object){GIVEN_UP}",
        ),
        (whole(200, b'{"data": [}'), RetriableError, "teams: HTTP 200 that is not JSON ("),
        (b"", RetriableError, f"teams: the connection failed{GIVEN_UP}"),
        (head("Content-Length: 100") + b'{"data"', RetriableError, f"teams: the connection broke{GIVEN_UP}"),
    ],
)
def test_what_is_no_answer_is_said_in_one_line(answer: bytes, error: type[Exception], says: str) -> None:
    with serving_bytes(answers(answer)) as url, pytest.raises(error) as caught:
        get(url)
    assert str(caught.value) == says or (says.endswith("(") and str(caught.value).startswith(says))
    assert type(caught.value) is error
    if isinstance(caught.value, UnavailableError | RejectedError):
        assert caught.value.status == str(caught.value).removeprefix("teams: ").partition(",")[0]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"errors": ["team_ids is wrong"]}, " because of the parameter team_ids[]"),
        ({"errors": ["team is wrong, and so are team_ids and zone"]}, " because of the parameter team_ids[]"),
        ({"errors": ["TEAM_IDS, my_team_ids"]}, ""),
    ],
)
def test_the_longest_parameter_that_an_error_names_is_said(body: Any, named: str) -> None:
    with (
        serving_bytes(answers(whole(422, json.dumps(body).encode()))) as url,
        pytest.raises(RejectedError) as caught,
    ):
        get(url, ("team", "1"), ("team_ids[]", "2"), ("zone", "3"))
    assert (
        str(caught.value) == f"teams: HTTP 422, the API rejects the request{named}; check api_version and the settings"
    )


def test_an_error_may_be_any_bytes() -> None:
    with (
        serving_bytes(answers(whole(400, b"\xff\xfe team \xff" + b"x" * 20_000))) as url,
        pytest.raises(RejectedError, match="because of the parameter team;"),
    ):
        get(url, ("team", "1"))


def silent(connection: socket.socket) -> None:
    """Says nothing until the other side hangs up."""
    connection.recv(1)


def test_no_answer_in_time_says_which_setting_to_raise() -> None:
    with (
        serving_bytes(silent) as url,
        pytest.raises(SlowError, match=r"^teams: no answer in time; raise request_timeout, or try again later$"),
    ):
        get(url, timeout=0.05)


def test_a_body_that_stops_is_no_answer_in_time() -> None:
    def stops(connection: socket.socket) -> None:
        connection.sendall(head("Content-Length: 100") + b"{")
        connection.recv(1)

    with serving_bytes(stops) as url, pytest.raises(SlowError, match=r"^teams: no answer in time; raise"):
        get(url, timeout=0.05)


def test_what_fails_is_sent_again_and_each_time_is_said_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    policy = RetryPolicy(retries=2, first_wait=0.001, longest_wait=0.001, longest_asked=0.2)
    with serving_bytes(answers(whole(503, b"", "Retry-After: 9"), whole(500), whole(200, GOOD))) as url:
        client = client_for(url, policy=policy)
        assert len(client.get("teams", "teams/teams", ()).rows) == 1
    assert caplog.messages == [
        "teams: HTTP 503, trying again in 0.2 s (1 of 2)",
        "teams: HTTP 500, trying again in 0.0 s (2 of 2)",
    ]
    assert client.requests == {"teams": 3}
    assert client.retries == {"teams": 2}


def test_a_limit_is_waited_out_in_turn(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with serving_bytes(answers(whole(429), whole(429), whole(429), whole(200, GOOD))) as url:
        client = client_for(url, policy=AT_ONCE, concurrency=8)
        client.get("teams", "teams/teams", ())
    assert client.throttle.allowed == 2  # Half as many at each of the three, and one more after the good answer.
    assert caplog.messages == ["teams: HTTP 429, trying again in 0.0 s (waiting for its turn)"] * 3
    assert client.retries == {"teams": 3}


def test_a_limit_that_says_for_how_long_uses_up_a_retry() -> None:
    policy = RetryPolicy(retries=2, first_wait=0.001, longest_wait=0.001, longest_asked=0.01)
    with (
        serving_bytes(answers(whole(429, b"", "Retry-After: 1"))) as url,
        pytest.raises(RetriableError, match=r"^teams: HTTP 429, given up after 2 retries; try again later$"),
    ):
        get(url, policy=policy)


def test_after_all_retries_it_says_how_many_there_were() -> None:
    with (
        serving_bytes(answers(whole(503))) as url,
        pytest.raises(RetriableError, match=r"^teams: HTTP 503, given up after 2 retries; try again later$"),
    ):
        get(url, policy=AT_ONCE)


@pytest.mark.parametrize(("retry_timeouts", "requests"), [(True, 3), (False, 1)])
def test_a_timeout_is_tried_again_unless_a_smaller_window_may_help(retry_timeouts: bool, requests: int) -> None:
    with serving_bytes(silent) as url:
        client = client_for(url, policy=AT_ONCE, timeout=0.05)
        with pytest.raises(SlowError):
            client.get("teams", "teams/teams", (), retry_timeouts=retry_timeouts)
    assert client.requests == {"teams": requests}


def test_a_pause_that_a_fault_asks_for_holds_all_requests() -> None:
    with serving_bytes(answers(whole(503, b"", "Retry-After: 60"))) as url:
        client = client_for(url, policy=RetryPolicy(retries=0, longest_asked=5.0))
        with pytest.raises(RetriableError):
            client.get("teams", "teams/teams", ())
    assert 4.0 < client.throttle.note_limit(99, None) <= 5.0


@pytest.mark.parametrize(
    ("body", "is_taken"),
    [
        (b'{"data": [{"id": 1}, {"id": 2}]}', True),
        (b'{"data": [{"id": 1}, {"id": 2}, {"id": 3}]}', False),
        (b'{"data": [{"id": 1, "a": 2, "b": 3, "c": 4}]}', True),
        (b'{"data": [{"id": 1, "a": 2, "b": 3, "c": 4, "d": 5}]}', False),
        (b'{"data": [{"id": [[1]]}]}', False),
    ],
)
def test_an_answer_of_too_many_values_is_not_taken_in(
    monkeypatch: pytest.MonkeyPatch, body: bytes, is_taken: bool
) -> None:
    monkeypatch.setattr(client_module, "LARGE_BODY", 10)
    monkeypatch.setattr(client_module, "MOST_VALUES", 3)
    monkeypatch.setattr(client_module, "MOST_OBJECTS", 4)
    with serving_bytes(answers(whole(200, body))) as url:
        if is_taken:
            get(url)
            return
        with pytest.raises(LargeError) as caught:
            get(url)
    assert str(caught.value) == (
        "teams: an answer holds more than 4 objects or 3 values, which the tap does not take in; use smaller windows "
        "(window_days)"
    )


def test_an_answer_may_be_large_and_no_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LARGE_TURN", 1 << 10)
    monkeypatch.setattr(client_module, "LARGEST_BODY", 1 << 20)
    fits, does_not = (GOOD + b" " * size for size in ((1 << 20) - len(GOOD), 1 << 20))
    with serving_bytes(answers(whole(200, GOOD), whole(200, fits), whole(200, does_not))) as url:
        client = client_for(url)
        for _ in range(2):
            assert len(client.get("teams", "teams/teams", ()).rows) == 1
        with pytest.raises(LargeError) as caught:
            client.get("teams", "teams/teams", ())
    assert str(caught.value) == (
        "teams: an answer is larger than 1 MiB, which the tap does not take in; use smaller windows (window_days)"
    )


class Failing(requests.Session):
    """Sends nothing, and fails as it is told to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def send(self, *_: Any, **__: Any) -> requests.Response:
        raise self.error


CERTIFICATE = "teams: the server's TLS certificate could not be verified; check base_url, or name your CA in ca_bundle"
NO_TLS = (
    "teams: no TLS connection to the server, given up after 0 retries; check base_url and the network, or try again"
)
IN_TIME = "teams: no answer in time; raise request_timeout, or try again later"


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), FactorialError, CERTIFICATE),
        (requests.exceptions.SSLError("EOF"), UnreachableError, f"{NO_TLS} later"),
        (requests.exceptions.ReadTimeout(), SlowError, IN_TIME),
        (urllib3.exceptions.TimeoutError(), SlowError, IN_TIME),
        (requests.exceptions.ConnectionError("Read TIMED OUT."), SlowError, IN_TIME),
        (requests.exceptions.ConnectionError("reset"), RetriableError, f"teams: the connection failed{GIVEN_UP}"),
        (requests.exceptions.ChunkedEncodingError(), RetriableError, f"teams: the connection broke{GIVEN_UP}"),
        (urllib3.exceptions.ProtocolError(), RetriableError, f"teams: the connection broke{GIVEN_UP}"),
    ],
)
def test_a_connection_that_fails_is_said_in_one_line(error: Exception, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        get("https://api.example", session=Failing(error))
    assert type(caught.value) is kind
    assert str(caught.value) == says


def test_tls_that_fails_after_an_answer_says_nothing_of_the_server() -> None:
    """It may be that of one address alone, and the other streams are read."""
    client = client_for("https://api.example", session=Failing(requests.exceptions.SSLError("EOF")))
    client.throttle.note_good()
    with pytest.raises(RetriableError) as caught:
        client.get("teams", "teams/teams", ())
    assert type(caught.value) is RetriableError
    assert str(caught.value) == f"teams: the TLS connection failed{GIVEN_UP}"
