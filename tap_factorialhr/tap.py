"""The tap: settings, what all streams share, and how a run begins and ends."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import threading
from collections import Counter
from datetime import UTC, date, datetime
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import urlsplit

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import StateMessage

from tap_factorialhr import openapi
from tap_factorialhr.client import GONE, Client, Session, UnavailableError
from tap_factorialhr.errors import ConfigError, FactorialError
from tap_factorialhr.fetch import Fetcher
from tap_factorialhr.messages import MessageWriter
from tap_factorialhr.progress import Progress, summary
from tap_factorialhr.reads import Reads, Settings, as_day
from tap_factorialhr.resources import describe
from tap_factorialhr.streams import FactorialStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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


_CALENDAR_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_STATE_KEYS = frozenset({"bookmarks", "currently_syncing"})
_NOT_SETTINGS = frozenset({"loglevel", "metrics_loglevel", "log_config"})
"""What the SDK and Meltano read from the environment besides the settings."""


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
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property(
            "base_url",
            th.StringType(),
            default="https://api.factorialhr.com",
            title="Base URL",
            description="Where the API is. Only HTTPS, except on this machine itself.",
        ),
        th.Property(
            "api_version",
            th.StringType(pattern=r"^\d{4}-\d{2}-\d{2}$"),
            default=openapi.DEFAULT_VERSION,
            title="API version",
            description="The quarterly version of the API, a date.",
        ),
        th.Property(
            "api_key",
            th.StringType(min_length=1),
            secret=True,
            title="API key",
            description="An API key. One of the four ways in.",
        ),
        th.Property(
            "access_token",
            th.StringType(min_length=1),
            secret=True,
            title="Access token",
            description="An OAuth access token, used as it is unless there is a refresh token.",
        ),
        th.Property(
            "token_type",
            th.StringType(min_length=1),
            default="Bearer",
            title="Token type",
            description="What stands before the access token in the Authorization header.",
        ),
        th.Property(
            "refresh_token",
            th.StringType(min_length=1),
            secret=True,
            title="Refresh token",
            description="An OAuth refresh token; each serves once, so set token_file as well.",
        ),
        th.Property(
            "client_id",
            th.StringType(min_length=1),
            secret=True,
            title="Client ID",
            description="The OAuth application's ID, for the refresh token.",
        ),
        th.Property(
            "client_secret",
            th.StringType(min_length=1),
            secret=True,
            title="Client secret",
            description="The OAuth application's secret, for the refresh token.",
        ),
        th.Property(
            "token_file",
            th.StringType(min_length=1),
            title="Token file",
            description="The file that keeps the OAuth session from one run to the next.",
        ),
        th.Property(
            "start_date",
            th.DateTimeType(),
            title="Start date",
            description=(
                "The first day to read, where a stream is read by changes or by days. Without it: all changes, "
                "and the days of the last year."
            ),
        ),
        th.Property(
            "pagination",
            th.StringType(),
            allowed_values=["offset", "cursor"],
            default="offset",
            title="Pagination",
            description="How pages are asked for: offset reads them side by side, cursor one after the other.",
        ),
        th.Property(
            "page_size",
            th.IntegerType(minimum=1, maximum=100),
            default=100,
            title="Page size",
            description="Rows per page, 1 to 100.",
        ),
        th.Property(
            "concurrency",
            th.IntegerType(minimum=1, maximum=64),
            default=8,
            title="Concurrency",
            description="Requests in flight at once, 1 to 64; 1 reads one page after the other.",
        ),
        th.Property(
            "request_timeout",
            th.NumberType(exclusive_minimum=0),
            default=300,
            title="Request timeout",
            description="Seconds to wait for an answer.",
        ),
        th.Property(
            "max_retries",
            th.IntegerType(minimum=0),
            default=5,
            title="Retries",
            description="How often a failed request is tried again.",
        ),
        th.Property(
            "on_forbidden",
            th.StringType(),
            allowed_values=["skip", "fail"],
            default="skip",
            title="On forbidden",
            description="What a resource that answers 403 or 404 does to the run: skip the stream, or fail.",
        ),
        th.Property(
            "integration_uuids",
            th.ArrayType(th.StringType(min_length=1)),
            title="Integration UUIDs",
            description=("The integrations to read integrations_sync_runs and marketplace_installation_settings for."),
        ),
        th.Property(
            "lookback_days",
            th.IntegerType(minimum=0, maximum=36_500),
            title="Look-back",
            description=(
                "Days to read again before the bookmark. Without it: none for streams read by changes, 15 for "
                "streams read by days."
            ),
        ),
        th.Property(
            "window_days",
            th.IntegerType(minimum=1, maximum=36_500),
            title="Window",
            description="Days read by one request, for streams read by days. Without it: each stream's own.",
        ),
        th.Property(
            "emit_activate_version_messages",
            th.BooleanType(),
            default=False,
            title="Emit ACTIVATE_VERSION messages",
            description="Let the target drop rows that have gone, for streams that are read whole.",
        ),
        th.Property(
            "ca_bundle",
            th.StringType(min_length=1),
            title="CA bundle",
            description="A file with the certificates to trust, where the system's do not do.",
        ),
        additional_properties=False,
    ).to_dict()

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
            self._check_catalog()
            _ = self.read_settings, self.authenticator

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
    def read_settings(self) -> Settings:
        """What the settings say about which rows to read.

        Raises:
            ConfigError: ``start_date`` is no date.
        """
        return Settings(
            today=self.started_at.date(),
            start=_start_day(self.config.get("start_date")),
            lookback=self.config.get("lookback_days"),
            window=self.config.get("window_days"),
            values={"integration_uuids": self.config.get("integration_uuids") or ()},
        )

    def describe(self, path: str) -> Resource:
        """All that is known of how a resource is read."""
        return describe(self.document.resources[path], self.document.schema(path))

    def reads(self, resource: Resource, since: date | None, *, incremental: bool) -> Reads:
        """The listings that a resource's rows are read by, from the day of a bookmark or from the beginning."""
        listed = self.document.resources[resource.path]
        return Reads(resource, listed, self.read_settings, since, incremental, self.parents)

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
            reads = self.reads(resource, None, incremental=False)
            self._key_readings[at] = self.fetcher.reading(resource.name, parent.key, reads, resource.pagination)
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
        entries = _load_json("--catalog", catalog)
        _check_catalog_file(entries)
        if config and config.parse_env:
            _check_environment(cls.config_jsonschema["properties"], cls._env_var_prefix)
        cls(
            config=config.config if config else {},
            state=_load_json("--state", state),
            catalog=entries,
            parse_env_config=bool(config and config.parse_env),
        ).run()

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:  # noqa: ANN401
        """Read the configuration files.

        Raises:
            ConfigError: One is not there, or is not JSON.
        """
        try:
            return super().cb_config(ctx, param, value)
        except OSError as error:
            raise ConfigError(f"the file of --config cannot be read: {error.strerror or 'no such file'}") from None
        except ValueError:
            raise ConfigError("the file of --config is not JSON; check that it is whole") from None

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
            self.write_message(StateMessage(value=self.state))
            raise
        finally:
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
            self.logger.info("\n%s", summary(self.progress.streams.values(), client.requests, client.retries))
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
        selected = [stream for stream in self._order if stream.selected]
        if selected and len(self.skipped) == len(selected):
            raise FactorialError(
                "not one selected stream could be read; check what the credentials may see, and base_url"
            )

    # Settings, catalog and state

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings without ever showing a value."""
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        self._config = {
            name: _as_number(value, schema["properties"].get(name, {})) for name, value in _set(self._config)
        }
        errors = [] if not raise_errors else _config_errors(self._config, schema)
        if errors:
            raise ConfigError("; ".join(errors))
        for name, declared in schema["properties"].items():
            if "default" in declared:
                self._config.setdefault(name, declared["default"])
        if raise_errors:
            check_base_url(self._config["base_url"])
        return errors

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the state of the runs before.

        Raises:
            ConfigError: It is not a state of this tap.
        """
        bookmarks = state.get("bookmarks", {})
        if state.keys() - _STATE_KEYS or not isinstance(bookmarks, dict) or not all(map(_is_mark, bookmarks.values())):
            raise ConfigError('the state is not of the form {"bookmarks": {"<stream>": {...}}}; check the file')
        for stream, mark in bookmarks.items():
            if (value := mark.get("replication_key_value")) is not None:
                try:
                    as_day(value)
                except (TypeError, ValueError):
                    raise ConfigError(
                        f"the state's replication_key_value of {stream} is no date; correct or remove it"
                    ) from None
        super().load_state(state)

    def _check_catalog(self) -> None:
        if self.input_catalog is None:
            return
        unknown = sorted(set(self.input_catalog) - {stream.name for stream in self._order})
        if unknown:
            raise ConfigError(f"the catalog has unknown streams: {', '.join(unknown)}; discover it anew")


