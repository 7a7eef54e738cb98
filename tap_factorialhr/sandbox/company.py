"""The company: rows for every list resource of the API document, made on first sight and the same every time.

Ids are fixed before any row is made, so that a row can point at another one that nobody has asked for yet.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from threading import RLock
from typing import TYPE_CHECKING, Any

import msgspec

from tap_factorialhr import openapi
from tap_factorialhr.sandbox import relations, shapes, values, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_factorialhr.sandbox.shapes import Shape

Row = dict[str, Any]

FIRST_ID = 18446744073709550
_ROOM = 100_000_000  # Ids of one resource: no two resources share one, so that a mixed-up join shows.
_STEP = 3  # Ids have gaps, as where rows were deleted.

PER_EMPLOYEE: dict[str, float] = {
    "attendance/estimated_times": 5,
    "attendance/edit_timesheet_requests": 0.2,
    "attendance/open_shifts": 0.2,
    "attendance/overtime_requests": 0.2,
    "attendance/reviews": 1,
    "attendance/shifts": 5,
    "attendance/worked_times": 5,
    "contracts/compensations": 2,
    "contracts/contract_activity_periods": 1.5,
    "contracts/contract_version_histories": 2,
    "contracts/contract_version_meta_data": 1.5,
    "contracts/contract_versions": 1.5,
    "contracts/contracts": 1,
    "contracts/reference_contracts": 1,
    "compensations/additional_compensations": 1,
    "custom_fields/values": 3,
    "custom_resources/values": 1,
    "documents/documents": 2,
    "employees/employees": 1,
    "expenses/expenses": 2,
    "expenses/expensables": 2,
    "finance/cost_center_memberships": 1,
    "payroll/family_situations": 1,
    "payroll/supplements": 1,
    "payroll_employees/identifiers": 0.5,
    "performance/review_evaluations": 1,
    "performance/review_process_targets": 1,
    "performance/target_managers": 1,
    "project_management/project_workers": 1,
    "project_management/time_records": 2,
    "shift_management/shifts": 2,
    "tasks/tasks": 0.5,
    "tasks/task_files": 0.5,
    "teams/memberships": 1,
    "teams/teams": 0.1,
    "time_planning/planning_versions": 1,
    "timeoff/allowance_stats": 1,
    "timeoff/leaves": 2,
    "timeoff/french_leave_day_counts": 1,
    "timeoff/policy_assignments": 1,
    "timeoff/policy_timelines": 1,
    "trainings/session_access_memberships": 1,
    "trainings/session_attendances": 1,
    "trainings/training_memberships": 1,
}
"""How the larger resources grow with the number of employees; all others are small and stay so."""

SIZES = {"api_public/credentials": 1, "companies/legal_entities": 3, "marketplace/installation_settings": 2}
_SMALL = range(5, 14)
_LEAST = 6

KEPT = frozenset(
    [
        "id",
        "uuid",
        "type",
        "created_at",
        "updated_at",
        "date",
        "reference_date",
        "effective_on",
        "starts_on",
        "ends_on",
        "start_on",
        "finish_on",
        "start_date",
        "end_date",
        "start_at",
        "end_at",
        "booking_date",
        "country",
        "node_type",
        "template_type",
        "integration",
        "employee_id",
        "contract_id",
        "contract_version_id",
        "task_id",
        "session_id",
        "post_id",
        "performance_review_process_id",
        "company_id",
        "access_id",
        "integration_uuid",
        "active",
        "first_name",
        "last_name",
        "full_name",
        "started_at",
        "status",
    ]
)
"""Fields that are never null: by them rows are found, or told apart."""

_NULLS = 0.1
_MISSING = 0.01
_RARE = 0.08
_PEOPLE = frozenset({relations.EMPLOYEES, relations.ACCESS})

DATED = {
    "attendance/shifts": 0,
    "attendance/worked_times": 0,
    "attendance/estimated_times": 2,
    "attendance/reviews": 0,
    "shift_management/shifts": 3,
}
"""Resources with a row per employee and day, and how many days ahead of today they begin, going backwards."""

_BLANK = {"inputed_minutes": 0}  # What is not asked for is null, but minutes that are not computed are 0.

NODE_TYPES = tuple(
    f"jobcatalog_tree{level}" for level in ("root", "function", "family", "role", "level")
)  # From the top down.


@dataclass(slots=True)
class Table:
    """The rows of one resource.

    Attributes:
        rows: The rows, sorted by key.
        keys: What a row is sorted and found by: its id as a number, or its place where rows have no id.
        private: What the API knows of a row but does not show: the parent, a state, the time of change.
        version: Grows with each change.
        encoded: Rows as JSON, by the fields that are blanked and the key; emptied of what has changed.
    """

    rows: list[Row]
    keys: list[int]
    private: dict[int, dict[str, Any]]
    make: Callable[[int], Row]
    made: int
    version: int = 0
    encoded: dict[frozenset[str], dict[int, bytes]] = field(default_factory=dict)

    def forget(self, key: int) -> None:
        """Drop what was remembered of a row, because it has changed."""
        self.version += 1
        for rows in self.encoded.values():
            rows.pop(key, None)

    def json(self, index: int, blank: frozenset[str]) -> bytes:
        """One row as JSON, with some of its fields null."""
        rows = self.encoded.setdefault(blank, {})
        key = self.keys[index]
        if key not in rows:
            row = self.rows[index]
            if blank:
                row = {name: _BLANK.get(name) if name in blank else value for name, value in row.items()}
            rows[key] = msgspec.json.encode(row)
        return rows[key]


class Company:
    """A company with all that the API can list of it.

    Equal arguments give equal rows. A resource is made when it is first asked for.
    """

    def __init__(
        self,
        employees: int = 50,
        seed: int = 1,
        *,
        integer_ids: bool = False,
        today: date | None = None,
    ) -> None:
        """Found the company.

        Args:
            employees: How many people it has; all large resources grow with it.
            seed: Another seed gives another company.
            integer_ids: Ids as numbers, as before version 2026-07-01, rather than as strings.
            today: The last day of its records (UTC), by default the present one.

        Raises:
            ValueError: There is not one employee.
        """
        if employees < 1:
            raise ValueError("a company needs at least one employee")
        self.employees = employees
        self.seed = seed
        self.integer_ids = integer_ids
        self.today = today or datetime.now(UTC).date()
        self.lock = RLock()
        self._tables: dict[str, Table] = {}
        self._numbers = {name: number for number, name in enumerate(sorted(openapi.load().resources))}
        self.integration_uuids = [self.uuid("integration", number) for number in range(2)]
        self.company_id = self.id_of(relations.COMPANY, 0)

    @property
    def resources(self) -> list[str]:
        """All list resources of the document."""
        return list(self._numbers)

    def rows(self, resource: str) -> list[Row]:
        """All rows of a resource, sorted by id: the truth that a full read has to arrive at.

        Raises:
            KeyError: There is no such resource.
        """
        return self.table(resource).rows

    def count(self, resource: str) -> int:
        """How many rows a resource starts with; cheap, because none is made."""
        if resource in SIZES:
            return SIZES[resource]
        if resource in PER_EMPLOYEE:
            return max(_LEAST if resource != relations.EMPLOYEES else 1, int(self.employees * PER_EMPLOYEE[resource]))
        return Random(f"{self.seed}:{resource}:size").choice(_SMALL)

    def id_of(self, resource: str, number: int) -> Any:  # noqa: ANN401 - a string or an integer
        """The id of the row of that number (from 0), in the form that this company sends."""
        found = self._key(resource, number)
        return found if self.integer_ids else str(found)

    def uuid(self, kind: str, number: int) -> str:
        """A UUID that is the same every time."""
        return str(uuid.UUID(int=Random(f"{self.seed}:{kind}:{number}").getrandbits(128), version=4))

    def table(self, resource: str) -> Table:
        """The rows of a resource with all that belongs to them, made now if they are not yet."""
        with self.lock:
            if resource not in self._tables:
                self._tables[resource] = _Maker(self, resource).table()
            return self._tables[resource]

    def touch(self, resource: str, id: Any, **fields: Any) -> Row:  # noqa: A002, ANN401 - the API's word; JSON values
        """Change a row now: ``updated_at``, and the fields given.

        Raises:
            LookupError: There is no row with that id.
        """
        with self.lock:
            table = self.table(resource)
            key, row = self._find(table, id)
            row.update(fields)
            self._changed(table, key, row)
            return row

    def add(self, resource: str, **fields: Any) -> Row:  # noqa: ANN401 - JSON values
        """Add a row after all others, changed now, with the fields given and the others made up."""
        with self.lock:
            table = self.table(resource)
            key = self._key(resource, table.made)
            row = table.make(table.made)
            table.made += 1
            row.update(fields)
            table.rows.append(row)
            table.keys.append(key)
            self._changed(table, key, row)
            if "created_at" in row:
                row["created_at"] = row.get("updated_at", row["created_at"])
            return row

    def delete(self, resource: str, id: Any) -> Row:  # noqa: A002, ANN401 - as above
        """Take a row away.

        Raises:
            LookupError: There is no row with that id.
        """
        with self.lock:
            table = self.table(resource)
            key, row = self._find(table, id)
            index = bisect_left(table.keys, key)
            del table.rows[index], table.keys[index]
            table.private.pop(key, None)
            table.forget(key)
            return row

    def _key(self, resource: str, number: int) -> int:
        place = self._numbers.get(resource)
        if place is None:  # Not listed by the API: a range of its own behind the others.
            place = len(self._numbers) + sum(resource.encode()) % 97
        return FIRST_ID + 1 + place * _ROOM + number * _STEP

    def _find(self, table: Table, wanted: Any) -> tuple[int, Row]:  # noqa: ANN401 - a string or an integer
        if str(wanted).isdigit():
            place = bisect_left(table.keys, int(wanted))
            if place < len(table.keys) and table.keys[place] == int(wanted):
                return table.keys[place], table.rows[place]
        else:
            for key, row in zip(table.keys, table.rows, strict=True):
                if row.get("uuid") == wanted:
                    return key, row
        raise LookupError("there is no row with that id")

    def _changed(self, table: Table, key: int, row: Row) -> None:
        now = values.stamp(datetime.now(UTC))
        if "updated_at" in row:
            row["updated_at"] = now
        table.private.setdefault(key, {})["changed"] = now
        table.forget(key)


class _Maker:
    """Makes the rows of one resource."""

    def __init__(self, company: Company, resource: str) -> None:
        self.company = company
        self.resource = resource
        self.shape = shapes.row(resource)
        self.rng = Random(f"{company.seed}:{resource}")
        self.private: dict[int, dict[str, Any]] = {}
        self.plan = [(name, self.field(name, shape), self.chance(name, shape)) for name, shape in self.shape.items()]
        self.yesterday = values.stamp(values.noon(company.today - timedelta(days=1)))
        self.cursor = 0

    def table(self) -> Table:
        count = self.company.count(self.resource)
        rows = [self.row(number) for number in range(count)]
        keys = [self.company._key(self.resource, number) for number in range(count)]  # noqa: SLF001 - one module
        return Table(rows, keys, self.private, self.row, count)

    def chance(self, name: str, shape: Shape) -> float:
        """How often a field is null."""
        if name in KEPT:
            return 0.0
        if values.is_rare(name) and shape.kind != "boolean":
            return 1 - _RARE
        if shape.required:
            return 0.02 if shape.values else 0.0  # An enum is null where the document says it never is.
        return _NULLS

    def field(self, name: str, shape: Shape) -> values.Maker:
        if name == "id":
            return lambda _rng, number, _employee: self.company.id_of(self.resource, number)
        if shape.kind == "array" and name == "members":
            return self.references(relations.EMPLOYEES)
        target = relations.target(self.resource, name)
        if target and shape.kind == "array":
            return self.references(target)
        if target:
            return self.reference(target, name)
        if name.endswith("uuid"):
            return self.uuids(name)
        return values.of(self.resource, name, shape, self.company.today)

    def reference(self, target: str, name: str) -> values.Maker:  # noqa: PLR0911 - one line a kind of target
        company, count = self.company, self.size(target)
        if target in _PEOPLE:
            if name in relations.OWN:
                return lambda _rng, _number, employee: company.id_of(target, employee)
            return lambda _rng, _number, employee: company.id_of(target, employee // 8) if employee else None
        if target == relations.COMPANY:
            return lambda _rng, _number, _employee: company.company_id
        if target == self.resource:  # Never itself, and never in a circle.
            return lambda rng, number, _employee: (
                company.id_of(target, int(rng.random() * number)) if number and rng.random() < 0.5 else None  # noqa: PLR2004 - about half
            )
        if target == "contracts/contracts":
            return lambda _rng, _number, employee: company.id_of(target, employee)
        if target in {"locations/locations", "companies/legal_entities", "timeoff/policies"}:
            return lambda _rng, _number, employee: company.id_of(target, employee % count)
        return lambda _rng, number, _employee: company.id_of(target, number % count)

    def references(self, target: str) -> values.Maker:
        company, count = self.company, self.size(target)

        def make(_: Random, number: int, __: int) -> list[Any]:
            return [company.id_of(target, other % count) for other in range(number, number + min(count, number % 4))]

        return make

    def size(self, target: str) -> int:
        if target in _PEOPLE:
            return self.company.employees
        return self.company.count(target) if not target.startswith("@") else 9

    def uuids(self, name: str) -> values.Maker:
        company = self.company
        if name == "integration_uuid":
            known = company.integration_uuids
            return lambda _rng, number, _employee: known[number % len(known)]
        if name == "ancestor_uuid":
            return lambda _rng, number, _employee: company.uuid("node", _ancestor(number)) if number else None
        if name == "uuid":
            return lambda _rng, number, _employee: company.uuid("node", number)
        count = company.count("job_catalog/tree_nodes")
        return lambda _rng, number, _employee: company.uuid("node", number % count)

    def employee(self, number: int) -> int:
        """The employee whom a row is about, the same one that the row's contract is about."""
        if "contract_version_id" in self.shape or "contracts_contract_version_id" in self.shape:
            number %= self.company.count("contracts/contract_versions")
        return number % self.company.employees

    def row(self, number: int) -> Row:
        """Make the row of that number. Rows have to be made in order to be the same every time."""
        rng, employee = self.rng, self.employee(number)
        row: Row = {}
        for name, make, null in self.plan:
            dice = rng.random() if null else 1.0
            if dice < null:
                if not (null == _NULLS and dice < _MISSING):
                    row[name] = None
                continue
            row[name] = make(rng, number, employee)
        self.mend(number, employee, row)
        return row

    def mend(self, number: int, employee: int, row: Row) -> None:
        """Make the fields of a row agree with each other."""
        private: dict[str, Any] = {}
        self.dates(number, row)
        if row.get("updated_at") and isinstance(row.get("created_at"), str):
            row["updated_at"] = values.later(row["created_at"], 90 + number * 37 % 50_000, self.yesterday)
        if "updated_at" not in self.shape:
            age = 40 + number * 11 % 500
            private["changed"] = values.stamp(values.noon(self.company.today - timedelta(days=age)))
        special = _SPECIAL.get(self.resource)
        if special:
            special(self.company, number, employee, row, private)
        if private:
            self.private[self.company._key(self.resource, number)] = private  # noqa: SLF001 - one module

    def dates(self, number: int, row: Row) -> None:
        today = self.company.today.toordinal()
        if self.resource in DATED:
            ahead = DATED[self.resource]
            date_ = values.day(today + ahead - number // self.company.employees)
            for name in ("date", "reference_date"):
                if name in row:
                    row[name] = date_
            for name, hour in (("start_at", 8), ("end_at", 16), ("local_start_at", 9), ("local_end_at", 17)):
                if name in row:
                    row[name] = f"{date_}T{hour:02d}:00:00.000Z"
            return
        for start, end in (
            ("start_on", "finish_on"),
            ("starts_on", "ends_on"),
            ("start_date", "end_date"),
            ("start_at", "end_at"),
            ("starts_at", "ends_at"),
        ):
            if row.get(start) and row.get(end):
                row[end] = max(row[start], row[end])


def _ancestor(number: int) -> int:
    """The node above the one of that number: the one before it, or the root."""
    return number - 1 if (number - 1) % 4 else 0


def _employee(company: Company, number: int, _employee: int, row: Row, private: dict[str, Any]) -> None:
    gone = number % 13 == 7  # noqa: PLR2004 - a few, spread out
    row["active"] = not gone
    row["attendable"] = number % 17 != 5  # noqa: PLR2004 - as above
    row["terminated_on"] = values.day(company.today.toordinal() - 30 - number % 300) if gone else None
    row["manager_id"] = company.id_of(relations.EMPLOYEES, (number - 1) // 8) if number else None
    private["team"] = company.id_of("teams/teams", number % company.count("teams/teams"))


def _leave(company: Company, number: int, _employee: int, row: Row, _private: dict[str, Any]) -> None:
    start = company.today.toordinal() + 45 - number * 13 % 500
    row["start_on"] = values.day(start)
    row["finish_on"] = None if number % 29 == 11 else values.day(start + number % 9)  # noqa: PLR2004 - an endless one
    row["deleted_at"] = row["updated_at"] if number % 11 == 3 else None  # noqa: PLR2004 - a few, spread out
    row["leave_type_name"] = words.LEAVE_TYPES[number % company.count("timeoff/leave_types") % 7]


def _node(_company: Company, number: int, _employee: int, row: Row, _private: dict[str, Any]) -> None:
    row["type"] = NODE_TYPES[1 + (number - 1) % 4] if number else NODE_TYPES[0]


def _attribute(company: Company, number: int, _employee: int, row: Row, private: dict[str, Any]) -> None:
    private["node_uuid"] = company.uuid("node", number % company.count("job_catalog/tree_nodes"))
    kind = ("competency", "it_management", "salary_range", "working_conditions")[number % 4]
    row["type"] = kind
    for name in list(row):
        if name.startswith("value_") and not name.startswith(f"value_{kind}"):
            row[name] = None


def _membership(company: Company, number: int, employee: int, row: Row, _private: dict[str, Any]) -> None:
    row["team_id"] = company.id_of("teams/teams", employee % company.count("teams/teams"))
    row["lead"] = number < company.count("teams/teams")


def _team(company: Company, number: int, _employee: int, row: Row, _private: dict[str, Any]) -> None:
    members = range(number, company.employees, company.count("teams/teams"))
    row["employee_ids"] = [company.id_of(relations.EMPLOYEES, member) for member in members]
    row["lead_ids"] = row["employee_ids"][:1]


def _in_turn(field_name: str, choices: tuple[str, ...]) -> Callable[..., None]:
    def mend(_company: Company, number: int, _employee: int, row: Row, _private: dict[str, Any]) -> None:
        row[field_name] = choices[number % len(choices)]

    return mend


def _exportable(company: Company, number: int, _employee: int, row: Row, private: dict[str, Any]) -> None:
    projects = company.rows("project_management/projects")
    project = projects[number % len(projects)]
    private["project_id"], row["project_name"] = str(project["id"]), project.get("name")
    row["date"] = values.day(company.today.toordinal() - number * 5)


def _installation(company: Company, number: int, _employee: int, _row: Row, private: dict[str, Any]) -> None:
    private["company_id"] = company.company_id
    private["integration_uuid"] = company.integration_uuids[number % len(company.integration_uuids)]


def _worked(_company: Company, _number: int, employee: int, _row: Row, private: dict[str, Any]) -> None:
    private["non_attendable"] = employee % 17 == 5  # noqa: PLR2004 - as in _employee


def _states(*names: str) -> Callable[..., None]:
    """Rows of which some have a state that only a parameter shows, one state after the other."""

    def mend(_company: Company, number: int, _employee: int, _row: Row, private: dict[str, Any]) -> None:
        if number % 4 == 3:  # noqa: PLR2004 - a quarter
            private[names[number // 4 % len(names)]] = True

    return mend


_SPECIAL: dict[str, Callable[..., None]] = {
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
