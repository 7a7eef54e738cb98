"""Answers decoded straight into the types of their schema, where every value fits.

A row that is decoded into a struct is checked, complete and in the order of the schema by the decoder itself, which
is several times as fast as doing that to a dictionary. Where an answer does not fit, because of an unknown field, say,
or a number that came as text, it is decoded and shaped as it was before there was this: the records are the same.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import msgspec

from tap_factorialhr.decoding import LARGE, decode_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_factorialhr.records import Field, Shaper

_MOST_MISFITS = 3
"""Answers that did not fit, after which no more are tried: those of a stream are all alike."""


class TypedRows:
    """The rows of an answer, each a struct with the fields of the schema."""

    def __init__(self, rows: list[Any]) -> None:
        """Take the structs."""
        self._rows = rows

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        """All of them, in order."""
        return iter(self._rows)

    def __getitem__(self, places: slice) -> TypedRows:
        """Some of them."""
        return TypedRows(self._rows[places])

    def batches(self, size: int) -> Iterator[list[Any]]:
        """Take all of them out, in order, at most ``size`` at a time."""
        rows, self._rows = self._rows, []
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


class TypedDecoder:
    """Decodes the answers of one stream, from several threads at once."""

    def __init__(self, shaper: Shaper) -> None:
        """Compile the type of the rows that a shaper that `suits` shapes."""
        fields = [(one.name, _type(one), None) for one in shaper.fields]
        left_out = [(name, Any, msgspec.UNSET) for name in shaper.left_out]
        row = msgspec.defstruct("Row", [*fields, *left_out], forbid_unknown_fields=True, gc=False)
        answer = msgspec.defstruct("Answer", [("data", list[row]), ("meta", Any, None), ("errors", Any, None)])  # type: ignore[valid-type]
        self._decoder = msgspec.json.Decoder(answer, float_hook=Decimal)
        self._misfits = 0

    @staticmethod
    def suits(shaper: Shaper) -> bool:
        """Whether a struct can hold the rows, whose fields are to have names that its own can have."""
        return all(name.isidentifier() for name in (*(one.name for one in shaper.fields), *shaper.left_out))

    def __call__(self, body: bytes | bytearray) -> Any:  # noqa: ANN401 (JSON is anything)
        """Decode a body as `decoding.decode_answer` does, its rows as `TypedRows` where all of them fit.

        Raises:
            ValueError: As `decoding.decode` does.
        """
        if self._misfits < _MOST_MISFITS and len(body) < LARGE:
            try:
                answer: Any = self._decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation):
                pass
            else:
                return {"data": TypedRows(answer.data), "meta": answer.meta, "errors": answer.errors}
        plain = decode_answer(body)
        if isinstance(plain, dict) and plain.get("data"):  # Not one of the forms of an empty answer.
            self._misfits += 1
        return plain


def as_dictionary(record: Any) -> dict[str, Any]:  # noqa: ANN401 (a struct made at run time)
    """The same record as a dictionary."""
    dictionary: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(Decimal,))
    return dictionary


def _type(field: Field) -> Any:  # noqa: ANN401 (types have none in common)
    """The type whose values need no reading; where there is none, anything is left to the shaper."""
    return field.typed | None if field.typed else Any
