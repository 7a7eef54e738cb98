"""Dropped and hashed fields: what becomes of rows, however they are decoded, and that schema and records agree."""

from __future__ import annotations

import hashlib
import hmac
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from tap_factorialhr.decoding import decode_answer
from tap_factorialhr.fields import Field
from tap_factorialhr.privacy.hashing import KeyedHash
from tap_factorialhr.privacy.policy import Policy
from tap_factorialhr.privacy.rows import RowPrivacy
from tap_factorialhr.records import Shaper
from tap_factorialhr.typed import TypedDecoder, TypedRows, as_dictionary
from tests.test_records import ROWS, SCHEMA, encoder
from tests.test_typed import FITTING

KEY = b"a key of sixteen"
LEAVES = (
    *("id", "team_ids", "name", "hours", "amount", "active", "updated_at", "born_on", "tags"),
    *("address.city", "address.geo.lat", "lines.tax_id", "lines.cents", "extra", "anything"),
)
TEXT, DROPPED, HASHED = Field("system.operations"), Field("user.contact"), Field("user.name")
UNHASHABLE = {"active", "extra", "anything"}

TREATMENTS = st.fixed_dictionaries({leaf: st.sampled_from([TEXT, TEXT, DROPPED, HASHED]) for leaf in LEAVES})


def privacy_of(facts: dict[str, Field], schema: dict[str, Any] = SCHEMA) -> RowPrivacy:
    policy = Policy(frozenset({"user.contact"}), frozenset({"user.name"}), KeyedHash(KEY))
    return RowPrivacy(policy, facts, schema, keys=(), replication_key=None)


def expected_hash(value: Any) -> str:
    """The hash as the documentation describes it, by other means than the tap's."""
    text = value if isinstance(value, str) else encoder.encode(value).decode()
    return hmac.new(KEY, unicodedata.normalize("NFC", text).encode("utf-8"), hashlib.sha256).hexdigest()


def records_of(body: bytes, facts: dict[str, Field] | None, *, is_typed: bool) -> tuple[list[bytes], list[str], Any]:
    """The records of a body as text, what is said of them, and the rows that they were decoded into."""
    privacy = privacy_of(facts) if facts else None
    shaper = Shaper(privacy.source, privacy=privacy) if privacy else Shaper(SCHEMA)
    rows = (TypedDecoder(shaper) if is_typed else decode_answer)(body)["data"]
    return [encoder.encode(one) for one in shaper.shape_all(list(rows))], list(shaper.warnings()), rows


def expected(value: Any, facts: dict[str, Field], path: str = "") -> Any:
    """What a record without any of this becomes, by the facts of its fields."""
    if isinstance(value, list) and path not in UNHASHABLE:
        return [expected(item, facts, path) for item in value]
    if isinstance(value, dict) and path not in UNHASHABLE:
        inner = {name: (f"{path}.{name}" if path else name, item) for name, item in value.items()}
        return {name: expected(item, facts, at) for name, (at, item) in inner.items() if not is_gone(at, facts)}
    return expected_hash(value) if facts.get(path) is HASHED and value is not None else value


def is_gone(path: str, facts: dict[str, Field]) -> bool:
    leaves = [leaf for leaf in LEAVES if leaf == path or leaf.startswith(f"{path}.")]
    return all(facts[leaf] is DROPPED or (facts[leaf] is HASHED and leaf in UNHASHABLE) for leaf in leaves)


@given(FITTING, TREATMENTS)
def test_rows_that_fit_stay_on_the_fast_path_and_become_the_same_records(
    rows: list[dict[str, Any]], facts: dict[str, Field]
) -> None:
    body = encoder.encode({"data": rows})
    typed, plain = records_of(body, facts, is_typed=True), records_of(body, facts, is_typed=False)
    assert typed[:2] == plain[:2]
    assert isinstance(typed[2], TypedRows)


