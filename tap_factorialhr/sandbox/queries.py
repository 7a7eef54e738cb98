"""Which rows a request asks for: required parents, filters, changes since, date windows.

Only parameters that the API document names for a resource have an effect; others are ignored in silence, as
the API does (API notes, "Parameters").
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeAlias

from tap_factorialhr import openapi
from tap_factorialhr.sandbox import relations, shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_factorialhr.sandbox.company import Company
    from tap_factorialhr.sandbox.tables import Row


Test: TypeAlias = "Callable[[Row, dict[str, Any]], bool]"
"""Takes a row and what the API knows of it but does not show; says whether the row is asked for."""

REQUIRED: dict[str, tuple[str, ...]] = {
    "attendance/estimated_times": ("employee_ids[]", "start_on", "end_on"),
    "attendance/reviews": ("employee_ids[]", "start_on", "end_on"),
    "attendance/worked_times": ("start_on", "end_on"),
    "contracts/contract_activity_periods": ("contract_id",),
    "contracts/contract_version_meta_data": ("contract_version_ids[]",),
    "contracts/materialized_templates": ("company_id", "template_type"),
    "integrations/sync_runs": ("marketplace_integration_uuid", "created_at_gteq"),
    "job_catalog/node_attributes": ("node_uuid",),
    "job_catalog/tree_nodes": ("node_type",),
    "marketplace/installation_settings": ("company_id", "integration_uuid"),
    "payroll_employees/identifiers": ("country",),
    "payroll_integrations_base/codes": ("integrations[]",),
    "performance/target_managers": ("performance_review_process_ids[]",),
    "posts/comments": ("post_ids[]",),
    "project_management/exportable_expenses": ("project_ids[]", "start_date", "end_date"),
    "tasks/task_files": ("task_id",),
    "timeoff/policy_timelines": ("employee_id", "reference_date"),
    "trainings/session_access_memberships": ("session_id",),
}
"""Resources that cannot be listed without these (API notes, "Parameters")."""

ONE_ONLY = {"performance/target_managers": "performance_review_process_ids[]"}

SINCE = frozenset({"updated_at_gteq", "updated_from", "updated_after", "updated_at"})

OPENS: dict[str, dict[str, str]] = {
    "attendance/worked_times": {"include_non_attendable_employees": "non_attendable"},
    "compensations/cycles": {"include_archived": "archived", "include_hidden": "hidden"},
    "compensations/payroll_runs": {"include_hidden": "hidden"},
    **{
        f"contracts/{country}_contract_types": {"archived": "archived"}
        for country in ("french", "german", "portuguese", "spanish")
    },
    "expenses/expensables": {"include_manual_drafts": "draft", "include_grouped": "grouped"},
    "expenses/expenses": {"include_manual_drafts": "draft"},
    "expenses/mileages": {"include_manual_drafts": "draft"},
    "finance/budget_options": {"include_inactive": "inactive", "include_archived": "archived"},
    "timeoff/french_leave_day_counts": {"include_deleted": "deleted"},
    "timeoff/leaves": {"include_deleted_leaves": "deleted_at"},
}
"""Rows that only show when a parameter is true: parameter → the state or the field that hides them."""

SHOWS: dict[str, dict[str, tuple[str, ...]]] = {
    "expenses/expenses": {"include_attachments": ("files",)},
    "expenses/mileages": {"include_attachments": ("files",)},
    "job_catalog/tree_nodes": {"include_full_path": ("full_path_to_root",)},
    "project_management/project_workers": {
        "include_inputed_minutes": ("inputed_minutes",),
        "include_labor_cost": ("labor_cost_cents", "company_labor_cost_cents"),
        "include_cost": ("spending_cost_cents",),
    },
    "project_management/projects": {
        "include_inputed_minutes": ("inputed_minutes",),
        "include_costs": ("fixed_cost_cents", "labor_cost_cents", "spending_cost_cents", "total_cost_cents"),
    },
    "project_management/subprojects": {
        "include_inputed_minutes": ("inputed_minutes",),
        "include_cost": ("labor_cost_cents",),
    },
    "timeoff/leaves": {
        "include_leave_type": ("leave_type_name",),
        "include_duration": ("duration_attributes",),
        "include_duration_by_day": ("duration_by_day_attributes",),
    },
    "work_schedule/schedules": {"with_employee_ids": ("employee_ids",), "with_periods": ("periods",)},
}
"""Fields that are null unless a parameter is true."""

_WINDOWS = (("start_on", "end_on"), ("start_date", "end_date"), ("from", "to"), ("from", "until"),
            ("starts_on", "ends_on"), ("start_at", "end_at"))  # fmt: skip
_SPANS = (
    ("start_on", "finish_on"),
    ("starts_on", "ends_on"),
    ("start_date", "end_date"),
    ("start_at", "end_at"),
)
_POINTS = ("date", "effective_on", "booking_date", "external_created_at", "published_at", "created_at")

_NO_EQUALITY = frozenset(
    {
        "updated_at",
        "starts_on",
        "date",
        "due_on",
        "reviewed_at",
        "name",
        "reference_date",
        "due_date",
        "type_name",
    }
    | {name for pair in _WINDOWS for name in pair}
)
"""Names whose meaning is not "equal to the field of this name", or is not known."""

_ALIASES = {
    "serial_numbers[]": "serial_number",
    "marketplace_integration_uuid": "integration_uuid",
    "ancestor_uuids[]": "ancestor_uuid",
    "node_type": "type",
    "ats_tags_ids[]": "",
    "employees_ids[]": "employee_id",
    "by_pending_assignment": "is_pending_assignment",
}


class InvalidParametersError(Exception):
    """The request lacks a parameter, or has one that is wrong: HTTP 400."""


def blank(resource: str, params: Sequence[tuple[str, str]]) -> frozenset[str]:
    """The fields that the answer leaves null, because no parameter asks for them."""
    asked = dict(params)
    return frozenset(
        name for flag, names in SHOWS.get(resource, {}).items() if asked.get(flag) != "true" for name in names
    )


def select(company: Company, resource: str, params: Sequence[tuple[str, str]]) -> list[int]:
    """The places of the rows that a request asks for, in order.

    Raises:
        InvalidParametersError: A required parameter is missing, or a date is none.
    """
    given = defaultdict(list)
    known = openapi.load().resources[resource].parameters
    for name, value in params:
        if name in known:
            given[name].append(value)
    _check(resource, given)
    tests = [*_hidden(resource, given), *_since(given), *_window(resource, given)]
    if resource == "timeoff/leaves" and (test := _pending(given)):
        tests.append(test)
    for name, values in given.items():
        if test := _filter(resource, name, values):
            tests.append(test)
    table = company.table(resource)
    if not tests:
        return list(range(len(table.rows)))
    nothing: dict[str, Any] = {}
    return [
        place
        for place, (key, row) in enumerate(zip(table.keys, table.rows, strict=True))
        if all(test(row, table.private.get(key, nothing)) for test in tests)
    ]


def _check(resource: str, given: dict[str, list[str]]) -> None:
    for name in REQUIRED.get(resource, ()):
        values = given.get(name)
        if not values or not all(values) or (not name.endswith("[]") and len(values) > 1):
            raise InvalidParametersError(name)
    if resource in ONE_ONLY and len(given[ONE_ONLY[resource]]) != 1:
        raise InvalidParametersError(ONE_ONLY[resource])


def _hidden(resource: str, given: dict[str, list[str]]) -> list[Test]:
    states = [state for flag, state in OPENS.get(resource, {}).items() if given.get(flag) != ["true"]]
    tests = [_without(state) for state in states]
    if resource == "finance/cost_center_memberships" and given.get("only_active") != ["false"]:
        tests.append(_without("inactive"))  # Only active ones is the default here, says the SDK.
    return tests


def _without(state: str) -> Test:
    return lambda row, private: not (private.get(state) or row.get(state))


def _since(given: dict[str, list[str]]) -> list[Test]:
    tests = [_changed_since(_date(given[name][-1])) for name in SINCE & given.keys()]
    if "updated_at_lteq" in given:
        last = _date(given["updated_at_lteq"][-1])
        tests.append(lambda row, private: _changed(row, private)[:10] <= last)
    if "created_at_gteq" in given:
        start = _date(given["created_at_gteq"][-1])
        tests.append(lambda row, _: (row.get("created_at") or row.get("started_at") or "9")[:10] >= start)
    return tests


def _changed_since(first: str) -> Test:
    return lambda row, private: _changed(row, private)[:10] >= first


def _changed(row: Row, private: dict[str, Any]) -> str:
    """When a row changed: shown in most resources, known to the API alone in some."""
    return str(row.get("updated_at") or private.get("changed") or "")


def _date(text: str) -> str:
    """The date of a date or time stamp; the time of day is ignored, as the API does."""
    found = text[:10]
    if len(found) != 10 or found[4] != "-" or found[7] != "-" or not found.replace("-", "").isdigit():  # noqa: PLR2004 - the length of a date
        raise InvalidParametersError("date")
    return found


def _window(resource: str, given: dict[str, list[str]]) -> list[Test]:
    for first, last in _WINDOWS:
        if (first in given or last in given) and (fields := _span(resource)):
            low = _date(given[first][-1]) if first in given else "0"
            high = _date(given[last][-1]) if last in given else "9"
            return [_within(fields, low, high)]
    return []


def _span(resource: str) -> tuple[str, str] | None:
    """The first and the last day that a row stands for; the same field twice where it is one day."""
    row = shapes.row(resource)
    for pair in _SPANS:
        if pair[0] in row and pair[1] in row:
            return pair
    return next(((name, name) for name in _POINTS if name in row), None)


def _within(fields: tuple[str, str], low: str, high: str) -> Test:
    """Rows whose days overlap with the days from low to high; without an end a row goes on for ever."""

    def test(row: Row, _: dict[str, Any]) -> bool:
        start, end = row.get(fields[0]), row.get(fields[1])
        return start is not None and str(start)[:10] <= high and (end is None or str(end)[:10] >= low)

    return test


def _filter(resource: str, name: str, values: list[str]) -> Test | None:  # noqa: PLR0911 - one line a kind
    if resource == relations.EMPLOYEES and name == "team_ids[]":
        return lambda _, private: str(private.get("team")) in values
    if resource == "timeoff/leave_types" and name == "leave_type_id":
        return lambda row, _: str(row["id"]) in values
    if (resource, name) in _FLAGS:
        return _FLAGS[resource, name](values[-1] == "true")
    if (resource, name) == ("finance/categories", "statuses[]"):
        return lambda row, private: _status(row, private) in values
    if name in {"only_active", "only_non_archived"}:
        return _only_active(resource) if values == ["true"] else None
    if name == "active" and "archived" in shapes.row(resource):
        return lambda row, _: (not row.get("archived")) == (values[-1] == "true")
    if name in {"search", "name", "full_text_name", "name_starts_with"}:
        return _searched(values[-1].casefold())
    if (resource, name) in _PRIVATE:
        key = _PRIVATE[resource, name]
        return lambda _, private: str(private.get(key)) in values
    if name in SINCE or name in _NO_EQUALITY or name.endswith(("_gteq", "_lteq")):
        return None
    field = _field(resource, name)
    return _equals(field, frozenset(values)) if field else None


_PRIVATE = {
    ("job_catalog/node_attributes", "node_uuid"): "node_uuid",
    ("marketplace/installation_settings", "integration_uuid"): "integration_uuid",
    ("marketplace/installation_settings", "company_id"): "company_id",
    ("project_management/exportable_expenses", "project_ids[]"): "project_id",
}


def _pending(given: dict[str, list[str]]) -> Test | None:
    """The decisions asked for: pending ones alone, or with approved ones, or whatever ``approved`` says."""
    pending, approved = given.get("include_pending") == ["true"], given.get("approved")
    wanted: set[bool | None] = {None} if pending else set()
    if approved:
        wanted.add(approved[-1] == "true")
    return (lambda row, _: row.get("approved") in wanted) if wanted else None


def _status(row: Row, private: dict[str, Any]) -> str:
    if private.get("deleted"):
        return "deleted"
    return "enabled" if row.get("enabled") else "disabled"


_FLAGS: dict[tuple[str, str], Callable[[bool], Test | None]] = {
    ("attendance/shifts", "half_day"): lambda on: (lambda row, _: bool(row.get("half_day"))) if on else None,
    ("documents/documents", "by_trash_bin"): lambda on: lambda row, _: bool(row.get("deleted_at")) == on,
    ("timeoff/leaves", "approved"): lambda _: None,  # Together with include_pending, in _pending.
    ("shift_management/shifts", "only_published"): (
        lambda on: (lambda row, _: row.get("state") == "published") if on else None
    ),
}
"""Flags that mean more or less than "equal to the field of this name"."""


def _only_active(resource: str) -> Test | None:
    shape = shapes.row(resource)
    if "active" in shape:
        return lambda row, _: row.get("active") is True
    if "archived_at" in shape:
        return lambda row, _: row.get("archived_at") is None
    return None


def _searched(text: str) -> Test:
    return lambda row, _: any(
        text in str(row.get(name) or "").casefold() for name in ("name", "full_name", "title", "description")
    )


def _field(resource: str, name: str) -> str | None:
    """The field that a filter compares with, told from its name."""
    row = shapes.row(resource)
    if name in _ALIASES and (_ALIASES[name] in row or not _ALIASES[name]):
        return _ALIASES[name] or None
    if not name.endswith("[]"):
        return name if name in row else None
    plain = name[:-2]
    for guess in _singulars(plain):
        if guess in row:
            return guess
    if not plain.endswith("_ids"):
        return None
    stem = plain[:-1]
    ends = [field for field in row if field.endswith("_" + stem) or stem.endswith("_" + field)]
    return ends[0] if len(ends) == 1 else None


def _singulars(plural: str) -> list[str]:
    guesses = [plural]
    if plural.endswith("ies"):
        guesses.append(plural[:-3] + "y")
    if plural.endswith("es"):
        guesses.append(plural[:-2])
    if plural.endswith("s"):
        guesses.append(plural[:-1])
    if plural.endswith("s_ids"):
        guesses.append(plural[:-5] + "_id")
    if plural.endswith("ies_ids"):
        guesses.append(plural[:-7] + "y_id")
    return guesses


def _equals(field: str, wanted: frozenset[str]) -> Test:
    def test(row: Row, _: dict[str, Any]) -> bool:
        value = row.get(field)
        if isinstance(value, bool):
            return ("true" if value else "false") in wanted
        if isinstance(value, list):
            return any(str(one) in wanted for one in value)
        return value is not None and str(value) in wanted

    return test
