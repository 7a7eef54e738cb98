"""The tap: what all streams share, and how a run begins and ends."""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

from singer_sdk import Tap, metrics
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import StateMessage
from singer_sdk.tap_base import CliTestOptionValue

from tap_factorialhr import checks, openapi
from tap_factorialhr.client import GONE, Client, Session, UnavailableError
from tap_factorialhr.errors import ConfigError, FactorialError
from tap_factorialhr.fetch import Fetcher
from tap_factorialhr.messages import MessageWriter
from tap_factorialhr.partitions import Partitions, SyncWindow
from tap_factorialhr.progress import Progress, points, summary
from tap_factorialhr.resources import describe
from tap_factorialhr.settings import CONFIG_SCHEMA
from tap_factorialhr.streams import FactorialStream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from types import FrameType

    import click
    import requests

    from tap_factorialhr.auth import FactorialAuthenticator
    from tap_factorialhr.fetch import StreamReading
    from tap_factorialhr.resources import Parent, Resource

LONGEST_CONNECT = 30.0
"""Seconds to connect at the most; ``request_timeout`` is for the answer."""
STOP_GRACE = 4.0
"""Seconds after a signal in which the run must have ended by itself."""
LONGEST_SETTLING = 30.0
"""Seconds that the end of a run waits for a token request that is under way, so that the new tokens are kept."""


class Interrupted(BaseException):
    """The run is to end, because of a signal."""


