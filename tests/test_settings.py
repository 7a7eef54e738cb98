"""Settings from the environment and from ``.env``, and stream maps: what is wrong is one line that shows no value."""

from __future__ import annotations

import errno
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pytest

from tap_factorialhr.__main__ import run as main
from tap_factorialhr.errors import ConfigError
from tap_factorialhr.http_session import Session
from tap_factorialhr.openapi import DEFAULT_VERSION
from tap_factorialhr.sandbox import Company, Sandbox
from tests.support.numbers import STREAMS
from tests.support.tap import TAP, TapRunner, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "TAP_FACTORIALHR_"


@pytest.fixture(scope="module")
def company() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=3)) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("EMIT_ACTIVATE_VERSION_MESSAGES=ture", "must be true or false"),
        ("FLATTENING_ENABLED=ja", "must be true or false"),
        ("STREAM_MAPS={a", "must be a JSON object"),
        ("STREAM_MAPS=[1]", "must be a JSON object"),
        ("DROP_CLASSES=[special_category]", 'each entry in double quotes: ["one", "another"]'),
        ("INTEGRATION_UUIDS=['a']", 'each entry in double quotes: ["one", "another"]'),
        ("PAGE_SIZE=ten", "must be a whole number"),
        ("PAGE_SIZE=--5", "must be a whole number"),
        ("PAGESIZE=10", "did you mean TAP_FACTORIALHR_PAGE_SIZE?"),
        ("Page_Size=10", "did you mean TAP_FACTORIALHR_PAGE_SIZE?"),
        ("_DROP_CLASSES=10", "did you mean TAP_FACTORIALHR_DROP_CLASSES?"),
        ("WHATEVER=10", "see the README"),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_a_wrong_setting_in_the_environment_or_in_env_is_one_clear_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    told: str,
    *,
    in_file: bool,
) -> None:
    name, _, value = setting.partition("=")
    file = tmp_path / ".env"
    file.write_text(f"{PREFIX}{setting}\n" if in_file else "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {**os.environ, f"{PREFIX}API_KEY": "key"})
    if not in_file:
        os.environ[f"{PREFIX}{name}"] = value
    assert main(["--config=ENV", "--discover"]) == 1
    last = caplog.records[-1].getMessage()
    assert f"{PREFIX}{name}, in {file if in_file else 'the environment'}" in last
    assert told in last
    assert value not in last.replace("must be true or false", "").replace(str(file), "")


IN_MELTANO = "in meltano.yml, .env or the environment"
MELTANOS_OWN = (
    *("CATALOG", "DIALECT", "LOAD_SCHEMA", "LOG_PARSER", "METADATA", "SCHEMA", "SELECT", "SELECT_FILTER", "STATE"),
    *("TARGET_SCHEMA", "USE_CACHED_CATALOG"),
)
MELTANOS = {
    "MELTANO_EXTRACTOR_NAME": "tap-factorialhr",
    f"{PREFIX}_SELECT": '["*.*"]',
    f"{PREFIX}API_KEY": "key",
    f"{PREFIX}STREAM_MAPS_TEAMS_NAME": "x",
    f"{PREFIX}EU_API_KEY": "key",
    f"{PREFIX}EU__SELECT": '["*.*"]',
    f"{PREFIX}LOGLEVEL": "INFO",
    **{f"{PREFIX}{plugin}_{extra}": "{}" for plugin in ("", "EU_", "_EU_") for extra in MELTANOS_OWN},
}
"""What Meltano sets: for settings, their members, its own ones, and those of a plugin that inherits."""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DROP_CLASSE", "DROP_CLASSES"),
        ("PAGESIZE", "PAGE_SIZE"),
        ("START_DAT", "START_DATE"),
        ("HASHKEY", "HASH_KEY"),
        ("FLATENING_ENABLED", "FLATTENING_ENABLED"),
        ("DROP__CLASSES", "DROP_CLASSES"),
        ("_DROP_CLASSES", "DROP_CLASSES"),
        ("DROP__CLASS", "DROP_CLASSES"),
        ("_DROP_CLASS", "DROP_CLASSES"),
        ("drop_classes", "DROP_CLASSES"),
        ("HASH_ClASSES", "HASH_CLASSES"),
    ],
)
def test_a_misspelt_setting_that_meltano_ignores_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, meant: str
) -> None:
    (tmp_path / "config.json").write_text('{"api_key": "key"}')
    monkeypatch.setattr(os, "environ", {**os.environ, **MELTANOS, f"{PREFIX}{name}": "some value"})
    assert main([f"--config={tmp_path / 'config.json'}", "--discover"]) == 1
    last = caplog.records[-1].getMessage()
    assert last == f"unknown setting: {PREFIX}{name}, {IN_MELTANO}; did you mean {PREFIX}{meant}?"
    assert "some value" not in caplog.text


