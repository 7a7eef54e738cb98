"""What Meltano is told of the tap: `plugin.yml`, for everybody's project and for Meltano Hub, and `meltano.yml` here.

The settings are those of the tap; what they do not say of themselves stands here, and nowhere else. The loaders are
those of `meltano.yml`. The package has the definitions of all of them, since that is where everybody can get them from.
`make docs` writes the files again.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tap_factorialhr.tap import TapFactorialHR

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = Path(__file__).resolve().parent.parent
PLUGIN = PROJECT / "plugin.yml"
PACKAGED = PROJECT / "tap_factorialhr" / "plugins"
CHECKOUT = PROJECT / "meltano.yml"
BEGIN, END = "  # tap-factorialhr: begin (written by make docs)\n", "  # tap-factorialhr: end\n"

OF_THE_SDK: dict[str, tuple[str, str]] = {
    "stream_maps": (
        "Stream maps",
        "Streams and fields to rename, drop or compute, see https://sdk.meltano.com/en/latest/stream_maps.html.",
    ),
    "stream_map_config": ("Stream map configuration", "Values for the expressions in stream_maps."),
    "faker_config": ("Faker configuration", "For stream maps that use Faker, which has to be installed as well."),
    "flattening_enabled": ("Enable flattening", "Nested fields become fields of their own."),
    "flattening_max_depth": ("Flattening depth", "How deep nested fields are flattened."),
    "flattening_max_key_length": ("Flattened name length", "The longest name of a flattened field."),
    "flattening_separator": ("Flattening separator", "What stands between the parts of a flattened name."),
}
"""Label and description of the settings that the SDK adds to every tap."""

CREDENTIALS = (
    ("api_key",),
    ("access_token",),
    ("refresh_token", "client_id", "client_secret"),
    ("token_file",),
    ("token_database", "token_name"),
    ("token_database", "client_id"),
)
"""The settings that are enough to log in with, each group by itself."""

PREAMBLE = """\
One of these is needed to log in:

- `api_key`: an API key, which opens everything and does not expire;
- `access_token`: an OAuth access token, for one run of less than an hour;
- `refresh_token`, `client_id` and `client_secret`: an OAuth refresh token, for one command;
- the same and `token_file`: every run, at least once a week;
- the same and `token_database`: the same, on any machine.

Everything else can stay as it is.
"""
NEXT_STEPS = """\
Set the credentials, in a file that git ignores, and see whether they work:

```sh
echo "TAP_FACTORIALHR_API_KEY=the key" >> .env
meltano config test tap-factorialhr
```

Choose what to read; everything, where nothing is chosen:

```sh
meltano select tap-factorialhr employees "*"
meltano select tap-factorialhr timeoff_leaves "*"
```
"""
USAGE = """\
The tap reads all list resources of the API of [Factorial](https://factorialhr.com), only what changed where the API
can say so. It never writes.

- A resource that the credentials may not see is skipped, and named at the end of the run. `on_forbidden: fail` ends
  the run instead.
- With `emit_activate_version_messages`, the loader drops rows that have gone from Factorial, after a stream has been
  read whole; with `full_refresh_days` as well, that goes for streams that are read by changes.
- What the tap writes is valid by its schema. A loader that validates each record again (`validate_records`) takes
  twice its time for that.
"""


def documents() -> dict[Path, str]:
    """The files as they should be."""
    text = CHECKOUT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    extractor = "".join(f"  {line}\n" for line in _yaml([checkout()]).splitlines())
    plugin = _file(definition())
    loaders = yaml.safe_load(text)["plugins"]["loaders"]
    for loader in loaders:
        loader.pop("config", None)  # what this checkout sets of its own accord is no part of a definition
    return {
        PLUGIN: plugin,
        PACKAGED / "tap-factorialhr.yml": plugin,
        **{PACKAGED / f"{loader['name']}.yml": _file(loader) for loader in loaders},
        CHECKOUT: f"{before}{BEGIN}{extractor}{END}{after}",
    }


def _file(plugin: dict[str, Any]) -> str:
    return "# Written by `make docs`: see scripts/plugin_definition.py.\n" + _yaml(plugin)


def definition() -> dict[str, Any]:
    """The plugin as Meltano and its Hub know one, installed from the package index."""
    project = _pyproject()
    return {
        "name": project["name"],
        "namespace": project["name"].replace("-", "_"),
        "variant": "community",
        "label": "Factorial",
        "description": "Human resources: employees, contracts, attendance, time off, payroll and the rest.",
        "pip_url": project["name"],
        "repo": project["urls"]["Repository"],
        "docs": project["urls"]["Documentation"],
        "domain_url": "https://factorialhr.com",
        "executable": next(iter(project["scripts"])),
        "capabilities": sorted(str(capability.value) for capability in TapFactorialHR.capabilities),
        "log_parser": "singer-sdk",
        "keywords": sorted(word.lower() for word in project["keywords"]),
        "quality": "unknown",  # others judge
        "maintenance_status": "active",
        "settings_group_validation": [list(group) for group in CREDENTIALS],
        "settings_preamble": PREAMBLE,
        "next_steps": NEXT_STEPS,
        "usage": USAGE,
        "settings": [setting(name, schema) for name, schema in declared().items()],
    }


def checkout() -> dict[str, Any]:
    """The same as the plugin of this checkout: installed from here, and without what is for the Hub's pages."""
    pages = {"keywords", "quality", "maintenance_status", "domain_url"}
    texts = {"settings_preamble", "next_steps", "usage", "repo", "docs"}
    kept = {name: value for name, value in definition().items() if name not in pages | texts}
    # Not "-e .", with which Meltano would run the discovery again before each run, a second each time.
    return {**kept, "pip_url": "--editable ."}


def declared() -> dict[str, dict[str, Any]]:
    """The schema of each setting, the SDK's included."""
    schema: dict[str, Any] = {"properties": dict(TapFactorialHR.config_jsonschema["properties"])}
    TapFactorialHR.append_builtin_config(schema)
    properties: dict[str, dict[str, Any]] = schema["properties"]
    return properties


def setting(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """One setting in Meltano's form.

    Args:
        name: Its name.
        schema: Its JSON schema.
    """
    label, description = OF_THE_SDK.get(name) or (schema["title"], schema["description"])
    found: dict[str, Any] = {"name": name, "label": label, "kind": kind(schema), "description": description}
    if "default" in schema:
        found["value"] = schema["default"]
    if schema.get("secret"):
        found["sensitive"] = True
    if "enum" in schema:
        found["options"] = [{"label": value.capitalize(), "value": value} for value in schema["enum"]]
    return found


def kind(schema: Mapping[str, Any]) -> str:
    """Meltano's word for the type of a setting.

    A date is a string: of its own kind for dates Meltano guesses what is meant, `2026` as today, say.
    """
    if "enum" in schema:
        return "options"
    found: str = next(name for name in schema["type"] if name != "null")
    return {"number": "integer"}.get(found, found)  # Meltano cannot hand over what it calls a decimal.


def _pyproject() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return project


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
