"""Whatever the network and the server do: every row, or a clear end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import Any

import filelock
import pytest

from scripts import fault_matrix
from tap_factorialhr.sandbox import Answer, Company, Faults, RequestRecord, Sandbox
from tap_factorialhr.sandbox.faults import KINDS
from tests.support.signals import wait_until_it_reads
from tests.support.tap import Run, TapRunner, config_for
from tests.test_sync import differences


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_on_every_tenth_request_does_what_the_docs_say(tap: TapRunner, kind: str) -> None:
    company, run = fault_matrix.run_with(kind, tap)
    row = fault_matrix.row_of_table(kind, company, run)
    assert row in fault_matrix.documented()
    assert row.endswith("| 0 | 0 | 0 |")
    assert "trying again in" in run.stderr


def test_the_docs_have_every_kind_of_fault() -> None:
    head, rows = fault_matrix.documented()[:2], fault_matrix.documented()[2:]
    assert tuple(head) == fault_matrix.HEAD
    assert [row.split(" | ")[0] for row in rows] == [f"| `{kind}`" for kind in KINDS]


def test_all_faults_mixed_cost_no_row_of_any_stream(tap: TapRunner) -> None:
    with Sandbox(Company(employees=3), fault_delay=1.5) as sandbox:
        sandbox.retry_after = 0
        sandbox.faults = Faults("mixed", every=10)
        run = tap(config_for(sandbox, request_timeout=1))
        assert run.code == 0, run.stderr[-2000:]
        assert differences(sandbox.company, run) == []


def one_answer(answer: Answer, resource: str = "teams/teams") -> Any:
    def choose(record: RequestRecord) -> Answer | None:
        return answer if record.resource == resource else None

    return choose


@pytest.fixture
def run_teams(tap: TapRunner, config: dict[str, Any], sandbox: Sandbox) -> Any:
    """Runs two streams, the answer to the second made up."""
    catalog = tap.catalog("employees", "teams")

    def run(answer: Answer, **settings: Any) -> Run:
        sandbox.clear()
        sandbox.answer = one_answer(answer)
        try:
            return tap({**config, "max_retries": 1, **settings}, catalog=catalog)
        finally:
            sandbox.answer = None

    return run


SECRET_BODY = b'{"errors": "Jane Roe earns 4000; team_ids is wrong"}'


@pytest.mark.parametrize(
    ("answer", "says", "requests"),
    [
        (Answer(401, b'{"errors": null}'), "teams: HTTP 401", 1),
        (Answer(400, b"Invalid parameters"), "teams: HTTP 400", 1),
        (Answer(422, SECRET_BODY), "teams: HTTP 422", 1),
        (Answer(503, SECRET_BODY), "teams: HTTP 503", 2),
        (Answer(429, b"", {"retry-after": "0"}), "teams: HTTP 429", 2),
        (Answer(200, b"<html>Jane Roe</html>"), "teams: HTTP 200 that is not JSON", 2),
        (Answer(200, b"[]"), "teams: HTTP 200 without", 2),
        (Answer(200, b"[" * 100_000), "teams: HTTP 200 that is not JSON", 2),
        (Answer(200, b'{"data": [{"name": "\xff"}]}'), "teams: HTTP 200 that is not JSON", 2),
        (Answer(302, b"", {"location": "http://127.0.0.2:9/"}), "teams: HTTP 302", 1),
    ],
)
def test_given_up_with_one_line_and_a_true_state(
    run_teams: Any, sandbox: Sandbox, answer: Answer, says: str, requests: int
) -> None:
    run = run_teams(answer)
    assert run.code == 1
    assert any(says in line for line in run.stderr.splitlines()), run.stderr
    assert "Traceback" not in run.stderr
    assert "Jane" not in run.stderr
    assert len(sandbox.requests_for("teams/teams")) == requests
    assert len(run.records["employees"]) == len(sandbox.company.rows("employees/employees"))
    assert run.messages[-1]["type"] == "STATE"
    assert "employees" in run.state["bookmarks"]


@pytest.mark.parametrize("status", [402, 403, 404, 410])
def test_a_stream_that_is_not_there_for_these_credentials_costs_no_other(run_teams: Any, status: int) -> None:
    run = run_teams(Answer(status, SECRET_BODY))
    assert run.code == 0, run.stderr
    assert f"skipped: teams (HTTP {status})" in run.stderr
    assert "trying again" not in run.stderr
    assert run.records["employees"]
    assert not run.records["teams"]
    failing = run_teams(Answer(status, SECRET_BODY), on_forbidden="fail")
    assert failing.code == 1
    assert f"teams: HTTP {status}" in failing.stderr.splitlines()[-1]


def test_forbidden_streams_are_skipped_and_listed(tap: TapRunner) -> None:
    with Sandbox(Company(employees=5), forbidden={"teams/teams"}, missing={"ats/answers"}) as sandbox:
        config = config_for(sandbox, emit_activate_version_messages=True)
        catalog = tap.catalog("teams", "ats_answers", "locations")
        run = tap(config, catalog=catalog)
        assert run.code == 0, run.stderr
        assert list(run.records) == ["locations"]
        assert [message["stream"] for message in run.of_type("ACTIVATE_VERSION")] == ["locations"]
        assert "skipped: teams (HTTP 403)" in run.stderr
        assert "skipped: ats_answers (HTTP 404)" in run.stderr

        failing = tap({**config, "on_forbidden": "fail"}, catalog=catalog)
        assert failing.code == 1
        assert "HTTP 40" in failing.stderr.splitlines()[-1]

        none = tap(config, catalog=tap.catalog("teams", "ats_answers"))
        assert none.code == 1
        assert "not one selected stream could be read" in none.stderr.splitlines()[-1]


def test_nothing_but_404_is_an_error_whatever_is_selected(tap: TapRunner) -> None:
    """Also where streams that have nothing to read, for want of a setting, are selected with the rest."""
    with Sandbox(Company(employees=1), answer=lambda _: Answer(404)) as sandbox:
        config = config_for(sandbox)
        del config["integration_uuids"]
        for arguments in ((), ("--test",)):
            run = tap(config, *arguments)
            assert run.code == 1
            assert "not one selected stream could be read" in run.stderr.splitlines()[-1]


def test_a_test_fails_where_a_run_would(tap: TapRunner) -> None:
    with Sandbox(Company(employees=1)) as sandbox:
        config = config_for(sandbox)
        assert tap(config, "--test").code == 0
        sandbox.answer = lambda record: Answer(400) if record.resource == "teams/teams" else None
        run = tap(config, "--test")
        assert run.code == 1
        assert "1 stream failed" in run.stderr.splitlines()[-1]


def test_pages_that_lead_nowhere_end_their_stream_and_no_other(tap: TapRunner) -> None:
    body = b'{"data": [], "meta": {"has_next_page": true, "end_cursor": "x", "total": 9, "limit": 3}}'
    with Sandbox(Company(employees=3)) as sandbox:
        sandbox.answer = lambda record: Answer(body=body) if record.resource == "locations/locations" else None
        config = config_for(sandbox)
        run = tap(config, catalog=tap.catalog("locations", "teams"))
        assert run.code == 1
        assert run.records["teams"]
        assert "1 stream failed, the first: locations: the server" in run.stderr.splitlines()[-1]


def test_a_parent_that_is_gone_does_not_hide_the_children_of_others(tap: TapRunner) -> None:
    with Sandbox(Company(employees=20)) as sandbox:
        config = config_for(sandbox, emit_activate_version_messages=True)
        tasks = [str(row["id"]) for row in sandbox.company.rows("tasks/tasks")]
        children = sandbox.company.rows("tasks/task_files")
        catalog = tap.catalog("tasks_task_files")

        def gone(status: int, *victims: str) -> None:
            sandbox.answer = lambda record: Answer(status) if record.get("task_id") in victims else None

        gone(404, tasks[1])
        run = tap(config, catalog=catalog)
        assert run.code == 0, run.stderr
        expected = {str(row["id"]) for row in children if str(row["task_id"]) != tasks[1]}
        assert {record["id"] for record in run.records["tasks_task_files"]} == expected
        assert "tasks_task_files: without a part of its rows (1 times HTTP 404)" in run.stderr
        assert run.of_type("ACTIVATE_VERSION") == []
        assert tap({**config, "on_forbidden": "fail"}, catalog=catalog).code == 0

        gone(403, tasks[1])
        assert tap({**config, "on_forbidden": "fail"}, catalog=catalog).code == 1

        gone(403, *tasks)
        run = tap(config, catalog=catalog)
        assert run.code == 1
        assert "skipped: tasks_task_files (HTTP 403)" in run.stderr


def test_the_children_of_a_parent_without_its_key_stay_in_their_table(tap: TapRunner) -> None:
    with Sandbox(Company(employees=20)) as sandbox:
        tasks = sandbox.company.rows("tasks/tasks")
        hidden = tasks[1]["id"]
        children = sandbox.company.rows("tasks/task_files")
        rows = json.dumps({"data": [{**row, "id": None} if row["id"] == hidden else row for row in tasks]}).encode()
        sandbox.answer = lambda record: Answer(200, rows) if record.resource == "tasks/tasks" else None
        run = tap(
            config_for(sandbox, emit_activate_version_messages=True), catalog=tap.catalog("tasks_task_files", "teams")
        )
        assert run.code == 0, run.stderr
        expected = {str(row["id"]) for row in children if row["task_id"] != hidden}
        assert {record["id"] for record in run.records["tasks_task_files"]} == expected
        assert "tasks_task_files: without a part of its rows (1 times a parent whose id is null)" in run.stderr
        assert [message["stream"] for message in run.of_type("ACTIVATE_VERSION")] == ["teams"]


@pytest.mark.parametrize("status", [400, 403, 404, 410, 422])
def test_a_value_that_is_refused_does_not_hide_the_rows_of_others(tap: TapRunner, status: int) -> None:
    path, stream = "job_catalog/tree_nodes", "job_catalog_tree_nodes"

    def refuse(record: RequestRecord) -> Answer | None:
        return Answer(status) if record.resource == path and record.get("node_type") in refused else None

    with Sandbox(Company(employees=20), answer=refuse) as sandbox:
        config = config_for(sandbox, emit_activate_version_messages=True)
        rows = sandbox.company.rows(path)
        kinds = sorted({row["type"] for row in rows})
        refused = {kinds[0]}
        run = tap(config, catalog=tap.catalog(stream, "job_catalog_node_attributes"))
        assert run.code == 0, run.stderr
        assert {one["uuid"] for one in run.records[stream]} == {row["uuid"] for row in rows if row["type"] != kinds[0]}
        assert run.records["job_catalog_node_attributes"]
        assert run.of_type("ACTIVATE_VERSION") == []
        for name in (stream, "job_catalog_node_attributes"):
            assert f"{name}: without" in run.stderr
        failing = tap({**config, "on_forbidden": "fail"}, catalog=tap.catalog(stream))
        assert failing.code == 1
        assert f"{stream}: a part of its rows cannot be read (1 times HTTP {status})" in failing.stderr.splitlines()[-1]
        refused = {one.get("node_type") for one in sandbox.requests_for(path)}
        run = tap(config, catalog=tap.catalog(stream))
        assert run.code == 1


def test_what_was_skipped_is_listed_even_when_the_run_fails(tap: TapRunner) -> None:
    with Sandbox(Company(employees=3), forbidden={"tasks/tasks"}) as sandbox:
        config = config_for(sandbox, max_retries=0)
        sandbox.answer = lambda record: Answer(503) if record.resource == "teams/teams" else None
        run = tap(config, catalog=tap.catalog("tasks", "teams"))
        assert run.code == 1
        assert any("skipped: tasks (HTTP 403)" in line for line in run.stderr.splitlines())
        assert "teams: HTTP 503" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("stream", "body", "named"),
    [
        ("finance_categories", b'{"error_type": "invalid", "param": "statuses"}', "statuses[]"),
        ("employees", b'{"errors": ["team_ids is wrong"]}', "team_ids[]"),
        ("teams", b'{"errors": ["homepage unlimited"]}', None),
    ],
)
def test_the_parameter_at_fault_is_named(
    tap: TapRunner, sandbox: Sandbox, stream: str, body: bytes, named: str | None
) -> None:
    config = config_for(sandbox)
    sandbox.answer = lambda _: Answer(422, body)
    try:
        run = tap(config, catalog=tap.catalog(stream))
    finally:
        sandbox.answer = None
    assert run.code == 1
    assert (f"because of the parameter {named};" if named else "rejects the request;") in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("status", [204, 206])
def test_an_answer_that_is_none_is_tried_again(
    tap: TapRunner, config: dict[str, Any], sandbox: Sandbox, status: int
) -> None:
    sandbox.clear()
    sandbox.answer = lambda _: Answer(status) if len(sandbox.requests) == 1 else None
    try:
        run = tap(config, catalog=tap.catalog("teams"))
    finally:
        sandbox.answer = None
    assert run.code == 0, run.stderr
    assert f"teams: HTTP {status}, trying again" in run.stderr


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_run_within_five_seconds(
    tap: TapRunner, config: dict[str, Any], sandbox: Sandbox, signum: signal.Signals
) -> None:
    sandbox.latency = 0.3
    try:
        process = subprocess.Popen(
            tap.command({**config, "page_size": 1}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tap.folder,
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        began = time.monotonic()
        process.send_signal(signum)
        rest, errors = process.communicate(timeout=20)
    finally:
        sandbox.latency = 0.0
    assert time.monotonic() - began < 5
    assert process.returncode == 128 + signum
    run = Run(process.returncode, first + rest, errors)
    assert run.messages[-1]["type"] == "STATE"
    assert "Traceback" not in errors


def test_a_run_that_is_to_outlive_its_terminal_does(tap: TapRunner, config: dict[str, Any], sandbox: Sandbox) -> None:
    command = ["nohup", *tap.command(config, catalog=tap.catalog("teams"))]
    sandbox.latency = 0.5
    sandbox.clear()
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tap.folder)
        while not sandbox.requests and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGHUP)
        output, errors = process.communicate(timeout=20)
    finally:
        sandbox.latency = 0.0
    assert process.returncode == 0, errors
    assert Run(0, output, errors).records["teams"]


def test_a_target_that_goes_away_is_a_clean_end(tap: TapRunner, config: dict[str, Any]) -> None:
    process = subprocess.Popen(
        tap.command(config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tap.folder
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=30) == 1
    assert "the target has gone away" in errors.splitlines()[-1]
    assert "Traceback" not in errors


@pytest.mark.parametrize("is_interrupted", [True, False])
def test_what_ended_the_run_is_told_where_the_target_has_gone_as_well(tap: TapRunner, is_interrupted: bool) -> None:
    with Sandbox(Company(employees=3)) as sandbox:
        config = config_for(sandbox, concurrency=1)
        process = subprocess.Popen(
            tap.command(config, catalog=tap.catalog("teams")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tap.folder,
        )
        assert process.stdout is not None

        def close(_: RequestRecord) -> Answer | None:
            assert process.stdout is not None
            process.stdout.close()
            if is_interrupted:
                process.send_signal(signal.SIGINT)
                time.sleep(0.5)
                return None
            return Answer(401)

        sandbox.answer = close
        assert process.stderr is not None
        errors = process.stderr.read()
        assert process.wait(timeout=20) == (128 + signal.SIGINT if is_interrupted else 1)
        said = "stopped by signal 2; what was written is in the state" if is_interrupted else "HTTP 401"
        assert said in errors.splitlines()[-1]
        assert errors.count(said) == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_stream_that_is_refused_half_way_has_failed(tap: TapRunner, status: int) -> None:
    """There was access a moment ago: a firewall, or a company that has just ended its contract."""
    with Sandbox(Company(employees=40)) as sandbox:
        config = config_for(sandbox, page_size=10, max_retries=0)
        sandbox.answer = lambda record: (
            Answer(status)
            if record.resource == "employees/employees" and (record.get("after_id") or record.get("page") != "1")
            else None
        )
        run = tap(config, catalog=tap.catalog("employees", "teams"))
    assert run.code == 1
    assert f"employees: HTTP {status}, after a part of its rows had come; try again" in run.stderr
    assert "skipped" not in run.stderr
    assert run.records["teams"]
    assert "employees" not in run.state["bookmarks"] or not run.state["bookmarks"]["employees"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_signal_that_a_run_cannot_obey_is_told(tap: TapRunner) -> None:
    """It waits for another process that has the session, and nothing interrupts that."""
    with Sandbox(Company(employees=1)) as sandbox:
        config = config_for(sandbox, token_file=str(tap.folder / "session.json"))
        del config["api_key"]
        oauth = sandbox.oauth
        oauth.add_refresh_token("refresh")
        config |= {
            "refresh_token": "refresh",
            "client_id": oauth.client_id,
            "client_secret": oauth.client_secret,
        }
        with filelock.FileLock(tap.folder / "session.json.lock"):
            process = subprocess.Popen(
                tap.command(config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tap.folder
            )
            wait_until_it_reads(process)
            time.sleep(0.5)  # Until it waits.
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 143
    assert errors.splitlines()[-1].endswith("stopped by signal 15, before what was under way had ended")


@pytest.mark.parametrize("total", [10**12, 2**62, 10**39])
def test_a_total_that_cannot_be_is_not_counted_up_to(tap: TapRunner, total: int) -> None:
    """It took minutes in which no signal was obeyed."""
    with Sandbox(Company(employees=3)) as sandbox:
        body = b'{"data": [%b], "meta": {"total": %d, "limit": 2, "has_next_page": %b, "end_cursor": "%b"}}'

        def answer(record: RequestRecord) -> Answer | None:
            if record.resource != "teams/teams":
                return None
            if record.get("after_id") == "a" or record.get("page") == "2":
                return Answer(body=body % (b'{"id": 3}', 3, b"false", b"b"))
            if record.get("page") not in {None, "1"}:
                return Answer(body=body % (b"", total, b"false", b""))
            return Answer(body=body % (b'{"id": 1}, {"id": 2}', total, b"true", b"a"))

        sandbox.answer = answer
        run = tap(config_for(sandbox, page_size=2, max_retries=0), catalog=tap.catalog("teams"))
    assert [record["id"] for record in run.records["teams"]] == ["1", "2", "3"]
