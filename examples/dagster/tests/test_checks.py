"""When it is odd that a stream has no rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from factorialhr_dagster.checks import gone_empty
from factorialhr_dagster.report import StreamRead, stream_read

NOW = datetime(2026, 11, 25, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)
LONG_AGO = NOW - timedelta(days=8)


@pytest.mark.parametrize(
    ("rows", "outcome", "last", "whole", "odd"),
    [
        (0, "read", YESTERDAY, True, True),
        (5, "read", YESTERDAY, True, False),
        (0, "read", None, True, False),
        (0, "read", YESTERDAY, False, False),  # of changes there may be none
        (0, "read", LONG_AGO, False, True),  # but not for so long
        (0, "skipped", YESTERDAY, False, True),
        (0, "skipped", None, False, False),
        (0, "without a part", YESTERDAY, True, True),
        (0, "failed", YESTERDAY, True, False),  # that is told as a failure
        (0, "not written", YESTERDAY, True, False),
    ],
)
def test_a_stream_without_rows(*, rows: int, outcome: str, last: datetime | None, whole: bool, odd: bool) -> None:
    reads = [StreamRead("teams", rows=rows, outcome=outcome, reason="HTTP 403")]
    found = gone_empty(reads, {"teams": last} if last else {}, {"teams"} if whole else (), NOW)
    assert set(found) == ({"teams"} if odd else set())


def test_a_line_of_the_tap_is_understood_and_others_are_not() -> None:
    line = (
        'now | INFO | METRIC: {"type":"counter","metric":"http_request_count","value":12,"tags":{"stream":"teams",'
        '"rows":1000,"retries":1,"seconds":0.5,"outcome":"skipped","reason":"HTTP 403","pid":1}}\n'
    )
    assert stream_read(line) == StreamRead("teams", 1000, 12, 1, 0.5, "skipped", "HTTP 403")
    assert stream_read('METRIC: {"type":"counter","metric":"record_count","value":1,"tags":{"stream":"teams"}}') is None
    assert stream_read("METRIC: {half") is None
    assert stream_read("teams 1,000 12 1 0.5") is None
