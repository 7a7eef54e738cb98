"""What a person sees of a run: lines in a log, a bar on a terminal, and a table at the end."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from typing import TYPE_CHECKING, Any

from tap_factorialhr.progress import Progress, StreamProgress, summary
from tap_factorialhr.sandbox import Answer, Company, Sandbox
from tests.support.tap import config_for

if TYPE_CHECKING:
    import pytest

    from tests.support.tap import TapRunner


def test_a_line_says_how_far_a_stream_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_factorialhr.progress.monotonic", lambda: 102.0)
    one = StreamProgress("teams", rows=1200, total=4800, began=100.0)
    assert str(one) == "teams: 1,200 of 4,800 rows, 600 rows/s, 6 s left"
    one.total = None
    assert str(one) == "teams: 1,200 rows, 600 rows/s"
    one.seconds = 4.0
    assert str(one) == "teams: 1,200 rows in 4.0 s, 300 rows/s"


def test_a_long_stream_says_so_every_few_seconds_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    monkeypatch.setattr("tap_factorialhr.progress.monotonic", lambda: now)
    caplog.set_level("INFO", "tap-factorialhr")
    progress = Progress()
    with progress.turn_of("teams"):
        progress.expect("teams", 1000)
        for _ in range(10):
            now += 1.0
            progress.advance("teams", 100)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "teams: 500 of 1,000 rows, 100 rows/s, 5 s left",
        "teams: 1,000 of 1,000 rows, 100 rows/s, 0 s left",
        "teams: 1,000 rows in 10.0 s, 100 rows/s",
    ]


def test_the_table_adds_up() -> None:
    streams = [
        StreamProgress("teams", rows=1200, seconds=1.5),
        StreamProgress("tasks", seconds=0.5, outcome="skipped, HTTP 403"),
    ]
    lines = summary(streams, {"teams": 12, "tasks": 1, "posts": 2}, {"teams": 3}).splitlines()
    assert [re.split(r"  +", line) for line in lines] == [
        ["stream", "rows", "requests", "retries", "seconds"],
        ["teams", "1,200", "12", "3", "1.5"],
        ["tasks", "0", "1", "0", "0.5", "skipped, HTTP 403"],
        ["posts", "2", "0", "not written"],
        ["2 streams", "1,200", "15", "3", "2.0"],
    ]


def test_a_run_ends_with_a_table_of_what_it_did(tap: TapRunner) -> None:
    with Sandbox(Company(employees=5), forbidden={"teams/teams"}) as sandbox:
        first = iter([Answer(503)])
        sandbox.answer = lambda asked: next(first, None) if asked.resource == "employees/employees" else None
        config = config_for(sandbox)
        run = tap(config, catalog=tap.catalog("employees", "teams", "tasks_task_files"))
        assert run.code == 0, run.stderr
        rows = {line.split()[0]: line.split()[1:] for line in run.stderr.splitlines() if re.match("[a-z]|3 ", line)}
        counts = {name: len(records) for name, records in run.records.items()}
        assert rows["employees"][:3] == [str(counts["employees"]), "2", "1"]
        assert rows["teams"][0] == "0"
        assert rows["teams"][4:] == ["skipped,", "HTTP", "403"]
        assert rows["tasks"] == ["1", "0", "not", "written"]
        assert rows["3"][:3] == ["streams", str(sum(counts.values())), str(len(sandbox.requests))]
        assert run.stderr.count(f"employees: {counts['employees']} rows in") == 1
        points = {point["tags"]["stream"]: point for point in metrics(run.stderr) if "outcome" in point["tags"]}
        shown = ("rows", "retries", "outcome", "reason")
        told = {name: (point["value"], *(point["tags"][one] for one in shown)) for name, point in points.items()}
        assert told == {
            "employees": (2, counts["employees"], 1, "read", ""),
            "teams": (1, 0, 0, "skipped", "HTTP 403"),
            "tasks": (1, 0, 0, "not written", ""),
            "tasks_task_files": (int(rows["tasks_task_files"][1]), counts["tasks_task_files"], 0, "read", ""),
        }


def metrics(log: str) -> list[dict[str, Any]]:
    return [json.loads(line.partition("METRIC: ")[2]) for line in log.splitlines() if "METRIC: " in line]


def test_a_terminal_gets_a_bar_and_stdout_only_messages(tap: TapRunner) -> None:
    with Sandbox(Company(employees=200), latency=0.1) as sandbox:
        config = config_for(sandbox, page_size=10)
        command = tap.command(config, catalog=tap.catalog("employees"))
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its, cwd=tap.folder, env=environment)
        os.close(its)
        shown = bytearray()

        def read() -> None:
            with contextlib.suppress(OSError):  # The end of a terminal that nobody writes to any more.
                while part := os.read(ours, 65536):
                    shown.extend(part)

        reader = threading.Thread(target=read)
        reader.start()
        output, _ = process.communicate(timeout=60)
        reader.join()
        os.close(ours)
        assert process.returncode == 0
    assert {json.loads(line)["type"] for line in output.splitlines()} == {"SCHEMA", "RECORD", "STATE"}
    text = shown.decode()
    assert "all streams" in text
    assert re.search(r"\d+ of 200 rows, [\d,]+ rows/s, \d+ s left", text)
    assert text.rstrip().splitlines()[-1].split()[:3] == ["1", "stream", "200"]
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # The terminal's cursor is back.
