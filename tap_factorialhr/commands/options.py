"""The options that every command has in common, and the settings that they lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from tap_factorialhr import checks
from tap_factorialhr.tap import TapFactorialHR

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

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
    tap = TapFactorialHR(
        config=config.config if config else {},
        parse_env_config=bool(config and config.parse_env),
        validate_config=False,
        setup_mapper=False,
    )
    settings = dict(tap.config)
    checks.check_settings(settings, tap.config_jsonschema)
    checks.check_base_url(settings["base_url"])
    return settings
