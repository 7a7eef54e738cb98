"""The partitions of a stream: chunks of parents, values of parameters, windows of days, each one listing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tap_factorialhr.envelope import Page, Row
    from tap_factorialhr.openapi import ListResource
    from tap_factorialhr.pagination import Params
    from tap_factorialhr.resources import Parent, Resource

DEFAULT_HISTORY = timedelta(days=365)
"""How far back windows go where there is neither a bookmark nor a ``start_date``."""
DEFAULT_WINDOW_LOOKBACK = 15
"""Days before the bookmark that windows read again where ``lookback_days`` is not set: people correct the past."""
DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)
"""Before anything was changed."""

Parameter = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Days:
    """A window of days, both ends included, and the parameters that ask for it."""

    start: str
    end: str
    first: date
    last: date

    @property
    def params(self) -> Params:
        """The two parameters."""
        return ((self.start, self.first.isoformat()), (self.end, self.last.isoformat()))

    @property
    def length(self) -> timedelta:
        """From the first day to the last."""
        return self.last - self.first

    def halves(self) -> tuple[Days, Days]:
        """The two halves of a window of several days."""
        middle = self.first + self.length // 2
        return replace(self, last=middle), replace(self, first=middle + timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Partition:
    """One listing of a resource, all pages of it, and what its rows get.

    Attributes:
        path: ``<domain>/<resource>``.
        params: What is asked for, without the parents and the parameters of the window and of pagination.
        parents: The parents whose rows it lists, as parameters.
        parent_field: The field that its rows are to have their parent's key in.
        fill: Fields, with their values, that its rows get where they lack them.
        lookup: Fields that its rows get by the value of another field of theirs: the other field, and the values.
        window: The days that it reads, where it is read by days.
        is_value: Whether it lists the rows of one value of a parameter that takes one at a time.
        filtered: Whether it lists a part of the resource's rows, which a row can enter anywhere when it is changed.
        unfiltered_params: The parameters that list all rows instead, where the filter may let all of them through.
        bookmark: Where the stream's bookmark may move when all rows up to here are written.
    """

    path: str
    params: Params = ()
    parents: Params = ()
    parent_field: str | None = None
    fill: Mapping[str, str] = field(default_factory=dict)
    lookup: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    window: Days | None = None
    is_value: bool = False
    filtered: bool = False
    unfiltered_params: Params | None = None
    bookmark: str | None = None

    def complete(self, row: Row) -> None:
        """Give a row, in place, what it does not carry itself."""
        for name, value in self.fill.items():
            if row.get(name) is None:
                row[name] = value
        for name, (other, values) in self.lookup.items():
            if row.get(name) is None:
                row[name] = values.get(str(row.get(other)))

    @property
    def is_of_one_parent(self) -> bool:
        """Whether it lists the rows of one parent alone, which may have gone meanwhile."""
        return len(self.parents) == 1

    def ambiguous(self, page: Page) -> bool:
        """Whether a row does not say which of several parents it belongs to."""
        field = self.parent_field
        if len(self.parents) < 2 or field is None:  # noqa: PLR2004
            return False
        other, values = self.lookup.get(field, ("", {}))
        return any(row.get(field) is None and str(row.get(other)) not in values for row in page.rows)

    def one_by_one(self) -> list[Partition]:
        """The same with one parent each; the bookmark moves after the last."""
        field = self.parent_field
        partitions = [
            replace(
                self,
                parents=(one,),
                fill={**self.fill, field: one[1]} if field else self.fill,
                lookup={},
                bookmark=None,
            )
            for one in self.parents
        ]
        return [*partitions[:-1], replace(partitions[-1], bookmark=self.bookmark)]

    @property
    def can_halve(self) -> bool:
        """Whether it can be split into shorter windows."""
        return self.window is not None and self.window.first < self.window.last

    def up_to(self, length: timedelta) -> list[Partition]:
        """The same in windows that are no longer."""
        if self.window is None or self.window.length <= length:
            return [self]
        return [partition for half in self.halves() for partition in half.up_to(length)]

    def halves(self) -> tuple[Partition, Partition]:
        """The same in two windows of half as many days."""
        assert self.window is not None  # noqa: S101 (for the type checker)
        first, last = self.window.halves()
        reached = min(self.bookmark, first.last.isoformat()) if self.bookmark else None
        return replace(self, window=first, bookmark=reached), replace(self, window=last)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncWindow:
    """What the configuration says about which rows to read.

    Attributes:
        today: The day of the run, in UTC.
        start: The ``start_date``, None without one.
        lookback: Days to read again before a bookmark, None for the default.
        window: Days of a window, None for the resource's own.
        values: The values of settings that a resource may be listed by.
    """

    today: date
    start: date | None
    lookback: int | None
    window: int | None
    values: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Partitions:
    """The listings of a resource, made one by one as they are asked for.

    Attributes:
        resource: What the document cannot say of the resource.
        listed: What the document says of it.
        settings: Which rows to read.
        since: The day of the bookmark, None to read everything.
        incremental: Whether only changes are asked for.
        parents: Gives the keys of a parent's rows with their labels; it may have to read them first.
    """

    resource: Resource
    listed: ListResource
    settings: SyncWindow
    since: date | None
    incremental: bool
    parents: Callable[[Parent], Mapping[str, str | None]]

    def __iter__(self) -> Iterator[Partition]:
        """Give the partitions in the order of their days."""
        for window in self._windows():
            yield from self._of_window(window)

    def _of_window(self, window: Days | None) -> Iterator[Partition]:
        since = self._changed_since()
        always = tuple(self._always(since))
        # Without a bookmark the filter may well let all rows through.
        may_be_whole = self.resource.is_one_listing and since is not None and self.since is None
        partitions = [
            Partition(
                self.resource.path,
                (*always, *values),
                parents=parent,
                parent_field=self.resource.parent.field if self.resource.parent else None,
                fill=self._fill(parent, values),
                lookup=self._lookup(parent),
                window=window,
                is_value=bool(values),
                filtered=not self.resource.is_one_listing or since is not None,
                unfiltered_params=tuple(self._always(_EPOCH)) if may_be_whole else None,
            )
            for parent, values in product(self._parents(), self._values())
        ]
        if window is not None and partitions:
            partitions[-1] = replace(partitions[-1], bookmark=min(window.last, self.settings.today).isoformat())
        yield from partitions

    def _always(self, since: date | None) -> Iterator[Parameter]:
        """What is asked for whatever the parents and the days, with the changes since a day."""
        for name, value in self.resource.always.items():
            texts = _texts(value) or self.listed.parameters[name].values
            yield from ((name, text) for text in texts)
        if self.resource.today:
            yield self.resource.today, self.settings.today.isoformat()
        if self.resource.since:
            yield self.resource.since, (self.settings.start or _EPOCH).isoformat()
        if self.resource.changed_since and since:
            yield self.resource.changed_since, since.isoformat()

    def _changed_since(self) -> date | None:
        if not (self.resource.changed_since and self.incremental):
            return None
        if self.since is None:
            return self.settings.start
        return _days_before(self.since, self.settings.lookback or 0)

    def _parents(self) -> Iterator[Params]:
        parent = self.resource.parent
        if parent is None:
            yield ()
            return
        remaining = iter(self.parents(parent))
        while keys := tuple(islice(remaining, parent.chunk)):
            yield tuple((parent.parameter, key) for key in keys)

    def _values(self) -> Iterator[Params]:
        """One partition per combination of the values that go one at a time."""
        ways: list[list[Parameter]] = []
        if self.resource.each:
            name, values = self.resource.each
            ways.append([(name, value) for value in values or self.listed.parameters[name].values])
        if self.resource.setting and self.resource.setting_parameter:
            name = self.resource.setting_parameter
            ways.append([(name, value) for value in self.settings.values.get(self.resource.setting, ())])
        yield from product(*ways)

    def _fill(self, parent: Params, values: Params) -> dict[str, str]:
        fill = {}
        if self.resource.parent and self.resource.parent.field and len(parent) == 1:
            fill[self.resource.parent.field] = parent[0][1]
        chosen = dict(values)
        if self.resource.each and self.resource.each_field:
            fill[self.resource.each_field] = chosen[self.resource.each[0]]
        if self.resource.setting_parameter and self.resource.setting_field:
            fill[self.resource.setting_field] = chosen[self.resource.setting_parameter]
        return fill

    def _lookup(self, keys: Params) -> dict[str, tuple[str, dict[str, str]]]:
        """How to tell the parent of a row among several, by a name that only one of them has."""
        parent = self.resource.parent
        if parent is None or parent.label is None or parent.field is None or len(keys) == 1:
            return {}
        labels = self.parents(parent)
        named = [(label, key) for _, key in keys if (label := labels[key]) is not None]
        often = Counter(label for label, _ in named)
        return {parent.field: (parent.label[1], {label: key for label, key in named if often[label] == 1})}

    def _windows(self) -> Iterator[Days | None]:
        window = self.resource.window
        if window is None:
            yield None
            return
        length = (self.settings.window or window.days) * DAY
        end = self.settings.today + window.ahead * DAY
        start = self._first_day()
        while start <= end:
            yield Days(window.start, window.end, start, min(start + length - DAY, end))
            start += length

    def _first_day(self) -> date:
        start = self.settings.start or self.settings.today - DEFAULT_HISTORY
        if self.since is None:
            return start
        lookback = self.settings.lookback
        return _days_before(self.since, DEFAULT_WINDOW_LOOKBACK if lookback is None else lookback)


def as_day(value: str) -> date:
    """The day, in UTC, of a date or a time stamp in ISO 8601.

    Raises:
        ValueError: It is neither, or in UTC it is outside the calendar.
    """
    moment = datetime.fromisoformat(value)
    try:
        return moment.astimezone(UTC).date() if moment.tzinfo else moment.date()
    except OverflowError:
        raise ValueError("outside the calendar") from None


def _days_before(day: date, days: int) -> date:
    """The day so many days earlier, or the first of the calendar, which bookmarks made by hand may be near to."""
    return date.fromordinal(max(day.toordinal() - days, 1))


def _texts(value: str | bool | tuple[str, ...]) -> tuple[str, ...]:  # noqa: FBT001
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return (value,) if isinstance(value, str) else value
