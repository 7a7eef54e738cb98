"""What the state keeps of a stream: how far it has been read, from where, and when it was last read whole."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tap_factorialhr.dates import as_day, as_text, in_utc

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping


@dataclass(frozen=True, slots=True)
class Bookmark:
    """One stream's part of the state.

    Attributes:
        value: The newest change or day that has been read, None where nothing has.
        first_day: The first day that has been read, None where that was not limited or is not known.
        whole_at: When the run began that read the stream whole, from its first day on; None where none did.
        version: The version that rows carry since then, for ACTIVATE_VERSION; None where none was needed.
        ahead: What a state had in place of the value, where that is far in the future; None otherwise.
        begun_from: The first day that whole reads asked for which did not come to their end: the table may have rows
            from there on; `date.min` where one was not limited, None where there was none.
    """

    value: str | None = None
    first_day: date | None = None
    whole_at: datetime | None = None
    version: int | None = None
    ahead: str | None = None
    begun_from: date | None = None

    @classmethod
    def of(cls, mark: Mapping[str, Any], replication_key: str | None, latest: datetime) -> Bookmark:
        """The bookmark in a state that has been checked.

        Args:
            mark: What the state has of the stream, empty for none.
            replication_key: The field that the stream's bookmarks are taken from.
            latest: When the run began. A bookmark is never past that, also where a state was made by hand or by a
                clock that was wrong.
        """
        if mark.get("replication_key") not in (None, replication_key):
            return cls()
        value, whole_at = mark.get("replication_key_value"), mark.get("whole_at")
        first_day, begun_from = mark.get("first_day"), mark.get("begun_from")
        given = None if value is None else in_utc(str(value))
        # Days and clocks that differ are no news.
        is_ahead = given is not None and given > as_text(latest + timedelta(days=1))
        return cls(
            value=None if given is None else min(given, as_text(latest)),
            ahead=given if is_ahead else None,
            first_day=as_day(first_day) if first_day else None,
            begun_from=as_day(begun_from) if begun_from else None,
            whole_at=datetime.fromisoformat(in_utc(whole_at)) if whole_at else None,
            version=mark.get("version"),
        )

    def write(self, mark: MutableMapping[str, Any], replication_key: str | None) -> None:
        """Put it into the stream's part of the state, in place of what was there of it.

        What there is none of is null, and not left out: Meltano merges a state into the one that it has.
        """
        found = {
            "replication_key": replication_key,
            "replication_key_value": self.value,
            "first_day": self.first_day.isoformat() if self.first_day else None,
            "begun_from": self.begun_from.isoformat() if self.begun_from else None,
            "whole_at": as_text(self.whole_at.astimezone(UTC)) if self.whole_at else None,
            "version": self.version,
        }
        mark.update(found)

    def whole_from(self, first_day: date | None) -> date | None:
        """Where a whole read has to begin so that all rows that the table may have are among it.

        Args:
            first_day: The day that it would begin at otherwise, None where it is not limited.
        """
        if self.begun_from is None:
            return first_day
        return min(first_day, self.begun_from) if first_day and self.begun_from != date.min else None

    def begin(self, mark: MutableMapping[str, Any], replication_key: str | None, first_day: date | None) -> None:
        """Put the first day that a whole read asks for into the stream's part of the state, before its first row.

        Args:
            mark: What the state has of the stream; what it has by another key is of no use, and goes.
            replication_key: The field that the stream's bookmarks are taken from.
            first_day: The day, None where it is not limited.
        """
        if mark.get("replication_key") not in (None, replication_key):
            mark.update(dict.fromkeys(mark))  # Not left out, as in `write`.
        if self.value is None or self.first_day != first_day:
            # Of several that failed, the one that went furthest back.
            mark["begun_from"] = min(first_day or date.min, self.begun_from or date.max).isoformat()

    def is_due(self, stream: str, days: int, today: date) -> bool:
        """Whether a stream is to be read whole again.

        That is once in so many days, each stream on a day of its own among them, so that not all are read whole in
        the same run. The first time comes sooner for most, and none waits longer.

        Args:
            stream: Its name, which its day follows from.
            days: The setting ``full_refresh_days``.
            today: The day of the run.
        """
        if self.value is None or self.whole_at is None:
            return True
        last = self.whole_at.date()
        since_its_day = (today.toordinal() - zlib.crc32(stream.encode())) % days
        return today < last or (today - last).days > since_its_day
