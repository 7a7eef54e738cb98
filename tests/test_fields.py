"""What is known of each field: that nothing is missing, nothing is left over, and what must be special is."""

from __future__ import annotations

from tap_factorialhr import fields
from tap_factorialhr.fields import Field, Reference


def test_a_line_is_a_class_or_more() -> None:
    assert fields.find("employees/employees", "birthday_on") == Field("user.demographic.date_of_birth", format="date")
    assert fields.find("teams/memberships", "team_id") == Field("system.operations", refers_to=Reference("teams", "id"))


def test_what_nobody_reviewed_is_unknown() -> None:
    assert fields.find("employees/employees", "shoe_size") is None
    assert fields.find("employees/hats", "id") is None
    assert fields.find("hats/hats", "id") is None


def test_an_object_is_what_all_in_it_is() -> None:
    used = fields.find("timeoff/leaves", "duration_by_day_attributes.used_units_by_day")
    assert used == Field("user.workplace.absence")
    assert fields.find("attendance/estimated_times", "breaks") == Field("system"), "mixed with what is not personal"


def test_special_is_a_class_or_a_field() -> None:
    disability = fields.find("employees/employees", "disability_percentage_cents")
    leave_type = fields.find("timeoff/leaves", "leave_type_id")
    birthday = fields.find("employees/employees", "birthday_on")
    assert disability is not None
    assert disability.special
    assert leave_type is not None
    assert leave_type.special
    assert birthday is not None
    assert not birthday.special


def test_a_class_covers_what_is_below_it() -> None:
    assert fields.covers("user.financial", "user.financial.bank_account")
    assert fields.covers("user.financial", "user.financial")
    assert not fields.covers("user.name", "user.namesake")
    assert not fields.covers("user.financial.bank_account", "user.financial")
