"""How many requests may be in flight, and from when on; shared by all threads."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Throttle:
    """Holds requests back where the API asks for less.

    Each time that it does (a 429), half as many are allowed, and one more again after as many good answers as are
    allowed at the time.

    Args:
        most: How many requests may be in flight at the most.
    """

    def __init__(self, most: int) -> None:
        self.allowed = most
        self._most = most
        self._in_flight = 0
        self._until = 0.0
        self._good = 0
        self._round = 0
        self._changed = threading.Condition()

    @contextmanager
    def slot(self) -> Iterator[int]:
        """Wait until a request may be sent; it is in flight for as long as this lasts.

        Yields:
            The round that it belongs to, for `slow_down`.
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

    def slow_down(self, began: int) -> None:
        """Allow half as many requests, once for all those that were sent in the same round."""
        with self._changed:
            if began == self._round:
                self._round += 1
                self._good = 0
                self.allowed = max(1, self.allowed // 2)

    def note_good(self) -> None:
        """Count a good answer, and allow one more request when there have been enough of them."""
        with self._changed:
            if self.allowed == self._most:
                return
            self._good += 1
            if self._good >= self.allowed:
                self._good = 0
                self.allowed += 1
                self._changed.notify_all()
