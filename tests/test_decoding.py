"""JSON is decoded exactly, or refused without a value in the error."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_factorialhr.decoding import decode, replacing_null_characters

NULLS = st.text('a\0\\"u0', max_size=8)

encoder = msgspec.json.Encoder(decimal_format="number")


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        (b"18446744073709550", 18446744073709550),
        (b"18446744073709551616", 2**64),
        (b"-9223372036854775809", -(2**63) - 1),
        (b"9" * 1000, 10**1000 - 1),
        (b"1.10", Decimal("1.10")),
        (b"0.1000000000000000055511151231257827", Decimal("0.1000000000000000055511151231257827")),
        (b"1e400", Decimal("1E+400")),
    ],
)
def test_numbers_are_decoded_exactly(literal: bytes, expected: Any) -> None:
    value = decode(b"[" + literal + b"]")[0]
    assert (str(value), type(value)) == (str(expected), type(expected))
    assert decode(encoder.encode(value)) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>SECRET \\ud800</html>",
        b'{"data": ["SECRET',
        b'["SECRET", NaN]',
        b'["SECRET", Infinity]',
        b'["SECRET\xff"]',
        b'{"SECRET\xff": 1}',
        b'["\xed\xa0\x80 SECRET"]',
        b'["SECRET", 1e99999999999999999999]',
        b'["SECRET", ' + b"9" * 5000 + b"]",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_json_is_one_kind_of_error_without_values(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"not UTF-8|nested|out of range|malformed") as caught:
        decode(body)
    assert "SECRET" not in repr(caught.value)
    assert caught.value.__context__ is None
    assert "999" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rb'"\ud800"', "�"),
        (rb'"a\uDC00b"', "a�b"),
        (rb'"\ud83d\ud83d\ude00"', "�😀"),
        (rb'{"\ud800": 1}', {"�": 1}),
        (rb'["\\ud800", "\ud800"]', ["\\ud800", "�"]),
        (rb'"\u0000"', "\x00"),
    ],
)
def test_half_characters_are_replaced_and_nothing_else(body: bytes, expected: Any) -> None:
    assert decode(body) == expected


@given(st.text(st.characters(), max_size=20))
def test_any_text_that_json_can_spell_can_be_written_again(text: str) -> None:
    value = decode(json.dumps([text]).encode())
    [whole] = json.loads(encoder.encode(value))
    # A pair of halves is one character in JSON.
    assert whole == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\ud8cE0159.-truefalsn ', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = decode(body)
    except ValueError:
        return
    encoder.encode(value)


@given(st.recursive(NULLS, lambda inner: st.lists(inner) | st.dictionaries(NULLS, inner)))
@example("\\u0000")
@example("\\\\u0000\0")
@example({"\0": ["\\\0"]})
def test_null_characters_are_replaced_and_nothing_else(value: Any) -> None:
    body = json.dumps(value)
    assert replacing_null_characters(decode)(body.encode()) == replaced(value)


def replaced(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [replaced(item) for item in value]
    return {replaced(key): replaced(item) for key, item in value.items()}
