"""Keyed hashes: the same value gives the same hash, and without the key nobody can make one, or try a guess by one."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_json = msgspec.json.Encoder(decimal_format="number")


class KeyedHash:
    """HMAC-SHA256 under one key."""

    __slots__ = ("_begun",)

    def __init__(self, key: bytes) -> None:
        """Take the key, which cannot be got out again, nor shown."""
        self._begun = hmac.new(key, digestmod="sha256")

    def __call__(self, value: Any) -> str:  # noqa: ANN401 (text, or any number)
        """The hash of a value.

        Args:
            value: As a record would carry it: text (dates and time stamps among it) or a number, which is hashed as
                JSON writes it.

        Returns:
            64 lower-case hexadecimal digits, over the text's normal form C in UTF-8.
        """
        return self.after(_itself)(value)

    def after(self, read: Callable[[Any], Any]) -> Callable[[Any], str]:
        """What reads a value, and hashes what it has read as ``__call__`` does.

        Args:
            read: Makes of a value what a record would carry.
        """
        begin = self._begun.copy  # The copy goes on from the hashed key, which is half the work.

        def read_and_hash(value: Any) -> str:  # noqa: ANN401 (whatever the API sends)
            text = read(value)
            if text.__class__ is not str:
                text = _json.encode(text).decode()
            begun = begin()
            begun.update((text if text.isascii() else normalize("NFC", text)).encode())
            return begun.hexdigest()

        return read_and_hash


def _itself(value: Any) -> Any:  # noqa: ANN401 (text, or any number)
    return value
