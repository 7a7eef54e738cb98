"""What is written in several places says the same in all of them: the tap is the truth."""

from __future__ import annotations

import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import streams_table
from scripts.plugin_definition import declared
from tests.support.numbers import STREAMS
from tests.test_plugin import SECRETS

PROJECT = Path(__file__).resolve().parent.parent
PREFIX = "TAP_FACTORIALHR_"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((PROJECT / "meltano.yml").read_text())
    return loaded


def test_meltano_needs_no_hub(project: dict[str, Any]) -> None:
    plugins = [plugin for kind in project["plugins"].values() for plugin in kind]
    assert {plugin["name"] for plugin in plugins} == {
        "tap-factorialhr",
        "target-postgres",
        "target-duckdb",
        "target-jsonl",
    }
    for plugin in plugins:
        assert {"namespace", "pip_url", "executable", "settings"} <= set(plugin), plugin["name"]
    assert project["send_anonymous_usage_stats"] is False


def test_passwords_of_loaders_are_sensitive(project: dict[str, Any]) -> None:
    for loader in project["plugins"]["loaders"]:
        for setting in loader["settings"]:
            if re.search("password|token|secret|sqlalchemy_url", setting["name"]):
                assert setting["sensitive"], (loader["name"], setting["name"])


def test_generated_tables_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.streams_table", "--check"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_has_every_setting_and_stream() -> None:
    readme = (PROJECT / "README.md").read_text()
    assert [name for name in declared() if f"`{name}`" not in readme] == []
    named = re.findall(r"^\| `(\w+)` \| .* \| (?:full table|incremental by `\w+`) \|", readme, flags=re.MULTILINE)
    assert named == [stream.name for stream in streams_table.discovered()]
    assert len(named) == len(set(named)) == STREAMS


def test_the_documents_say_how_many_streams_there_are() -> None:
    told = {
        (document.name, int(number))
        for document in documents()
        for number in re.findall(r"[Aa]ll (\d+)\s(?:list|streams|resources)", document.read_text())
        if document.name != "CHANGELOG.md"
    }
    assert {name for name, _ in told} >= {"README.md", "privacy.md", "sandbox.md", "scheduling.md"}
    assert {number for _, number in told} == {STREAMS}, told


def test_the_example_shows_each_authentication_method_and_no_secret(project: dict[str, Any]) -> None:
    text = (PROJECT / ".secrets.example").read_text()
    values = dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", text, flags=re.MULTILINE))
    own = {name.removeprefix(PREFIX).lower() for name in values if name.startswith(PREFIX)}
    assert own <= set(declared())
    assert own >= {*SECRETS, "token_file"}
    for name, value in values.items():
        if name.removeprefix(PREFIX).lower() in SECRETS:
            assert re.fullmatch(r"<your [a-z A-Z]+>", value), name
    loaders = {
        f"{loader['namespace']}_{setting['name']}".upper()
        for loader in project["plugins"]["loaders"]
        for setting in loader["settings"]
    }
    assert {name for name in values if not name.startswith(PREFIX)} <= loaders
    live = re.findall(r"^([A-Z_]+)=", text, flags=re.MULTILINE)
    assert live == ["TAP_FACTORIALHR_API_KEY"]


def documents() -> list[Path]:
    return [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")]


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), target


def test_actions_are_pinned_by_commit() -> None:
    used = re.findall(r"uses: (\S+)", (PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    assert len(used) >= 2
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action


def test_make_has_every_target_that_is_named() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE))
    for document in documents():
        for block in re.findall(r"`(make [^`]+)`|^\s*(make \w+)", document.read_text(), flags=re.MULTILINE):
            name = "".join(block).split()[1]
            assert name in targets, (document.name, name)


def test_the_tests_that_mutants_are_tried_with_are_found_as_they_are_named() -> None:
    """With the arguments of `make mutants`, which leave a plugin of the whole suite out."""
    mutants = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["mutmut"]
    selected = mutants["pytest_add_cli_args_test_selection"]
    command = [sys.executable, "-m", "pytest", *mutants["pytest_add_cli_args"], *selected, "--collect-only", "-qq"]
    found = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    assert {line.partition(":")[0] for line in found.stdout.split()} >= {one for one in selected if one[0] != "-"}
    for name in (one.partition("=")[2] for one in selected if one[0] == "-"):
        path, *_, function = name.split("::")
        assert f"def {function}(" in (PROJECT / path).read_text(), name


@pytest.mark.xdist_group("shared")
def test_what_is_grouped_stays_together(request: pytest.FixtureRequest) -> None:
    # Where it does not, nothing fails: each worker just makes what the group shares anew.
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("the tests are not run by groups")
    assert request.node.nodeid.endswith("@shared")


def test_the_modules_of_the_architecture_are_there() -> None:
    described = (PROJECT / "docs" / "architecture.md").read_text()
    modules = {path.name for path in (PROJECT / "tap_factorialhr").glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"^  (\w+\.py) ", described, flags=re.MULTILINE)) == modules


def test_the_sections_of_the_api_notes_that_code_rests_on_are_there() -> None:
    sections = re.findall(r"^## (.*)$", (PROJECT / "docs" / "api-notes.md").read_text(), flags=re.MULTILINE)
    named = {
        " ".join(section.split())
        for folder in ("tap_factorialhr", "scripts", "tests")
        for path in (PROJECT / folder).rglob("*.py")
        for section in re.findall(r'API notes, (?:section )?"([^"]+)"', path.read_text())
    }
    assert len(named) > 5
    for name in named:
        assert name in sections


def test_imports_do_not_go_round_in_a_circle() -> None:
    assert len(streams_table.arrows()) > len(list((PROJECT / "tap_factorialhr").glob("[a-z]*.py")))


def test_a_circle_of_types_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "tap_factorialhr"
    package.mkdir()
    (package / "one.py").write_text("from tap_factorialhr import two\n")
    (package / "two.py").write_text("if TYPE_CHECKING:\n    from tap_factorialhr.one import Thing\n")
    monkeypatch.setattr(streams_table, "PROJECT", tmp_path)
    with pytest.raises(graphlib.CycleError):
        streams_table.arrows()
