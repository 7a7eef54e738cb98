"""From when on a token counts: the date that the server gives, as long as it fits our clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tap_factorialhr.oauth_session import OAuthSession, moment_or_none

SESSION = OAuthSession("refresh-0", "the-id", "the-secret")
NOW = datetime.now(UTC).replace(microsecond=0)
MADE, SENT = NOW - timedelta(minutes=5), NOW - timedelta(seconds=3)


def made_at(**answer: Any) -> datetime | None:
    renewed = SESSION.renewed_by({"access_token": "access-1", "expires_in": 3600, **answer}, SENT)
    assert renewed
    return renewed.created_at


@pytest.mark.parametrize(
    "said",
    [
        int(MADE.timestamp()),
        MADE.isoformat(),
        MADE.astimezone(timezone(timedelta(hours=9))).isoformat(),
        MADE.replace(tzinfo=None).isoformat(),
    ],
    ids=["seconds", "in UTC", "in another zone", "without a zone"],
)
def test_the_date_of_the_answer_counts(said: object) -> None:
    assert made_at(created_at=said) == MADE


@pytest.mark.parametrize("said", [None, "", "yesterday", True, [], 10**18])
def test_without_a_date_it_is_when_the_request_was_sent(said: object) -> None:
    assert made_at(created_at=said) == SENT


@pytest.mark.parametrize("away", [timedelta(hours=-1), timedelta(days=1)])
def test_a_date_that_does_not_fit_our_clock_does_not_count(away: timedelta) -> None:
    """The token would have run out on arrival, or would be kept long after it has."""
    assert made_at(created_at=int((NOW + away).timestamp())) == SENT


def test_moments_are_in_utc() -> None:
    moment = moment_or_none("2026-01-31T09:00:00+09:00")
    assert moment is not None
    assert (moment.tzinfo, moment.hour) == (UTC, 0)


@pytest.mark.parametrize("access_token", ["", "access-0"])
def test_what_is_kept_has_a_date(access_token: str) -> None:
    """Without an access token it is so old that everybody begins with a renewal."""
    dated = OAuthSession("refresh-0", "the-id", "the-secret", access_token).dated()
    assert dated.created_at is not None
    age = (datetime.now(UTC) - dated.created_at).total_seconds()
    assert dated.is_stale(datetime.now(UTC)) is not bool(access_token)
    assert (age < 1) is bool(access_token)
