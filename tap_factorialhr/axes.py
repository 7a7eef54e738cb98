"""The axes that a resource is read along: windows of days, chunks of parents, values of a parameter or of a setting.

An axis gives slices, and one slice of each axis makes a partition of the resource's rows. A slice knows what is asked
for, what its rows get that they do not carry, and how it is split where it asks for too much.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from tap_factorialhr.dates import DAY, days_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tap_factorialhr.envelope import Row
    from tap_factorialhr.openapi import ListResource, Params

DEFAULT_HISTORY = timedelta(days=365)
"""How far back windows go where there is neither a bookmark nor a ``start_date``."""
DEFAULT_WINDOW_LOOKBACK = 15
"""Days before the bookmark that windows read again where ``lookback_days`` is not set: people correct the past."""
EVERY_VALUE: tuple[str, ...] = ()
"""All values that the API document names for a parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncWindow:
    """Which rows the settings ask for.

    Attributes:
        today: The day of the run, in UTC.
        settled: The last day whose rows can be taken for read when they are, whatever the server's clock says.
        start: The ``start_date``, None without one.
        lookback: Days to read again before a bookmark, None for the default.
        length: Days of a window, None for the resource's own.
        values: The values of the settings that a resource may be listed by.
    """

    today: date
    settled: date
    start: date | None = None
    lookback: int | None = None
    length: int | None = None
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What the slices of one stream in one run follow from.

    Attributes:
        listed: What the API document says of the resource.
        sync: Which rows the settings ask for.
        since: The day of the stream's bookmark, None without one.
        parents: Gives the keys of a parent's rows with their labels; it may have to read them first.
    """

    listed: ListResource
    sync: SyncWindow
    since: date | None
    parents: Callable[[Parents], Mapping[str, str | None]]

    def before_bookmark(self, days: int) -> date | None:
        """So many days before the bookmark, None without one.

        It is not before the first day that is asked for at all: a whole read begins there, and lets a target drop what
        it does not bring.
        """
        if self.since is None:
            return None
        earliest = min(self.sync.start or date.min, self.since)
        return max(days_before(self.since, days), earliest)


class Slice(ABC):
    """One of the parts that an axis divides a resource's rows into.

    Attributes:
        may_go: Whether what its rows belong to may be deleted while they are read.
    """

    __slots__ = ()
    may_go: ClassVar[bool] = False

    @property
    @abstractmethod
    def params(self) -> Params:
        """The parameters that ask for it."""

    def complete(self, rows: Iterable[Row]) -> None:  # noqa: B027 (most slices have nothing to give)
        """Give rows of it, in place, what they do not carry themselves."""

    def is_ambiguous(self, rows: Iterable[Row]) -> bool:  # noqa: ARG002
        """Whether one of its rows does not say what `complete` would have to give it."""
        return False

    @property
    def is_one_of_many(self) -> bool:
        """Whether there may be thousands of the kind, of which many have no rows."""
        return False

    def one_by_one(self) -> tuple[Slice, ...]:
        """Slices whose rows are never ambiguous."""
        return (self,)

    def split(self) -> tuple[Slice, ...]:
        """Smaller ones to read instead where it was refused; none where it can but be left out."""
        return ()


class Axis(ABC):
    """A way of dividing a resource's rows; its text says how, for the table of streams."""

    __slots__ = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that rows get by it, declared by the API document or not."""
        return ()

    @property
    @abstractmethod
    def parameters(self) -> tuple[str, ...]:
        """The query parameters that ask for its slices."""

    @abstractmethod
    def slices(self, scope: Scope) -> Iterator[Slice]:
        """Its slices, in order."""


# Days


@dataclass(frozen=True, slots=True)
class Days(Slice):
    """The days from the first to the last, both included.

    Attributes:
        axis: The parameters that ask for them.
        first: The first day.
        last: The last day.
    """

    axis: Windows
    first: date
    last: date

    @property
    def params(self) -> Params:
        """The first and the last day."""
        return ((self.axis.start, self.first.isoformat()), (self.axis.end, self.last.isoformat()))

    @property
    def length(self) -> timedelta:
        """From the first day to the last."""
        return self.last - self.first

    def halves(self) -> tuple[Days, Days]:
        """The two halves of a window of several days."""
        middle = self.first + self.length // 2
        return replace(self, last=middle), replace(self, first=middle + DAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows(Axis):
    """Windows of days.

    Attributes:
        start: The parameter of the first day.
        end: The parameter of the last day.
        days: Days per request by default.
        ahead: Days after today that are read as well: companies live in other time zones, and plan.
    """

    start: str
    end: str
    days: int = 15
    ahead: int = 1

    def __str__(self) -> str:
        return f"windows of {self.days} days, to {self.ahead} after today"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Those of the first and the last day."""
        return (self.start, self.end)

    def slices(self, scope: Scope) -> Iterator[Days]:
        """Windows from the first day that is wanted to the last."""
        length = (scope.sync.length or self.days) * DAY
        end = scope.sync.today + self.ahead * DAY
        first = _first_day(scope)
        while first <= end:
            yield Days(self, first, min(first + length - DAY, end))
            first += length


def _first_day(scope: Scope) -> date:
    sync = scope.sync
    days = DEFAULT_WINDOW_LOOKBACK if sync.lookback is None else sync.lookback
    return scope.before_bookmark(days) or sync.start or sync.today - DEFAULT_HISTORY


