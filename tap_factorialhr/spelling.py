"""What somebody who misspelt a name may have meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_ALIKE = 0.8


def meant(name: str, names: Collection[str]) -> str | None:
    """The one of some names that another is most likely a misspelling of; None where it is like none of them.

    Args:
        name: What somebody wrote.
        names: Those that there are, in small letters.
    """
    return same(name, names) or next(iter(get_close_matches(name.lower(), names, n=1, cutoff=_ALIKE)), None)


def same(name: str, names: Collection[str]) -> str | None:
    """The one that has the same letters, however they are written and joined; None where none has."""
    return next((one for one in names if _plain(one) == _plain(name)), None)


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
