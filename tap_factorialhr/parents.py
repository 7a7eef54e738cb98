"""The keys of parents, which streams that hang off them are read by: each parent is read for them once a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tap_factorialhr.client import LargeError, RejectedError, RetriableError, UnavailableError
from tap_factorialhr.errors import FactorialError
from tap_factorialhr.listing import LeftOut, RowCount
from tap_factorialhr.walk import PagesError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_factorialhr.axes import Parents
    from tap_factorialhr.walk import PartitionWalk

_At = tuple[str, str]


class ParentError(FactorialError):
    """The rows of a parent could not be read.

    Attributes:
        unanswered: What its request was given up with, where that is why and it is news.
    """

    def __init__(self, error: FactorialError, *, is_news: bool) -> None:
        """Take what went wrong with the parent, and whether this is the first time that it is told."""
        super().__init__(f"its parent {error}")
        self.unanswered = error if is_news and isinstance(error, RetriableError) else None


class ParentKeys:
    """The keys of all rows of each parent, whatever the parent's own stream reads or selects.

    What went wrong with a parent is remembered as well: its children fail alike, without asking anew.
    """

    def __init__(self, read: Callable[[Parents], PartitionWalk], note_rows: Callable[[str, int], None]) -> None:
        """Take what begins to read a parent's rows, all of them, and what is told of how many have come."""
        self._read = read
        self._note_rows = note_rows
        self._failed: dict[_At, UnavailableError | ParentError] = {}
        self._known: dict[_At, dict[str, str | None]] = {}
        self._begun: dict[_At, PartitionWalk] = {}
        self._left_out: dict[_At, LeftOut] = {}
        self._without_key: Counter[_At] = Counter()
        self._short: dict[_At, tuple[str, RowCount]] = {}

    def __call__(self, parents: Parents) -> Mapping[str, str | None]:
        """The keys with their labels, None where a row has none; read where they are not known yet.

        Raises:
            UnavailableError: These credentials cannot read the parent.
            ParentError: It could not be read.
        """
        at = _at(parents)
        if at in self._failed:
            raise self._failed[at]
        if at not in self._known:
            walk = self._begin(parents)
            try:
                self._known[at] = self._keys(walk, parents)
            except UnavailableError as error:
                self._failed[at] = UnavailableError(error.status, f"{error} of its parent {walk.stream}")
                raise self._failed[at] from None
            except (RejectedError, PagesError, LargeError, RetriableError) as error:
                self._failed[at] = ParentError(error, is_news=False)
                raise ParentError(error, is_news=True) from None
            finally:
                del self._begun[at]
            self._left_out[at] = walk.left_out + self._keyless(parents)
            if walk.short.is_short:
                self._short[at] = walk.stream, walk.short
        return self._known[at]

    def left_out(self, parents: Parents) -> LeftOut:
        """What could not be read of a parent, where its keys are known."""
        return self._left_out.get(_at(parents), LeftOut())

    def short(self, parents: Parents) -> tuple[str, RowCount] | None:
        """The name of a parent, and its rows, where fewer of them came than the server counts."""
        return self._short.get(_at(parents))

    def has_failed(self, parents: Parents) -> bool:
        """Whether a parent could not be read."""
        return _at(parents) in self._failed

    def awaited(self, parents: Parents) -> PartitionWalk | None:
        """What reads the keys, begun ahead of their need; None where they are known."""
        return None if _at(parents) in self._known else self._begin(parents)

    def _begin(self, parents: Parents) -> PartitionWalk:
        at = _at(parents)
        if at not in self._begun:
            self._begun[at] = self._read(parents)
        return self._begun[at]

    def _keys(self, walk: PartitionWalk, parents: Parents) -> dict[str, str | None]:
        label = parents.label[0] if parents.label else None
        found: dict[str, str | None] = {}
        for _, page, _ in walk:
            self._note_rows(parents.resource, len(page.rows))
            for row in page.rows:
                key, name = row.get(parents.key), row.get(label) if label else None
                if key is None:  # As a field is that these credentials may not see (API notes, "Values").
                    self._without_key[_at(parents)] += 1
                else:
                    found[str(key)] = name if isinstance(name, str) else None
        return found

    def _keyless(self, parents: Parents) -> LeftOut:
        """The parents whose children cannot be asked for."""
        count = self._without_key[_at(parents)]
        return LeftOut(refused=Counter({f"a parent whose {parents.key} is null": count} if count else {}))


def _at(parents: Parents) -> _At:
    return parents.resource, parents.key
