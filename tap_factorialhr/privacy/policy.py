"""The rule: what the settings, and what is known of a field, make of it.

The settings name classes (`fields.known_classes`), of which each covers those below it, or `SPECIAL_CATEGORY`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from tap_factorialhr import fields
from tap_factorialhr.errors import ConfigError
from tap_factorialhr.privacy.hashing import KeyedHash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_factorialhr.fields import Field

SPECIAL_CATEGORY = "special_category"
"""What stands, in both lists, for all fields that GDPR's Articles 9 and 10 protect."""
SHORTEST_KEY = 16
"""Bytes of a ``hash_key``."""

_LOOKS_LIKE_A_CLASS = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}){0,6}")
"""What can be shown of an entry that is unknown: anything else may be a secret that stands in the wrong place."""


class Treatment(Enum):
    """What becomes of a field."""

    KEEP = auto()
    DROP = auto()
    HASH = auto()


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say about classes of fields.

    Attributes:
        dropped: The entries of ``drop_classes``.
        hashed: The entries of ``hash_classes``.
        keyed_hash: Makes hashes under the ``hash_key``; None where nothing is hashed.
    """

    dropped: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()
    keyed_hash: KeyedHash | None = None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Policy:
        """The policy that the settings ask for.

        Args:
            settings: Those of the tap, of which ``drop_classes``, ``hash_classes`` and ``hash_key`` are read.

        Raises:
            ConfigError: They name what is no class, or contradict each other; the first that is wrong is told.
        """
        dropped, hashed = (_classes(name, settings.get(name) or ()) for name in ("drop_classes", "hash_classes"))
        if both := dropped & hashed:
            raise ConfigError(f"drop_classes and hash_classes both name {', '.join(sorted(both))}; keep one of the two")
        key = str(settings.get("hash_key") or "").encode()
        if key and len(key) < SHORTEST_KEY:
            raise ConfigError(f"hash_key must have at least {SHORTEST_KEY} bytes; make one with: openssl rand -hex 32")
        if hashed and not key:
            raise ConfigError("hash_classes needs a hash_key; make one with: openssl rand -hex 32")
        return cls(dropped, hashed, KeyedHash(key) if hashed else None)

    @property
    def is_active(self) -> bool:
        """Whether any field may be dropped or hashed."""
        return bool(self.dropped or self.hashed)

    def treatment(self, fact: Field | None, *, is_key: bool) -> Treatment:
        """What becomes of a field that holds one value, or a list of such.

        Replication keys are none of its business: they always stay as they are.

        Args:
            fact: What is known of the field; None where nobody has reviewed it, which is treated as strictly as is
                configured at all.
            is_key: Whether it is a key of its stream.
        """
        if fact is None:
            return self._strictest(is_key=is_key)
        if not is_key and self._drops(fact):
            return Treatment.DROP
        return Treatment.HASH if self._hashes(fact, is_key=is_key) else Treatment.KEEP

    def _strictest(self, *, is_key: bool) -> Treatment:
        if is_key:
            return Treatment.HASH if fields.PERSON in self.hashed else Treatment.KEEP
        if self.dropped:
            return Treatment.DROP
        return Treatment.HASH if self.hashed else Treatment.KEEP

    def _drops(self, fact: Field) -> bool:
        return _reaches(self.dropped, fact) and (fact.special or not fact.is_reference)

    def _hashes(self, fact: Field, *, is_key: bool) -> bool:
        if (is_key or fact.is_reference) and fields.covers(fields.PERSON, fact.privacy_class):
            entries = {entry for entry in self.hashed if fields.covers(fields.PERSON, entry)}
            is_special = fact.special and not is_key and SPECIAL_CATEGORY in self.hashed
            return is_special or _reaches(entries, fact)
        return not is_key and _reaches(self.hashed, fact)


def _reaches(entries: Iterable[str], fact: Field) -> bool:
    """Whether one of the entries of a setting stands for a field."""
    return any(
        fact.special if entry == SPECIAL_CATEGORY else fields.covers(entry, fact.privacy_class) for entry in entries
    )


def _classes(setting: str, entries: Iterable[Any]) -> frozenset[str]:
    """The entries of a setting, once it is sure that each is a class.

    Raises:
        ConfigError: One is not, or is no personal data.
    """
    if isinstance(entries, str):  # as in a discovery, which looks at no other setting
        raise ConfigError(f"{setting} must be of type array")
    known = fields.known_classes()
    for place, entry in enumerate(entries, 1):
        if fields.covers(fields.NOT_PERSONAL, str(entry)):
            raise ConfigError(f"{setting} cannot name {_shown(entry, place)}: what is system is no personal data")
        if entry != SPECIAL_CATEGORY and entry not in known:
            close = get_close_matches(str(entry), [SPECIAL_CATEGORY, *sorted(known)], n=1)
            alike = [one for one in known if entry and str(entry) in one.rpartition(".")[2]]
            likely = next(iter([*close, *sorted(alike, key=lambda one: (one.count("."), one))]), None)
            hint = f"did you mean {likely}?" if likely else "docs/data/README.md names those there are"
            raise ConfigError(f"{setting} has an unknown class, {_shown(entry, place)}; {hint}")
    return frozenset(entries)


def _shown(entry: object, place: int) -> str:
    return str(entry) if _LOOKS_LIKE_A_CLASS.fullmatch(str(entry)) else f"entry {place}"
