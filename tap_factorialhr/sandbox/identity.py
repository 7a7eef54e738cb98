"""Who is in the company and which ids its rows have, all fixed before any row is made.

So a row can point at another one that nobody has asked for yet.
"""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from random import Random
from typing import Any

from tap_factorialhr import openapi
from tap_factorialhr.sandbox import relations, sizes

FIRST_ID = 18446744073709550
_ROOM = 100_000_000  # Ids of one resource: no two resources share one, so that a mixed-up join shows.
_STEP = 3  # Ids have gaps, as where rows were deleted.


class Identity:
    """What is known of a company before any of its rows is made.

    Attributes:
        employees: How many people it has.
        seed: What everything that is left to chance follows from.
        integer_ids: Whether ids are numbers rather than strings.
        untidy: Whether rows break the promises of the API document here and there.
        today: The last day of its records (UTC).
        company_id: The company's own id.
        integration_uuids: The integrations that it has.
    """

    def __init__(self, employees: int, seed: int, *, integer_ids: bool, untidy: bool, today: date | None) -> None:
        """Found the company.

        Raises:
            ValueError: There is not one employee.
        """
        if employees < 1:
            raise ValueError("a company needs at least one employee")
        self.employees = employees
        self.seed = seed
        self.integer_ids = integer_ids
        self.untidy = untidy
        self.today = today or datetime.now(UTC).date()
        self._numbers = {name: number for number, name in enumerate(sorted(openapi.load().resources))}
        self.integration_uuids = [self.uuid("integration", number) for number in range(2)]
        self.company_id = self.id_of(relations.COMPANY, 0)

    @property
    def resources(self) -> list[str]:
        """All list resources of the document."""
        return list(self._numbers)

    def count(self, resource: str) -> int:
        """How many rows a resource starts with; cheap, because none is made."""
        return sizes.size(resource, self.employees, self.seed)

    def id_of(self, resource: str, number: int) -> Any:  # noqa: ANN401 - a string or an integer
        """The id of the row of that number (from 0), in the form that this company sends."""
        found = self.key_of(resource, number)
        return found if self.integer_ids else str(found)

    def key_of(self, resource: str, number: int) -> int:
        """The id of the row of that number (from 0) as a number, by which rows are sorted."""
        place = self._numbers.get(resource)
        if place is None:  # Not listed by the API: a range of its own behind the others.
            place = len(self._numbers) + sum(resource.encode()) % 97
        return FIRST_ID + 1 + place * _ROOM + number * _STEP

    def uuid(self, kind: str, number: int) -> str:
        """A UUID that is the same every time."""
        return str(uuid.UUID(int=Random(f"{self.seed}:{kind}:{number}").getrandbits(128), version=4))
