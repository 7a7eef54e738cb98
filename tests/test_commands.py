"""Which command the arguments of the command line mean."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import click
import pytest

from tap_factorialhr import commands

if TYPE_CHECKING:
    from tests.support.tap import TapRunner


@pytest.fixture
def hello(monkeypatch: pytest.MonkeyPatch) -> click.Command:
    """A command of the tap's own, known for the length of a test."""
    command = click.Command("hello")
    monkeypatch.setitem(sys.modules, "tests.hello", SimpleNamespace(command=command))
    monkeypatch.setitem(commands.COMMANDS, "hello", ("tests.hello", "Say hello."))
    return command


@pytest.mark.parametrize(
    ("given", "rest"),
    [
        (["hello"], []),
        (["hello", "--json"], ["--json"]),
        # As `meltano invoke tap-factorialhr hello --json` has it.
        (
            ["--config", "run.json", "--catalog", "hello", "--state", "s.json", "hello", "--json"],
            ["--config", "run.json", "--catalog", "hello", "--state", "s.json", "--json"],
        ),
        (["--config=run.json", "hello"], ["--config=run.json"]),
    ],
)
def test_a_command_is_told_by_its_name(hello: click.Command, given: list[str], rest: list[str]) -> None:
    assert commands.choose(click.Command("singer"), given) == (hello, rest)


@pytest.mark.parametrize(
    "given",
    [[], ["--config", "hello"], ["--discover"], ["--format", "hello", "--about"], ["--config", "a.json", "other"]],
)
@pytest.mark.usefixtures("hello")
def test_everything_else_is_the_run_of_the_tap(given: list[str]) -> None:
    singer = click.Command("singer")
    found, rest = commands.choose(singer, given)
    assert found is singer
    assert rest == given
    assert "hello" in (singer.epilog or "")


def test_a_word_that_is_no_command_is_an_error_of_one_line(tap: TapRunner) -> None:
    run = tap({"api_key": "any"}, "logni")
    assert run.code == 2
    assert "logni" in run.stderr.splitlines()[-1]
    assert run.stdout == ""
