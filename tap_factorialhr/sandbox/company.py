"""The company: rows for every list resource of the API document, made on first sight and the same every time."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime
from threading import RLock
from typing import TYPE_CHECKING, Any

from tap_factorialhr.sandbox import values
from tap_factorialhr.sandbox.identity import Identity
from tap_factorialhr.sandbox.rows import RowMaker

if TYPE_CHECKING:
    from tap_factorialhr.sandbox.tables import Row, Table


class Company(Identity):
    """A company with all that the API can list of it.

    Equal arguments give equal rows. A resource is made when it is first asked for.
    """

    def __init__(
        self,
        employees: int = 50,
        seed: int = 1,
        *,
        integer_ids: bool = False,
        untidy: bool = False,
        today: date | None = None,
    ) -> None:
        """Found the company.

        Args:
            employees: How many people it has; all large resources grow with it.
            seed: Another seed gives another company.
            integer_ids: Ids as numbers, as before version 2026-07-01, rather than as strings.
            untidy: Now and then a field is null that the API document promises, and a list or an object is null. The
                API notes know of such enumerations; clients that trust the document break there, Factorial's own too.
            today: The last day of its records (UTC), by default the present one.

        Raises:
            ValueError: There is not one employee.
        """
        super().__init__(employees, seed, integer_ids=integer_ids, untidy=untidy, today=today)
        self.lock = RLock()
        self._tables: dict[str, Table] = {}

    def rows(self, resource: str) -> list[Row]:
        """All rows of a resource, sorted by id: the truth that a full read has to arrive at.

        Raises:
            KeyError: There is no such resource.
        """
        return self.table(resource).rows

    def table(self, resource: str) -> Table:
        """The rows of a resource with all that belongs to them, made now if they are not yet."""
        with self.lock:
            if resource not in self._tables:
                self._tables[resource] = RowMaker(self, resource).table()
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
            key = self.key_of(resource, table.made)
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
