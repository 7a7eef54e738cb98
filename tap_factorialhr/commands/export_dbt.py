"""The command `tap-factorialhr export-dbt`: the classes of fields, for dbt."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import click
import yaml
from singer_sdk.mapper import RemoveRecordTransform

from tap_factorialhr import checks, fields, stdout
from tap_factorialhr.commands.options import CONTEXT, config_option, plain_errors, settings_of, without_traces
from tap_factorialhr.privacy import dbt
from tap_factorialhr.privacy.policy import Policy
from tap_factorialhr.streams import FactorialStream
from tap_factorialhr.tap import TapFactorialHR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@click.command("export-dbt", context_settings=CONTEXT)
@config_option
@click.option("--catalog", type=click.File("r"), metavar="FILE", help="Only the streams and fields selected in it.")
@click.option("--state", hidden=True, expose_value=False)
@click.option("--source", metavar="NAME", default="factorialhr", show_default=True, help="What dbt calls the source.")
@click.option("--schema", metavar="NAME", help="The schema that the tables are in, if it is not the source's name.")
@plain_errors()
def command(config: Any, catalog: IO[str] | None, source: str, schema: str | None) -> None:  # noqa: ANN401 (the SDK's)
    """Write a schema.yml for dbt to standard output.

    Each column has its privacy class in meta, and in tags. Columns are those of the records: what drop_classes leaves
    out is not there, and what hash_classes hashes is marked. No request is sent, and no credentials are needed.
    """
    settings = settings_of(config)
    Policy.of(settings)
    entries = checks.load_json("--catalog", catalog)
    checks.check_catalog(entries)
    tables = dbt.source(source, schema or source, _tables(settings, entries))
    with stdout.told():
        click.echo(yaml.safe_dump(tables, sort_keys=False, allow_unicode=True, width=120), nl=False)


def _tables(settings: Mapping[str, Any], catalog: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The table of each stream that is selected, under the name and with the columns that stream maps give it."""
    with without_traces():
        tap = TapFactorialHR(config=dict(settings), catalog=catalog, validate_config=False)
    checks.check_streams(tap.input_catalog or (), tap.streams)
    flat = settings.get("flattening_separator") or "__"
    for stream in tap.streams.values():
        if not isinstance(stream, FactorialStream) or not stream.selected:
            continue
        facts = fields.of_resource(stream.resource.path)
        facts = {**{name.replace(".", flat): fact for name, fact in facts.items()}, **facts}
        hashed = {name for path in stream.privacy.hashed_fields for name in (path, path.replace(".", flat))}
        for stream_map in stream.stream_maps:
            if not isinstance(stream_map, RemoveRecordTransform):
                yield dbt.table(stream_map.stream_alias, stream_map.transformed_schema, facts, hashed)