def _is_mark(mark: object) -> bool:
    """Whether this can be the bookmark of a stream."""
    if not isinstance(mark, dict):
        return False
    partitions = mark.get("partitions", [])
    return isinstance(partitions, list) and all(isinstance(one, dict) for one in partitions)


def _check_catalog_file(catalog: Mapping[str, Any] | None) -> None:
    """See that a file is a catalog, before the SDK reads it.

    Raises:
        ConfigError: It is not.
    """
    if catalog is None:
        return
    streams = catalog.get("streams")
    if not isinstance(streams, list) or not all(
        isinstance(one, dict) and isinstance(one.get("tap_stream_id") or one.get("stream"), str) for one in streams
    ):
        raise ConfigError('the file of --catalog is not of the form {"streams": [...]}; make it with --discover')


def check_base_url(url: str) -> None:
    """See that credentials can be sent to a URL.

    Raises:
        ConfigError: It is no URL of a host, or plain HTTP to another machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("base_url is no URL; it looks like https://api.factorialhr.com") from None
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError("base_url is no URL of a host; it looks like https://api.factorialhr.com")
    if parts.scheme == "http" and not _is_this_machine(host):
        raise ConfigError("base_url must begin with https://; plain HTTP would show the credentials to others")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_environment(properties: Mapping[str, Any], prefix: str) -> None:
    """See that the settings in the environment can be read, before the SDK reads them.

    Raises:
        ConfigError: One is no number, or there is no such setting.
    """
    for variable, value in os.environ.items():
        name = variable.removeprefix(prefix).lower()
        if not variable.startswith(prefix) or name.startswith("_") or name in _NOT_SETTINGS:
            continue
        if name not in properties:
            raise ConfigError(f"unknown setting: {variable}, in the environment; see the README for those there are")
        if "integer" in properties[name].get("type", ()) and not value.strip().lstrip("+-").isdecimal():
            raise ConfigError(f"{variable}, in the environment, must be a whole number")


def _load_json(option: str, file: IO[str] | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        loaded = json.load(file)
    except ValueError:
        raise ConfigError(f"the file of {option} is not JSON; check that it is whole") from None
    if not isinstance(loaded, dict):
        raise ConfigError(f"the file of {option} is not a JSON object; check that it is the right one")
    return loaded


def _start_day(value: object) -> date | None:
    if value is None:
        return None
    try:
        day = as_day(str(value))
    except ValueError:
        day = None
    if day is None or not _CALENDAR_DAY.match(str(value)):  # ISO 8601 has dates by week as well.
        raise ConfigError("start_date is no date; it looks like 2026-01-31")
    return day


def _set(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings that have a value; null is the same as none."""
    return ((name, value) for name, value in config.items() if value is not None)