class TapFactorialHR(Tap):
    """Singer tap for Factorial."""

    name = "tap-factorialhr"
    message_writer_class = MessageWriter
    capabilities: ClassVar = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.TEST,
        PluginCapabilities.ABOUT,
        PluginCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]
    config_jsonschema: ClassVar[dict[str, Any]] = CONFIG_SCHEMA

    def __init__(self, *args: Any, validate_config: bool = True, **kwargs: Any) -> None:  # noqa: ANN401 (the SDK's)
        """Make the tap; with ``validate_config`` everything that can be checked before a request is checked."""
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.progress = Progress()
        self._stop_signal: int | None = None
        self._parents: dict[tuple[str, str], dict[str, str | None]] = {}
        self._key_readings: dict[tuple[str, str], StreamReading] = {}
        self._parents_left_out: dict[tuple[str, str], Counter[str]] = {}
        super().__init__(*args, validate_config=validate_config, **kwargs)
        cast("MessageWriter", self.message_writer).stdout.check = self.check_interrupted
        if validate_config:
            checks.check_streams(self.input_catalog or (), self.streams)
            _ = self.sync_window, self.authenticator

    # What all streams share

    @cached_property
    def started_at(self) -> datetime:
        """When the run began; no bookmark goes past it."""
        return datetime.fromtimestamp(self.initialized_at / 1000, UTC)

    @cached_property
    def document(self) -> openapi.Document:
        """The API document of the configured version."""
        return openapi.load(str(self.config["api_version"]))

    @cached_property
    def _timeout(self) -> tuple[float, float]:
        seconds = float(self.config["request_timeout"])
        return min(seconds, LONGEST_CONNECT), seconds

    @cached_property
    def session(self) -> requests.Session:
        """The HTTP session of all requests."""
        session = Session(
            self.config["base_url"],
            connections=self.config["concurrency"] + 1,
            ca_bundle=self.config.get("ca_bundle"),
        )
        session.headers["User-Agent"] = f"{self.name}/{self.plugin_version}"
        session.headers["Accept"] = "application/json"
        return session

    @cached_property
    def authenticator(self) -> FactorialAuthenticator:
        """The way in that follows from the settings."""
        from tap_factorialhr.auth import make_authenticator  # noqa: PLC0415 (not needed to discover)

        return make_authenticator(
            self.config, session=self.session, base_url=self.config["base_url"], timeout=self._timeout
        )

    @cached_property
    def client(self) -> Client:
        """What sends all requests."""
        return Client(
            base_url=self.config["base_url"],
            api_version=self.config["api_version"],
            session=self.session,
            authenticator=self.authenticator,
            timeout=self._timeout,
            max_retries=self.config["max_retries"],
            concurrency=self.config["concurrency"],
            parameters=lambda path: self.document.resources[path].parameters,
        )

    @cached_property
    def fetcher(self) -> Fetcher:
        """What reads pages ahead of need, for all streams."""
        return Fetcher(
            self.client,
            concurrency=self.config["concurrency"],
            pagination=self.config["pagination"],
            page_size=self.config["page_size"],
            check=self.check_interrupted,
        )

    @cached_property
    def sync_window(self) -> SyncWindow:
        """What the settings say about which rows to read.

        Raises:
            ConfigError: ``start_date`` is no date.
        """
        return SyncWindow(
            today=self.started_at.date(),
            start=checks.start_day(self.config.get("start_date")),
            lookback=self.config.get("lookback_days"),
            window=self.config.get("window_days"),
            values={"integration_uuids": self.config.get("integration_uuids") or ()},
        )

    def describe(self, path: str) -> Resource:
        """All that is known of how a resource is read."""
        return describe(self.document.resources[path], self.document.schema(path))

    def partitions(self, resource: Resource, since: date | None, *, incremental: bool) -> Partitions:
        """The listings that a resource's rows are read by, from the day of a bookmark or from the beginning."""
        listed = self.document.resources[resource.path]
        return Partitions(resource, listed, self.sync_window, since, incremental, self.parents)

    def parents(self, parent: Parent) -> Mapping[str, str | None]:
        """The keys of all rows of a parent with their labels, whatever the parent's own stream reads or selects.

        They are read once a run.

        Raises:
            UnavailableError: The parent cannot be read.
        """
        at = (parent.resource, parent.key)
        if at not in self._parents:
            reading = self._keys_of(parent)
            label = parent.label[0] if parent.label else None
            found: dict[str, str | None] = {}
            try:
                for _, page, _ in reading:
                    for row in page.rows:
                        if (key := row.get(parent.key)) is not None:
                            name = row.get(label) if label else None
                            found[str(key)] = name if isinstance(name, str) else None
            except UnavailableError as error:
                raise UnavailableError(f"{error} of its parent {reading.stream}") from None
            finally:
                del self._key_readings[at]
            self._parents_left_out[at] = reading.left_out
            self._parents[at] = found
        return self._parents[at]

    def parents_left_out(self, parent: Parent) -> Counter[str]:
        """Why some rows of a parent could not be read, where `parents` has read them, and how often."""
        return self._parents_left_out.get((parent.resource, parent.key), Counter())

    def _keys_of(self, parent: Parent) -> StreamReading:
        """The reading of a parent's keys, begun ahead of their need where that is possible."""
        at = (parent.resource, parent.key)
        if at not in self._key_readings:
            resource = self.describe(parent.resource)
            partitions = self.partitions(resource, None, incremental=False)
            self._key_readings[at] = self.fetcher.reading(resource.name, parent.key, partitions, resource.pagination)
        return self._key_readings[at]

    # Streams

    def discover_streams(self) -> list[FactorialStream]:
        """One stream per list resource of the API document."""
        return [
            FactorialStream(self, self.describe(path), self.document.schema(path)) for path in self.document.resources
        ]

    @cached_property
    def _order(self) -> list[FactorialStream]:
        return [stream for stream in self.streams.values() if isinstance(stream, FactorialStream)]

    def begin_following(self, current: FactorialStream) -> None:
        """Let the streams after this one be read ahead; of those that wait for a parent's keys, the keys."""
        following = self._order[self._order.index(current) + 1 :]
        self.fetcher.upcoming = [self._next_reading_of(stream) for stream in following if stream.selected]

    def _next_reading_of(self, stream: FactorialStream) -> StreamReading:
        parent = stream.resource.parent
        if parent is None or (parent.resource, parent.key) in self._parents:
            return stream.reading
        return self._keys_of(parent)

    # How a run goes

    def report_skipped(self, stream: str, reason: str) -> None:
        """Go on without a stream that these credentials cannot read.

        Raises:
            FactorialError: ``on_forbidden`` is ``fail``.
        """
        if self.config["on_forbidden"] == "fail":
            raise FactorialError(
                f"{stream}: {reason}, these credentials cannot read it; deselect it, or set on_forbidden to skip"
            )
        self.logger.warning("%s: skipped, %s; these credentials cannot read it", stream, reason)
        self.skipped[stream] = reason
        self.progress.give_up(stream, f"skipped, {reason}")

    def report_incomplete(self, stream: str, left_out: Mapping[str, int]) -> None:
        """Go on although the rows of some parents or values could not be read.

        Raises:
            FactorialError: ``on_forbidden`` is ``fail``, and they are not just gone.
        """
        told = ", ".join(f"{count} times {reason}" for reason, count in left_out.items())
        if self.config["on_forbidden"] == "fail" and left_out.keys() - GONE:
            raise FactorialError(
                f"{stream}: a part of its rows cannot be read ({told}); deselect it, or set on_forbidden to skip"
            )
        self.logger.warning("%s: without a part of its rows (%s)", stream, told)
        self.progress.give_up(stream, f"without a part, {told}")

    def report_failed(self, stream: str, reason: str) -> None:
        """Go on without a stream, and fail at the end."""
        self.logger.error("%s", reason)
        self.failed[stream] = reason
        self.progress.give_up(stream, "failed")

    def check_interrupted(self) -> None:
        """Raise where the run is to end.

        Raises:
            Interrupted: A signal has come.
        """
        if self._stop_signal is not None:
            raise Interrupted(self._stop_signal)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Note the signal; the run ends where no line is half written, and at the latest after the grace."""
        self._stop_signal = signum
        timer = threading.Timer(STOP_GRACE, os._exit, (128 + signum,))
        timer.daemon = True
        timer.start()

    @classmethod
    def invoke(  # type: ignore[override]
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: Any = None,  # noqa: ANN401 (a private type of the SDK)
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        """Run the tap from the command line.

        Raises:
            FactorialError: The run could not do all that was asked of it.
        """
        if about:
            cls.print_about(about_format)
            return
        entries = checks.load_json("--catalog", catalog)
        checks.check_catalog(entries)
        cls(
            config=config.config if config else {},
            state=checks.load_json("--state", state),
            catalog=entries,
            parse_env_config=bool(config and config.parse_env),
        ).run()

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:  # noqa: ANN401
        """Read the configuration files.

        Raises:
            ConfigError: One is not there, or is not JSON, or the environment holds what is no setting.
        """
        if "ENV" in value:
            cls.append_builtin_config(cls.config_jsonschema)
            checks.check_environment(cls.config_jsonschema["properties"], cls._env_var_prefix)
        try:
            return super().cb_config(ctx, param, value)
        except OSError as error:
            raise ConfigError(f"the file of --config cannot be read: {error.strerror or 'no such file'}") from None
        except (ValueError, RecursionError):
            raise ConfigError("the file of --config is not JSON; check that it is whole") from None
        except TypeError:
            raise ConfigError("the file of --config is not a JSON object; check that it is the right one") from None

    def run(self) -> None:
        """Read all selected streams; whatever happens, the last STATE is true.

        Raises:
            FactorialError: A stream failed, or not one could be read.
        """
        try:
            self._sync()
            self.check_interrupted()
            # Even when it is the same again: some targets keep no state that records follow.
            self.write_message(StateMessage(value=self.state))
            self.conclude()
        except BrokenPipeError:
            # Told here, because click would end the process without a word.
            raise FactorialError("the target has gone away: it closed the pipe; see its own messages") from None
        except OSError as error:
            raise FactorialError(f"the messages cannot be written: {error.strerror or type(error).__name__}") from None
        except BaseException:
            # Even when it is the same again: what was written since the last one is to be followed by a STATE.
            cast("MessageWriter", self.message_writer).stdout.check = lambda: None
            with suppress(OSError):  # Nobody may be there to read it; what ended the run is what is told.
                self.write_message(StateMessage(value=self.state))
            raise
        finally:
            self._end()

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Read one row of each stream, where that is asked for.

        Raises:
            FactorialError: A stream failed, or not one could be read.
        """
        if value != CliTestOptionValue.All.value:
            super().cb_test(ctx, param, value)
            return
        config = ctx.params.get("config")
        tap = cls(config=config.config if config else {}, parse_env_config=bool(config and config.parse_env))
        try:
            tap.run_connection_test()
            tap.conclude()
        finally:
            tap._end()
        ctx.exit()

    def _end(self) -> None:
        self.fetcher.close()
        self.authenticator.settle(STOP_GRACE - 1 if self._stop_signal is not None else LONGEST_SETTLING)

    def _sync(self) -> None:
        """Read the streams, showing how far that is, and at the end what each took."""
        self.progress.start(sum(stream.selected for stream in self._order))
        try:
            self.sync_all()
        finally:
            self.progress.close()
            client = self.client
            took = self.progress.streams.values(), client.requests, client.retries
            for point in points(*took):
                metrics.log(metrics.get_metrics_logger(), point)
            self.logger.info("\n%s", summary(*took))
            for stream, reason in self.skipped.items():
                self.logger.warning("skipped: %s (%s)", stream, reason)
            for stream, reason in self.failed.items():
                self.logger.error("failed: %s", reason if reason.startswith(stream) else f"{stream}: {reason}")

    def conclude(self) -> None:
        """Say how the run went.

        Raises:
            FactorialError: A stream failed, or not one could be read.
        """
        if self.failed:
            count = f"{len(self.failed)} streams" if len(self.failed) > 1 else "1 stream"
            raise FactorialError(f"{count} failed, the first: {next(iter(self.failed.values()))}")
        asked_for = [stream.name for stream in self._order if stream.selected and not stream.lacks_setting]
        if asked_for and self.skipped.keys() >= set(asked_for):
            raise FactorialError(
                "not one selected stream could be read; check what the credentials may see, and base_url"
            )

    # What the SDK asks for, where it would show values or let odd input through

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings without ever showing a value, and give those left out their defaults.

        Raises:
            ConfigError: A setting cannot be used.
        """
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        properties = schema["properties"]
        self._config = checks.settings_given(self._config, properties)
        if raise_errors:
            checks.check_settings(self._config, schema)
        for name, declared in properties.items():
            if "default" in declared:
                self._config.setdefault(name, declared["default"])
        if raise_errors:
            checks.check_base_url(self._config["base_url"])
        return []

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the bookmarks of the runs before.

        Raises:
            ConfigError: It is not a state of this tap.
        """
        bookmarks = checks.bookmarks_given(state)
        checks.check_bookmarks(bookmarks, {name: stream.replication_key for name, stream in self.streams.items()})
        super().load_state({"bookmarks": bookmarks})
