"""Which fields are dropped or hashed, by their class and what they are for; and which settings are refused."""

from __future__ import annotations

from typing import Any

import pytest

from tap_factorialhr import fields
from tap_factorialhr.errors import ConfigError
from tap_factorialhr.fields import Field, Reference
from tap_factorialhr.privacy.policy import SPECIAL_CATEGORY, Policy, Treatment

KEY = "0123456789abcdef"
EMPLOYEE = Reference("employees", "id")

BANK = Field("user.financial.bank_account")
SALARY = Field("user.financial.salary")
ILLNESS = Field("user.health_and_medical.absence_reason", special=True)
DENOMINATION = Field("user.financial", special=True)
STATUS = Field("system.operations")
PERSON_ID = Field("user.unique_id")
PERSON_REFERENCE = Field("user.unique_id", refers_to=EMPLOYEE, is_reference=True)
PERSON_OF_ANY_KIND = Field("user.unique_id", is_reference=True)
SPECIAL_REFERENCE = Field(
    "system.operations", special=True, refers_to=Reference("timeoff_leave_types", "id"), is_reference=True
)
PLAIN_REFERENCE = Field("system.operations", refers_to=Reference("teams", "id"), is_reference=True)

KEEP, DROP, HASH = Treatment.KEEP, Treatment.DROP, Treatment.HASH


def policy(drop: list[str] | None = None, hash_: list[str] | None = None, key: str | None = KEY) -> Policy:
    return Policy.of({"drop_classes": drop, "hash_classes": hash_, "hash_key": key})


@pytest.mark.parametrize(
    ("entry", "fact", "is_reached"),
    [
        ("user.financial", BANK, True),
        ("user.financial.bank_account", BANK, True),
        ("user", BANK, True),
        ("user.financial.salary", BANK, False),
        ("user.contact", BANK, False),
        ("user.financial.bank_account", Field("user.financial"), False),
        ("user.name", Field("user.name_of_something"), False),
        ("user", STATUS, False),
        (SPECIAL_CATEGORY, ILLNESS, True),
        (SPECIAL_CATEGORY, DENOMINATION, True),
        (SPECIAL_CATEGORY, BANK, False),
        ("user.health_and_medical", ILLNESS, True),
    ],
)
def test_an_entry_covers_its_class_and_those_below(entry: str, fact: Field, *, is_reached: bool) -> None:
    assert policy(drop=[entry]).treatment(fact, is_key=False) is (DROP if is_reached else KEEP)
    assert policy(hash_=[entry]).treatment(fact, is_key=False) is (HASH if is_reached else KEEP)


@pytest.mark.parametrize("fact", [PERSON_REFERENCE, PERSON_OF_ANY_KIND, PLAIN_REFERENCE])
@pytest.mark.parametrize("entry", ["user", "user.unique_id", SPECIAL_CATEGORY])
def test_references_are_never_dropped(fact: Field, entry: str) -> None:
    assert policy(drop=[entry]).treatment(fact, is_key=False) is KEEP


@pytest.mark.parametrize("fact", [BANK, ILLNESS, PERSON_ID, SPECIAL_REFERENCE, STATUS])
def test_keys_are_never_dropped(fact: Field) -> None:
    assert policy(drop=["user", SPECIAL_CATEGORY]).treatment(fact, is_key=True) is KEEP


def test_references_that_are_special_themselves_are_dropped() -> None:
    assert policy(drop=[SPECIAL_CATEGORY]).treatment(SPECIAL_REFERENCE, is_key=False) is DROP
    assert policy(drop=["user"]).treatment(SPECIAL_REFERENCE, is_key=False) is KEEP
    of_class = Field("user.health_and_medical.absence_reason", special=True, is_reference=True)
    assert policy(drop=["user.health_and_medical"]).treatment(of_class, is_key=False) is DROP
    assert policy(hash_=[SPECIAL_CATEGORY]).treatment(SPECIAL_REFERENCE, is_key=False) is HASH


@pytest.mark.parametrize(
    ("fact", "is_key"),
    [(PERSON_ID, True), (PERSON_REFERENCE, True), (PERSON_REFERENCE, False), (PERSON_OF_ANY_KIND, False)],
)
def test_people_are_hashed_where_their_class_itself_is_named(fact: Field, *, is_key: bool) -> None:
    assert policy(hash_=["user.unique_id"]).treatment(fact, is_key=is_key) is HASH
    assert policy(hash_=["user", SPECIAL_CATEGORY]).treatment(fact, is_key=is_key) is KEEP
    assert policy(hash_=["user.unique_id", "user"]).treatment(fact, is_key=is_key) is HASH
    assert policy(drop=["user"], hash_=["user.unique_id"]).treatment(fact, is_key=is_key) is HASH


