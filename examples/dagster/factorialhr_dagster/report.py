"""What a run of the tap says of itself, as data: its METRIC lines."""

from __future__ import annotations

import json
from dataclasses import dataclass

_MARK = "METRIC: "


@dataclass(frozen=True)
class StreamRead:
    """What one stream took.

    Attributes:
        stream: Its name.
        rows: Rows written.
        requests: Requests sent, those that were sent again included.
        retries: How many were sent again.
        seconds: How long its turn took.
        outcome: ``read``, ``without a part``, ``skipped``, ``failed``, ``not finished``, or ``not written`` (read for
            the keys of its rows alone, because others hang off them).
        reason: Why it was skipped and the like; empty otherwise.
    """

    stream: str
    rows: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    outcome: str = "read"
    reason: str = ""


def stream_read(line: str) -> StreamRead | None:
    """What a line of the tap's log says that a stream took; None where it says nothing of the kind."""
    _, mark, point = line.partition(_MARK)
    if not mark:
        return None
    try:
        metric = json.loads(point)
    except ValueError:
        return None
    tags = metric.get("tags", {})
    if metric.get("metric") != "http_request_count" or "outcome" not in tags:
        return None
    return StreamRead(
        stream=tags["stream"],
        rows=tags["rows"],
        requests=metric["value"],
        retries=tags["retries"],
        seconds=tags["seconds"],
        outcome=tags["outcome"],
        reason=tags["reason"],
    )
