"""Singer's side of a resource: schema, bookmarks and messages. One generic stream serves them all."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import MaxRecordsLimitException
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib import Schema
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL
from singer_sdk.streams import Stream

from tap_factorialhr import fields
from tap_factorialhr.axes import DEFAULT_HISTORY
from tap_factorialhr.bookmarks import Bookmark
from tap_factorialhr.catalog import check_entry, field_names, with_fields
from tap_factorialhr.client import (
    LargeError,
    RejectedError,
    RetriableError,
    SlowError,
    UnavailableError,
    UnreachableError,
)
from tap_factorialhr.dates import as_day, as_text
from tap_factorialhr.decoding import decode_answer, replacing_null_characters
from tap_factorialhr.errors import FactorialError
from tap_factorialhr.listing import LeftOut, RowCount
from tap_factorialhr.needs import LackingError
from tap_factorialhr.parents import ParentError
from tap_factorialhr.privacy.rows import RowPrivacy
from tap_factorialhr.records import Shaper, column
from tap_factorialhr.resources import CHANGE_KEY, own_replication_key
from tap_factorialhr.stream_maps import transformed
from tap_factorialhr.typed import TypedDecoder, as_dictionary
from tap_factorialhr.walk import PagesError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from singer_sdk.helpers.types import Context
    from singer_sdk.mapper import StreamMap
    from singer_sdk.singerlib import Catalog, MetadataMapping
    from singer_sdk.tap_base import Tap

    from tap_factorialhr.client import Decode
    from tap_factorialhr.envelope import Row
    from tap_factorialhr.openapi import JsonSchema
    from tap_factorialhr.partitions import Partition
    from tap_factorialhr.resources import Resource
    from tap_factorialhr.run import Run
    from tap_factorialhr.walk import PartitionWalk

_TEXT: JsonSchema = {"type": ["string", "null"]}
_TIME_STAMP: JsonSchema = {"type": ["string", "null"], "format": "date-time"}


def stream_schema(resource: Resource, declared: JsonSchema) -> JsonSchema:
    """The schema of a stream: what the document declares, keys that are never null, and the fields added to rows."""
    properties = dict(declared["properties"])
    for name in resource.added_fields:
        properties.setdefault(name, _TEXT)
    if resource.changed_since and "updated_at" not in properties:
        properties[CHANGE_KEY] = _TIME_STAMP
    for key in resource.key:
        field = properties.get(key, _TEXT)  # Without it the stream fails, where it is read.
        properties[key] = {**field, "type": field["type"][0]} if "type" in field else field
    return {**declared, "properties": properties}


LARGEST_BATCH = 1000
"""Rows that are shaped and written at once, so that those of a large answer are not held twice."""


class FactorialStream(Stream):
    """A list resource of the API."""

    def __init__(self, tap: Tap, run: Run, resource: Resource, declared: JsonSchema) -> None:
        """Take what there is to know of a stream.

        Args:
            tap: For the SDK, which reads settings, catalog and state from it.
            run: What all streams of the run share.
            resource: How its resource is read.
            declared: The schema that the API document declares for its rows.
        """
        self.resource = resource
        self._run = run
        self._declared = schema = stream_schema(resource, declared)
        self._uncatalogued: set[str] = set()
        replication_key = own_replication_key(resource, schema["properties"])
        self.privacy = RowPrivacy(
            run.privacy_policy,
            fields.of_resource(resource.path),
            schema,
            keys=resource.key,
            replication_key=replication_key,
        )
        super().__init__(tap, schema=self.privacy.output, name=resource.name)
        self.primary_keys = list(resource.key)
        self.replication_key = replication_key
        self._walk: PartitionWalk | None = None
        self.rows_written = 0
        self._without_key = 0
        self._met: set[str] = set()

    @property
    def metadata(self) -> MetadataMapping:
        """The catalog's metadata, with the class of each field."""
        if self._metadata is None:
            self.privacy.annotate(super().metadata)
        return super().metadata

    def apply_catalog(self, catalog: Catalog) -> None:
        """Take what a catalog says of the stream, without the fields that are dropped.

        Raises:
            ConfigError: It asks for what the stream cannot do, or makes a key of what is dropped.
        """
        own_key, entry = self.replication_key, catalog.get_stream(self.name)
        if entry is None:
            super().apply_catalog(catalog)
            return
        stated = entry.schema.to_dict()
        given = with_fields(stated, self._declared, {*self.primary_keys, *filter(None, [own_key])})
        self._uncatalogued = {*field_names(self._declared)} - {*field_names(given)}
        self.privacy = self.privacy.under(given)
        if self.privacy.output is not stated:
            entry.schema = Schema.from_dict(self.privacy.output)
        super().apply_catalog(catalog)
        if self.selected:
            self.privacy.check_keys(self.name, self.primary_keys or (), self.replication_key)
            check_entry(entry, self._declared, own_key)
        # A catalog that names no replication key, or a method that there is not, was made for all streams or for
        # an older version of this one.
        self.replication_key = own_key
        if own_key is None:
            self.forced_replication_method = REPLICATION_FULL_TABLE

    @property
    def is_wanted(self) -> bool:
        """Whether it is selected, or would be if privacy left more of it than keys."""
        root = self.metadata.root
        return bool(root.selected_by_default if root.selected is None else root.selected)

    @property
    def is_incremental(self) -> bool:
        """Whether only changes are read (a catalog may ask for full tables instead)."""
        return bool(self.replication_method == REPLICATION_INCREMENTAL)

    @cached_property
    def bookmark(self) -> Bookmark:
        """Its bookmark of the runs before."""
        # Not `stream_state`, which would put an empty bookmark into the state of streams that are only looked at.
        mark = self.tap_state.get("bookmarks", {}).get(self.name, {}) if self.is_incremental else {}
        return Bookmark.of(mark, self.replication_key, self._run.started_at)

    @cached_property
    def _is_whole(self) -> bool:
        """Whether this run reads all of it, where others read changes: the first one, and when it is due again."""
        days = self._run.full_refresh_days
        if not (self.is_incremental and self.resource.changed_since):
            return False
        is_due = days is not None and self.bookmark.is_due(self.name, days, self._run.sync.today)
        return is_due or self.bookmark.value is None

    @property
    def begins_anew(self) -> bool:
        """Whether this run asks for all of its rows, so that none would mean that there are none."""
        return not self.lacks_setting and (self._is_whole or self.bookmark.value is None)

    @cached_property
    def _first_day(self) -> date | None:
        """The first day that this run and those before it ask for, None where that is not limited.

        A table may hold rows from there on, so a whole read goes back as far, also where ``start_date`` is later now.
        """
        sync, before = self._run.sync, self.bookmark
        first_day = before.first_day
        if before.value is None:
            first_day = sync.start or (sync.today - DEFAULT_HISTORY if self.resource.windows else None)
        elif self._is_whole and first_day is not None:
            first_day = min(sync.start, first_day) if sync.start else None
        return before.whole_from(first_day) if self._is_whole and self._is_refreshed else first_day

    @property
    def older_is_not_read(self) -> bool:
        """Whether the settings ask for older rows than those that are read, since the first run began later."""
        sync, first_day = self._run.sync, self._first_day
        wanted = sync.start or (sync.today - DEFAULT_HISTORY if self.resource.windows else date.min)
        return first_day is not None and wanted < first_day and not self._is_refreshed

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:  # noqa: ANN401 (the SDK's)
        """Log what the SDK says of the stream, but for its line about an error, which is told once, at the end."""
        if level < logging.ERROR:
            super().log(message, *args, level=level, **kwargs)

    def get_replication_key_signpost(self, context: Context | None = None) -> None:  # noqa: ARG002
        """No signpost: the bookmark is set here, and never past the start of the run."""
        return

    def get_records(self, context: Context | None) -> Iterable[dict[str, Any]]:  # noqa: ARG002
        """Every record, shaped."""
        for records in self._shaped_pages():
            yield from (record if isinstance(record, dict) else as_dictionary(record) for record in records)

    @property
    def walk(self) -> PartitionWalk:
        """Its partitions, begun ahead of its turn where that is possible."""
        if self._walk is None:
            self._run.check_document(self.resource.path)
            value = None if self._is_whole else self.bookmark.value
            partitions = self._run.partitions(
                self.resource, as_day(value) if value else None, incremental=self.is_incremental, start=self._first_day
            )
            key, *others = self.resource.key or (None,)
            self._walk = self._run.fetcher.walk(
                self.name,
                None if others else key,
                partitions,
                self.resource.pagination,
                self._decoder,
                only_once=key is None,
            )
        return self._walk

    def next_walk(self) -> PartitionWalk | None:
        """What of it can be read ahead of its turn: the keys of its parents while it waits for them.

        None where there will be none, which is told when it is its turn.
        """
        try:
            self._run.check_document(self.resource.path)
        except LackingError:
            return None
        parents = self.resource.parents
        if parents and self._run.parents.has_failed(parents):
            return None
        return (self._run.parents.awaited(parents) if parents else None) or self.walk

    @cached_property
    def _shaper(self) -> Shaper:
        return Shaper(self.privacy.source, self._is_selected, self.privacy)

    @property
    def _decoder(self) -> Decode:
        """What decodes its answers."""
        decoder = self._plain_decoder
        return replacing_null_characters(decoder) if self.config["replace_null_characters"] else decoder

    @property
    def _plain_decoder(self) -> Decode:
        """Decodes into structs where records are nothing but the rows."""
        is_changed = self.resource.added_fields or self.replication_key == CHANGE_KEY or self.resource.may_repeat
        if is_changed or any(map(_changes, self.stream_maps)):
            return decode_answer
        return TypedDecoder(self._shaper) if TypedDecoder.suits(self._shaper) else decode_answer

    def _sync_records(
        self,
        context: Context | None = None,  # noqa: ARG002
        *,
        write_messages: bool = True,  # noqa: ARG002
    ) -> Generator[dict[str, Any], Any, Any]:
        """Write the stream's RECORD and STATE messages; a page at a time, where the SDK goes row by row.

        What the resource does not let us read is reported to the tap, and the run goes on.
        """
        if not self.selected:  # A test of the connection comes here with every stream.
            return
        with self._run.progress.turn_of(self.name):
            try:
                with self.get_record_counter() as counter, self.get_sync_timer():
                    newest = self.bookmark.value
                    self._warn_of_future()
                    self._choose_version()
                    for records in self._shaped_pages():
                        written = self._within_limit(records)
                        if written and not self.rows_written:
                            self._note_beginning()
                        self._write_records(written)
                        counter.increment(len(written))
                        newest = self._newest(newest, written)
                        self._check_limit(records, written)
                        yield from ()
                    self._finish(newest)
            except UnavailableError as error:
                self._run.report.skip(self.name, str(error))
            except (LackingError, RejectedError, PagesError, LargeError) as error:
                self._run.report.fail(self.name, str(error))
            except (RetriableError, ParentError) as error:
                # One that is too slow even for one day says nothing of others.
                is_slow_by_days = self.resource.windows and isinstance(error, SlowError)
                unanswered = error.unanswered if isinstance(error, ParentError) else error
                if unanswered and not is_slow_by_days and not self._run.goes_on_after(unanswered):
                    if isinstance(unanswered, UnreachableError):
                        raise
                    raise FactorialError(f"{error}; nor is anything else answered, so the run ends here") from None
                self._run.report.fail(self.name, str(error))

    def _warn_of_future(self) -> None:
        if ahead := self.bookmark.ahead:
            self.logger.warning(
                "%s: its bookmark %s lies in the future; this run reads from its own start on, and changes that no run "
                "before it read need --full-refresh",
                self.name,
                ahead,
            )

    def _choose_version(self) -> None:
        """Where changes are read between whole reads, rows carry the version of the last whole read.

        So a target keeps those that did not change, until the next whole read is over.
        """
        if self._is_refreshed and self.emit_activate_version_messages:
            started = int(self._run.started_at.timestamp())
            self._stream_version = started if self._is_whole else self.bookmark.version

    def _note_beginning(self) -> None:
        """Before the first row of a whole read, for the next one: also where the run is killed."""
        if self._is_whole and self._may_drop:
            self.bookmark.begin(self.stream_state, self.replication_key, self._first_day)
            self._run.write_state()

    @property
    def _may_drop(self) -> bool:
        """Whether a run may let rows that have gone leave the table, this one or a later one."""
        return self.emit_activate_version_messages or self._is_refreshed

    @property
    def _is_refreshed(self) -> bool:
        """Whether it is read whole from time to time, and by changes in between."""
        return bool(self._run.full_refresh_days and self.is_incremental and self.resource.changed_since)

    def _finish(self, newest: str | None) -> None:
        """All rows are written: the bookmark moves, and rows that are gone may go from the table."""
        if left_out := self._left_out:
            self._run.report.leave_out(self.name, left_out)
        else:
            if short := self._short:
                parent, count = short
                self._run.report.doubt(self.name, count.distinct, count.total, parent=parent)
            if self.is_incremental and not self.resource.windows:
                self._finish_changes(newest)
            is_known_whole = not short and not self._without_key and self._shows_what_is_gone
            if is_known_whole and (version := self._stream_version) is not None:
                write = super()._write_activate_version_message
                self._run.once_there_are_rows(lambda: write(version))
        self._run.write_state()

    @property
    def _shows_what_is_gone(self) -> bool:
        """Whether rows of the table that did not come, in a run without anything left out, are there no more."""
        if self.lacks_setting or self.resource.windows:
            return False
        if self.is_incremental:  # Without a bookmark, nobody knows how far back the table goes.
            return self._is_whole and (self._first_day is None or self.bookmark.value is not None)
        return not (self.resource.since and self._run.sync.start)

    def _finish_changes(self, newest: str | None) -> None:
        sync, settled = self._run.sync, as_text(self._run.settled_at)
        is_empty = newest is None and not self.rows_written and (sync.start or sync.today) <= sync.today
        if self.replication_key == CHANGE_KEY or is_empty:  # Up to here it has been read, whatever rows say.
            newest = settled
        if newest is not None:
            value = min(newest, settled)
            self._run.once_there_are_rows(lambda: self._move_bookmark(value))

    @property
    def _left_out(self) -> LeftOut:
        parents = self.resource.parents
        return self.walk.left_out + (self._run.parents.left_out(parents) if parents else LeftOut())

    @property
    def _short(self) -> tuple[str | None, RowCount] | None:
        """Rows of which fewer came than the server counts, and the parent that they are of, None for its own."""
        if self.walk.short.is_short:
            return None, self.walk.short
        parents = self.resource.parents
        return self._run.parents.short(parents) if parents else None

    def _write_activate_version_message(self, full_table_version: int) -> None:
        """Not before the first row, as the SDK has it, but after the last: only then is the table known whole."""

    def _shaped_pages(self) -> Iterator[list[dict[str, Any]]]:
        """Every page's records, those of a large page in batches.

        The bookmark of a window of days moves when all its records have been taken.
        """
        for partition, page, last in self._pages():
            if self.resource.is_one_listing:
                self._run.progress.expect(self.name, page.meta.total)
            for batch in page.batches(LARGEST_BATCH):
                yield self._shaper.shape_all(self._complete(batch, partition))
            if last:
                self._partition_done(partition)
        if missing := sorted(self._shaper.unknown & self._uncatalogued):
            self._shaper.unknown.difference_update(missing)
            told = ", ".join(missing)
            self.logger.warning(
                "%s: fields left out, as the catalog does not have them: %s; discover it anew", self.name, told
            )
        if self._without_key:
            self.logger.warning(
                "%s: %d rows came without a value of the key %s: a loader refuses them, or keeps one at the most; "
                "nothing is dropped from its table",
                self.name,
                self._without_key,
                ", ".join(self.primary_keys or ()),
            )
        for warning in self._shaper.warnings():
            self.logger.warning("%s: %s", self.name, warning)

    @property
    def lacks_setting(self) -> bool:
        """Whether there is nothing to read, because the setting that names it is not set."""
        setting = self.resource.setting
        return setting is not None and not self._run.sync.values.get(setting)

    def _pages(self) -> PartitionWalk:
        if self.lacks_setting:
            self.logger.warning("%s: nothing to read without the setting %s", self.name, self.resource.setting)
        walk = self.walk
        self._run.begin_after(self)
        return walk

    def _complete(self, rows: list[Row], partition: Partition) -> list[Row]:
        """Give rows, in place, what they do not carry themselves; of one that came before, the first is enough."""
        partition.complete(rows)
        if self.replication_key == CHANGE_KEY:
            started = as_text(self._run.started_at)
            for row in rows:
                row[CHANGE_KEY] = started
        if self.resource.may_repeat:
            rows = [row for row in rows if str(row.get("id")) not in self._met]
            self._met |= {str(row["id"]) for row in rows if row.get("id") is not None}
        return rows

    def _is_selected(self, breadcrumb: tuple[str, ...]) -> bool:
        return bool(self.mask[breadcrumb])

    def _write_records(self, records: list[dict[str, Any]]) -> None:
        now = datetime.now(UTC)
        for stream_map in self.stream_maps:
            kept = transformed(stream_map, records) if _changes(stream_map) else records
            self._run.writer.write_records(
                stream_map.stream_alias, kept, time_extracted=now, version=self._stream_version
            )
        self.rows_written += len(records)
        keys = [column(records, key) for key in self.primary_keys or ()]
        self._without_key += sum(None in key for key in zip(*keys, strict=True))
        self._run.note_rows(self.resource.path, len(records))
        self._run.progress.advance(self.name, len(records))

    def _newest(self, newest: str | None, records: list[dict[str, Any]]) -> str | None:
        """The newest change seen so far; time stamps are in one form of fixed width, and compare as strings."""
        key = self.replication_key
        if key is None or self.resource.windows:
            return newest
        return max(filter(None, (newest, *column(records, key))), default=None)

    def _partition_done(self, partition: Partition) -> None:
        if self.is_incremental and partition.bookmark is not None and not self._left_out:
            value = max(partition.bookmark, self.bookmark.value or "")
            self._run.once_there_are_rows(lambda: self._move_bookmark(value))
            self._run.write_state()

    def _move_bookmark(self, value: str) -> None:
        whole_at, version = self.bookmark.whole_at, self.bookmark.version
        if self._is_whole and not self._short:
            whole_at, version = self._run.started_at, self._stream_version
        begun_from = None if self._is_whole and self._is_refreshed else self.bookmark.begun_from
        bookmark = Bookmark(value, self._first_day, whole_at, version, begun_from=begun_from)
        bookmark.write(self.stream_state, self.replication_key)

    def _within_limit(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        limit = self.ABORT_AT_RECORD_COUNT
        return records if limit is None else records[: max(limit - self.rows_written, 0)]

    def _check_limit(self, records: list[dict[str, Any]], written: list[dict[str, Any]]) -> None:
        if len(written) < len(records):
            self._abort_sync(MaxRecordsLimitException("the dry run has its records"))


def _changes(stream_map: StreamMap) -> bool:
    return type(stream_map) is not SameRecordTransform or bool(stream_map.flattening_enabled)
