"""The rows of one resource, with what the API knows of them but does not show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Row = dict[str, Any]

ABSENT: Any = object()
"""What stands for a field that is left out of a row."""


@dataclass(slots=True)
class Table:
    """The rows of one resource.

    Attributes:
        rows: The rows, sorted by key.
        keys: What a row is sorted and found by: its id as a number, or its place where rows have no id.
        private: What the API knows of a row but does not show: the parent, a state, the time of change.
        blank: What stands in a field that no parameter asks for, if not null.
        version: Grows with each change.
        encoded: Rows as JSON, by the fields that are blanked and the key; emptied of what has changed.
    """

    rows: list[Row]
    keys: list[int]
    private: dict[int, dict[str, Any]]
    make: Callable[[int], Row]
    made: int
    blank: Mapping[str, Any]
    version: int = 0
    encoded: dict[frozenset[str], dict[int, bytes]] = field(default_factory=dict)

    def forget(self, key: int) -> None:
        """Drop what was remembered of a row, because it has changed."""
        self.version += 1
        for rows in self.encoded.values():
            rows.pop(key, None)

    def json(self, index: int, blank: frozenset[str]) -> bytes:
        """One row as JSON, with some of its fields blank."""
        rows = self.encoded.setdefault(blank, {})
        key = self.keys[index]
        if key not in rows:
            row = self.rows[index]
            if blank:
                shown = {name: self.blank.get(name) if name in blank else value for name, value in row.items()}
                row = {name: value for name, value in shown.items() if value is not ABSENT}
            rows[key] = msgspec.json.encode(row)
        return rows[key]
