"""How many requests may be in flight, and from when on; shared by all threads."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Throttle:
    """Holds requests back where the API asks for less.

    Each time that it does (a 429), half as many are allowed, and one more again after as many good answers as are
    allowed at the time. Where it does not say for how long to be silent, the pause is twice as long each time, half of
    it left to chance, and half as long again after as many good answers.

    Args:
        most: How many requests may be in flight at the most.
        first_pause: Seconds of the first pause.
        longest_pause: Seconds that it grows to.

    Attributes:
        allowed: How many requests may be in flight now.
        last_good: When the last good answer came, by the monotonic clock.
    """

    def __init__(self, most: int, *, first_pause: float, longest_pause: float) -> None:
        self.allowed = most
        self._most = most
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._pause = 0.0
        self._in_flight = 0
        self._until = 0.0
        self._good = 0
        self._round = 0
        self.last_good = 0.0
        self._limited_since: float | None = None
        self._changed = threading.Condition()

    @contextmanager
    def slot(self) -> Iterator[int]:
        """Wait until a request may be sent; it is in flight for as long as this lasts.

        Yields:
            The round that it belongs to, for `note_limit`.
        """
        with self._changed:
            while (left := self._until - time.monotonic()) > 0 or self._in_flight >= self.allowed:
                self._changed.wait(left if left > 0 else None)
            self._in_flight += 1
            began = self._round
        try:
            yield began
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Let nothing be sent for this many seconds from now, if the pause is not longer already."""
        with self._changed:
            self._until = max(self._until, time.monotonic() + seconds)

    def note_limit(self, began: int, asked: float | None) -> float:
        """Allow half as many requests, and none for a while; once for all those that were sent in the same round.

        Args:
            began: The round of the request that the API refused.
            asked: Seconds that it asks to wait, None where it does not say.

        Returns:
            Seconds until something may be sent again.
        """
        with self._changed:
            if self._limited_since is None:
                self._limited_since = time.monotonic()
            if began == self._round:
                self._round += 1
                self._good = 0
                self.allowed = max(1, self.allowed // 2)
                if asked is None:
                    self._pause = min(max(2 * self._pause, self._first_pause), self._longest_pause)
                seconds = asked or random.uniform(self._pause / 2, self._pause)  # noqa: S311
                self._until = max(self._until, time.monotonic() + (seconds or self._first_pause))
            return max(self._until - time.monotonic(), 0.0)

    def note_good(self) -> None:
        """Count a good answer: when there have been enough of them, one more request is allowed, and pauses shorten."""
        with self._changed:
            self.last_good = time.monotonic()
            self._limited_since = None
            if self.allowed == self._most and not self._pause:
                return
            self._good += 1
            if self._good >= self.allowed:
                self._good = 0
                self.allowed = min(self.allowed + 1, self._most)
                self._pause = self._pause / 2 if self._pause > self._first_pause else 0.0
                self._changed.notify_all()

    @property
    def limited_for(self) -> float:
        """Seconds since the first of the 429s after which there was no good answer yet; 0 where there is none."""
        since = self._limited_since
        return 0.0 if since is None else time.monotonic() - since