def test_a_number_of_a_person_that_refers_to_nothing_is_as_any_other_field() -> None:
    assert policy(drop=["user"]).treatment(PERSON_ID, is_key=False) is DROP
    assert policy(hash_=["user"]).treatment(PERSON_ID, is_key=False) is HASH


def test_other_keys_are_not_hashed() -> None:
    for fact in (STATUS, SPECIAL_REFERENCE, PLAIN_REFERENCE, ILLNESS):
        assert policy(hash_=["user", "user.unique_id", SPECIAL_CATEGORY]).treatment(fact, is_key=True) is KEEP


def test_what_both_lists_reach_is_dropped() -> None:
    both = policy(drop=["user.financial.bank_account"], hash_=["user.financial"])
    assert both.treatment(BANK, is_key=False) is DROP
    assert both.treatment(SALARY, is_key=False) is HASH
    assert policy(drop=["user"], hash_=[SPECIAL_CATEGORY]).treatment(ILLNESS, is_key=False) is DROP


def test_what_nobody_has_reviewed_is_treated_as_strictly_as_is_configured() -> None:
    assert policy().treatment(None, is_key=False) is KEEP
    assert policy(drop=["user.device"]).treatment(None, is_key=False) is DROP
    assert policy(hash_=["user.device"]).treatment(None, is_key=False) is HASH
    assert policy(drop=["user.device"], hash_=["user.name"]).treatment(None, is_key=False) is DROP
    assert policy(drop=["user.device"], hash_=["user.name"]).treatment(None, is_key=True) is KEEP
    assert policy(hash_=["user.unique_id"]).treatment(None, is_key=True) is HASH


@pytest.mark.parametrize("entry", sorted(fields.known_classes()))
def test_every_class_is_known_and_only_those_of_persons_can_be_named(entry: str) -> None:
    if entry.split(".", maxsplit=1)[0] == "system":
        with pytest.raises(ConfigError, match="is no personal data"):
            policy(drop=[entry])
    else:
        assert policy(drop=[entry]).dropped == policy(hash_=[entry]).hashed == {entry}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drop_classes": ["user.finance"]}, "unknown class, user.finance; did you mean user.financial?"),
        (
            {"hash_classes": ["user.nmae"], "hash_key": KEY},
            "hash_classes has an unknown class, user.nmae; did you mean",
        ),
        ({"drop_classes": ["special_categories"]}, "did you mean special_category?"),
        (
            {"drop_classes": ["user.name", "S3CRET-in-the-wrong-place"]},
            "unknown class, entry 2; docs/data/README.md names",
        ),
        ({"drop_classes": [""]}, "unknown class, entry 1; docs/data/README.md names"),
        ({"drop_classes": ["health"]}, "unknown class, health; did you mean user.health_and_medical?"),
        ({"drop_classes": "special_category"}, "drop_classes must be of type array"),
        ({"drop_classes": ["system"]}, "drop_classes cannot name system"),
        ({"hash_classes": ["system.operations"], "hash_key": KEY}, "hash_classes cannot name system.operations"),
        ({"hash_classes": ["system.of_our_own"], "hash_key": KEY}, "hash_classes cannot name system.of_our_own"),
        (
            {"drop_classes": ["user.name"], "hash_classes": ["user.name"], "hash_key": KEY},
            "drop_classes and hash_classes both name user.name",
        ),
        ({"hash_classes": ["user.name"]}, "hash_classes needs a hash_key"),
        ({"hash_classes": ["user.name"], "hash_key": ""}, "hash_classes needs a hash_key"),
        ({"hash_classes": ["user.name"], "hash_key": KEY[:-1]}, "hash_key must have at least 16 bytes"),
        ({"hash_key": KEY[:-1]}, "hash_key must have at least 16 bytes"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as told:
        Policy.of(settings)
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert KEY[:-1] not in str(told.value)
    assert "S3CRET" not in str(told.value)


def test_the_key_is_counted_in_bytes_and_shown_nowhere() -> None:
    made = Policy.of({"hash_classes": ["user.name"], "hash_key": "éééééééé"})
    assert "é" not in repr(made)
    assert made.keyed_hash is not None
    assert not hasattr(made.keyed_hash, "__dict__")


def test_empty_lists_and_a_key_alone_do_nothing() -> None:
    assert not Policy.of({"drop_classes": [], "hash_classes": None, "hash_key": KEY}).is_active
