"""The commands of `tap-factorialhr` besides the run of Singer's: which there are, and which one is meant.

A command is a `click.Command` named `command` in a module of its own, imported when it is used. One entry in `COMMANDS`
makes it known to the command line and to `--help`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from tap_factorialhr import stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: dict[str, tuple[str, str]] = {
    "check": ("tap_factorialhr.commands.check", "Show what the credentials can read."),
    "export-dbt": ("tap_factorialhr.commands.export_dbt", "Write the privacy classes of all fields for dbt."),
    "login": ("tap_factorialhr.commands.login", "Log in with OAuth, and keep the session."),
    "plugin": ("tap_factorialhr.commands.plugin", "Print a plugin definition for Meltano."),
}
"""Name → the module that holds the command, and what it does in a few words."""

_TAKE_A_VALUE = frozenset({"--config", "--catalog", "--state", "--format"})
"""The options of Singer's command line that take the argument after them as their value."""


def choose(singer: click.Command, arguments: Sequence[str]) -> tuple[click.Command, list[str]]:
    """The command that the arguments of the command line mean, and the arguments for it.

    Meltano puts `--config` and its file in front of what it is asked to pass on, so a command's name need not be the
    first argument: it is the first one that is neither an option nor an option's value.

    Args:
        singer: The command that runs the tap, which is meant where none is named; its `--help` gets a list of the
            others.
        arguments: What stands after `tap-factorialhr`.

    Returns:
        The command, and the arguments without its name.
    """
    place = _first_word(arguments)
    if place is not None and arguments[place] in COMMANDS:
        found: click.Command = import_module(COMMANDS[arguments[place]][0]).command
        return _telling(found), [*arguments[:place], *arguments[place + 1 :]]
    # The mark keeps click from filling the lines.
    lines = [f"  {name:<10} {help_}" for name, (_, help_) in COMMANDS.items()]
    singer.epilog = "\n".join(("\b", "Commands of its own, each with --help:", *lines)) if lines else None
    return _telling(singer), list(arguments)


def _telling(command: click.Command) -> click.Command:
    """The same, whose `--help` says in one line where it cannot be written, as all else does; click's does not."""
    option = command.get_help_option(click.Context(command, **command.context_settings))
    if option is not None and (show := option.callback) is not None:

        def show_or_tell(ctx: click.Context, param: click.Parameter, value: Any) -> None:  # noqa: ANN401 (click's)
            with stdout.told():
                show(ctx, param, value)

        option.callback = show_or_tell
    return command


def _first_word(arguments: Sequence[str]) -> int | None:
    is_value = False
    for place, argument in enumerate(arguments):
        if not is_value and not argument.startswith("-"):
            return place
        is_value = not is_value and argument in _TAKE_A_VALUE
    return None
