"""What can go wrong on the way, on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

STATUSES = ("408", "425", "429", "500", "502", "503", "504")
KINDS = ("reset", "cut", "timeout", *STATUSES, "429-seconds", "429-date", "html", "half_json", "no_envelope")
"""``reset``: the connection is closed without an answer. ``cut``: it is closed in the middle of the body.
``timeout``: nothing comes for ``fault_delay`` seconds, then it is closed. A number: that status.
``429-seconds`` and ``429-date``: with ``Retry-After``. ``html``: a 200 that is a maintenance page.
``half_json``: a 200 whose body ends in the middle. ``no_envelope``: a 200 that is JSON, but no list."""

MIXED = "mixed"


@dataclass(slots=True)
class Faults:
    """Which request is answered with which fault.

    Attributes:
        kinds: The faults, in turn.
        every: Each request of that number is hit: the 10th, the 20th ... for 10.
    """

    kinds: tuple[str, ...]
    every: int = 10
    _seen: int = 0
    _hit: int = 0

    def __init__(self, kinds: str | Iterable[str], every: int = 10) -> None:
        """Take one kind, several, or ``mixed`` for all of them in turn.

        Raises:
            ValueError: There is no such kind, or ``every`` is less than 1.
        """
        chosen = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        self.kinds = KINDS if MIXED in chosen else chosen
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise ValueError(f"there is no fault {', '.join(unknown) or 'named'}; known: {', '.join((*KINDS, MIXED))}")
        if every < 1:
            raise ValueError("every must be 1 or more")
        self.every = every
        self._seen = 0
        self._hit = 0

    def next(self) -> str | None:
        """The fault for the next request, if it is its turn."""
        self._seen += 1
        if self._seen % self.every:
            return None
        kind = self.kinds[self._hit % len(self.kinds)]
        self._hit += 1
        return kind
