"""What is wrong with a user's stream maps, told as a mistake in the settings and without a value of a row."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import MapExpressionError
from singer_sdk.mapper import PluginMapper

from tap_factorialhr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from singer_sdk.mapper import StreamMap
    from singer_sdk.singerlib import Catalog

_HELP = "see https://sdk.meltano.com/en/latest/stream_maps.html"


def clash(error: Exception) -> ConfigError | None:
    """What to tell where flattening gives two fields one name; None where it is something else.

    Args:
        error: What the SDK raised.
    """
    what, _, name = str(error).partition(": ")
    if not isinstance(error, ValueError) or what != "Duplicate column name produced in schema":
        return None
    return ConfigError(
        f"flattening gives two fields the name {name}; raise flattening_max_key_length, or take another "
        "flattening_separator"
    )


def mistake(error: Exception, config: Mapping[str, Any], catalog: Catalog) -> ConfigError:
    """What to tell where the SDK can make nothing of the stream maps.

    Args:
        error: What it raised.
        config: The settings; only ``stream_maps`` and what belongs to it are read.
        catalog: The streams with their schemas.

    Returns:
        An error that names the map, and where it is one alone the field, but not the expression.
    """
    place = "stream_maps"
    for stream, definition in config["stream_maps"].items():
        if _is_wrong(config, {stream: definition}, catalog):
            place += f".{stream}"
            fields = definition if isinstance(definition, dict) else {}
            wrong = (name for name in fields if _is_wrong(config, {stream: {name: fields[name]}}, catalog))
            place = next((f"{place}.{name}" for name in wrong), place)
            break
    what = "is no expression" if isinstance(error, MapExpressionError) else "cannot be used as it is"
    return ConfigError(f"{place} {what}; {_HELP}")


def transformed(stream_map: StreamMap, records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """What a stream map makes of records; those that it filters out are not among it.

    Raises:
        ConfigError: An expression cannot be evaluated for one of them.
    """
    for record in records:
        try:
            made = stream_map.transform(dict(record))
        except Exception as error:  # noqa: BLE001 (an expression can do anything, and the message may hold a value)
            kind = type(error.__cause__ or error).__name__
            raise ConfigError(
                f"stream_maps: an expression for {stream_map.stream_alias} cannot be evaluated for a row ({kind}); "
                + _HELP
            ) from None
        if made is not None:
            yield made


def _is_wrong(config: Mapping[str, Any], maps: Mapping[str, Any], catalog: Catalog) -> bool:
    try:
        mapper = PluginMapper(plugin_config={**config, "stream_maps": dict(maps)}, logger=logging.getLogger(__name__))
        mapper.register_raw_streams_from_catalog(catalog)
    except Exception:  # noqa: BLE001 (of several kinds, by the mistake)
        return True
    return False
