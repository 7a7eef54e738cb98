"""The keys of parents, which streams that hang off them are read by: each parent is read for them once a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tap_factorialhr.client import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_factorialhr.axes import Parents
    from tap_factorialhr.reading import RowCount
    from tap_factorialhr.walk import PartitionWalk

_At = tuple[str, str]


class ParentKeys:
    """The keys of all rows of each parent, whatever the parent's own stream reads or selects."""

    def __init__(self, read: Callable[[Parents], PartitionWalk]) -> None:
        """Take what begins to read a parent's rows, all of them."""
        self._read = read
        self._known: dict[_At, dict[str, str | None]] = {}
        self._begun: dict[_At, PartitionWalk] = {}
        self._left_out: dict[_At, Counter[str]] = {}
        self._short: dict[_At, tuple[str, RowCount]] = {}

    def __call__(self, parents: Parents) -> Mapping[str, str | None]:
        """The keys with their labels, None where a row has none; read where they are not known yet.

        Raises:
            UnavailableError: The parent cannot be read.
        """
        at = _at(parents)
        if at not in self._known:
            walk = self._begin(parents)
            try:
                self._known[at] = _keys(walk, parents)
            except UnavailableError as error:
                raise UnavailableError(f"{error} of its parent {walk.stream}") from None
            finally:
                del self._begun[at]
            self._left_out[at] = walk.left_out
            if walk.short.is_short:
                self._short[at] = walk.stream, walk.short
        return self._known[at]

    def left_out(self, parents: Parents) -> Counter[str]:
        """Why some rows of a parent could not be read, where its keys are known, and how often."""
        return self._left_out.get(_at(parents), Counter())

    def short(self, parents: Parents) -> tuple[str, RowCount] | None:
        """The name of a parent, and its rows, where fewer of them came than the server counts."""
        return self._short.get(_at(parents))

    def awaited(self, parents: Parents) -> PartitionWalk | None:
        """What reads the keys, begun ahead of their need; None where they are known."""
        return None if _at(parents) in self._known else self._begin(parents)

    def _begin(self, parents: Parents) -> PartitionWalk:
        at = _at(parents)
        if at not in self._begun:
            self._begun[at] = self._read(parents)
        return self._begun[at]


def _at(parents: Parents) -> _At:
    return parents.resource, parents.key


def _keys(walk: PartitionWalk, parents: Parents) -> dict[str, str | None]:
    label = parents.label[0] if parents.label else None
    found: dict[str, str | None] = {}
    for _, page, _ in walk:
        for row in page.rows:
            if (key := row.get(parents.key)) is not None:
                name = row.get(label) if label else None
                found[str(key)] = name if isinstance(name, str) else None
    return found