@pytest.mark.parametrize(
    ("plugin", "prefix"),
    [("tap-factorialhr-eu", "TAP_FACTORIALHR_EU_"), ("tap-factorialhr--eu", "TAP_FACTORIALHR__EU_"), ("hr", "HR_")],
)
def test_of_a_plugin_that_inherits_its_own_name_is_in_the_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, plugin: str, prefix: str
) -> None:
    (tmp_path / "config.json").write_text('{"api_key": "key"}')
    monkeypatch.setattr(
        os, "environ", {**os.environ, **MELTANOS, "MELTANO_EXTRACTOR_NAME": plugin, f"{prefix}DROP_CLASESS": "x"}
    )
    assert main([f"--config={tmp_path / 'config.json'}", "--discover"]) == 1
    assert caplog.records[-1].getMessage().endswith(f"did you mean {prefix}DROP_CLASSES?")


@pytest.mark.parametrize("name", ["API_KEY_EU", "API_KEY2", "CLIENT_SECRET_OLD", "TOKEN_DATABASE_HOST", "START_DATE_X"])
def test_a_variable_that_a_setting_refers_to_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """In Meltano: ``api_key: $TAP_FACTORIALHR_API_KEY_EU``."""
    (tmp_path / "config.json").write_text('{"api_key": "key"}')
    monkeypatch.setattr(os, "environ", {**os.environ, **MELTANOS, f"{PREFIX}{name}": "some value"})
    assert main([f"--config={tmp_path / 'config.json'}", "--discover"]) == 0
    assert f"{PREFIX}{name}, {IN_MELTANO}, is no setting" in caplog.text


def test_what_meltano_itself_puts_into_the_environment_is_no_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config.json").write_text('{"api_key": "key"}')
    monkeypatch.setattr(os, "environ", {**os.environ, **MELTANOS})
    assert main([f"--config={tmp_path / 'config.json'}", "--discover"]) == 0
    assert "is no setting" not in caplog.text
    os.environ[f"{PREFIX}VERSION"] = "0.1.0"  # Somebody's own, for a pip_url or the like.
    assert main([f"--config={tmp_path / 'config.json'}", "--discover"]) == 0
    assert f"{PREFIX}VERSION, {IN_MELTANO}, is no setting of the tap" in caplog.text
    caplog.clear()
    del os.environ["MELTANO_EXTRACTOR_NAME"]  # With a file alone, nothing in the environment is a setting.
    assert main([f"--config={tmp_path / 'config.json'}", "--discover"]) == 0
    assert "is no setting" not in caplog.text


def test_in_meltano_a_setting_of_env_is_told_to_be_there_and_any_other_may_be_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {**os.environ, "MELTANO_EXTRACTOR_NAME": "x", f"{PREFIX}PAGE_SIZE": "ten"})
    assert main(["check"]) == 1
    assert caplog.records[-1].getMessage() == f"{PREFIX}PAGE_SIZE, {IN_MELTANO}, must be a whole number"
    del os.environ[f"{PREFIX}PAGE_SIZE"]
    (tmp_path / ".env").write_text(f"{PREFIX}PAGE_SIZE=ten\n")
    assert main(["check"]) == 1
    assert caplog.records[-1].getMessage() == f"{PREFIX}PAGE_SIZE, in {tmp_path / '.env'}, must be a whole number"


