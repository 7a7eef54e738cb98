"""A body decoded so that ids and decimals come through unharmed, and so that a large one does not fill the memory."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

_NULL = rb"\u0000"
_NULL_OR_OTHER = re.compile(rb"\\(?:(?P<null>u0000)|.)", re.DOTALL)

LARGE = 4 * 1024 * 1024
"""Bytes of a body from which on its rows are not all held as objects at once."""


class _Large(msgspec.Struct):
    data: list[msgspec.Raw]
    meta: Any = None
    errors: Any = None


_decoder = msgspec.json.Decoder(float_hook=Decimal)
_large_decoder = msgspec.json.Decoder(_Large, float_hook=Decimal)


class PackedRows:
    """The rows of a large answer, as they came; each is decoded when it is taken.

    As objects they would need several times the memory that they need as text.
    """

    def __init__(self, rows: list[msgspec.Raw]) -> None:
        """Take the text of each row, an object."""
        self._rows = rows

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All of them, in order."""
        return map(_decoder.decode, self._rows)

    def __getitem__(self, places: slice) -> PackedRows:
        """Some of them."""
        return PackedRows(self._rows[places])

    def batches(self, size: int) -> Iterator[list[dict[str, Any]]]:
        """Take all of them out, in order, at most ``size`` at a time."""
        for start in range(0, len(self._rows), size):
            yield [_decoder.decode(row) for row in self._rows[start : start + size]]
        self._rows.clear()


def replacing_null_characters(decode: Callable[[bytes | bytearray], Any]) -> Callable[[bytes | bytearray], Any]:
    """The same decoder, with U+FFFD for every NUL character that a body spells, in keys and nested values as well.

    Args:
        decode: Decodes a body.
    """

    def replaced(body: bytes | bytearray) -> Any:  # noqa: ANN401 (JSON is anything)
        if _NULL in body:  # In nearly all it is not, and that is quickly seen.
            body = _NULL_OR_OTHER.sub(lambda match: rb"\ufffd" if match["null"] else match[0], body)
        return decode(body)

    return replaced


def decode_answer(body: bytes | bytearray) -> Any:  # noqa: ANN401 (JSON is anything)
    """Decode a body as `decode` does, the rows of a large one packed.

    Args:
        body: The body of a response, UTF-8.

    Returns:
        The decoded value; in that of a large list of objects, ``data`` are `PackedRows`.

    Raises:
        ValueError: As `decode` does.
    """
    if len(body) >= LARGE and (packed := _packed(body)):
        return packed
    return decode(body)


def _packed(body: bytes | bytearray) -> dict[str, Any] | None:
    """A large list with its rows packed; None for all else, and where `decode` has to find out what is wrong."""
    try:
        answer = _large_decoder.decode(body)
        # Each is decoded once here, so that what cannot be read is noticed while the request can be sent again.
        if not all(_decoder.decode(row).__class__ is dict for row in answer.data):
            return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation):
        return None
    return {"data": PackedRows(answer.data), "meta": answer.meta, "errors": answer.errors}


def decode(body: bytes | bytearray) -> Any:  # noqa: ANN401 (JSON is anything)
    """Decode JSON with every number exact.

    Integers are of any size, and numbers with a point or an exponent are `Decimal`: ids lie beyond 2^53 (API
    notes, "Paths and versions"), and an amount comes out with the digits that it came in with. A lone surrogate
    (half of a character, which JSON can spell and UTF-8 cannot hold) becomes U+FFFD, so that whatever has been
    decoded can be encoded again; NUL characters stay, as they are valid in both (`replacing_null_characters`).

    Args:
        body: The body of a response, UTF-8.

    Returns:
        The decoded value.

    Raises:
        ValueError: It is not JSON, is not UTF-8, is nested too deeply, or holds a number that cannot be held.
            The message says nothing of the body's values.
    """
    value, problem = _decoded(body)
    if problem and (mended := _without_lone_surrogates(body)) != body:
        value, problem = _decoded(mended)
    if problem:
        raise ValueError(problem)
    return value


def _decoded(body: bytes | bytearray) -> tuple[Any, str]:
    """The value, or what is wrong: not as an error, as those of the decoders can hold the text itself."""
    try:
        return _decoder.decode(body), ""
    except UnicodeDecodeError:
        return None, "not UTF-8"
    except RecursionError:
        return None, "nested too deeply"
    except InvalidOperation:
        return None, "a number out of range"
    except msgspec.DecodeError:
        return None, "malformed"


def _without_lone_surrogates(body: bytes | bytearray) -> bytes:
    return _ESCAPE.sub(lambda match: rb"\ufffd" if match["lone"] else match[0], body)