def _as_number(value: Any, declared: Mapping[str, Any]) -> Any:  # noqa: ANN401 (a setting is anything)
    """A number that came as text, as it does from the environment; the SDK reads whole numbers alone."""
    if not isinstance(value, str) or "number" not in declared.get("type", ()):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _config_errors(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    from jsonschema import Draft7Validator  # noqa: PLC0415 (only where a run begins)

    errors = []
    for error in Draft7Validator(schema).iter_errors(config):
        where = ".".join(map(str, error.absolute_path))
        if error.validator == "additionalProperties" and not where:
            unknown = sorted(set(config) - set(schema["properties"]))
            errors.append(f"unknown setting: {', '.join(unknown)}")
        else:
            errors.append(f"{where or 'the settings'} {_requirement(error.validator, error.validator_value)}")
    return errors


def _requirement(rule: str, value: Any) -> str:  # noqa: ANN401, PLR0911 (whatever the schema holds; a table)
    match rule:
        case "type":
            kinds = [value] if isinstance(value, str) else [kind for kind in value if kind != "null"]
            return f"must be of type {' or '.join(kinds)}"
        case "enum":
            return f"must be one of {', '.join(str(one) for one in value if one is not None)}"
        case "minLength":
            return "must not be empty"
        case "minimum":
            return f"must be {value} or more"
        case "maximum":
            return f"must be {value} or less"
        case "exclusiveMinimum":
            return f"must be more than {value}"
        case "pattern":
            return "is not of the right form"
        case _:
            return f"breaks the rule {rule} of the settings"
