"""``tap | target`` and what happens to it, with small programs in the place of the two."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from factorialhr_dagster.settings import PROJECT
from factorialhr_dagster.transfer import Commands, Transfer, TransferError, transfer

if TYPE_CHECKING:
    from collections.abc import Mapping

DISCOVERS = """
import json, pathlib, signal, sys, time
if "--discover" in sys.argv:
    streams = [("teams", "FULL_TABLE"), ("employees", "INCREMENTAL")]
    print(json.dumps({"streams": [
        {"tap_stream_id": name, "replication_method": method, "metadata": [{"breadcrumb": [], "metadata": {}}]}
        for name, method in streams
    ]}))
    sys.exit()
given = {part.split("=")[0]: part.split("=")[1] for part in sys.argv[1:]}
"""


def programs(folder: Path, tap: str, target: str) -> Commands:
    (folder / "tap.py").write_text(DISCOVERS + tap)
    (folder / "target.py").write_text("import json, os, sys, time\n" + target)
    return Commands([sys.executable, str(folder / "tap.py")], [sys.executable, str(folder / "target.py")])


def move(commands: Commands, states: list[Any], state: Any = None, **options: Any) -> Transfer:
    moved = Transfer()
    options.setdefault("save_state", states.append)
    options.setdefault("into", moved)
    transfer(
        selects=lambda stream: stream == "teams",
        state=state,
        tap_environment=dict(os.environ),
        target_environment=dict(os.environ),
        commands=commands,
        **options,
    )
    return moved


def test_the_tap_gets_its_streams_and_its_state(tmp_path: Path) -> None:
    commands = programs(
        tmp_path,
        """
catalog = json.loads(pathlib.Path(given["--catalog"]).read_text())
print(json.dumps({
    "selected": [one["tap_stream_id"] for one in catalog["streams"] if one["metadata"][0]["metadata"]["selected"]],
    "state": json.loads(pathlib.Path(given["--state"]).read_text()),
}))
""",
        "sys.stdout.write(sys.stdin.read())",
    )
    states: list[Any] = []
    moved = move(commands, states, state={"bookmarks": {}})
    assert states == [{"selected": ["teams"], "state": {"bookmarks": {}}}]
    assert moved.states == 1
    assert moved.whole == {"teams"}


def test_each_state_is_kept_before_the_next_and_whatever_comes_then(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    commands = programs(
        tmp_path,
        "print(1)",
        f"""
print(json.dumps({{"state": 1}}), flush=True)
while not os.path.exists({str(seen)!r}): time.sleep(0.01)
print(json.dumps({{"state": 2}}), flush=True)
sys.exit(3)
""",
    )
    states: list[Any] = []

    def save(state: Mapping[str, Any]) -> None:
        states.append(state)
        seen.touch()

    with pytest.raises(TransferError, match="target ended with exit code 3"):
        move(commands, states, save_state=save)
    assert states == [{"state": 1}, {"state": 2}]


def test_a_tap_that_fails_is_told_with_its_streams(tmp_path: Path) -> None:
    tags = {"stream": "teams", "rows": 0, "retries": 0, "seconds": 0, "outcome": "failed", "reason": ""}
    metric = {"metric": "http_request_count", "value": 1, "tags": tags}
    commands = programs(
        tmp_path, f"print('METRIC: ' + {json.dumps(metric)!r}, file=sys.stderr); sys.exit(1)", "sys.stdin.read()"
    )
    moved = Transfer()
    with pytest.raises(TransferError, match="tap ended with exit code 1: teams failed"):
        move(commands, [], into=moved)
    assert [one.stream for one in moved.reads] == ["teams"]


def test_a_tap_that_cannot_discover_is_told(tmp_path: Path) -> None:
    commands = programs(tmp_path, "", "")
    (tmp_path / "tap.py").write_text("import sys; sys.exit('api_version: there is no such version')")
    with pytest.raises(TransferError, match="there is no such version"):
        move(commands, [])


def test_what_an_error_of_the_target_shows_of_a_row_goes_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = programs(
        tmp_path,
        "",
        """
print("2026-11-25 01:00:00,000 | INFO | target-postgres | it began", file=sys.stderr)
print("2026-11-25 01:00:00,000 | ERROR | target-postgres | (psycopg.DataError) no date: Ada Lovelace", file=sys.stderr)
print("Traceback (most recent call last):", file=sys.stderr)
print("sqlalchemy.exc.IntegrityError: (psycopg.errors.NotNullViolation) Ada Lovelace", file=sys.stderr)
print("DETAIL:  Failing row contains (1, Ada Lovelace).", file=sys.stderr)
sys.exit(1)
""",
    )
    with pytest.raises(TransferError):
        move(commands, [])
    shown = capsys.readouterr().err
    assert "it began" in shown
    assert "target-postgres | psycopg.DataError\n" in shown
    assert "sqlalchemy.exc.IntegrityError" in shown
    assert "Lovelace" not in shown


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a device that is always full")
def test_a_log_that_cannot_be_written_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {"stream": "teams", "rows": 0, "retries": 0, "seconds": 0, "outcome": "read", "reason": ""}
    metric = json.dumps({"metric": "http_request_count", "value": 1, "tags": tags})
    talks = f"""
import signal
signal.alarm(20)  # instead of waiting for a reader for ever
for _ in range(5000): print("2026-11-25 01:00:00,000 | INFO | one of many lines", file=sys.stderr)
print('METRIC: ' + {metric!r}, file=sys.stderr)
"""
    commands = programs(tmp_path, talks, f"{talks}sys.stdin.read()")
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(full, write_through=True))
        assert [one.stream for one in move(commands, []).reads] == ["teams"]


def test_an_interrupted_run_keeps_what_was_read(tmp_path: Path) -> None:
    commands = programs(
        tmp_path,
        """
def end(*_):
    print('{"state": "last"}', flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
print('{"state": "first"}', flush=True)
time.sleep(600)
""",
        "for line in sys.stdin: print(line, end='', flush=True)",
    )
    states: list[Any] = []

    def save(state: Mapping[str, Any]) -> None:
        states.append(state)
        if len(states) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move(commands, states, save_state=save)
    assert states == [{"state": "first"}, {"state": "last"}]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_worker_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    note = "import os; open(__file__ + '.pid', 'w').write(str(os.getpid()))\n"
    programs(tmp_path, f"{note}time.sleep(600)", f"{note}time.sleep(600)")
    code = (
        "import sys; from tests.test_transfer import *\n"
        "folder = Path(sys.argv[1])\n"
        "move(Commands([sys.executable, str(folder / 'tap.py')], [sys.executable, str(folder / 'target.py')]), [])"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT)
    files = [tmp_path / "tap.py.pid", tmp_path / "target.py.pid"]
    until(lambda: all(file.exists() and file.read_text() for file in files))
    pids = [int(file.read_text()) for file in files]
    assert all(map(is_running, pids))
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    until(lambda: not any(map(is_running, pids)))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
