"""Standard output holds whole lines and a true STATE, however slowly it is read and whenever a run is stopped."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tap_factorialhr import stdout
from tap_factorialhr.commands import COMMANDS
from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tap_factorialhr.stdout import Stdout
from tests.support.signals import wait_until_it_begins
from tests.support.tap import TAP, TapRunner, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator


GONE_AWAY = "the target has gone away: it closed the pipe; see its own messages"


@pytest.fixture(scope="module")
def large() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=20_000)) as sandbox:
        yield sandbox


def started(tap: TapRunner, config: dict[str, Any], **env: str) -> subprocess.Popen[bytes]:
    """A run of one large stream, into a pipe that nobody has begun to read."""
    command = tap.command(config, catalog=tap.catalog("employees"))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **env}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tap.folder, env=environment, bufsize=0
    )


def read_slowly(process: subprocess.Popen[bytes], pause: float = 0.0, stop_after: int | None = None) -> bytes:
    """All that it writes, 4 KB at a time; after so many bytes it is told to stop."""
    assert process.stdout is not None
    output = bytearray()
    while part := os.read(process.stdout.fileno(), 4096):
        output += part
        if stop_after is not None and len(output) >= stop_after:
            stop_after = None
            process.send_signal(signal.SIGTERM)
        time.sleep(pause)
    return bytes(output)


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("pause", [0.0, 0.002, 0.02])
def test_a_signal_while_the_target_reads_slowly_leaves_whole_lines_and_a_state(
    tap: TapRunner, large: Sandbox, pause: float, concurrency: int
) -> None:
    process = started(tap, config_for(large, concurrency=concurrency))
    output = read_slowly(process, pause, stop_after=300_000)
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    lines = output.split(b"\n")
    assert lines.pop() == b""
    messages = [json.loads(line) for line in lines]
    assert messages[-1]["type"] == "STATE"
    ids = [message["record"]["id"] for message in messages if message["type"] == "RECORD"]
    known = [row["id"] for row in large.company.rows("employees/employees")]
    assert 0 < len(ids) < len(known)
    assert ids == known[: len(ids)]


def until_some_wait(process: subprocess.Popen[bytes], size: int) -> None:
    """Wait until so many bytes are in the pipe that nobody reads."""
    assert process.stdout is not None
    deadline = time.monotonic() + 60
    while int.from_bytes(fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)), sys.byteorder) < size:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_target_that_stands_still_is_left_with_whole_lines(tap: TapRunner, large: Sandbox) -> None:
    process = started(tap, config_for(large))
    until_some_wait(process, 30_000)  # The schema is a third of that.
    time.sleep(0.3)  # The pipe is full by now, or soon.
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 128 + signal.SIGINT
    lines = read_slowly(process).split(b"\n")
    assert lines.pop() == b""
    assert Counter(json.loads(line)["type"] for line in lines)["RECORD"] > 0


@pytest.mark.parametrize(
    ("lengths", "most_pieces"),
    [([1, 100, 4095, 4096, 5000, 60_000, 70_000, 300_000, 10], 9), ([5000] * 300, 300 // 4)],
)
def test_lines_longer_than_any_piece_come_through_whole_and_not_one_by_one(
    lengths: list[int], most_pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"".join(b"%d" % (length % 10) * length + b"\n" for length in lengths)
    pieces = []

    def write(_: int, piece: memoryview) -> None:
        pieces.append(bytes(piece))
        os.write(writing, piece)

    monkeypatch.setattr(stdout, "_all_of", write)
    reading, writing = os.pipe()
    got = []

    def read() -> None:
        taken = b""
        while piece := os.read(reading, 16_384):  # Slowly, so that the pipe is seldom empty.
            taken += piece
            time.sleep(0.001)
        os.close(reading)
        got.append(taken)

    reader = threading.Thread(target=read)
    reader.start()
    channel = stdout._channel(writing)
    assert channel is not None
    Stdout()._into(channel, text)
    os.close(writing)
    reader.join()
    assert got == [text]
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert len(pieces) <= most_pieces


OPTIONS = ("--discover", "--about", "--version", "--help", "--test", "--test=schema")


@pytest.mark.parametrize("arguments", [(), *((option,) for option in OPTIONS)])
def test_a_full_disk_is_one_clear_line(tap: TapRunner, large: Sandbox, arguments: tuple[str, ...]) -> None:
    command = tap.command(config_for(large), *arguments, catalog=tap.catalog("teams"))
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tap.folder, check=False)
    assert done.returncode == 1
    assert "standard output cannot be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["plugin", "export-dbt", "check"])
def test_a_full_disk_is_one_clear_line_of_a_command_too(tap: TapRunner, large: Sandbox, name: str) -> None:
    config = tap.file("config.json", config_for(large))
    command = [
        *TAP,
        name,
        "--config",
        config,
        *(["--catalog", tap.file("c.json", tap.catalog("teams"))] * (name != "plugin")),
    ]
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=tap.folder, check=False)
    assert done.returncode == 1
    assert "cannot be written: No space left" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", [*COMMANDS])
def test_a_full_disk_is_one_clear_line_of_its_help_too(tap: TapRunner, name: str) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run([*TAP, name, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "cannot be written: No space left" in done.stderr.splitlines()[-1]
    assert "Usage: " in tap({}, name, "--help").stdout


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_a_token_request_keeps_the_new_tokens(tap: TapRunner, signum: signal.Signals) -> None:
    with Sandbox(Company(employees=5)) as sandbox:
        tokens = sandbox.oauth.issue_tokens()
        config = config_for(sandbox, token_file=str(tap.folder / "session.json"))
        del config["api_key"]
        config |= {
            "refresh_token": tokens["refresh_token"],
            "client_id": sandbox.oauth.client_id,
            "client_secret": sandbox.oauth.client_secret,
        }
        catalog = tap.catalog("teams")
        sandbox.latency = 1.0
        process = subprocess.Popen(tap.command(config, catalog=catalog), stdout=subprocess.DEVNULL, cwd=tap.folder)
        while not any(one.path == "/oauth/token" for one in sandbox.requests):
            time.sleep(0.01)
        process.send_signal(signum)
        assert process.wait(timeout=10) == 128 + signum
        sandbox.latency = 0.0
        assert tap(config, catalog=catalog).code == 0
        assert sandbox.oauth.invalid_grants == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("moment", [0.0, 0.1, 0.3])
def test_ctrl_c_while_the_tap_starts_shows_no_traceback(tap: TapRunner, large: Sandbox, moment: float) -> None:
    config = config_for(large)
    process = subprocess.Popen(
        tap.command(config), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=tap.folder
    )
    wait_until_it_begins(process)
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode != 0
    assert "Traceback" not in errors


def test_a_signal_during_a_large_answer_is_not_a_success(tap: TapRunner, large: Sandbox) -> None:
    rows = b",".join(b'{"id":"%d"}' % number for number in range(300_000))
    large.answer = lambda _: Answer(body=b'{"data":[' + rows + b'],"meta":{"has_next_page":false}}')
    try:
        output = read_slowly(process := started(tap, config_for(large)), 0.001, stop_after=100_000)
    finally:
        large.answer = None
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    assert json.loads(output.splitlines()[-1])["type"] == "STATE"


def abandoned(tap: TapRunner, config: dict[str, Any], taken: int, **files: Any) -> tuple[int, str]:
    """The exit code and the last error of a run whose target takes so many bytes, waits a little, and dies."""
    command = tap.command(config, **files)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tap.folder, bufsize=0
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while taken > 0 and (part := os.read(process.stdout.fileno(), min(taken, 4096))):
            taken -= len(part)
        select.select([process.stdout], [], [], 30)
        time.sleep(0.5)  # Until the run waits for room.
        process.stdout.close()
        try:
            process.wait(timeout=20)
        finally:
            process.kill()
        lines = process.stderr.read().decode().splitlines()
    assert sum("Traceback" in line or "gone away" in line for line in lines) == 1
    return process.returncode, lines[-1].rpartition("| ")[2]


@pytest.mark.parametrize(("length", "taken"), [(1_000, 20_000), (5_000, 20_000), (100_000, 0), (100_000, 20_000)])
def test_a_target_that_dies_ends_the_run_whatever_the_length_of_a_line(
    tap: TapRunner, large: Sandbox, length: int, taken: int
) -> None:
    rows = [{"id": str(number), "description": "x" * length} for number in range(400_000 // length)]
    body = json.dumps({"data": rows, "meta": {"has_next_page": False}}).encode()
    large.answer = lambda _: Answer(body=body)
    config = config_for(large)
    assert abandoned(tap, config, taken, catalog=tap.catalog("teams")) == (1, GONE_AWAY)
    large.answer = None


@pytest.mark.parametrize("taken", [20_000, 250_000])
def test_a_target_that_dies_ends_the_run_also_in_its_last_message(tap: TapRunner, large: Sandbox, taken: int) -> None:
    config = config_for(large)
    state = {"bookmarks": {"a_stream_of_old": {"replication_key_value": "x" * 150_000}}}
    assert abandoned(tap, config, taken, catalog=tap.catalog("teams"), state=state) == (1, GONE_AWAY)


@pytest.mark.parametrize("length", [1_000, 30_000])
def test_a_socket_that_stands_still_is_left_with_whole_lines(tap: TapRunner, large: Sandbox, length: int) -> None:
    rows = [{"id": str(number), "description": "x" * length} for number in range(1_000_000 // length)]
    body = json.dumps({"data": rows, "meta": {"has_next_page": False}}).encode()
    large.answer = lambda _: Answer(body=body)
    config = config_for(large)
    ours, theirs = socket.socketpair()
    with ours:
        process = subprocess.Popen(
            tap.command(config, catalog=tap.catalog("teams")), stdout=theirs.fileno(), stderr=subprocess.DEVNULL
        )
        theirs.close()
        select.select([ours], [], [], 30)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 128 + signal.SIGTERM
        output = bytearray()
        while part := ours.recv(65_536):
            output += part
    large.answer = None
    lines = output.split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)["type"] for line in lines][:1] == ["SCHEMA"]


def test_a_closed_stderr_changes_nothing_but_what_is_seen(tap: TapRunner, config: dict[str, Any]) -> None:
    command = tap.command(config, catalog=tap.catalog("teams"))
    done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *command], capture_output=True, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["type"] == "STATE"


@pytest.mark.parametrize("arguments", [(), ("--discover",), ("--about",)])
def test_a_closed_stdout_is_one_clear_line(tap: TapRunner, config: dict[str, Any], arguments: tuple[str, ...]) -> None:
    command = tap.command(config, *arguments)
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "standard output is closed" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
