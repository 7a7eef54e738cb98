"""What a catalog may ask of a stream, and what becomes of one that an older version of the tap discovered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL, StreamMetadata

from tap_factorialhr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.singerlib.catalog import CatalogEntry

    from tap_factorialhr.openapi import JsonSchema


def is_read_whole(entry: CatalogEntry) -> bool:
    """Whether a catalog asks for the full table, where a stream could be read by changes."""
    return _method(entry) == REPLICATION_FULL_TABLE


def check_entry(entry: CatalogEntry, schema: JsonSchema, replication_key: str | None) -> None:
    """See that a stream can be read in the way that a catalog asks for.

    Args:
        entry: What the catalog says of the stream.
        schema: The stream's own schema.
        replication_key: The field that bookmarks are taken from, None where the stream is read whole.

    Raises:
        ConfigError: It cannot.
    """
    stream, asked = entry.tap_stream_id, entry.replication_key or _root(entry).replication_key
    if asked is not None and asked != replication_key and not is_read_whole(entry):
        instead = f"by those of {replication_key}" if replication_key else "only whole"
        raise ConfigError(
            f"the catalog's replication_key: {stream} cannot be read by changes of {asked}, but {instead}; "
            "discover it anew"
        )
    if (method := _method(entry)) not in {None, REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL}:
        raise ConfigError(f"the catalog's replication_method: {stream} cannot be read by the method {method}")
    for name in entry.key_properties or _root(entry).table_key_properties or ():
        if name not in schema["properties"]:
            raise ConfigError(f"the catalog's key_properties: {stream} has no field {name}, to be a key")


def with_fields(given: JsonSchema, own: JsonSchema, names: set[str]) -> JsonSchema:
    """A catalog's schema with some of the stream's own fields, where it lacks them; in the stream's own order."""
    properties = given.get("properties", {})
    if names <= properties.keys():
        return given
    ordered = [name for name in own["properties"] if name in properties or name in names]
    fields = {name: properties.get(name) or own["properties"][name] for name in ordered}
    return {**given, "properties": {**fields, **properties}}


def field_names(schema: JsonSchema, path: str = "") -> Iterator[str]:
    """The names of all fields of a schema, those inside objects and lists with dots."""
    for name, inner in schema.get("properties", {}).items():
        full_name = f"{path}.{name}" if path else name
        yield full_name
        yield from field_names(inner, full_name)
    if isinstance(items := schema.get("items"), dict):
        yield from field_names(items, path)


def _root(entry: CatalogEntry) -> StreamMetadata:
    root = entry.metadata.get(())
    return root if isinstance(root, StreamMetadata) else StreamMetadata()


def _method(entry: CatalogEntry) -> str | None:
    return entry.replication_method or _root(entry).forced_replication_method