@pytest.mark.parametrize("below", [".", "some/where"])
def test_env_is_the_file_of_the_directory_that_the_tap_is_run_in(
    tmp_path: Path, company: Sandbox, tap: TapRunner, below: str
) -> None:
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    settings = {"base_url": company.base_url, "api_key": company.api_key}
    (tmp_path / ".env").write_text("".join(f"{PREFIX}{name.upper()}={value}\n" for name, value in settings.items()))
    (tmp_path / "catalog.json").write_text(json.dumps(tap.catalog("teams")))
    run = subprocess.run(
        [sys.executable, "-m", "tap_factorialhr", "--config=ENV", "--catalog", str(tmp_path / "catalog.json")],
        cwd=tmp_path / below,
        env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert '"RECORD"' in run.stdout


@pytest.mark.parametrize("command", [["--config=ENV", "--discover"], ["--config=ENV"], ["check"]])
def test_an_env_that_is_no_text_is_one_clear_line(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / ".env").write_bytes(f"{PREFIX}API_KEY=zażółć\n".encode("iso-8859-2"))
    run = subprocess.run([*TAP, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    (line,) = [line for line in run.stderr.splitlines() if "Skipping parse" not in line]
    assert line.endswith(f"{tmp_path / '.env'} is not UTF-8; save it as that")


def test_settings_in_the_environment_that_nobody_was_told_to_read_are_named(tmp_path: Path) -> None:
    command = [*TAP, "--catalog", str(tmp_path / "catalog.json")]
    (tmp_path / "catalog.json").write_text('{"streams": []}')
    env = {**os.environ, f"{PREFIX}API_KEY": "the-key"}
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert "No credentials are set" in last
    assert last.endswith(f"{PREFIX}API_KEY is in the environment, which --config ENV reads")
    assert "the-key" not in run.stderr
    of_env = {**os.environ, f"{PREFIX}API_KEY": "the-key", f"{PREFIX}ACCESS_TOKEN": "a-token"}
    run = subprocess.run(
        [*command, "--config=ENV"], cwd=tmp_path, env=of_env, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "which --config ENV reads" not in run.stderr


def test_a_directory_that_has_been_removed_has_no_env(tmp_path: Path) -> None:
    command = 'rmdir "$PWD" && exec "$@"'
    gone = tmp_path / "gone"
    gone.mkdir()
    run = subprocess.run(
        ["sh", "-c", command, "sh", *TAP, "--config=ENV", "--discover"],
        cwd=gone,
        env={**os.environ, f"{PREFIX}API_KEY": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert '"streams"' in run.stdout


def test_the_environment_goes_before_env(tmp_path: Path, company: Sandbox, tap: TapRunner) -> None:
    (tmp_path / ".env").write_text(f"{PREFIX}API_KEY=of-somebody-else\n")
    settings = {f"{PREFIX}BASE_URL": company.base_url, f"{PREFIX}API_KEY": company.api_key}
    run = subprocess.run(
        [*tap.command({}), "--config=ENV", "--catalog", tap.file("catalog.json", tap.catalog("teams"))],
        cwd=tmp_path,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert '"RECORD"' in run.stdout


@pytest.mark.parametrize("value", ["special_category", "user.name,special_category", ' ["special_category"]', "[]"])
def test_lists_of_the_environment(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, f"{PREFIX}DROP_CLASSES": value})
    assert main(["--config=ENV", "--discover"]) == 0


@pytest.mark.parametrize("value", ["true", "False", "1", "0", "yes", "off"])
def test_booleans_of_the_environment(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, f"{PREFIX}EMIT_ACTIVATE_VERSION_MESSAGES": value})
    assert main(["--config=ENV", "--discover"]) == 0


def test_stream_maps_for_all_streams_are_for_those_that_are_selected(tap: TapRunner, company: Sandbox) -> None:
    config = config_for(company)
    catalog = json.loads(tap(config, "--discover").stdout)
    for entry in catalog["streams"]:
        for part in entry["metadata"]:  # as Meltano has it
            part["metadata"]["selected"] = entry["tap_stream_id"] == "teams"
    mapped = {**config, "stream_maps": {"*": {"added": "str(1)"}}}
    run = tap(mapped, catalog=catalog)
    assert run.code == 0, run.stderr
    assert {record["added"] for record in run.records["teams"]} == {"1"}


def test_the_schemas_of_streams_that_cannot_be_selected_are_shown_as_well(tap: TapRunner, company: Sandbox) -> None:
    run = tap(config_for(company, drop_classes=["user"]), "--test=schema")
    assert run.code == 0, run.stderr
    assert len(run.of_type("SCHEMA")) == STREAMS


@pytest.mark.parametrize(
    ("maps", "told"),
    [
        ({"employees": {"good": "id", "number": "int(first_name"}}, "stream_maps.employees.number is no expression"),
        ({"employees": {"__filter__": "1 +"}}, "stream_maps.employees.__filter__ is no expression"),
        ({"teams": {}, "employees": {"__key_properties__": ["zz"]}}, "stream_maps.employees.__key_properties__ cannot"),
        ({"employees": {"id": None}}, "stream_maps.employees.id cannot be used as it is"),
        ({"employees": {"__else__": "what"}}, "stream_maps: __else__ can be null or __NULL__ and nothing else"),
        ({"__else__": "what"}, "stream_maps: __else__ can be null or __NULL__ and nothing else"),
    ],
)
def test_stream_maps_of_which_nothing_can_be_made_are_one_clear_line(
    tap: TapRunner, company: Sandbox, maps: dict[str, Any], told: str
) -> None:
    company.clear()
    run = tap(config_for(company, stream_maps=maps))
    assert (run.code, run.stdout) == (1, "")
    assert told in run.stderr.splitlines()[-1]
    assert company.requests == []


@pytest.mark.parametrize(
    ("name", "expression", "kind"),
    [
        ("number", "int(first_name)", "ValueError"),
        ("number", "no_such(first_name)", "FunctionNotDefined"),
        ("__filter__", "no_such", "NameNotDefined"),
        ("number", "config['secret']", "KeyError"),
    ],
)
def test_an_expression_that_fails_for_a_row_is_one_clear_line(
    tap: TapRunner, company: Sandbox, name: str, expression: str, kind: str
) -> None:
    config = config_for(company, stream_maps={"employees": {name: expression}})
    run = tap(config, catalog=tap.catalog("employees"))
    assert run.code == 1
    last = run.stderr.splitlines()[-1]
    assert f"stream_maps: an expression for employees cannot be evaluated for a row ({kind})" in last
    assert "report" not in last
    assert company.company.rows("employees/employees")[0]["first_name"] not in run.stderr
    assert json.loads(run.stdout.splitlines()[-1])["type"] == "STATE"


def test_a_wrong_setting_is_one_line_where_warnings_are_asked_for(tap: TapRunner) -> None:
    """As Meltano does, which has what else comes up on stderr in the log of its run."""
    tap.wrapper = ("env", "PYTHONWARNINGS=once")
    state = tap.file("state.json", "{}")
    run = tap({"api_key": "key", "drop_classes": ["no.such"]}, "--state", state, "--discover")
    assert run.code == 1
    assert "unknown class" in run.stderr.splitlines()[-1]
    assert "Warning" not in run.stderr


@pytest.mark.parametrize(
    ("flattening", "told"),
    [
        ({}, "flattening_enabled needs a flattening_max_depth of 0 or more"),
        ({"flattening_max_depth": -1}, "flattening_enabled needs a flattening_max_depth of 0 or more"),
        (
            {"flattening_max_depth": 5, "flattening_max_key_length": 20},
            "; raise flattening_max_key_length, or take another flattening_separator",
        ),
    ],
)
def test_flattening_that_cannot_be_is_one_clear_line(tap: TapRunner, flattening: dict[str, int], told: str) -> None:
    run = tap({"api_key": "key", "base_url": "http://127.0.0.1:9", "flattening_enabled": True, **flattening})
    assert run.code == 1
    assert [line.endswith(told) for line in run.stderr.splitlines() if "ERROR" in line] == [True]


def test_stream_maps_that_can_be_used_are(tap: TapRunner, company: Sandbox) -> None:
    maps = {"employees": {"id": "id", "upper": "first_name.upper()", "__filter__": "True", "__else__": None}}
    config = config_for(company, stream_maps=maps)
    run = tap(config, catalog=tap.catalog("employees"))
    assert run.code == 0, run.stderr
    names = {row["first_name"].upper() for row in company.company.rows("employees/employees")}
    assert {row["upper"] for row in run.records["employees"]} == names


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("api_version", "latest", f"api_version must look like {DEFAULT_VERSION}"),
        ("api_version", "2026-13-45", "api_version is no date; it looks like 2026-10-01"),
        ("ca_bundle", "/", "ca_bundle is a folder; name the file with the certificates"),
        ("ca_bundle", os.devnull, "ca_bundle: the file holds no certificates that can be read (PEM)"),
        ("ca_bundle", "/no/ca.pem", "ca_bundle: there is no such file, /no/ca.pem"),
        ("ca_bundle", "~/no/ca.pem", f"ca_bundle: there is no such file, {Path.home()}/no/ca.pem"),
        ("ca_bundle", f"{__file__}/ca.pem", f"ca_bundle: there is no such file, {__file__}/ca.pem"),
        ("ca_bundle", "-----BEGIN\nMII", "ca_bundle is not the path of a file; name the file with the certificates"),
        ("ca_bundle", "eyJ-a-key", "ca_bundle: there is no such file"),
        (
            "ca_bundle",
            "host=h password=w/x",
            "ca_bundle is not the path of a file; name the file with the certificates",
        ),
        ("ca_bundle", "pg://me:word@a/b", "ca_bundle is not the path of a file; name the file with the certificates"),
    ],
)
@pytest.mark.parametrize("command", [(), ("check",)])
def test_a_setting_that_makes_no_sense_is_told_before_any_request(
    tap: TapRunner, company: Sandbox, setting: str, value: str, told: str, *, command: tuple[str, ...]
) -> None:
    company.requests.clear()
    run = tap(config_for(company, **{setting: value}), *command)
    assert run.code == 1
    assert run.stderr.splitlines()[-1].endswith(told)
    assert not company.requests


def test_a_bundle_is_found_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ca.pem").write_bytes(Path(certifi.where()).read_bytes())
    with Session("https://localhost", connections=1, ca_bundle="~/ca.pem") as session:
        assert session.verify == str(tmp_path / "ca.pem")


def test_a_bundle_that_may_not_be_read_is_not_told_to_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:  # Root may read all.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", refuse)
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    with pytest.raises(ConfigError) as caught:
        Session("https://localhost", connections=1, ca_bundle=str(bundle))
    says = f"ca_bundle: {bundle} cannot be read (Permission denied); it must be readable to who runs the tap"
    assert str(caught.value) == says


def test_what_is_named_twice_is_read_once(tap: TapRunner, company: Sandbox) -> None:
    one = company.company.integration_uuids[0]
    run = tap(config_for(company, integration_uuids=[one, one]), catalog=tap.catalog("integrations_sync_runs"))
    assert run.code == 0, run.stderr
    ids = [record["id"] for record in run.records["integrations_sync_runs"]]
    assert ids
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", [f"{PREFIX}LOGLEVEL", "LOGLEVEL"])
def test_a_level_that_is_none_is_one_clear_line(tap: TapRunner, name: str) -> None:
    tap.wrapper = ("env", f"{name}=verbose")
    run = tap({"api_key": "key"}, "--discover")
    assert run.code == 1
    assert f"{name}, in the environment, must be one of DEBUG, INFO" in run.stderr.splitlines()[-1]
    assert "unexpected" not in run.stderr


@pytest.mark.parametrize("level", ["debug", "WARN", "ERROR"])
def test_a_level_of_the_log_is_one_in_small_letters_as_well(tap: TapRunner, level: str) -> None:
    tap.wrapper = ("env", f"{PREFIX}LOGLEVEL={level}")
    assert tap({"api_key": "key"}, "--discover").code == 0


@pytest.mark.parametrize(("wrong", "why"), [("elsewhere.json", "no such file"), ("folder", "Is a directory")])
@pytest.mark.parametrize("command", [(), ("check",)])
def test_a_file_of_settings_that_cannot_be_read_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, command: tuple[str, ...], wrong: str, why: str
) -> None:
    (tmp_path / "there.json").write_text("{}")
    (tmp_path / "folder").mkdir()
    files = [f"--config={tmp_path / name}" for name in ("there.json", wrong, "nowhere.json")]
    assert main([*command, *files]) == 1
    assert caplog.records[-1].getMessage() == f"the file of --config, {tmp_path / wrong}, cannot be read: {why}"


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ("[]", "is not a JSON object; check that it is the right one"),
        ('[["api_key", "the-key"]]', "is not a JSON object; check that it is the right one"),
        ('"the-key"', "is not a JSON object; check that it is the right one"),
        ("1", "is not a JSON object; check that it is the right one"),
        ("null", "is not a JSON object; check that it is the right one"),
        ('{"api_key": "the-key"', "is not JSON; check that it is whole"),
        ('{"page_size": 1e9999999999999999999}', "is not JSON; check that it is whole"),
    ],
)
@pytest.mark.parametrize("command", [(), ("check",)])
def test_a_file_that_holds_no_settings_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, command: tuple[str, ...], held: str, told: str
) -> None:
    (tmp_path / "first.json").write_text('{"api_key": "the-key"}')
    (wrong := tmp_path / "second.json").write_text(held)
    assert main([*command, f"--config={tmp_path / 'first.json'}", f"--config={wrong}"]) == 1
    assert caplog.records[-1].getMessage() == f"the file of --config, {wrong}, {told}"


def test_of_two_files_the_later_one_counts_and_a_whole_number_is_written_as_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "first.json").write_text('{"api_key": "key", "page_size": 0}')
    (tmp_path / "second.json").write_text('{"page_size": 10.0}')
    files = [f"--config={tmp_path / name}" for name in ("first.json", "second.json")]
    assert main(files) == 1
    assert caplog.records[-1].getMessage() == "page_size must be of type integer"
