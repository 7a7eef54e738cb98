"""What the fields of a resource's rows have to agree on, beyond what the shape of each field says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_factorialhr.sandbox import relations, values, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_factorialhr.sandbox.identity import Identity
    from tap_factorialhr.sandbox.tables import Row

DATED = {
    "attendance/shifts": 0,
    "attendance/worked_times": 0,
    "attendance/estimated_times": 2,
    "attendance/reviews": 0,
    "shift_management/shifts": 3,
}
"""Resources with a row per employee and day, and how many days ahead of today they begin, going backwards."""

NODE_TYPES = tuple(
    f"jobcatalog_tree{level}" for level in ("root", "function", "family", "role", "level")
)  # From the top down.


def _employee(company: Identity, number: int, _employee: int, row: Row, private: dict[str, Any]) -> None:
    gone = number % 13 == 7  # noqa: PLR2004 - a few, spread out
    row["active"] = not gone
    row["attendable"] = number % 17 != 5  # noqa: PLR2004 - as above
    row["terminated_on"] = values.day(company.today.toordinal() - 30 - number % 300) if gone else None
    row["manager_id"] = company.id_of(relations.EMPLOYEES, (number - 1) // 8) if number else None
    private["team"] = company.id_of("teams/teams", number % company.count("teams/teams"))


_MISSPELT = "beggining_of_day"
"""Seen beside the right spelling (API notes, "Values"); clients of versions with integer ids know only that one."""


def _leave(company: Identity, number: int, _employee: int, row: Row, _private: dict[str, Any]) -> None:
    start = company.today.toordinal() + 45 - number * 13 % 500
    row["start_on"] = values.day(start)
    days = number % 9
    row["finish_on"] = None if number % 29 == 11 else values.day(start + days)  # noqa: PLR2004 - an endless one
    row["days_taken"] = days + 1
    row["deleted_at"] = row["updated_at"] if number % 11 == 3 else None  # noqa: PLR2004 - a few, spread out
    if company.integer_ids and not company.untidy and row.get("half_day") == _MISSPELT:
        row["half_day"] = "beginning_of_day"
    row["leave_type_name"] = words.LEAVE_TYPES[number % company.count("timeoff/leave_types") % 7]


def _node(_company: Identity, number: int, _employee: int, row: Row, _private: dict[str, Any]) -> None:
    row["type"] = NODE_TYPES[1 + (number - 1) % 4] if number else NODE_TYPES[0]


def _attribute(company: Identity, number: int, _employee: int, row: Row, private: dict[str, Any]) -> None:
    private["node_uuid"] = company.uuid("node", number % company.count("job_catalog/tree_nodes"))
    kind = ("competency", "it_management", "salary_range", "working_conditions")[number % 4]
    row["type"] = kind
    for name in list(row):
        if name.startswith("value_") and not name.startswith(f"value_{kind}"):
            # Factorial's own client takes no null for a list or an object.
            if company.untidy or not isinstance(row[name], list | dict):
                row[name] = None
            else:
                del row[name]


def _membership(company: Identity, number: int, employee: int, row: Row, _private: dict[str, Any]) -> None:
    row["team_id"] = company.id_of("teams/teams", employee % company.count("teams/teams"))
    row["lead"] = number < company.count("teams/teams")


def _team(company: Identity, number: int, _employee: int, row: Row, _private: dict[str, Any]) -> None:
    members = range(number, company.employees, company.count("teams/teams"))
    row["employee_ids"] = [company.id_of(relations.EMPLOYEES, member) for member in members]
    row["lead_ids"] = row["employee_ids"][:1]


def _in_turn(field_name: str, choices: tuple[str, ...]) -> Callable[..., None]:
    def mend(_company: Identity, number: int, _employee: int, row: Row, _private: dict[str, Any]) -> None:
        row[field_name] = choices[number % len(choices)]

    return mend


def _exportable(company: Identity, number: int, _employee: int, row: Row, private: dict[str, Any]) -> None:
    project = number % company.count("project_management/projects")
    private["project_id"] = str(company.id_of("project_management/projects", project))
    row["project_name"] = values.name_of("project_management/projects", project)
    row["date"] = values.day(company.today.toordinal() - number * 5)


def _installation(company: Identity, number: int, _employee: int, _row: Row, private: dict[str, Any]) -> None:
    private["company_id"] = company.company_id
    private["integration_uuid"] = company.integration_uuids[number % len(company.integration_uuids)]


def _worked(_company: Identity, _number: int, employee: int, _row: Row, private: dict[str, Any]) -> None:
    private["non_attendable"] = employee % 17 == 5  # noqa: PLR2004 - as in _employee


def _states(*names: str) -> Callable[..., None]:
    """Rows of which some have a state that only a parameter shows, one state after the other."""

    def mend(_company: Identity, number: int, _employee: int, _row: Row, private: dict[str, Any]) -> None:
        if number % 4 == 3:  # noqa: PLR2004 - a quarter
            private[names[number // 4 % len(names)]] = True

    return mend


OF_RESOURCE: dict[str, Callable[..., None]] = {
    "employees/employees": _employee,
    "timeoff/leaves": _leave,
    "job_catalog/tree_nodes": _node,
    "job_catalog/node_attributes": _attribute,
    "teams/memberships": _membership,
    "teams/teams": _team,
    "contracts/materialized_templates": _in_turn(
        "template_type", ("company", "contract_type", "country", "legal_entity")
    ),
    "payroll_employees/identifiers": _in_turn("country", ("de", "it", "pt")),
    "project_management/exportable_expenses": _exportable,
    "marketplace/installation_settings": _installation,
    "attendance/worked_times": _worked,
    "compensations/cycles": _states("archived", "hidden"),
    "compensations/payroll_runs": _states("hidden"),
    "finance/budget_options": _states("inactive", "archived"),
    "finance/categories": _states("deleted"),
    "finance/cost_center_memberships": _states("inactive"),
    "contracts/french_contract_types": _states("archived"),
    "contracts/german_contract_types": _states("archived"),
    "contracts/portuguese_contract_types": _states("archived"),
    "contracts/spanish_contract_types": _states("archived"),
    "expenses/expenses": _states("draft"),
    "expenses/mileages": _states("draft"),
    "expenses/expensables": _states("draft", "grouped"),
    "timeoff/french_leave_day_counts": _states("deleted"),
}
