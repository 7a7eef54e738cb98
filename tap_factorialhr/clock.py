"""Whether this machine's clock can be right, by what the server's says: bookmarks and windows of days follow it."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

logger = logging.getLogger("tap-factorialhr")

TOLERANCE = timedelta(hours=1)
"""What both may differ by without a word: changes are asked for from a day before the bookmark on."""


class Clock:
    """Compares this machine's clock with the first answer's date (HTTP, RFC 9110, section 6.6.1)."""

    def __init__(self) -> None:
        """Take nothing; nothing has been compared yet."""
        self._compared = threading.Lock()  # Taken by the first thread that does, and kept.

    def compare(self, date: str | None) -> None:
        """Warn, once in a run, where the clocks differ.

        Args:
            date: The header ``Date`` of an answer that has just come, None where it has none.
        """
        if not date or not self._compared.acquire(blocking=False):
            return
        try:
            given = parsedate_to_datetime(date)
            ahead = datetime.now(UTC) - (given if given.tzinfo else given.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            return
        if abs(ahead) > TOLERANCE:
            logger.warning(
                "this machine's clock is %s %s the server's; which days are read and where bookmarks end follows it: "
                "set it right before the next run",
                _in_words(abs(ahead)),
                "ahead of" if ahead > timedelta(0) else "behind",
            )


def _in_words(difference: timedelta) -> str:
    """A difference of more than an hour, in the unit of which there are two or more."""
    units = {"days": timedelta(days=1), "hours": timedelta(hours=1), "minutes": timedelta(minutes=1)}
    name, unit = next((name, unit) for name, unit in units.items() if difference >= 2 * unit)
    return f"{difference // unit} {name}"
