"""`tap-factorialhr plugin`: the definitions of the tap and of its loaders, for `meltano add --from-ref`."""

from __future__ import annotations

from importlib.resources import files

import click

from tap_factorialhr import stdout
from tap_factorialhr.commands.options import CONTEXT, meltano_options

DEFINITIONS = {
    path.name.removesuffix(".yml"): path
    for path in sorted((files("tap_factorialhr") / "plugins").iterdir(), key=lambda path: path.name)
}
"""Name of a plugin → the file that defines it."""


@click.command("plugin", context_settings=CONTEXT, short_help="Print a plugin definition for Meltano.")
@click.argument("name", metavar="[PLUGIN]", type=click.Choice(list(DEFINITIONS)), default="tap-factorialhr")
@click.option("--config", multiple=True, hidden=True, expose_value=False)
@meltano_options
def command(name: str) -> None:
    """Print the plugin definition of the tap, or of a loader, for Meltano.

    PLUGIN is tap-factorialhr, target-postgres, target-duckdb or target-jsonl.

    \b
    For example:
      tap-factorialhr plugin > plugin.yml
      meltano add tap-factorialhr --from-ref plugin.yml
      tap-factorialhr plugin target-postgres > loader.yml
      meltano add target-postgres --from-ref loader.yml
    """  # noqa: D301 (the mark keeps click from filling the lines)
    text = DEFINITIONS[name].read_text(encoding="utf-8")
    with stdout.told():
        click.echo(text, nl=False)
