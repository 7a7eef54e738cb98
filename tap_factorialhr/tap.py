"""The tap: Singer's command line, and how a run begins and ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Self, cast

import dotenv
from singer_sdk import Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib import Catalog, StateMessage
from singer_sdk.tap_base import CliTestOptionValue

from tap_factorialhr import checks, environment, stdout, stream_maps, support
from tap_factorialhr.dates import DAY
from tap_factorialhr.errors import ConfigError
from tap_factorialhr.messages import MessageWriter
from tap_factorialhr.privacy.maps import check_stream_maps
from tap_factorialhr.privacy.notes import tell
from tap_factorialhr.privacy.policy import Policy
from tap_factorialhr.resources import describe, of_one_name
from tap_factorialhr.run import Run
from tap_factorialhr.settings import CONFIG_SCHEMA
from tap_factorialhr.streams import FactorialStream

if TYPE_CHECKING:
    from types import FrameType

    import click

STOP_GRACE = 4.0
"""Seconds after a signal in which the run must have ended by itself."""
LONGEST_SETTLING = 30.0
"""Seconds that the end of a run waits for a token request that is under way, so that the new tokens are kept."""
NOTHING_SELECTED = "no stream is selected, so there is nothing to read; look at the selection's spelling"


def _load_dotenv() -> dict[str, str]:
    """Take what the environment lacks out of the nearest ``.env`` from the working directory upwards.

    The SDK would look for that file above the place where it is installed, and let it win over the environment.

    Returns:
        Each variable that was taken, with the file.

    Raises:
        ConfigError: It cannot be read.
    """
    file = ""
    with suppress(FileNotFoundError):  # The working directory itself has been removed.
        file = dotenv.find_dotenv(usecwd=True)
    if not Path(file).is_file():  # A pipe would be waited for.
        return {}
    before = set(os.environ)
    try:
        dotenv.load_dotenv(file, override=False)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{file} is not UTF-8; save it as that") from None
    return dict.fromkeys(set(os.environ) - before, file)


def _environment_config(schema: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The settings of the environment, with those of ``.env``."""
    _load_dotenv()
    return parse_environment_config(schema, prefix, os.devnull)


class Interrupted(BaseException):
    """The run is to end, because of a signal."""


