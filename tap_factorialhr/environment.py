"""Settings in the environment, judged before the SDK or Meltano reads them: what they do not know, they ignore.

What is wrong becomes one line that names the variable and never shows its value: it may be a secret.
"""

from __future__ import annotations

import json
import logging
import os
import re
from typing import TYPE_CHECKING, Any

from tap_factorialhr import spelling
from tap_factorialhr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

logger = logging.getLogger("tap-factorialhr")

_TRUTH = frozenset({"true", "1", "yes", "on", "false", "0", "no", "off"})
"""What a boolean in the environment may be; the SDK takes what is not of the first four for false."""
_NOT_SETTINGS = frozenset({"loglevel", "metrics_loglevel", "log_config"})
"""What the SDK and Meltano read from the environment besides the settings."""
_MELTANO = "MELTANO_EXTRACTOR_NAME"
"""A variable that Meltano sets for each extractor."""


def check_environment(properties: Mapping[str, Any], prefix: str, files: Mapping[str, str]) -> None:
    """See that the settings in the environment can be read, before the SDK reads them.

    Args:
        properties: The declared settings.
        prefix: What their variables begin with.
        files: Variable → the file that it came from, of those that came from one.

    Raises:
        ConfigError: One is not of the kind that the setting is of, or there is no such setting.
    """
    for variable, value in os.environ.items():
        name = variable.removeprefix(prefix).lower()
        is_meltanos = name.startswith("_") and not _meant(name, properties)
        if not variable.startswith(prefix) or is_meltanos or name in _NOT_SETTINGS:
            continue
        if not _is_variable(variable.removeprefix(prefix), properties):
            hint = f"did you mean {prefix}{meant}?" if (meant := _meant(name, properties)) else "see the README"
            raise ConfigError(f"unknown setting: {variable}, {_place(variable, files)}; {hint}")
        if problem := _problem_of(value, properties[name].get("type", ())):
            raise ConfigError(f"{variable}, {_place(variable, files)}, must be {problem}")


def a_setting(properties: Mapping[str, Any], prefix: str) -> str | None:
    """The name of a variable that sets one of the settings, None where none does.

    Args:
        properties: The declared settings.
        prefix: What their variables begin with.
    """
    return next((f"{prefix}{name.upper()}" for name in properties if f"{prefix}{name.upper()}" in os.environ), None)


def check_log_level(tap: str) -> None:
    """See that the level of the log is one, before the SDK sets it.

    Args:
        tap: The tap's name, which stands in the variable.

    Raises:
        ConfigError: It is none.
    """
    for variable in (f"{tap.upper().replace('-', '_')}_LOGLEVEL", "LOGLEVEL"):
        if level := os.environ.get(variable):
            if level.upper() not in logging.getLevelNamesMapping():
                raise ConfigError(
                    f"{variable}, in the environment, must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"
                )
            return


def check_names_for_meltano(properties: Mapping[str, Any], prefix: str) -> None:
    """See that no setting in the environment is misspelt where Meltano hands settings over: it ignores such.

    A name that is like that of a setting is taken for a misspelt one. Any other is told, but for those of Meltano's own
    and of plugins that inherit from this one, whose name stands before that of the setting.

    Args:
        properties: The declared settings.
        prefix: What their variables begin with.

    Raises:
        ConfigError: One is misspelt.
    """
    if _MELTANO not in os.environ:
        return
    own = re.sub(r"\W", "_", os.environ[_MELTANO]).upper() + "_"  # Of a plugin that inherits, not ours.
    for variable in os.environ:
        begin = next((one for one in (own, prefix) if variable.startswith(one)), None)
        if begin is None or _is_variable(name := variable.removeprefix(begin), properties):
            continue
        if meant := _meant(name, properties):
            raise ConfigError(f"unknown setting: {variable}, {_place(variable)}; did you mean {begin}{meant}?")
        if not _is_of_meltano(name, properties):
            logger.warning("%s, %s, is no setting of the tap", variable, _place(variable))


def _place(variable: str, files: Mapping[str, str] | None = None) -> str:
    """Where somebody finds a variable; Meltano hands on those of its own files without a word of where they are."""
    if files and variable in files:
        return f"in {files[variable]}"
    return "in meltano.yml, .env or the environment" if _MELTANO in os.environ else "in the environment"


def _is_variable(name: str, properties: Mapping[str, Any]) -> bool:
    """Whether a variable of that name is a setting's, or another one that is known; they are in capitals."""
    return name.isupper() and (name.lower() in properties or name.lower() in _NOT_SETTINGS)


def _is_of_meltano(name: str, properties: Mapping[str, Any]) -> bool:
    """Whether it is one of Meltano's own, one for a member of a setting, or one of a plugin that inherits."""
    return "__" in f"_{name}" or _inherits(name, properties)


def _inherits(name: str, properties: Mapping[str, Any]) -> bool:
    """Whether the whole name, or what follows that of another plugin, is for a setting or a member of one."""
    objects = tuple(f"{one.upper()}_" for one, declared in properties.items() if "object" in declared.get("type", ()))
    names = [name, *(name[match.end() :] for match in re.finditer("_", name))]
    return any(one.startswith(objects) or _is_variable(one, properties) for one in names)


def _meant(name: str, properties: Mapping[str, Any]) -> str | None:
    """The setting that the name of a variable is a misspelling of, in capitals; None where it is like none."""
    if same := spelling.same(name, properties):
        return same.upper()
    # A setting with something behind it is a name of its own, such as that of a variable that a setting refers to.
    is_longer = any(re.match(rf"{one}[_\d]", name.lower()) for one in properties)
    if is_longer or _inherits(name, properties):
        return None
    single = re.sub("_+", "_", name).strip("_").lower()
    close = spelling.meant(single, properties)
    return close.upper() if close else None


def _problem_of(value: str, kinds: Sequence[str]) -> str | None:
    """What a value from the environment would have to be, None where it is that or looked at later."""
    if "integer" in kinds and not re.fullmatch(r"[+-]?[0-9]+", value.strip()):
        return "a whole number"
    if "boolean" in kinds and value.lower() not in _TRUTH:
        return "true or false"
    # Without the bracket it is the other form that the SDK takes: entries with commas between them.
    if "array" in kinds and value.strip().startswith("[") and not _is_list(value):
        return 'a list in JSON, with each entry in double quotes: ["one", "another"]'
    if "object" in kinds:
        try:
            return None if isinstance(json.loads(value), dict) else "a JSON object"
        except (ValueError, RecursionError):
            return "a JSON object"
    return None


def _is_list(value: str) -> bool:
    try:
        return isinstance(json.loads(value), list)
    except (ValueError, RecursionError):
        return False
