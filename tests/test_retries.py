"""When a request is sent again, and when it is given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from tap_factorialhr.client import RetriableError
from tap_factorialhr.retry_policy import RetryPolicy
from tap_factorialhr.sandbox import Answer
from tap_factorialhr.throttle import Throttle
from tests.support.http import client_for

if TYPE_CHECKING:
    from tap_factorialhr.sandbox import Sandbox

YEAR = timedelta(days=365)
POLICY = RetryPolicy(retries=5)


@pytest.mark.parametrize("value", ["0", "-3", "Wed, 21 Oct 2015 07:28:00 GMT", None])
def test_a_pause_of_nothing_does_not_burn_the_retries_at_once(value: str | None) -> None:
    waits = [POLICY.wait(attempt, asked=POLICY.asked(value), elapsed=0) for attempt in (1, 2, 3, 4)]
    assert all(wait and low / 2 <= wait <= low for wait, low in zip(waits, (1, 2, 4, 8), strict=True))


def test_the_wait_grows_to_a_minute_and_no_further() -> None:
    policy = RetryPolicy(retries=5000)
    waits = [policy.wait(attempt, asked=None, elapsed=0) for attempt in (6, 7, 8, 100, 5000)]
    assert all(wait and low / 2 <= wait <= low for wait, low in zip(waits, (32, 60, 60, 60, 60), strict=True))


def test_what_the_server_asks_for_is_waited_where_it_is_more() -> None:
    assert POLICY.wait(1, asked=7.0, elapsed=0) == 7.0
    assert (POLICY.wait(5, asked=7.0, elapsed=0) or 0) > 7.0


def test_no_more_retries_than_are_allowed() -> None:
    assert POLICY.wait(5, asked=None, elapsed=0) is not None
    assert POLICY.wait(6, asked=None, elapsed=0) is None
    assert RetryPolicy(retries=0).wait(1, asked=None, elapsed=0) is None


def test_no_retry_past_the_budget() -> None:
    policy = RetryPolicy(retries=1000)
    assert policy.wait(1, asked=None, elapsed=1798) is not None
    assert policy.wait(1, asked=None, elapsed=1800) is None
    assert policy.wait(1, asked=300.0, elapsed=1501) is None


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


def test_a_handful_of_429s_brings_concurrency_down_and_good_answers_bring_it_back() -> None:
    throttle = Throttle(8)
    with throttle.slot() as first, throttle.slot() as second:
        throttle.slow_down(first)
        throttle.slow_down(second)  # sent before the API asked for less: no second reason
    assert throttle.allowed == 4
    for _ in range(5):
        with throttle.slot() as later:
            throttle.slow_down(later)
    assert throttle.allowed == 1
    for _ in range(1 + 2 + 3):
        throttle.note_good()
    assert throttle.allowed == 4
    for _ in range(100):
        throttle.note_good()
    assert throttle.allowed == 8
