"""When it is odd that a stream has no rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from factorialhr_dagster.report import StreamRead

QUIET = timedelta(days=7)
"""How long it may happen that nothing changes in a stream of which changes are read."""


def gone_empty(
    reads: Iterable[StreamRead], had_rows: Mapping[str, datetime], whole: Collection[str], now: datetime
) -> dict[str, str]:
    """The streams that had rows, as far as is remembered, and have none.

    One that is read whole has none at once; of one that is read by changes it shows when none have come for a while.

    Args:
        reads: What a run read.
        had_rows: When each stream last had rows before that.
        whole: The streams that are read whole in every run.
        now: The time.

    Returns:
        What is to be said of each, by stream.
    """
    found = {}
    for one in reads:
        last = had_rows.get(one.stream)
        if last is None or one.rows or one.outcome not in {"read", "without a part", "skipped"}:
            continue
        if one.outcome == "skipped":
            found[one.stream] = f"skipped ({one.reason}), had rows on {last:%Y-%m-%d}"
        elif one.stream in whole or now - last > QUIET:
            found[one.stream] = f"no rows, the last ones came on {last:%Y-%m-%d}"
    return found
