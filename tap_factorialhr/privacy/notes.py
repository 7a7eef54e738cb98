"""What a run says of privacy, once: names and numbers of fields, never a value."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_factorialhr.privacy.rows import RowPrivacy

logger = logging.getLogger("tap-factorialhr")


def by_class(counts: Iterable[Counter[str]]) -> str | None:
    """How many fields of each class there are in some streams; None where there are none.

    Args:
        counts: How many fields of each class there are in each stream.
    """
    found = [count for count in counts if count]
    if not found:
        return None
    total: Counter[str] = sum(found, Counter())
    of_classes = ", ".join(f"{privacy_class} {count}" for privacy_class, count in sorted(total.items()))
    return f"{_counted(total.total(), 'field')} of {_counted(len(found), 'stream')} ({of_classes})"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def tell(streams: Mapping[str, RowPrivacy]) -> None:
    """Tell the user, before the first row, what is not in the records as it is.

    Args:
        streams: Those that are selected, by name.
    """
    if dropped := by_class(privacy.dropped() for privacy in streams.values()):
        logger.info("privacy: left out: %s", dropped)
    if hashed := by_class(privacy.hashed() for privacy in streams.values() if not privacy.is_emptied):
        logger.info("privacy: hashed: %s", hashed)
    # What goes further than the settings say.
    unhashable = [f"{stream}.{path}" for stream, privacy in streams.items() for path in privacy.unhashable]
    if unhashable:
        reason = "a boolean, or what has no schema, cannot be hashed"
        logger.warning("privacy: left out instead, for %s: %s", reason, ", ".join(unhashable))
    if emptied := [stream for stream, privacy in streams.items() if privacy.is_emptied]:
        reason = "nothing but keys, references and time stamps would be left"
        logger.warning("privacy: not requested, for %s: %s", reason, ", ".join(emptied))
