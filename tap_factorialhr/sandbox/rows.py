"""How the rows of a resource are made, field by field, from the shape that the API document gives them."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from tap_factorialhr.sandbox import consistency, relations, shapes, values
from tap_factorialhr.sandbox.tables import ABSENT, Row, Table

if TYPE_CHECKING:
    from tap_factorialhr.sandbox.identity import Identity
    from tap_factorialhr.sandbox.shapes import Shape

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
_UNTIDY = {"unknown": 0.25}
_NEVER_NULL = frozenset({"array", "object"})  # Factorial's own client reads null as the one or the other, and breaks.
_PEOPLE = frozenset({relations.EMPLOYEES, relations.ACCESS})


class RowMaker:
    """Makes the rows of one resource."""

    def __init__(self, company: Identity, resource: str) -> None:
        """Take the company and the resource, ``<domain>/<resource>``.

        Raises:
            KeyError: The document has no such list resource.
        """
        self._company = company
        self._resource = resource
        self._shape = shapes.row(resource)
        self._rng = Random(f"{company.seed}:{resource}")
        self._private: dict[int, dict[str, Any]] = {}
        self._plan = [
            (name, self._field(name, shape), *self._chances(name, shape)) for name, shape in self._shape.items()
        ]
        self._yesterday = values.stamp(values.noon(company.today - timedelta(days=1)))

    def table(self) -> Table:
        """All rows that the company starts with."""
        count = self._company.count(self._resource)
        rows = [self.row(number) for number in range(count)]
        keys = [self._company.key_of(self._resource, number) for number in range(count)]
        blank = {name: self._blank(name, shape) for name, shape in self._shape.items()}
        return Table(rows, keys, self._private, self.row, count, blank)

    def _chances(self, name: str, shape: Shape) -> tuple[float, float]:
        """How often a field is missing, and how often it is null."""
        if name in KEPT:
            return 0.0, 0.0
        is_rare = values.is_rare(name) and shape.kind != "boolean"
        if shape.required:
            if not self._company.untidy:
                return 0.0, 0.0
            return 0.0, 1 - _RARE if is_rare else _UNTIDY.get(shape.kind, 0.02 if shape.values else 0.0)
        if shape.kind in _NEVER_NULL and not self._company.untidy:
            return 1 - _RARE if is_rare else _NULLS, 0.0
        return (0.0, 1 - _RARE) if is_rare else (_MISSING, _NULLS - _MISSING)

    def _blank(self, name: str, shape: Shape) -> Any:  # noqa: ANN401 - a JSON value
        """What stands in a field that no parameter asks for."""
        if name == "inputed_minutes":
            return 0  # Minutes that are not computed are 0.
        if shape.kind not in _NEVER_NULL or self._company.untidy:
            return None
        return [] if shape.required else ABSENT

    def _field(self, name: str, shape: Shape) -> values.Maker:
        if name == "id":
            return lambda _rng, number, _employee: self._company.id_of(self._resource, number)
        if shape.kind == "array" and name == "members":
            return self._references(relations.EMPLOYEES)
        target = relations.target(self._resource, name)
        if target and shape.kind == "array":
            return self._references(target)
        if target:
            return self._reference(target, name, is_promised=shape.required and not self._company.untidy)
        if name.endswith("uuid"):
            return self._uuids(name)
        return values.of(self._resource, name, shape, self._company.today)

    def _reference(self, target: str, name: str, *, is_promised: bool) -> values.Maker:  # noqa: PLR0911 - one line a kind of target
        company, count = self._company, self._size(target)
        if target in _PEOPLE:
            if name in relations.OWN:
                return lambda _rng, _number, employee: company.id_of(target, employee)
            return lambda _rng, _number, employee: (
                company.id_of(target, employee // 8) if employee or is_promised else None
            )
        if target == relations.COMPANY:
            return lambda _rng, _number, _employee: company.company_id
        if target == self._resource and is_promised:  # Never in a circle, but for the first row.
            return lambda rng, number, _employee: company.id_of(target, int(rng.random() * number))
        if target == self._resource:  # Never itself, and never in a circle.
            return lambda rng, number, _employee: (
                company.id_of(target, int(rng.random() * number)) if number and rng.random() < 0.5 else None  # noqa: PLR2004 - about half
            )
        if target == "contracts/contracts":
            return lambda _rng, _number, employee: company.id_of(target, employee)
        if target in {"locations/locations", "companies/legal_entities", "timeoff/policies"}:
            return lambda _rng, _number, employee: company.id_of(target, employee % count)
        return lambda _rng, number, _employee: company.id_of(target, number % count)

    def _references(self, target: str) -> values.Maker:
        company, count = self._company, self._size(target)

        def make(_: Random, number: int, __: int) -> list[Any]:
            return [company.id_of(target, other % count) for other in range(number, number + min(count, number % 4))]

        return make

    def _size(self, target: str) -> int:
        if target in _PEOPLE:
            return self._company.employees
        return self._company.count(target) if not target.startswith("@") else 9

    def _uuids(self, name: str) -> values.Maker:
        company = self._company
        if name == "integration_uuid":
            known = company.integration_uuids
            return lambda _rng, number, _employee: known[number % len(known)]
        if name == "ancestor_uuid":
            return lambda _rng, number, _employee: company.uuid("node", ancestor(number)) if number else None
        if name == "uuid":
            return lambda _rng, number, _employee: company.uuid("node", number)
        count = company.count("job_catalog/tree_nodes")
        return lambda _rng, number, _employee: company.uuid("node", number % count)

    def _employee(self, number: int) -> int:
        """The employee whom a row is about, the same one that the row's contract is about."""
        if "contract_version_id" in self._shape or "contracts_contract_version_id" in self._shape:
            number %= self._company.count("contracts/contract_versions")
        return number % self._company.employees

    def row(self, number: int) -> Row:
        """Make the row of that number. Rows have to be made in order to be the same every time."""
        rng, employee = self._rng, self._employee(number)
        row: Row = {}
        for name, make, missing, null in self._plan:
            dice = rng.random() if missing or null else 1.0
            if dice < missing:
                continue
            if dice < missing + null:
                row[name] = None
                continue
            row[name] = make(rng, number, employee)
        self._mend(number, employee, row)
        return row

    def _mend(self, number: int, employee: int, row: Row) -> None:
        """Make the fields of a row agree with each other."""
        private: dict[str, Any] = {}
        self._dates(number, row)
        if row.get("updated_at") and isinstance(row.get("created_at"), str):
            row["updated_at"] = values.later(row["created_at"], 90 + number * 37 % 50_000, self._yesterday)
        if "updated_at" not in self._shape:
            age = 40 + number * 11 % 500
            private["changed"] = values.stamp(values.noon(self._company.today - timedelta(days=age)))
        special = consistency.OF_RESOURCE.get(self._resource)
        if special:
            special(self._company, number, employee, row, private)
        if private:
            self._private[self._company.key_of(self._resource, number)] = private

    def _dates(self, number: int, row: Row) -> None:
        today = self._company.today.toordinal()
        if self._resource in consistency.DATED:
            ahead = consistency.DATED[self._resource]
            date_ = values.day(today + ahead - number // self._company.employees)
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


def ancestor(number: int) -> int:
    """The node above the one of that number: the one before it, or the root."""
    return number - 1 if (number - 1) % 4 else 0