def _leave(signum: int) -> None:
    """End the process although it is in the middle of something; whoever holds the log's lock is not waited for."""
    with suppress(OSError):
        os.write(2, f"tap-factorialhr: stopped by signal {signum}, before what was under way had ended\n".encode())
    os._exit(128 + signum)


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
        self._stop_signal: int | None = None
        super().__init__(*args, validate_config=validate_config, **kwargs)
        self._handle_hang_up()
        self._writer.stdout.check = self.check_interrupted
        if validate_config:
            checks.check_streams(self.input_catalog or (), self.streams)
            _ = self.sync_run.authenticator

    @cached_property
    def sync_run(self) -> Run:
        """What all streams share.

        Raises:
            ConfigError: ``start_date`` is no date.
        """
        return Run(
            self.config,
            started_at=datetime.fromtimestamp(self.initialized_at / 1000, UTC),
            start=checks.start_day(self.config.get("start_date")),
            writer=self._writer,
            write_state=lambda: self.state_writer.write_state(self.state),
            check=self.check_interrupted,
        )

    @property
    def _writer(self) -> MessageWriter:
        return cast("MessageWriter", self.message_writer)

    def discover_streams(self) -> list[FactorialStream]:
        """One stream per list resource of the API document.

        Raises:
            ConfigError: Two of them would become one.
        """
        run, document = self.sync_run, self.sync_run.document
        for same in of_one_name(document.resources):
            raise ConfigError(
                f"the API document of version {document.version} has several resources that would become one stream: "
                f"{', '.join(same)}; set api_version to one that has not, or update the tap"
            )
        return [
            FactorialStream(self, run, describe(listed, document.field_names(path)), document.schema(path))
            for path, listed in document.resources.items()
        ]

    def setup_mapper(self) -> None:
        """Make the stream maps, of streams without the fields that are dropped.

        Raises:
            ConfigError: One is for a dropped field, or nothing can be made of it.
        """
        privacy = {stream.name: stream.privacy for stream in self.own_streams}
        check_stream_maps(self.config.get("stream_maps") or {}, privacy)
        # Of those that are selected alone, where the SDK maps all: the others have no fields, not even their keys.
        names = {stream.name for stream in self._selected}
        selected = Catalog((name, entry) for name, entry in self.catalog.items() if name in names)
        try:
            super(Tap, self).setup_mapper()
            self.mapper.register_raw_streams_from_catalog(selected)
            self.mapper.stream_maps |= {
                name: [SameRecordTransform(name, entry.schema.to_dict(), entry.key_properties, None)]
                for name, entry in self.catalog.items()
                if name not in selected
            }
        except Exception as error:
            if clash := stream_maps.clash(error):
                raise clash from None
            if not self.config.get("stream_maps"):
                raise
            raise stream_maps.mistake(error, self.config, selected) from None

    @property
    def own_streams(self) -> list[FactorialStream]:
        """The streams, selected or not."""
        return [stream for stream in self.streams.values() if isinstance(stream, FactorialStream)]

    @property
    def _selected(self) -> list[FactorialStream]:
        return [stream for stream in self.own_streams if stream.selected]

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
        timer = threading.Timer(STOP_GRACE, _leave, (signum,))
        timer.daemon = True
        timer.start()

    def _handle_hang_up(self) -> None:
        """Take a terminal that goes away for a signal to end, as the SDK does others; not where ``nohup`` says no."""
        in_main_thread = threading.current_thread() == threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._handle_termination)

    @classmethod
    def from_option(cls, config: Any, **options: Any) -> Self:  # noqa: ANN401 (a private type of the SDK)
        """The tap with what the option ``--config`` gave, None where it was left out.

        Args:
            config: What it gave.
            options: What else the tap is to be made with.

        Raises:
            ConfigError: Something is wrong with one of them.
        """
        given, reads_environment = (config.config, config.parse_env) if config else ({}, False)
        try:
            return cls(config=given, parse_env_config=reads_environment, **options)
        except ConfigError as error:
            variable = environment.a_setting(cls.config_jsonschema["properties"], cls._env_var_prefix)
            if given or reads_environment or not variable:
                raise
            raise ConfigError(f"{error}. {variable} is in the environment, which --config ENV reads") from None

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
            with stdout.told():
                cls.print_about(about_format)
                sys.stdout.flush()
            return
        entries = checks.load_json("--catalog", catalog)
        checks.check_catalog(entries)
        cls.from_option(config, state=checks.load_json("--state", state), catalog=entries).run()

    @property
    def _env_var_config(self) -> dict[str, Any]:
        return _environment_config(self.config_jsonschema, self._env_var_prefix)

    @classmethod
    def cb_version(cls, ctx: click.Context, param: click.Option, value: bool) -> None:  # noqa: FBT001 (the SDK's)
        """Print the version, where that is asked for.

        Raises:
            FactorialError: It cannot be written.
        """
        with stdout.told():
            super().cb_version(ctx, param, value)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:  # noqa: ANN401
        """Read the configuration files.

        Raises:
            ConfigError: One is not there, or is no JSON object, or the environment holds what is no setting.
        """
        cls.append_builtin_config(cls.config_jsonschema)
        if "ENV" in value:
            files = _load_dotenv()  # So that what is in it is checked as well.
            environment.check_environment(cls.config_jsonschema["properties"], cls._env_var_prefix, files)
        else:
            environment.check_names_for_meltano(cls.config_jsonschema["properties"], cls._env_var_prefix)
        # The SDK takes any list for no settings, and does not say which file is wrong.
        given = super().cb_config(ctx, param, tuple(one for one in value if one == "ENV"))
        given.config.update(checks.load_config(one for one in value if one != "ENV"))
        return given

    def run(self) -> None:
        """Read all selected streams; whatever happens, the last STATE is true.

        Raises:
            FactorialError: A stream failed, or not one could be read.
        """
        try:
            with stdout.told("the target has gone away: it closed the pipe; see its own messages"):
                self._sync()
                self.check_interrupted()
                # Even when it is the same again: some targets keep no state that records follow.
                self.write_message(StateMessage(value=self.state))
                self.conclude()
        except stdout.UnwritableError:
            raise
        except BaseException:
            # Even when it is the same again: what was written since the last one is to be followed by a STATE.
            self._writer.stdout.check = lambda: None
            with suppress(OSError):  # Nobody may be there to read it; what ended the run is what is told.
                self.write_message(StateMessage(value=self.state))
            raise
        finally:
            self.end()

    def run_discovery(self) -> str:
        """Write the catalog; returns it as well.

        Raises:
            FactorialError: It cannot be written.
        """
        text: str = self.catalog_json_text
        with stdout.told():
            self._writer.stdout.write(f"{text}\n".encode())
        return text

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Read one row of each stream, where that is asked for.

        Raises:
            FactorialError: A stream failed, or not one could be read.
        """
        if value != CliTestOptionValue.All.value:
            with stdout.told():
                super().cb_test(ctx, param, value)
            return
        config = ctx.params.get("config")
        tap = cls.from_option(config)
        try:
            with stdout.told():
                tap.run_connection_test()
            tap.conclude()
        finally:
            tap.end()
        ctx.exit()

    def end(self) -> None:
        """Ask for nothing more; tokens that are being renewed are waited for, so that they are kept."""
        self.sync_run.fetcher.close()
        self.settle()

    def settle(self) -> None:
        """Wait for a session that is being renewed, after a signal no longer than there is time for."""
        self.sync_run.authenticator.settle(STOP_GRACE - 1 if self._stop_signal is not None else LONGEST_SETTLING)

    def _sync(self) -> None:
        """Read the streams, showing how far that is, and at the end what each took."""
        run = self.sync_run
        if note := support.note(self.config["api_version"], run.started_at.date()):
            self.logger.warning(note)
        if not self._selected:
            self.logger.warning(NOTHING_SELECTED)
        if run.sync.start and run.sync.start > run.sync.today + DAY:  # a day more, as today is that of UTC
            self.logger.warning("start_date lies in the future: what is read by changes or by days has no rows yet")
        tell({stream.name: stream.privacy for stream in self.own_streams if stream.is_wanted})
        run.begin(self._selected)
        # The SDK would log each of the others as skipped: more lines than all else that a run has to say.
        self._streams = {stream.name: stream for stream in self._selected}
        try:
            self.sync_all()
            run.finish()
        finally:
            run.close()

    def conclude(self) -> None:
        """Say how the run went.

        Raises:
            FactorialError: A stream failed, or not one could be read.
        """
        self.sync_run.report.conclude({stream.name for stream in self._selected if not stream.lacks_setting})

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
            checks.check_api_version(self._config["api_version"])
            Policy.of(self._config)
        return []

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the bookmarks of the runs before.

        Raises:
            ConfigError: It is not a state of this tap.
        """
        bookmarks = checks.bookmarks_given(state)
        checks.check_bookmarks(bookmarks, {name: stream.replication_key for name, stream in self.streams.items()})
        super().load_state({"bookmarks": bookmarks})
