"""When a request is sent again, after which wait, and when it is given up: the whole rule as one value."""

from __future__ import annotations

import random
from dataclasses import dataclass

import urllib3
import urllib3.exceptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The rule by which a failed request is sent again.

    Attributes:
        retries: How often it is sent again.
        budget: Seconds after the first try in which it may be sent again.
        first_wait: Seconds before the first retry, half of them left to chance; twice as many before each further one.
        longest_wait: Seconds that this grows to.
        longest_asked: Seconds of a ``Retry-After`` that are honoured at the most.
        limit_window: Seconds of nothing but 429 in which one that does not say how long to wait uses up no retry, since
            rate limits count by the minute.
    """

    retries: int
    budget: float = 1800.0
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 300.0
    limit_window: float = 120.0

    def wait(self, attempt: int, *, asked: float | None, elapsed: float) -> float | None:
        """Say how long to wait after a failed attempt.

        Args:
            attempt: Which one has failed, from 1; the same again where it uses up no retry.
            asked: Seconds that the server asks to wait, None where it does not say.
            elapsed: Seconds since the request was first sent.

        Returns:
            Seconds until the next attempt; None where the request is given up.
        """
        if attempt > self.retries:
            return None
        # Beyond what is asked for, a little of our own, so that not all threads come back in the same instant.
        seconds = max(asked or 0.0, self._backoff(attempt))
        return seconds if elapsed + seconds <= self.budget else None

    def waits_for_turn(self, *, asked: float | None, others_answered: bool, limited_for: float) -> bool:
        """Say whether a 429 is but a matter of turns, which uses up no retry.

        Args:
            asked: Seconds that the server asks to wait, None where it does not say.
            others_answered: Whether it has answered another request since this one was sent.
            limited_for: Seconds for which it has answered nothing but 429.

        Returns:
            Whether others got their turn meanwhile, or somebody may soon.
        """
        may_end = asked is None and limited_for < self.limit_window
        return self.retries > 0 and (others_answered or may_end)

    def asked(self, header: str | None) -> float | None:
        """Read a ``Retry-After``.

        Args:
            header: The header's value, which comes as seconds or as a date; None where there is none.

        Returns:
            Seconds from now on, no more than `longest_asked`; None where there is none that can be understood.
        """
        if not header:
            return None
        try:
            seconds = urllib3.Retry().parse_retry_after(header)
        except (urllib3.exceptions.InvalidHeader, ValueError, TypeError, OverflowError):
            return None
        return min(float(seconds), self.longest_asked)

    def _backoff(self, attempt: int) -> float:
        most = min(self.first_wait * 2.0 ** min(attempt - 1, 64), self.longest_wait)
        return random.uniform(most / 2, most)  # noqa: S311
