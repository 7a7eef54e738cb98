"""When a request is sent again, after which wait, and when it is given up: the whole rule as one value."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import urllib3
import urllib3.exceptions

if TYPE_CHECKING:
    from collections.abc import Generator


class Failure(Protocol):
    """What went wrong with one attempt.

    Attributes:
        retry_after: Seconds that the server asks to wait, None where it does not say.
        waits_for_turn: Whether it is but a matter of turns, which uses up no retry.
    """

    retry_after: float | None
    waits_for_turn: bool


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

    def waits(self) -> Generator[float, Any, None]:
        """Give the wait before each retry of one request.

        It is sent each `Failure` and gives seconds until it ends: then the request is given up. The first value, before
        any failure, means nothing.
        """
        failure: Failure = yield 0.0
        retries = 0
        while True:
            if not failure.waits_for_turn:
                retries += 1
            wait = self.wait(retries, asked=failure.retry_after)
            if wait is None:
                return
            failure = yield wait

    def wait(self, retry: int, *, asked: float | None) -> float | None:
        """Say how long to wait before a retry.

        Args:
            retry: Which one, from 1; 0 before one that does not count.
            asked: Seconds that the server asks to wait, None where it does not say.

        Returns:
            Seconds; None where the request is given up.
        """
        if retry > self.retries:
            return None
        # Beyond what is asked for, a little of our own, so that not all threads come back in the same instant.
        return max(asked or 0.0, self._backoff(retry))

    def waits_for_turn(self, *, asked: float | None, others_answered: bool, limited_for: float) -> bool:
        """Say whether a 429 is but a matter of turns, which uses up no retry.

        Args:
            asked: Seconds that the server asks to wait, None where it does not say.
            others_answered: Whether it has answered another request since this one was sent.
            limited_for: Seconds for which it has answered nothing but 429.

        Returns:
            Whether others got their turn meanwhile, or somebody may soon.
        """
        if not self.retries or asked == 0:  # It may be sent again at once: no limit that has to be waited out.
            return False
        return others_answered or (asked is None and limited_for < self.limit_window)

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

    def _backoff(self, retry: int) -> float:
        most = min(self.first_wait * 2.0 ** min(retry - 1, 64), self.longest_wait)
        return random.uniform(most / 2, most)  # noqa: S311
