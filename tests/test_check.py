"""`tap-factorialhr check`: what the credentials can read."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr import openapi, support
from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tests.support.numbers import STREAMS
from tests.support.tap import TAP, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.tap import Run, TapRunner

FORBIDDEN, MISSING, EMPTY = "ats/answers", "tasks/tasks", "teams/teams"
NULL = "bank_number"


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """A company of which not everything can be read."""
    company = Company(employees=120)
    for row in company.rows("employees/employees"):
        company.touch("employees/employees", row["id"], **{NULL: None})
    for row in list(company.rows(EMPTY)):
        company.delete(EMPTY, row["id"])
    with Sandbox(company, latency=0.02, forbidden={FORBIDDEN}, missing={MISSING}) as sandbox:
        yield sandbox


@pytest.fixture
def checked(tap: TapRunner, server: Sandbox) -> Run:
    server.requests.clear()
    return tap(config_for(server), "check", "--json")


def found(run: Run) -> dict[str, dict[str, Any]]:
    return {stream["stream"]: stream for stream in json.loads(run.stdout)["streams"]}


def test_it_tells_what_can_be_read(checked: Run, server: Sandbox) -> None:
    assert checked.code == 3, checked.stderr
    streams = found(checked)
    assert len(streams) == STREAMS
    outcomes = Counter(stream["outcome"] for stream in streams.values())
    assert streams["ats_answers"]["outcome"] == "forbidden"
    assert streams["ats_answers"]["note"] == "HTTP 403"
    assert streams["tasks"]["outcome"] == "not there"
    assert streams["tasks_task_files"]["note"] == "HTTP 404 of its parent tasks"
    assert streams["teams"]["outcome"] == "empty"
    assert outcomes["readable"] > 150
    assert outcomes.keys() <= {"readable", "empty", "forbidden", "not there"}
    employees = streams["employees"]
    assert (employees["rows"], employees["total"], employees["is_part"]) == (100, 120, False)
    assert NULL in employees["null_fields"]
    assert "id" not in employees["null_fields"]
    assert streams["timeoff_policy_timelines"]["is_part"]
    assert {name for name, stream in streams.items() if not stream["can_be_read"]} == {
        "ats_answers",
        "tasks",
        "tasks_task_files",
    }
    said = json.loads(checked.stdout)
    (own,) = server.company.rows("api_public/credentials")
    assert said["credentials"] == {name: own[name] for name in ("legal_name", "company_id", "role", "employee_id")}
    assert said["api_version"] == openapi.DEFAULT_VERSION
    assert said["supported_until"] == f"{int(openapi.DEFAULT_VERSION[:4]) + 1}{openapi.DEFAULT_VERSION[4:]}"


def test_it_asks_once_for_each_resource_side_by_side(checked: Run, server: Sandbox) -> None:
    assert checked.code == 3
    asked = Counter(request.resource for request in server.requests)
    assert set(asked.values()) == {1}
    assert len(asked) == STREAMS - 1  # but for what hangs off the resource that is not there
    assert 1 < server.most_at_once <= 8


def test_the_table_reads_well_on_80_columns(tap: TapRunner, server: Sandbox) -> None:
    run = tap(config_for(server), "check")
    assert run.code == 3
    lines = run.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in run.stdout + run.stderr
    text = {line.split()[0]: line.split()[1:] for line in lines if line and not line.startswith(" ")}
    assert text["employees"] == ["readable", "120"]
    assert text["ats_answers"] == ["forbidden", "HTTP", "403"]
    assert any(line.startswith(f"API version: {openapi.DEFAULT_VERSION}, supported until ") for line in lines)
    assert run.stderr.splitlines() == [f"Looking at {STREAMS} streams"]


def test_the_selected_streams_alone(tap: TapRunner, server: Sandbox) -> None:
    config = config_for(server)
    run = tap(config, "check", "--json", catalog=tap.catalog("employees", "posts_comments"))
    assert run.code == 0, run.stderr
    assert set(found(run)) == {"employees", "posts_comments"}


def test_credentials_that_are_refused_are_one_line(tap: TapRunner, server: Sandbox) -> None:
    run = tap({**config_for(server), "api_key": "not-the-key"}, "check")
    assert run.code == 1
    assert not run.stdout
    assert "not-the-key" not in run.stderr
    assert "401" in run.stderr.splitlines()[-1]


def test_a_signal_ends_it_at_once_and_says_so(tap: TapRunner) -> None:
    with Sandbox(Company(employees=2), latency=30) as slow:
        command = [*TAP, "check", "--config", tap.file("config.json", config_for(slow))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not slow.requests:
            threading.Event().wait(0.02)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not out
    assert errors.splitlines()[-1].endswith("stopped by signal 2")
    assert errors.count("stopped by signal") == 1


def test_a_selection_of_nothing_is_told(tap: TapRunner, server: Sandbox) -> None:
    run = tap(config_for(server), "check", catalog=tap.catalog())
    assert run.code == 0, run.stderr
    assert "Warning: no stream is selected" in run.stdout
    assert "does base_url belong to them" not in run.stdout


@pytest.mark.parametrize(
    ("env", "looked_at"),
    [
        ({"MELTANO_EXTRACT__SELECT": '["teams.*"]', "MELTANO_SYS_DIR_ROOT": "{folder}"}, {"teams"}),
        ({"MELTANO_EXTRACT__SELECT": '["teams.*"]', "MELTANO_SYS_DIR_ROOT": "/elsewhere"}, {"trainings"}),
        (
            {
                "MELTANO_EXTRACT__SELECT": '["teams.*"]',
                "MELTANO_SYS_DIR_ROOT": "{folder}",
                "MELTANO_EXTRACT__CATALOG": "own.json",
            },
            {"trainings"},
        ),
        ({"MELTANO_EXTRACT__SELECT": "teams", "MELTANO_SYS_DIR_ROOT": "{folder}"}, {"trainings"}),
    ],
    ids=["Meltano's catalog", "another catalog", "the user's own", "no list"],
)
def test_what_meltano_selects_counts_where_the_catalog_is_the_one_it_keeps(
    tap: TapRunner, server: Sandbox, env: dict[str, str], looked_at: set[str]
) -> None:
    environment = {name: value.format(folder=tap.folder) for name, value in env.items()}
    run = tap(config_for(server), "check", "--json", catalog=tap.catalog("trainings"), **environment)
    assert set(found(run)) == looked_at


def test_nobody_who_reads_it_is_one_line(tap: TapRunner, server: Sandbox) -> None:
    command = tap.command(config_for(server), "check")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("standard output was closed before all was written")


def test_a_server_that_is_not_there_is_one_line_and_no_table(tap: TapRunner) -> None:
    with socket.socket() as nobody:  # bound, so that nobody else gets the port, and not listening
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        run = tap({"base_url": url, "api_key": "the-key", "max_retries": 0}, "check")
    assert run.code == 1
    assert not run.stdout
    (line,) = run.stderr.splitlines()
    assert "no connection to the server" in line
    assert "check base_url" in line


def test_neither_is_one_that_speaks_no_tls(tap: TapRunner, server: Sandbox) -> None:
    """HTTPS in `base_url`, and HTTP at that port."""
    run = tap({**config_for(server), "base_url": server.base_url.replace("http:", "https:"), "max_retries": 0}, "check")
    assert run.code == 1
    assert not run.stdout
    (line,) = run.stderr.splitlines()
    assert "no TLS connection to the server" in line
    assert "check base_url" in line


def test_empty_lists_for_nobody_are_not_taken_for_an_empty_company(tap: TapRunner) -> None:
    with Sandbox(Company(employees=1)) as sandbox:
        sandbox.answer = lambda _: Answer(body=b'{"data":[],"meta":{"has_next_page":false,"total":0}}')
        config = config_for(sandbox)
        run = tap(config, "check", catalog=tap.catalog("employees"))
    assert run.code == 3
    assert "does base_url belong to them" in " ".join(run.stdout.split())


@pytest.mark.parametrize(
    ("version", "today", "words"),
    [
        ("2026-10-01", date(2026, 11, 25), None),
        ("2026-10-01", date(2027, 8, 1), None),
        ("2026-10-01", date(2027, 8, 2), "supported until 2027-10-01, 60 days from now; upgrade the tap"),
        ("2026-10-01", date(2027, 10, 1), "0 days from now"),
        ("2026-10-01", date(2027, 10, 2), "no support since 2027-10-01"),
        ("2026-07-01", date(2027, 6, 1), "set api_version to 2026-10-01"),
        ("2027-01-01", date(2027, 1, 2), "newer than 2026-10-01"),
        ("2026-10-02", date(2026, 11, 25), "none that is known"),
        ("2026-13-01", date(2026, 11, 25), "none that is known"),
        ("2024-02-29", date(2026, 11, 25), "none that is known"),
    ],
)
def test_what_there_is_to_say_of_a_version(version: str, today: date, words: str | None) -> None:
    said = support.note(version, today, newest="2026-10-01")
    assert said is None if words is None else words in (said or "")


@pytest.mark.parametrize(
    ("version", "words"),
    [("2020-01-01", "has had no support"), ("2199-01-01", "newer"), ("2026-10-02", "none that is known")],
)
def test_a_run_says_it_once(tap: TapRunner, server: Sandbox, version: str, words: str) -> None:
    config = config_for(server, api_version=version)
    catalog = tap.catalog("locations", "posts")
    catalog["streams"] = [one for one in catalog["streams"] if one["tap_stream_id"] in {"locations", "posts"}]
    run = tap(config, catalog=catalog)
    assert run.code == 0, run.stderr
    warnings = [line for line in run.stderr.splitlines() if "api_version" in line]
    assert len(warnings) == 1
    assert words in warnings[0]
    assert "WARNING" in warnings[0]
