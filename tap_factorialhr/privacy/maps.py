"""Stream maps held against the policy: none may name a field that is dropped."""

from __future__ import annotations

import ast
import logging
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from tap_factorialhr import spelling
from tap_factorialhr.errors import ConfigError
from tap_factorialhr.privacy.policy import Treatment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_factorialhr.privacy.rows import RowPrivacy

    Path = tuple[str, ...]

_SOURCE = "__source__"
_FILTER = "__filter__"
_ROW = frozenset({"record", "_"})
"""What expressions call the whole row."""


def check_stream_maps(maps: Mapping[str, Any], streams: Mapping[str, RowPrivacy]) -> None:
    """See that each stream map is for a stream, for no dropped field, computes nothing from one, and shows no values.

    A map for no stream would be left out without a word, and what it was to take out would be loaded.

    Args:
        maps: The setting ``stream_maps``.
        streams: What becomes of the fields of each stream, by its name.

    Raises:
        ConfigError: One is not as it has to be; the stream, and the field where it is one, are named.
    """
    # What it says of every row at this level is the value of a filter's expression.
    logging.getLogger("singer_sdk.mapper").setLevel(logging.INFO)
    for pattern, definition in maps.items():
        if pattern.startswith("__"):
            continue
        fields = definition if isinstance(definition, dict) else {}
        source = str(fields.get(_SOURCE, pattern))
        if not (own := [stream for stream in streams if fnmatch(stream, source)]):
            close = spelling.meant(source, streams)
            hint = f"did you mean {close}?" if close else "see the README for those there are"
            raise ConfigError(f"stream_maps names {source}, which is no stream; {hint}")
        paths = set(_paths(fields))
        for stream in own:
            if lost := _first_dropped(paths, streams[stream]):
                raise ConfigError(
                    f"stream_maps names {stream}.{lost}, which drop_classes or hash_classes leaves out; "
                    "take it out of the map, or its class out of the setting"
                )


def _first_dropped(paths: set[Path], privacy: RowPrivacy) -> str | None:
    """The first of some fields that is dropped, or that is inside one that is."""
    begins = sorted({".".join(path[:length]) for path in paths for length in range(1, len(path) + 1)})
    return next((begin for begin in begins if privacy.treatment(begin) is Treatment.DROP), None)


def _paths(definition: Mapping[str, Any]) -> Iterator[Path]:
    """The fields that the map of one stream sets, or takes values from."""
    for name, expression in definition.items():
        if not name.startswith("__"):
            yield (name,)
        if isinstance(expression, str) and (not name.startswith("__") or name == _FILTER):
            yield from _named(expression)


def _named(expression: str) -> Iterator[Path]:
    """The fields that an expression names; none where it is none, which the SDK will say."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if path := _path(node):
            yield path


def _path(node: ast.AST) -> Path | None:
    """The field that ``name``, ``record["name"]``, ``name.inner`` or ``name.get("inner")`` is; None for all else."""
    match node:
        case ast.Name(id=name):
            return () if name in _ROW else (name,)
        case ast.Subscript(value=value, slice=ast.Constant(value=str(name))):
            return _below(value, name)
        case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return _below(value, name)
        case ast.Attribute(value=value, attr=name):
            return _below(value, name)
        case _:
            return None


def _below(value: ast.AST, name: str) -> Path | None:
    above = _path(value)
    return None if above is None else (*above, name)
