"""One run of the tap: what all its streams share, made from the settings as it is needed."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

from tap_factorialhr import needs, openapi
from tap_factorialhr.axes import Scope, SyncWindow
from tap_factorialhr.client import Client, UnreachableError
from tap_factorialhr.http_session import Session, connect_and_read_seconds
from tap_factorialhr.parents import ParentKeys
from tap_factorialhr.partitions import Partitions
from tap_factorialhr.privacy.policy import Policy
from tap_factorialhr.report import Report
from tap_factorialhr.resources import WHOSE_CREDENTIALS, describe, stream_name
from tap_factorialhr.retry_policy import RetryPolicy
from tap_factorialhr.walk import Fetcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime

    import requests

    from tap_factorialhr.authenticators import FactorialAuthenticator
    from tap_factorialhr.axes import Parents
    from tap_factorialhr.client import RetriableError
    from tap_factorialhr.messages import MessageWriter
    from tap_factorialhr.progress import Progress
    from tap_factorialhr.resources import Resource
    from tap_factorialhr.walk import PartitionWalk

SAFETY_MARGIN = timedelta(minutes=10)
"""What every bookmark stays behind the start of a run at least: the server's clock may be behind ours."""

logger = logging.getLogger("tap-factorialhr")


class Readable(Protocol):
    """A stream, as others see it that are read before it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def older_is_not_read(self) -> bool:
        """Whether ``start_date`` asks for older rows than those that are read."""

    @property
    def begins_anew(self) -> bool:
        """Whether all of its rows are asked for, so that none would mean that there are none."""

    def next_walk(self) -> PartitionWalk | None:
        """What of it can be read now, ahead of its turn; None where nothing can be."""


class Run:
    """What the streams of one run share.

    Attributes:
        started_at: When the run began.
        settled_at: A little before; no bookmark goes past it.
        sync: Which rows the settings ask for.
        writer: Writes their records.
        write_state: Writes a STATE message.
        report: What became of them.
        full_refresh_days: The setting of that name, None without.
        order: The streams that are to be read, in the order of their turns.
    """

    def __init__(  # noqa: PLR0913 (each is needed, all by name)
        self,
        config: Mapping[str, Any],
        *,
        started_at: datetime,
        start: date | None,
        writer: MessageWriter,
        write_state: Callable[[], None],
        check: Callable[[], None],
    ) -> None:
        """Take what the run follows from; nothing is opened or sent yet.

        Args:
            config: The settings, checked, with defaults for those left out.
            started_at: The present, in UTC.
            start: The day that ``start_date`` names.
            writer: Writes records.
            write_state: Writes a STATE message with what the state is by then.
            check: Called while waiting; raises to end the run.
        """
        self._config = config
        self._check = check
        self.started_at = started_at
        self.settled_at = started_at - SAFETY_MARGIN
        self.sync = SyncWindow(
            today=started_at.date(),
            settled=self.settled_at.date(),
            start=start,
            lookback=config.get("lookback_days"),
            length=config.get("window_days"),
            values={"integration_uuids": tuple(dict.fromkeys(config.get("integration_uuids") or ()))},
        )
        self.writer = writer
        self.write_state = write_state
        self.report = Report(on_forbidden=config.get("on_forbidden", "skip"))
        self.parents = ParentKeys(self._walk_of_keys, self.note_rows)
        self.order: Sequence[Readable] = ()
        self.full_refresh_days: int | None = config.get("full_refresh_days")
        self._has_rows = False
        self._held: list[Callable[[], None]] = []
        self._good_before: float | None = None

    # Requests

    @cached_property
    def _timeout(self) -> tuple[float, float]:
        return connect_and_read_seconds(self._config["request_timeout"])

    @cached_property
    def session(self) -> requests.Session:
        """The HTTP session of all requests."""
        session = Session(
            self._config["base_url"],
            connections=self._config["concurrency"] + 1,
            ca_bundle=self._config.get("ca_bundle"),
        )
        session.headers["Accept"] = "application/json"
        return session

    @cached_property
    def authenticator(self) -> FactorialAuthenticator:
        """The authentication method that the settings name."""
        from tap_factorialhr.auth import make_authenticator  # noqa: PLC0415 (not needed to discover)

        return make_authenticator(
            self._config, session=self.session, base_url=self._config["base_url"], timeout=self._timeout
        )

    @cached_property
    def client(self) -> Client:
        """What sends all requests."""
        return Client(
            base_url=self._config["base_url"],
            api_version=self._config["api_version"],
            session=self.session,
            authenticator=self.authenticator,
            timeout=self._timeout,
            policy=RetryPolicy(retries=self._config["max_retries"]),
            concurrency=self._config["concurrency"],
            parameters=lambda path: self.document.resources[path].parameters if path in self.document.resources else (),
        )

    @cached_property
    def fetcher(self) -> Fetcher:
        """What reads pages ahead of need, for all streams."""
        return Fetcher(
            self.client,
            concurrency=self._config["concurrency"],
            pagination=self._config["pagination"],
            page_size=self._config["page_size"],
            check=self._check,
        )

    # Resources

    @cached_property
    def privacy_policy(self) -> Policy:
        """Which fields are dropped, and which hashed."""
        return Policy.of(self._config)

    @cached_property
    def document(self) -> openapi.Document:
        """The API document of the configured version."""
        return openapi.load(str(self._config["api_version"]))

    def describe(self, path: str) -> Resource:
        """All that is known of how a resource is read.

        Raises:
            LackingError: The API document has not what it is read by.
        """
        self.check_document(path)
        return describe(self.document.resources[path], self.document.field_names(path))

    def check_document(self, path: str) -> None:
        """Hold a resource against the API document, before it is read.

        Raises:
            LackingError: The document has not what it is read by.
        """
        needs.check(path, self.document)

    def partitions(
        self, resource: Resource, since: date | None, *, incremental: bool, start: date | None
    ) -> Partitions:
        """The listings that a resource's rows are read by.

        Args:
            resource: How it is read.
            since: The day of a bookmark, None to read from the beginning.
            incremental: Whether only changes are asked for.
            start: The beginning, None where that is not limited.
        """
        listed, sync = self.document.resources[resource.path], replace(self.sync, start=start)
        return Partitions(resource, Scope(listed=listed, sync=sync, since=since, parents=self.parents), incremental)

    def _walk_of_keys(self, parents: Parents) -> PartitionWalk:
        resource = self.describe(parents.resource)
        partitions = self.partitions(resource, None, incremental=False, start=self.sync.start)
        return self.fetcher.walk(resource.name, parents.key, partitions, resource.pagination)

    # What rests on rows that did not come

    def note_rows(self, path: str, rows: int) -> None:
        """Note that rows have come, of a resource: there is a company behind these credentials."""
        # Whose credentials they are is told to any, also where they see nothing (API notes, "Authentication").
        self._has_rows = self._has_rows or (rows > 0 and path != WHOSE_CREDENTIALS)

    def once_there_are_rows(self, act: Callable[[], None]) -> None:
        """Do what rests on rows that did not come, once anything shows that not all is empty.

        With wrong credentials a server has been seen to answer with empty lists (API notes, "Paths and versions").

        Args:
            act: Moves a bookmark past what was asked for, or lets the target drop the rows that have gone.
        """
        self._held.append(act)
        self._release()

    def _release(self) -> None:
        if self._has_rows:
            for act in self._held:
                act()
            self._held.clear()

    def finish(self) -> None:
        """All streams have had their turn: do what waited for a sign of rows, or say that none came."""
        self._release()
        says_nothing = {*self.report.skipped, *self.report.failed, stream_name(WHOSE_CREDENTIALS)}
        if not self._has_rows and any(one.begins_anew and one.name not in says_nothing for one in self.order):
            logger.warning(
                "not one row was read in this run, which is no proof that there are none: no bookmark moves, and "
                "nothing is dropped from any table; check what the credentials may see, and base_url"
            )

    def goes_on_after(self, error: RetriableError) -> bool:
        """Say whether other streams are worth trying after one that the server did not answer.

        They are not where there is no server, nor where it has answered nothing since the one before that failed, and
        does not answer what it tells to any credentials (API notes, "Authentication").

        Args:
            error: What its request was given up with.
        """
        if isinstance(error, UnreachableError):
            return False
        before, self._good_before = self._good_before, self.client.throttle.last_good
        has_answered = before is None or self._good_before > before
        name = stream_name(WHOSE_CREDENTIALS)
        return has_answered or self.fetcher.scheduler.call(partial(self.client.is_answered, name, WHOSE_CREDENTIALS))

    def close(self) -> None:
        """Tell what each stream took."""
        self.report.close(self.client.requests, self.client.retries)

    # Turns

    @property
    def progress(self) -> Progress:
        """How far the streams are."""
        return self.report.progress

    def begin(self, order: Sequence[Readable]) -> None:
        """Begin to read streams, in this order; say what is not read though it is asked for."""
        self.order = order
        self.progress.start(len(order))
        if late := [stream.name for stream in order if stream.older_is_not_read]:
            logger.warning(
                "start_date is %s in the first run of %s%s: their older rows are not read; run with "
                "--full-refresh, or without their bookmarks, to have them",
                "earlier than" if self.sync.start else "not set any more, as it was",
                ", ".join(late[:3]),
                f" and {len(late) - 3} more" if late[3:] else "",
            )

    def begin_after(self, current: Readable) -> None:
        """Let the streams after this one be read ahead; of those that wait for a parent's keys, the keys."""
        following = self.order[self.order.index(current) + 1 :] if current in self.order else ()
        self.fetcher.begin_ahead([walk for stream in following if (walk := stream.next_walk())])
