"""Days and time stamps as bookmarks and settings write them, in ISO 8601."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

DAY = timedelta(days=1)
EPOCH = date(1970, 1, 1)
"""Before anything was changed."""


def as_day(value: str) -> date:
    """The day, in UTC, of a date or a time stamp.

    Raises:
        ValueError: It is neither, or in UTC it is outside the calendar.
    """
    moment = datetime.fromisoformat(value)
    try:
        return moment.astimezone(UTC).date() if moment.tzinfo else moment.date()
    except OverflowError:
        raise ValueError("outside the calendar") from None


def days_before(day: date, days: int) -> date:
    """The day so many days earlier, or the first of the calendar, which bookmarks made by hand may be near to."""
    return date.fromordinal(max(day.toordinal() - days, 1))


def in_utc(bookmark: str) -> str:
    """A bookmark in the one form that time stamps have in records; one that is a day stays as it is."""
    if len(bookmark) == len("2026-01-31"):
        return bookmark
    moment = datetime.fromisoformat(bookmark)
    return as_text(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))


def as_text(moment: datetime) -> str:
    """A moment in UTC in the one form that time stamps have in records and bookmarks: of fixed width, for comparing."""
    return moment.isoformat(timespec="microseconds")