@given(st.lists(ROWS, max_size=3), TREATMENTS)
def test_any_rows_become_the_same_records_either_way(rows: list[dict[str, Any]], facts: dict[str, Field]) -> None:
    body = encoder.encode({"data": rows})
    typed, plain = records_of(body, facts, is_typed=True), records_of(body, facts, is_typed=False)
    assert typed[:2] == plain[:2]


@given(FITTING, TREATMENTS)
def test_records_are_as_without_but_for_what_is_dropped_and_hashed(
    rows: list[dict[str, Any]], facts: dict[str, Field]
) -> None:
    body = encoder.encode({"data": rows})
    before = [decode_answer(record) for record in records_of(body, None, is_typed=True)[0]]
    after = [decode_answer(record) for record in records_of(body, facts, is_typed=True)[0]]
    assert after == [expected(record, facts) for record in before]


@given(st.lists(ROWS, max_size=3), TREATMENTS)
def test_records_and_their_schema_agree(rows: list[dict[str, Any]], facts: dict[str, Field]) -> None:
    schema = privacy_of(facts).output
    validator = Draft7Validator(closed(schema))
    for record in records_of(encoder.encode({"data": rows}), facts, is_typed=True)[0]:
        decoded = json.loads(record)
        assert decoded.keys() == schema["properties"].keys()
        validator.validate(decoded)


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema, which allows no other fields."""
    schema = dict(schema)
    if "properties" in schema:
        properties = {name: closed(inner) for name, inner in schema["properties"].items()}
        schema |= {"properties": properties, "additionalProperties": False}
    if "items" in schema:
        schema["items"] = closed(schema["items"])
    return schema


@given(TREATMENTS, TREATMENTS)
def test_the_catalog_of_other_settings_changes_nothing(then: dict[str, Field], now: dict[str, Field]) -> None:
    """A catalog made under other settings brings nothing back, and hashes stay the same hashes."""
    catalog = privacy_of(then).output
    privacy = privacy_of(now).under(catalog)
    kept = {leaf for leaf in LEAVES if not is_gone(leaf, now)}
    schema = privacy.output
    assert set(leaves_of(schema)) <= kept
    source = privacy.source
    for leaf, found in leaves_of(source).items():
        if now[leaf] is HASHED and leaf not in UNHASHABLE:
            assert found == leaves_of(SCHEMA)[leaf]
    # What is dropped is known all the same, so that it is neither a surprise nor a reason for a slower path.
    assert {leaf for leaf in LEAVES if "." not in leaf and is_gone(leaf, now)} <= set(leaves_of(source))


def leaves_of(schema: dict[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, inner in schema["properties"].items():
        below = inner
        while "items" in below:
            below = below["items"]
        if below.get("properties"):
            found |= leaves_of(below, f"{path}{name}.")
        else:
            found[path + name] = inner
    return found


def test_a_catalog_cannot_open_by_a_wider_type_what_is_dropped_inside() -> None:
    facts = {**dict.fromkeys(LEAVES, TEXT), "address.city": DROPPED, "lines.tax_id": DROPPED}
    catalog = {
        "type": "object",
        "properties": {**SCHEMA["properties"], "address": {"type": ["object", "null"]}, "lines": {}},
    }
    privacy = privacy_of(facts).under(catalog)
    shaper = Shaper(privacy.source, privacy=privacy)
    row = {"address": {"city": "Vic", "geo": {"lat": 1}}, "lines": [{"tax_id": "T-1", "cents": 5}]}
    record = shaper(row)
    assert record["address"] == {"geo": {"lat": 1}}
    assert record["lines"] == [{"cents": 5}]
    assert "city" not in json.dumps(privacy.output)


@pytest.mark.parametrize("wide", [{}, {"type": ["object", "array", "null"]}, {"type": "array", "items": {}}])
def test_nor_what_is_not_known_yet(wide: dict[str, Any]) -> None:
    facts = {**dict.fromkeys(LEAVES, TEXT), "name": DROPPED}
    catalog = {**SCHEMA, "properties": {**SCHEMA["properties"], "address": wide, "lines": wide}}
    privacy = privacy_of(facts).under(catalog)
    row = {"address": {"city": "Vic", "new": "unknown"}, "lines": [{"cents": 5, "new": "unknown"}]}
    record = Shaper(privacy.source, privacy=privacy)(row)
    assert record["address"]["city"] == "Vic"
    assert record["lines"][0]["cents"] == 5
    assert "unknown" not in json.dumps(record)


def test_a_field_that_nobody_has_reviewed_is_treated_strictly() -> None:
    facts = {leaf: TEXT for leaf in LEAVES if leaf not in {"name", "active"}}
    assert "name" not in privacy_of(facts).output["properties"]
    hashing = RowPrivacy(
        Policy(hashed=frozenset({"user.name"}), keyed_hash=KeyedHash(KEY)), facts, SCHEMA, keys=(), replication_key=None
    )
    assert hashing.output["properties"]["name"] == {"type": ["string", "null"]}
    assert hashing.unhashable == ["active"]
    assert "active" not in hashing.output["properties"]
    nothing = RowPrivacy(Policy(), facts, SCHEMA, keys=(), replication_key=None)
    assert nothing.output == nothing.source == SCHEMA


def test_dropped_fields_warn_of_nothing() -> None:
    facts = dict.fromkeys(LEAVES, DROPPED) | {"id": TEXT}
    body = b'{"data": [{"id": "1", "hours": "not a number", "address": {"city": 1, "odd": 2}, "born_on": []}]}'
    records, warnings, rows = records_of(body, facts, is_typed=True)
    assert (records, warnings) == ([b'{"id":"1"}'], [])
    assert isinstance(rows, TypedRows)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("name", "Zoë", "Zoë"),
        ("name", "Zoe\u0308", "Zoë"),
        ("name", "", ""),
        ("name", 8, "8"),
        ("id", "42", "42"),
        ("id", 42, "42"),
        ("hours", 4000, "4000"),
        ("hours", "12", "12"),
        ("amount", "12.50", "12.50"),
        ("updated_at", "2024-10-06T01:30:00.5+02:00", "2024-10-05T23:30:00.500000+00:00"),
        ("born_on", "2024-10-06T00:00:00.000Z", "2024-10-06"),
    ],
)
@pytest.mark.parametrize("is_typed", [True, False])
def test_what_is_hashed_is_the_text_that_the_record_would_carry(
    field: str, value: Any, text: str, *, is_typed: bool
) -> None:
    body = encoder.encode({"data": [{field: value}]})
    facts = dict.fromkeys(LEAVES, TEXT) | {field: HASHED}
    (record,), _, _ = records_of(body, facts, is_typed=is_typed)
    wanted = hmac.new(KEY, text.encode("utf-8"), hashlib.sha256).hexdigest()
    assert json.loads(record)[field] == wanted
    assert len(wanted) == 64


def test_a_known_hash_as_others_would_make_it() -> None:
    # printf 'Zoë' | openssl dgst -sha256 -hmac 'a key of sixteen'
    assert KeyedHash(KEY)("Zoë") == "9de922bc8a16b55ecc3df1d8085da72dcac60882b396ba6c0adb6cd0ba003d9e"


def test_a_record_as_a_dictionary_has_the_hashes_too() -> None:
    facts = dict.fromkeys(LEAVES, TEXT) | {"name": HASHED, "tags": DROPPED}
    privacy = privacy_of(facts)
    shaper = Shaper(privacy.source, privacy=privacy)
    (record,) = shaper.shape_all(
        list(TypedDecoder(shaper)(b'{"data": [{"name": "Zo\xc3\xab", "tags": ["x"]}]}')["data"])
    )
    assert as_dictionary(record)["name"] == expected_hash("Zoë")
    assert "tags" not in as_dictionary(record)