# Parents


@dataclass(frozen=True, slots=True)
class ChunkOfParents(Slice):
    """The rows of a few parents.

    Attributes:
        axis: What the parents are.
        keys: Their keys.
        by_label: Those of them that have a label which no other has, by that label.
    """

    may_go: ClassVar[bool] = True
    axis: Parents
    keys: tuple[str, ...]
    by_label: Mapping[str, str] = field(default_factory=dict)

    @property
    def params(self) -> Params:
        """The keys."""
        return tuple((self.axis.parameter, key) for key in self.keys)

    def complete(self, rows: Iterable[Row]) -> None:
        """Give rows the key of their parent where they lack it."""
        if (name := self.axis.field) is not None:
            for row in rows:
                if row.get(name) is None:
                    row[name] = self._parent_of(row)

    def is_ambiguous(self, rows: Iterable[Row]) -> bool:
        """Whether one of its rows does not say which of several parents it belongs to."""
        name = self.axis.field
        if name is None or len(self.keys) == 1:
            return False
        return any(row.get(name) is None and self._parent_of(row) is None for row in rows)

    @property
    def is_one_of_many(self) -> bool:
        """Whether there is one for each parent."""
        return self.axis.chunk == 1

    def one_by_one(self) -> tuple[ChunkOfParents, ...]:
        """Each parent by itself."""
        return tuple(ChunkOfParents(self.axis, (key,)) for key in self.keys)

    def split(self) -> tuple[ChunkOfParents, ...]:
        """Two halves; none of a single parent."""
        if len(self.keys) == 1:
            return ()
        middle = len(self.keys) // 2
        return replace(self, keys=self.keys[:middle]), replace(self, keys=self.keys[middle:])

    def _parent_of(self, row: Row) -> str | None:
        if len(self.keys) == 1:
            return self.keys[0]
        return self.by_label.get(str(row.get(self.axis.label[1]))) if self.axis.label else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parents(Axis):
    """The rows of the resource that another one hangs off.

    Attributes:
        resource: Its path.
        parameter: The query parameter that takes the key of its rows.
        key: The field of its rows that is sent.
        field: The field that rows of the child get it in, where they lack it.
        chunk: Keys per request.
        label: A field of the parent's rows and one of the child's that hold the same name, to tell the parent of
            a row by where rows do not carry its key and several parents share a request.
    """

    resource: str
    parameter: str
    key: str = "id"
    field: str | None = None
    chunk: int = 1
    label: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"for each of `{self.resource}`" + (f", {self.chunk} at a time" if self.chunk > 1 else "")

    @property
    def fields(self) -> tuple[str, ...]:
        """The field of the parent's key."""
        return (self.field,) if self.field else ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """That of the parent's key."""
        return (self.parameter,)

    def slices(self, scope: Scope) -> Iterator[ChunkOfParents]:
        """Chunks of the parents that there are."""
        labels = scope.parents(self)
        remaining = iter(labels)
        while keys := tuple(islice(remaining, self.chunk)):
            named = Counter(labels[key] for key in keys)
            by_label = {label: key for key in keys if (label := labels[key]) is not None and named[label] == 1}
            yield ChunkOfParents(self, keys, by_label)


# Values


@dataclass(frozen=True, slots=True)
class Value(Slice):
    """The rows of one value.

    Attributes:
        parameter: The parameter that takes the value.
        value: The value.
        field: The field that rows get it in, where they lack it.
    """

    parameter: str
    value: str
    field: str | None

    @property
    def params(self) -> Params:
        """The value."""
        return ((self.parameter, self.value),)

    def complete(self, rows: Iterable[Row]) -> None:
        """Give rows the value where they lack it."""
        if self.field is not None:
            for row in rows:
                if row.get(self.field) is None:
                    row[self.field] = self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Values(Axis):
    """The values of a parameter that takes one at a time.

    Attributes:
        parameter: The parameter.
        values: Its values, empty for those that the API document names.
        field: The field that rows get the value in, where they lack it.
    """

    parameter: str
    values: tuple[str, ...] = EVERY_VALUE
    field: str | None = None

    def __str__(self) -> str:
        return f"once per `{self.parameter}`"

    @property
    def fields(self) -> tuple[str, ...]:
        """The field of the value."""
        return (self.field,) if self.field else ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """That of the value."""
        return (self.parameter,)

    def slices(self, scope: Scope) -> Iterator[Value]:
        """One per value."""
        for value in self.values or scope.listed.parameters[self.parameter].values:
            yield Value(self.parameter, value, self.field)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingValues(Axis):
    """The values of a setting, one at a time.

    Attributes:
        setting: The setting.
        parameter: The parameter that takes such a value.
        field: The field that rows get the value in, where they lack it.
    """

    setting: str
    parameter: str
    field: str

    def __str__(self) -> str:
        return f"for each of the setting `{self.setting}`"

    @property
    def fields(self) -> tuple[str, ...]:
        """The field of the value."""
        return (self.field,)

    @property
    def parameters(self) -> tuple[str, ...]:
        """That of the value."""
        return (self.parameter,)

    def slices(self, scope: Scope) -> Iterator[Value]:
        """One per value of the setting."""
        for value in scope.sync.values.get(self.setting, ()):
            yield Value(self.parameter, value, self.field)
