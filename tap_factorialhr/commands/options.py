"""The options that every command has in common, and the settings that they lead to."""

from __future__ import annotations

import contextlib
import logging
import signal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tap_factorialhr import checks
from tap_factorialhr.errors import FactorialError
from tap_factorialhr.tap import TapFactorialHR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

F = TypeVar("F", bound="Callable[..., Any]")

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a command."""
CONTEXT = {"help_option_names": ["--help"], "max_content_width": 80}
"""The context settings of every command."""


def config_option(function: F) -> F:
    """Add `--config`, as the run of the tap has it, but that the environment is read where it is left out."""
    return click.option(
        "--config",
        multiple=True,
        metavar="FILE",
        default=("ENV",),
        callback=TapFactorialHR.cb_config,
        help="The settings: a file of JSON, or ENV for the environment (TAP_FACTORIALHR_...), which is the default.",
    )(function)


def meltano_options(function: F) -> F:
    """Accept what `meltano invoke` adds of its own accord, for a command that has no use for it."""
    for name in ("--catalog", "--state"):
        function = click.option(name, hidden=True, expose_value=False)(function)
    return function


def settings_of(config: Any) -> dict[str, Any]:  # noqa: ANN401 (a private type of the SDK)
    """The settings that `--config` names, with the defaults of those left out. Credentials need not be among them.

    Args:
        config: What the option `--config` gave.

    Raises:
        ConfigError: One of them is unknown, of the wrong kind, or no address.
    """
    with without_traces():
        tap = TapFactorialHR.from_option(config, validate_config=False, setup_mapper=False)
    settings = dict(tap.config)
    checks.check_settings(settings, tap.config_jsonschema)
    checks.check_base_url(settings["base_url"])
    checks.check_api_version(settings["api_version"])
    return settings


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Tell what ends a command as a line for a person at a terminal, rather than as one of a log."""
    try:
        yield
    except FactorialError as error:
        raise click.ClickException(str(error)) from None


@contextlib.contextmanager
def without_traces() -> Iterator[None]:
    """Keep the SDK from logging how it reads the settings, and from handling signals as in a run."""
    before = logging.root.manager.disable
    handlers = {number: signal.getsignal(number) for number in ENDING}
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
