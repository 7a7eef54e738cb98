"""When a request is sent again, and when it is given up."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tap_factorialhr.client import RetriableError, SlowError
from tap_factorialhr.http_session import connect_and_read_seconds
from tap_factorialhr.retry_policy import RetryPolicy
from tap_factorialhr.sandbox import Answer
from tap_factorialhr.throttle import Throttle
from tests.support.http import client_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_factorialhr.sandbox import RequestRecord, Sandbox

YEAR = timedelta(days=365)
POLICY = RetryPolicy(retries=5)


@pytest.mark.parametrize("value", ["0", "-3", "Wed, 21 Oct 2015 07:28:00 GMT", None])
def test_a_pause_of_nothing_does_not_burn_the_retries_at_once(value: str | None) -> None:
    waits = [POLICY.wait(retry, asked=POLICY.asked(value)) for retry in (1, 2, 3, 4)]
    assert all(wait and low / 2 <= wait <= low for wait, low in zip(waits, (1, 2, 4, 8), strict=True))


def test_the_wait_grows_to_a_minute_and_no_further() -> None:
    policy = RetryPolicy(retries=5000)
    waits = [policy.wait(retry, asked=None) for retry in (6, 7, 8, 100, 5000)]
    assert all(wait and low / 2 <= wait <= low for wait, low in zip(waits, (32, 60, 60, 60, 60), strict=True))


def test_what_the_server_asks_for_is_waited_where_it_is_more() -> None:
    assert POLICY.wait(1, asked=7.0) == 7.0
    assert (POLICY.wait(5, asked=7.0) or 0) > 7.0


def test_no_more_retries_than_are_allowed() -> None:
    assert POLICY.wait(5, asked=None) is not None
    assert POLICY.wait(6, asked=None) is None
    assert RetryPolicy(retries=0).wait(1, asked=None) is None


@pytest.mark.parametrize("value", [str(int(YEAR.total_seconds())), "9" * 100, "date"])
def test_a_pause_of_a_year_is_cut_short(value: str) -> None:
    text = format_datetime(datetime.now(UTC) + YEAR, usegmt=True) if value == "date" else value
    assert POLICY.asked(text) == 300.0


@pytest.mark.parametrize(
    "value", ["-5", "nan", "inf", "1e300", "soon", "", "Mon, 99 Foo 99999 00:00:00 GMT", "9" * 5000, None]
)
def test_an_odd_pause_is_none(value: str | None) -> None:
    assert POLICY.asked(value) is None


def test_a_request_with_pauses_of_a_year_ends(sandbox: Sandbox) -> None:
    sandbox.answer = lambda _: Answer(429, b"", {"retry-after": "31536000"})
    policy = RetryPolicy(retries=2, first_wait=0.1, longest_asked=0.2)
    try:
        with pytest.raises(RetriableError, match="teams: HTTP 429, given up after 2 retries"):
            client_for(sandbox.base_url, policy=policy).get("teams", "teams/teams", ())
    finally:
        sandbox.answer = None


class RateLimit:
    """Answers so many requests in each span of time, and all others with 429."""

    def __init__(self, requests: int, seconds: float, headers: dict[str, str] | None = None) -> None:
        self._requests = requests
        self._seconds = seconds
        self._headers = headers or {}
        self._answered: list[float] = []
        self._lock = threading.Lock()
        self.refused = 0

    def __call__(self, _: RequestRecord) -> Answer:
        with self._lock:
            now = time.monotonic()
            self._answered = [at for at in self._answered if at > now - self._seconds]
            if len(self._answered) < self._requests:
                self._answered.append(now)
                return Answer(body=b'{"data": [], "meta": {}}')
            self.refused += 1
            return Answer(429, b"", self._headers)


FAST = RetryPolicy(retries=5, first_wait=1 / 60, longest_wait=1.0, limit_window=2.0)
"""A minute is a second."""


@pytest.fixture
def limited(sandbox: Sandbox) -> Iterator[Callable[[RateLimit], Sandbox]]:
    def set_limit(limit: RateLimit) -> Sandbox:
        sandbox.answer = limit
        return sandbox

    yield set_limit
    sandbox.answer = None


@pytest.mark.parametrize("concurrency", [1, 8, 64])
@pytest.mark.parametrize("headers", [{}, {"retry-after": "1"}], ids=["without a word", "with Retry-After"])
def test_ten_requests_a_minute_are_enough_at_any_concurrency(
    limited: Callable[[RateLimit], Sandbox], concurrency: int, headers: dict[str, str]
) -> None:
    limit = RateLimit(10, 1.0, headers)
    url = limited(limit).base_url
    client = client_for(url, concurrency=concurrency, policy=FAST)
    with ThreadPoolExecutor(concurrency) as pool:
        pages = list(pool.map(lambda number: client.get("teams", "teams/teams", (("page", str(number)),)), range(30)))
    assert len(pages) == 30
    # At first all that are in flight are refused; from then on there are fewer, and pauses between them.
    assert 0 < limit.refused < 3 * 64


@pytest.mark.parametrize(
    ("asked", "others_answered", "limited_for", "expected"),
    [
        (None, False, 0.0, True),
        (None, False, 119.0, True),
        (None, False, 121.0, False),
        (None, True, 121.0, True),
        (60.0, True, 0.0, True),
        (60.0, False, 0.0, False),
        (0.0, True, 0.0, False),
    ],
)
def test_which_429_uses_up_no_retry(
    *, asked: float | None, others_answered: bool, limited_for: float, expected: bool
) -> None:
    given = {"asked": asked, "others_answered": others_answered, "limited_for": limited_for}
    assert POLICY.waits_for_turn(**given) is expected  # type: ignore[arg-type]
    assert RetryPolicy(retries=0).waits_for_turn(**given) is False  # type: ignore[arg-type]


def test_a_limit_that_lasts_is_waited_out_though_there_are_few_retries(limited: Callable[[RateLimit], Sandbox]) -> None:
    limit = RateLimit(1, 1.5)
    client = client_for(limited(limit).base_url, policy=replace(FAST, retries=1))
    for _ in range(2):
        client.get("teams", "teams/teams", ())
    assert limit.refused > 2


def test_an_api_that_answers_nobody_is_given_up(limited: Callable[[RateLimit], Sandbox]) -> None:
    limit = RateLimit(0, 1.0)
    client = client_for(limited(limit).base_url, policy=replace(FAST, retries=1, limit_window=0.5))
    began = time.monotonic()
    with pytest.raises(RetriableError, match="teams: HTTP 429, given up after 1 retry"):
        client.get("teams", "teams/teams", ())
    assert time.monotonic() - began > 0.5
    with pytest.raises(RetriableError, match="teams: HTTP 429, given up after 0 retries"):
        client_for(limited(limit).base_url, policy=replace(FAST, retries=0)).get("teams", "teams/teams", ())


def test_the_budget_holds_for_a_limit_too(limited: Callable[[RateLimit], Sandbox]) -> None:
    client = client_for(limited(RateLimit(0, 1.0)).base_url, policy=replace(FAST, budget=0.5, limit_window=3600))
    with pytest.raises(RetriableError, match="teams: HTTP 429, given up after 0 retries"):
        client.get("teams", "teams/teams", ())


def test_the_shared_pause_grows_and_good_answers_shorten_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("tap_factorialhr.throttle.time", SimpleNamespace(monotonic=lambda: clock[0]))
    throttle = Throttle(1, first_pause=1.0, longest_pause=60.0)

    def limit() -> float:
        with throttle.slot() as began:
            seconds = throttle.note_limit(began, None)
        clock[0] += seconds
        return seconds

    pauses = [limit() for _ in range(8)]
    assert all(low / 2 <= pause <= low for pause, low in zip(pauses, (1, 2, 4, 8, 16, 32, 60, 60), strict=True))
    assert throttle.limited_for == sum(pauses)
    for _ in range(3):
        throttle.note_good()
    assert throttle.limited_for == 0
    assert 7.5 <= limit() <= 15
    for _ in range(20):
        throttle.note_good()
    assert limit() <= 1


def test_a_handful_of_429s_brings_concurrency_down_and_good_answers_bring_it_back() -> None:
    throttle = Throttle(8, first_pause=0.0, longest_pause=0.0)
    with throttle.slot() as first, throttle.slot() as second:
        throttle.note_limit(first, None)
        throttle.note_limit(second, None)  # sent before the API asked for less: no second reason
    assert throttle.allowed == 4
    for _ in range(5):
        with throttle.slot() as later:
            throttle.note_limit(later, None)
    assert throttle.allowed == 1
    for _ in range(1 + 2 + 3):
        throttle.note_good()
    assert throttle.allowed == 4
    for _ in range(100):
        throttle.note_good()
    assert throttle.allowed == 8


def test_the_budget_ends_a_request_that_has_retries_left(sandbox: Sandbox) -> None:
    sandbox.answer = lambda _: Answer(503)
    policy = RetryPolicy(retries=1000, first_wait=0.1, longest_wait=0.1, budget=0.5)
    began = time.monotonic()
    try:
        with pytest.raises(RetriableError, match=r"teams: HTTP 503, given up after \d+ retries"):
            client_for(sandbox.base_url, policy=policy).get("teams", "teams/teams", ())
    finally:
        sandbox.answer = None
    assert time.monotonic() - began < 30


def test_what_is_promised_of_a_run() -> None:
    """Half an hour in all, a minute between two tries, five minutes where the API asks, half a minute to connect."""
    assert (POLICY.budget, POLICY.longest_wait, POLICY.longest_asked) == (1800.0, 60.0, 300.0)
    assert connect_and_read_seconds(300) == (30.0, 300.0)
    assert connect_and_read_seconds(5) == (5.0, 5.0)


def test_a_server_that_takes_no_connection_is_given_up_in_the_time_to_connect() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(3):  # They fill the queue, so that the next one is not taken.
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        client = client_for(url, timeout=(0.3, 600.0))
        began = time.monotonic()
        with pytest.raises(SlowError, match="teams: no answer in time"):
            client.get("teams", "teams/teams", ())
        assert time.monotonic() - began < 60


@dataclass
class Failed:
    retry_after: float | None = None
    waits_for_turn: bool = False


def test_a_failure_that_is_but_a_matter_of_turns_uses_up_no_retry() -> None:
    waits = RetryPolicy(retries=3).waits()
    next(waits)
    for _ in range(20):
        assert waits.send(Failed(retry_after=7.0, waits_for_turn=True)) == 7.0
    for _ in range(3):
        assert waits.send(Failed(retry_after=9.0)) == 9.0
    with pytest.raises(StopIteration):
        waits.send(Failed())


@pytest.mark.parametrize(
    ("asked", "others_answered", "limited_for", "waits"),
    [
        (None, False, 0.0, True),
        (None, False, 119.0, True),
        (None, False, 120.0, False),
        (5.0, False, 0.0, False),
        (5.0, True, 500.0, True),
        (None, True, 500.0, True),
    ],
)
def test_a_429_waits_for_its_turn_where_others_got_theirs_or_a_minute_may_end(
    asked: float | None, others_answered: bool, limited_for: float, waits: bool
) -> None:
    for retries in (0, 1, 5):
        is_turn = RetryPolicy(retries=retries).waits_for_turn(
            asked=asked, others_answered=others_answered, limited_for=limited_for
        )
        assert is_turn is (waits and retries > 0)


# What all threads share


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tap_factorialhr.throttle.time", clock)
    return clock


def limit(throttle: Throttle, clock: Clock, asked: float | None) -> float:
    """A 429 to a request that is sent now; how long nothing may be sent then."""
    with throttle.slot() as began:
        seconds = throttle.note_limit(began, asked)
    clock.now += seconds
    return seconds


def test_limits_of_requests_that_were_sent_together_count_once(clock: Clock) -> None:
    throttle = Throttle(8, first_pause=1.0, longest_pause=4.0)
    with throttle.slot() as first, throttle.slot() as second:
        assert throttle.note_limit(first, 7.0) == 7.0
        assert throttle.note_limit(second, 100.0) == 7.0
    assert throttle.allowed == 4
    clock.now += 7.0
    with throttle.slot() as third:
        assert throttle.note_limit(third, 3.0) == 3.0
    assert throttle.allowed == 2


def test_a_pause_of_nothing_is_one_of_our_own(clock: Clock) -> None:
    throttle = Throttle(8, first_pause=1.0, longest_pause=4.0)
    assert limit(throttle, clock, 5.0) == 5.0
    assert limit(throttle, clock, 2.0) == 2.0
    assert limit(throttle, clock, 0.0) == 1.0


def test_a_pause_is_not_cut_short_by_one_that_is_shorter(clock: Clock) -> None:
    throttle = Throttle(8, first_pause=1.0, longest_pause=4.0)
    throttle.pause(10.0)
    throttle.pause(3.0)
    clock.now += 4.0
    assert throttle.note_limit(0, 2.0) == 6.0


def test_as_many_good_answers_as_are_allowed_allow_one_more(clock: Clock) -> None:
    throttle = Throttle(8, first_pause=1.0, longest_pause=4.0)
    limit(throttle, clock, 1.0)
    grown = []
    for _ in range(23):
        throttle.note_good()
        grown.append(throttle.allowed)
    assert grown == [4] * 3 + [5] * 5 + [6] * 6 + [7] * 7 + [8] * 2


def test_good_answers_before_a_limit_do_not_count_after_it(clock: Clock) -> None:
    throttle = Throttle(8, first_pause=1.0, longest_pause=4.0)
    limit(throttle, clock, 1.0)
    for _ in range(3):
        throttle.note_good()
    limit(throttle, clock, 1.0)
    throttle.note_good()
    assert throttle.allowed == 2
    throttle.note_good()
    assert throttle.allowed == 3


def test_for_how_long_there_was_nothing_but_limits(clock: Clock) -> None:
    throttle = Throttle(8, first_pause=1.0, longest_pause=4.0)
    assert throttle.limited_for == 0.0
    limit(throttle, clock, 3.0)
    limit(throttle, clock, 4.0)
    assert throttle.limited_for == 7.0
    throttle.note_good()
    assert throttle.limited_for == 0.0
    assert throttle.last_good == 1007.0


def test_no_more_requests_are_in_flight_than_are_allowed() -> None:
    throttle = Throttle(2, first_pause=1.0, longest_pause=4.0)
    sent = threading.Event()

    def send() -> None:
        with throttle.slot():
            sent.set()

    with throttle.slot():
        with throttle.slot():
            thread = threading.Thread(target=send)
            thread.start()
            assert not sent.wait(0.05)
        assert sent.wait(10)
    thread.join(10)


def test_nothing_is_sent_during_a_pause() -> None:
    throttle = Throttle(2, first_pause=1.0, longest_pause=4.0)
    began = time.monotonic()
    throttle.pause(0.05)
    with throttle.slot():
        assert time.monotonic() - began >= 0.05


def test_a_request_that_fails_leaves_its_place() -> None:
    throttle = Throttle(1, first_pause=1.0, longest_pause=4.0)
    with contextlib.suppress(ZeroDivisionError), throttle.slot():
        raise ZeroDivisionError
    with throttle.slot() as began:
        assert began == 0
