"""What a run is given, judged before its first request: settings, catalog and state.

What is wrong becomes one line that names the place and never shows a value: it may be a secret.
"""

from __future__ import annotations

import ipaddress
import json
import re
from decimal import Decimal
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, TypeGuard, cast
from urllib.parse import urlsplit

from tap_factorialhr import spelling
from tap_factorialhr.dates import as_day
from tap_factorialhr.errors import ConfigError
from tap_factorialhr.openapi import kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from jsonschema.exceptions import ValidationError

_CALENDAR_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_STATE_KEYS = frozenset({"bookmarks", "currently_syncing"})


# Settings


def settings_given(config: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that have a value, for null is the same as none; numbers as numbers."""
    return {name: _as_number(value, properties.get(name, {})) for name, value in _given(config).items()}


def check_settings(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """See that the settings are what is declared.

    Args:
        config: The settings that have a value.
        schema: The declared settings, those of the SDK included.

    Raises:
        ConfigError: One is unknown, or of another kind; all that is wrong is told at once.
    """
    from jsonschema import Draft7Validator  # noqa: PLC0415 (only where a run begins)

    _check_else(config.get("stream_maps"))
    errors = []
    for error in Draft7Validator(schema).iter_errors(config):
        where = ".".join(map(str, error.absolute_path))
        if error.validator == "additionalProperties" and not where:
            unknown = sorted(set(config) - set(schema["properties"]))
            errors.append(f"unknown setting: {', '.join(_hinted(name, schema['properties']) for name in unknown)}")
        else:
            errors.append(f"{where or 'the settings'} {_requirement(error)}")
    # NaN is neither more nor less than any bound.
    errors += [f"{name} must be a number" for name, value in config.items() if value != value]  # noqa: PLR0124
    if not errors and config.get("flattening_enabled") and config.get("flattening_max_depth", -1) < 0:
        errors.append("flattening_enabled needs a flattening_max_depth of 0 or more")
    if errors:
        raise ConfigError("; ".join(errors))


def _hinted(name: str, properties: Mapping[str, Any]) -> str:
    close = spelling.meant(name, properties)
    return f"{name} (did you mean {close}?)" if close else name


def _check_else(maps: object) -> None:
    """See to the one option of stream maps whose schema, in the SDK, is broken: it fails where the value is wrong."""
    inner = maps.values() if isinstance(maps, dict) else ()
    for one in (maps, *inner):
        if isinstance(one, dict) and one.get("__else__") not in {None, "__NULL__"}:
            raise ConfigError("stream_maps: __else__ can be null or __NULL__ and nothing else")


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


def check_api_version(version: str) -> None:
    """See that a version of the API is a day, as each of them is.

    Raises:
        ConfigError: It is none.
    """
    if _day(version) is None:
        raise ConfigError("api_version is no date; it looks like 2026-10-01")


def start_day(value: object) -> date | None:
    """The day that ``start_date`` names, None without one.

    Raises:
        ConfigError: It is no date.
    """
    if value is None:
        return None
    if (day := _day(value)) is None:
        raise ConfigError("start_date is no date; it looks like 2026-01-31")
    return day


def _as_number(value: Any, declared: Mapping[str, Any]) -> Any:  # noqa: ANN401 (a setting is anything)
    """A number that came as text, as it does from the environment; the SDK reads whole numbers alone."""
    if not isinstance(value, str) or "number" not in declared.get("type", ()):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _requirement(error: ValidationError) -> str:  # noqa: PLR0911 (a table)
    value: Any = error.validator_value
    match error.validator:
        case "type":
            return f"must be of type {' or '.join(kinds({'type': value}))}"
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
            schema = cast("Mapping[str, Any]", error.schema)
            return f"must look like {schema.get('default', value)}"
        case rule:
            return f"breaks the rule {rule} of the settings"


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# Files


def load_config(paths: Iterable[str]) -> dict[str, Any]:
    """The settings in the files of ``--config``, those of a later one before those of an earlier one.

    Raises:
        ConfigError: One of them cannot be read, or holds something else.
    """
    config: dict[str, Any] = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:  # noqa: PTH123 (an empty path would be the working directory)
                # A whole number written as 10.0 is none, as the SDK has it.
                config |= _object(f"--config, {path},", file, parse_float=Decimal)
        except OSError as error:
            reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise ConfigError(f"the file of --config, {path}, cannot be read: {reason}") from None
    return config


def load_json(option: str, file: IO[str] | None) -> dict[str, Any] | None:
    """The JSON object in the file of an option, None where the option is not given.

    Raises:
        ConfigError: The file holds something else.
    """
    return None if file is None else _object(option, file)


def _object(option: str, file: IO[str], **how: Any) -> dict[str, Any]:  # noqa: ANN401 (as `json.load` has it)
    try:
        loaded = json.load(file, **how)
    except (ValueError, RecursionError, ArithmeticError):  # The last is of a number beyond all bounds.
        raise ConfigError(f"the file of {option} is not JSON; check that it is whole") from None
    if not isinstance(loaded, dict):
        raise ConfigError(f"the file of {option} is not a JSON object; check that it is the right one")
    return loaded


def check_catalog(catalog: Mapping[str, Any] | None) -> None:
    """See that a file is a catalog, before the SDK reads it.

    Raises:
        ConfigError: It is not, or it gives a stream a name of its own, which the SDK does not find.
    """
    if catalog is None:
        return
    streams = catalog.get("streams")
    if not isinstance(streams, list) or not all(map(_is_entry, streams)):
        raise ConfigError('the file of --catalog is not of the form {"streams": [...]}; make it with --discover')
    for entry in streams:
        stream = entry["tap_stream_id"]
        if (entry.get("stream") or stream) != stream:
            raise ConfigError(f"the catalog gives {stream} another name; leave it, and set stream_maps for that")


def _is_entry(entry: object) -> bool:
    """Whether this can be a stream of a catalog."""
    if not isinstance(entry, dict) or not isinstance(entry.get("tap_stream_id"), str):
        return False
    schema, metadata, keys = entry.get("schema"), entry.get("metadata", []), entry.get("key_properties") or []
    has_fields = isinstance(schema, dict) and isinstance(schema.get("properties"), dict) and _is_schema(schema)
    return has_fields and _are_texts(keys) and isinstance(metadata, list) and all(map(_is_metadata, metadata))


def _is_schema(schema: object) -> bool:
    """Whether this can be the schema of a field, with all those inside it."""
    if not isinstance(schema, dict):
        return False
    schema = _given(schema)
    properties, kinds = schema.get("properties", {}), schema.get("type", [])
    if not isinstance(properties, dict) or not (isinstance(kinds, str) or _are_texts(kinds)):
        return False
    choices = [schema[name] for name in ("anyOf", "oneOf", "allOf") if name in schema]
    if not all(isinstance(choice, list) for choice in choices):
        return False
    items = [schema["items"]] if "items" in schema else []
    return all(map(_is_schema, chain(properties.values(), items, *choices)))


def _is_metadata(part: object) -> bool:
    if not isinstance(part, dict) or not isinstance(part.get("metadata"), dict):
        return False
    breadcrumb = part.get("breadcrumb")
    if not _are_texts(breadcrumb):
        return False
    steps = iter(breadcrumb)
    return all(step != "properties" or next(steps, None) is not None for step in steps)


def _are_texts(values: object) -> TypeGuard[list[str]]:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def check_streams(named: Iterable[str], known: Iterable[str]) -> None:
    """See that a catalog names streams of this tap.

    Raises:
        ConfigError: There are others in it.
    """
    unknown = sorted(set(named) - set(known))
    if unknown:
        raise ConfigError(f"the catalog has unknown streams: {', '.join(unknown)}; discover it anew")


def bookmarks_given(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The bookmarks in the state of the runs before; null is the same as none, for some orchestrators write it.

    Raises:
        ConfigError: It is not of the form of a state.
    """
    bookmarks = _given(state).get("bookmarks", {})
    if state.keys() - _STATE_KEYS or not isinstance(bookmarks, dict) or not all(map(_is_mark, bookmarks.values())):
        raise ConfigError('the state is not of the form {"bookmarks": {"<stream>": {...}}}; check the file')
    return {stream: _given(mark) for stream, mark in _given(bookmarks).items()}


def check_bookmarks(bookmarks: Mapping[str, Mapping[str, Any]], replication_keys: Mapping[str, str | None]) -> None:
    """See that streams can go on from their bookmarks.

    Others are left alone, as the streams themselves ignore them: those of streams that there are no more, and those
    by another key than the stream's own.

    Args:
        bookmarks: All bookmarks.
        replication_keys: The tap's streams with their keys, None for one that is read whole.

    Raises:
        ConfigError: A bookmark is no date, or its version is none.
    """
    for stream, mark in bookmarks.items():
        is_own = stream in replication_keys and mark.get("replication_key") in (None, replication_keys[stream])
        if not is_own:
            continue
        for name in ("replication_key_value", "first_day", "begun_from", "whole_at"):
            if mark.get(name) is not None and _day(mark[name]) is None:
                raise ConfigError(f"the state's {name} of {stream} is no date; correct or remove it")
        if not isinstance(version := mark.get("version", 0), int) or version < 0:
            raise ConfigError(f"the state's version of {stream} is no version; correct or remove it")


def _is_mark(mark: object) -> bool:
    """Whether this can be the bookmark of a stream, or none."""
    if not isinstance(mark, dict):
        return mark is None
    given = _given(mark)
    partitions = given.get("partitions", [])
    return _has_markers(given) and isinstance(partitions, list) and all(map(_has_markers, partitions))


def _has_markers(part: object) -> bool:
    """Whether the SDK finds what it looks for in all bookmarks and their partitions, whatever stream they are of."""
    return isinstance(part, dict) and isinstance(part.get("progress_markers", {}), dict)


# What settings and files share


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that have a value; null is the same as none."""
    return {name: value for name, value in members.items() if value is not None}


def _day(value: object) -> date | None:
    """The day that a setting or a bookmark names, None where it names none."""
    # ISO 8601 has dates by week as well, which are not in order as text, as bookmarks are compared.
    if not isinstance(value, str) or not _CALENDAR_DAY.match(value):
        return None
    try:
        return as_day(value)
    except ValueError:
        return None
