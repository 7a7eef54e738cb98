"""Streams that the server does not answer: the others are read, unless nothing is answered at all."""

from __future__ import annotations

import itertools
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tests.support.tap import config_for

if TYPE_CHECKING:
    from tap_factorialhr.sandbox import RequestRecord
    from tests.support.tap import TapRunner


@pytest.mark.parametrize("concurrency", [1, 8])
def test_streams_after_one_that_is_not_answered_are_read(tap: TapRunner, concurrency: int) -> None:
    with Sandbox(Company(employees=3)) as sandbox:
        sandbox.answer = lambda record: Answer(500) if record.resource == "locations/locations" else None
        config = config_for(sandbox, max_retries=1, concurrency=concurrency)
        run = tap(config, catalog=tap.catalog("employees", "locations", "teams", "trainings"))
    assert run.code == 1
    assert set(run.records) == {"employees", "teams", "trainings"}
    last = run.stderr.splitlines()[-1]
    assert "1 stream failed, the first: locations: HTTP 500, given up after 1 retry" in last


def test_a_server_that_answers_nothing_is_given_up_after_two_streams(tap: TapRunner) -> None:
    with Sandbox(Company(employees=3)) as sandbox:
        sandbox.answer = lambda _: Answer(500)
        run = tap(config_for(sandbox, max_retries=0, concurrency=1), catalog=tap.catalog("employees", "teams", "tasks"))
        asked = {record.resource for record in sandbox.requests}
    assert run.code == 1
    assert asked == {"employees/employees", "tasks/tasks", "api_public/credentials"}
    last = run.stderr.splitlines()[-1]
    assert "tasks: HTTP 500, given up" in last
    assert "nor is anything else answered" in last


@pytest.mark.parametrize("status", [429, 503])
def test_one_bad_moment_of_the_request_that_tells_does_not_end_the_run(tap: TapRunner, status: int) -> None:
    with Sandbox(Company(employees=3)) as sandbox:
        asked = itertools.count()

        def answer(record: RequestRecord) -> Answer | None:
            if record.resource == "api_public/credentials":
                return Answer(status, headers={"Retry-After": "0"}) if next(asked) == 0 else None
            return Answer(500) if record.resource in {"employees/employees", "tasks/tasks"} else None

        sandbox.answer = answer
        config = config_for(sandbox, max_retries=1, concurrency=1)
        run = tap(config, catalog=tap.catalog("employees", "tasks", "teams"))
    assert run.code == 1
    assert run.records["teams"]
    assert next(asked) >= 2
    assert "2 streams failed" in run.stderr.splitlines()[-1]


def test_a_signal_while_the_tap_asks_whether_anything_is_answered_ends_the_run_as_any_other(tap: TapRunner) -> None:
    with Sandbox(Company(employees=1)) as sandbox:
        asked = threading.Event()

        def answer(record: RequestRecord) -> Answer | None:
            if record.resource == "api_public/credentials":
                asked.set()
                time.sleep(10)
            return Answer(500)

        sandbox.answer = answer
        command = tap.command(config_for(sandbox, max_retries=0, concurrency=1), catalog=tap.catalog("teams", "tasks"))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tap.folder)
        assert asked.wait(30)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert '"type":"STATE"' in out.splitlines()[-1]
    assert errors.splitlines()[-1].endswith("stopped by signal 15; what was written is in the state")


def test_where_there_is_no_server_one_stream_is_enough(tap: TapRunner) -> None:
    with socket.socket() as nobody:  # bound, so that nobody else gets the port, and not listening
        nobody.bind(("127.0.0.1", 0))
        with Sandbox(Company(employees=1)) as sandbox:
            config = config_for(sandbox, max_retries=0, base_url=f"http://127.0.0.1:{nobody.getsockname()[1]}")
        run = tap(config, catalog=tap.catalog("employees", "teams", "tasks"))
    assert run.code == 1
    assert sum("no connection to the server" in line for line in run.stderr.splitlines()) == 1


@pytest.mark.parametrize("concurrency", [1, 8])
def test_neighbours_that_are_not_answered_keep_no_other_from_being_read(tap: TapRunner, concurrency: int) -> None:
    """Nothing else may have been asked for since the first of them failed."""
    with Sandbox(Company(employees=3)) as sandbox:
        sandbox.answer = lambda record: (
            Answer(500) if record.resource in {"locations/locations", "tasks/tasks"} else None
        )
        names = "employees", "locations", "tasks", "tasks_task_files", "teams", "trainings"
        run = tap(config_for(sandbox, max_retries=1, concurrency=concurrency), catalog=tap.catalog(*names))
        asked = Counter(record.resource for record in sandbox.requests)
    assert run.code == 1
    assert set(run.records) == {"employees", "teams", "trainings"}
    assert "3 streams failed, the first: locations: HTTP 500" in run.stderr.splitlines()[-1]
    assert "failed: tasks_task_files: its parent tasks: HTTP 500" in run.stderr
    assert asked["tasks/tasks"] <= 4  # once for itself and once as a parent, each with a retry


def test_a_parent_that_is_not_answered_is_not_asked_for_by_each_of_its_children(tap: TapRunner) -> None:
    children = "attendance_estimated_times", "attendance_reviews", "timeoff_policy_timelines"
    with Sandbox(Company(employees=3)) as sandbox:
        sandbox.answer = lambda record: Answer(500) if record.resource == "employees/employees" else None
        run = tap(config_for(sandbox, max_retries=1), catalog=tap.catalog(*children, "teams"))
        asked = Counter(record.resource for record in sandbox.requests)
    assert run.code == 1
    assert run.records["teams"]
    failed = [line for line in run.stderr.splitlines() if "failed: " in line]
    for child in children:
        assert sum(f"failed: {child}: its parent employees: HTTP 500" in line for line in failed) == 1
    assert asked["employees/employees"] == 2
