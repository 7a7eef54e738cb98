"""What Meltano is told of the tap, in every project by `plugin.yml` and in this one by `meltano.yml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.plugin_definition import OF_THE_SDK, declared
from tap_factorialhr.tap import TapFactorialHR

PROJECT = Path(__file__).resolve().parent.parent
SECRETS = {"api_key", "access_token", "refresh_token", "token_database", "client_id", "client_secret", "hash_key"}

# What the schema of Meltano Hub for the definition of an extractor asks for and knows.
REQUIRED = {"name", "namespace", "variant", "quality"}
KNOWN = REQUIRED | {
    *("pip_url", "label", "description", "executable", "settings", "docs", "repo", "logo_url", "hidden", "python"),
    *("settings_group_validation", "commands", "capabilities", "metadata", "schema", "select", "maintenance_status"),
    *("domain_url", "keywords", "requires", "definition", "next_steps", "settings_preamble", "usage", "prereq"),
    "log_parser",
}
IN_A_SETTING = {
    *("name", "aliases", "label", "value", "placeholder", "kind", "description", "tooltip", "documentation", "env"),
    *("value_processor", "value_post_processor", "oauth", "options", "docs", "hidden", "sensitive"),
}
KINDS = {
    *("oauth", "hidden", "password", "date_iso8601", "file", "email", "integer", "options", "object", "array"),
    *("boolean", "string", "decimal"),
}
# What is promised besides.
PROMISED = {
    *("label", "description", "pip_url", "repo", "docs", "executable", "capabilities", "settings"),
    *("settings_group_validation", "settings_preamble", "next_steps", "usage", "keywords", "maintenance_status"),
    "log_parser",
}


def loaded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / name).read_text())
    return found


@pytest.fixture(scope="module")
def plugin() -> dict[str, Any]:
    return loaded("plugin.yml")


@pytest.fixture(scope="module")
def checkout() -> dict[str, Any]:
    (found,) = loaded("meltano.yml")["plugins"]["extractors"]
    assert isinstance(found, dict)
    return found


def test_it_has_what_the_hub_requires(plugin: dict[str, Any]) -> None:
    assert set(plugin) >= REQUIRED | PROMISED
    assert set(plugin) <= KNOWN
    assert plugin["maintenance_status"] in {"active", "beta", "development", "inactive", "unknown"}
    assert plugin["quality"] in {"gold", "silver", "bronze", "unknown"}
    texts = set(plugin) - {"capabilities", "keywords", "settings", "settings_group_validation"}
    for name in texts:
        assert isinstance(plugin[name], str), name
        assert plugin[name], name


def test_its_settings_are_in_the_hubs_form(plugin: dict[str, Any]) -> None:
    for setting in plugin["settings"]:
        assert set(setting) <= IN_A_SETTING, setting["name"]
        assert setting["kind"] in KINDS, setting["name"]
        assert setting["label"], setting["name"]
        assert setting["description"], setting["name"]
        for option in setting.get("options", []):
            assert set(option) == {"label", "value"}


def test_it_comes_from_the_index(plugin: dict[str, Any]) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert plugin["pip_url"] == plugin["name"] == project["name"] == "tap-factorialhr"
    assert plugin["executable"] in project["scripts"]
    for address in ("repo", "docs", "domain_url"):
        assert plugin[address].startswith("https://"), address


def kind(schema: dict[str, Any]) -> str:
    """The kind that Meltano is to have for a setting."""
    if "enum" in schema:
        return "options"
    found: str = next(name for name in schema["type"] if name != "null")
    return {"number": "integer"}.get(found, found)


def test_every_setting_is_there(plugin: dict[str, Any]) -> None:
    settings = {setting["name"]: setting for setting in plugin["settings"]}
    assert list(settings) == list(declared())
    for name, schema in declared().items():
        setting = settings[name]
        assert setting["kind"] == kind(schema), name
        assert setting.get("value") == schema.get("default"), name
        assert setting.get("sensitive", False) == schema.get("secret", False), name
        assert [option["value"] for option in setting.get("options", [])] == schema.get("enum", []), name
        if name not in OF_THE_SDK:
            assert setting["description"] == schema["description"]
            assert setting["label"] == schema["title"]


def test_secrets_are_secret() -> None:
    assert {name for name, schema in declared().items() if schema.get("secret")} == SECRETS


def test_every_capability_is_there(plugin: dict[str, Any]) -> None:
    assert sorted(plugin["capabilities"]) == sorted(str(item.value) for item in TapFactorialHR.capabilities)
    assert "structured-logging" in plugin["capabilities"]
    assert plugin["log_parser"] == "singer-sdk"  # without it Meltano makes no use of the capability


def test_the_groups_are_the_authentication_methods(plugin: dict[str, Any]) -> None:
    assert [set(group) for group in plugin["settings_group_validation"]] == [
        {"api_key"},
        {"access_token"},
        {"refresh_token", "client_id", "client_secret"},
        {"token_file"},
        {"token_database", "token_name"},
        {"token_database", "client_id"},
    ]


def test_the_checkout_has_the_same_plugin(plugin: dict[str, Any], checkout: dict[str, Any]) -> None:
    assert checkout["pip_url"] == "--editable ."
    same = set(checkout) - {"pip_url", "config"}
    assert {name: checkout[name] for name in same} == {name: plugin[name] for name in same}
    assert same >= {"settings", "capabilities", "settings_group_validation", "log_parser", "namespace", "executable"}
