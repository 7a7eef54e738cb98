"""One partition's rows through ``tap | target``, with the state kept as it comes.

Why a pipe and no Meltano: there is nothing between the two that runs share. The settings go in by the environment, the
catalog and the state lie in a folder made for this run alone, and each STATE of the target is in the database before
the next one is read. Under Meltano parallel runs of one plugin share its catalog file, so each domain would need a
plugin of its own, its lock on a state is checked and written in two steps, and a run costs one more process that takes
seconds to start.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

from factorialhr_dagster.report import StreamRead, stream_read
from factorialhr_dagster.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PIPELINE = PROJECT / ".pipeline" / "bin"
"""The environment of the tap and the loader."""
GRACE = 60.0
"""Seconds that the loader has to store what it was given, when a run is to end early."""
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")
_ERROR_LINE = re.compile(r"([^|]*\| *(?:ERROR|CRITICAL) *\|[^|]*\|)(.*)")
_ERROR_NAME = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Violation)\b")


class TransferError(Exception):
    """The tap or the target failed; the message says which, and holds no value of a row."""


@dataclass(frozen=True)
class Commands:
    """The programs of a transfer.

    Attributes:
        tap: The tap, without arguments.
        target: The target, without arguments.
    """

    tap: Sequence[str] = (str(PIPELINE / "tap-factorialhr"),)
    target: Sequence[str] = (str(PIPELINE / "python"), str(PROJECT / "pipeline" / "target.py"))


@dataclass
class Transfer:
    """What has been moved, filled while it goes on.

    Attributes:
        reads: What each stream took.
        whole: The streams that are read whole in every run.
        states: How many states were kept.
    """

    reads: list[StreamRead] = field(default_factory=list)
    whole: frozenset[str] = frozenset()
    states: int = 0


def transfer(  # noqa: PLR0913 (each stands for itself)
    into: Transfer,
    *,
    selects: Callable[[str], bool],
    state: Mapping[str, Any] | None,
    save_state: Callable[[Mapping[str, Any]], None],
    tap_environment: Mapping[str, str],
    target_environment: Mapping[str, str],
    commands: Commands | None = None,
) -> None:
    """Move the rows of some streams.

    Args:
        into: Where it is noted what was moved, also when this raises.
        selects: Whether a stream is to be read.
        state: Where to go on from.
        save_state: Called with each state whose rows are stored.
        tap_environment: The tap's environment, all its settings included.
        target_environment: The target's.
        commands: Other programs than the installed ones.

    Raises:
        TransferError: The tap or the target failed. What was stored until then is in a state.
    """
    commands = commands or Commands()
    with TemporaryDirectory(prefix="factorialhr-") as name:
        folder = Path(name)
        catalog = _catalog(commands.tap, tap_environment, selects)
        into.whole = frozenset(
            entry["tap_stream_id"] for entry in catalog["streams"] if entry.get("replication_method") == "FULL_TABLE"
        )
        arguments = ["--config=ENV", f"--catalog={_file(folder, 'catalog.json', catalog)}"]
        if state:
            arguments.append(f"--state={_file(folder, 'state.json', state)}")
        with _running([*commands.tap, *arguments], tap_environment, folder, None) as tap:
            assert tap.stdout is not None  # noqa: S101 (asked for)
            with _running([*commands.target, "--config=ENV"], target_environment, folder, tap.stdout) as target:
                tap.stdout.close()  # the target's alone now: when it goes away, the tap notices
                _follow(tap, target, into, save_state)
        _judge(tap.returncode, target.returncode, into)


def _catalog(tap: Sequence[str], environment: Mapping[str, str], selects: Callable[[str], bool]) -> dict[str, Any]:
    """The tap's catalog with the streams of the domain selected.

    Raises:
        TransferError: The tap could not say what there is.
    """
    done = subprocess.run(
        [*tap, "--config=ENV", "--discover"], env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TransferError(f"the tap cannot discover: {_last_error(done.stderr.splitlines())}")
    catalog: dict[str, Any] = json.loads(done.stdout)
    for entry in catalog["streams"]:
        root = next(part["metadata"] for part in entry["metadata"] if not part["breadcrumb"])
        root["selected"] = selects(entry["tap_stream_id"])
    return catalog


def _file(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


@contextlib.contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, stdin: IO[str] | None
) -> Iterator[subprocess.Popen[str]]:
    """A process that has ended when this is over.

    Linux ends it also when this process is killed, so that nothing of a run is left when its retry begins.
    """
    leash = [found, "--pdeathsig", "KILL", "--"] if (found := shutil.which("setpriv")) else []
    process = subprocess.Popen(
        [*leash, *command],
        env=dict(environment),
        cwd=folder,
        stdin=stdin if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process, which then ends the two in order
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _follow(
    tap: subprocess.Popen[str],
    target: subprocess.Popen[str],
    into: Transfer,
    save_state: Callable[[Mapping[str, Any]], None],
) -> None:
    """Keep each state as it comes, until both have ended.

    Where this is interrupted the tap is asked to end; what it has read until then is stored, and so is the state.
    """
    logs = [
        threading.Thread(target=_tell, args=(tap.stderr, into), daemon=True),
        threading.Thread(target=_tell_target, args=(target.stderr,), daemon=True),
    ]
    for log in logs:
        log.start()
    assert target.stdout is not None  # noqa: S101 (asked for)
    try:
        _keep_states(target.stdout, into, save_state)
    except BaseException:
        tap.terminate()
        timer = threading.Timer(GRACE, target.kill)
        timer.start()
        with contextlib.suppress(Exception):  # what ended the run is what is told
            _keep_states(target.stdout, into, save_state)
        timer.cancel()
        raise
    finally:
        target.wait()
        tap.wait()
        for log in logs:
            log.join()


def _keep_states(lines: IO[str], into: Transfer, save_state: Callable[[Mapping[str, Any]], None]) -> None:
    for line in lines:
        save_state(json.loads(line))
        into.states += 1


def _tell(log: IO[str], into: Transfer) -> None:
    """Pass the tap's log on, and note what it says that streams took."""
    for line in log:
        if read := stream_read(line):
            into.reads.append(read)
        _say(line)


def _tell_target(log: IO[str]) -> None:
    """Pass the target's log on, without the words of errors and what stands below: there may be the row that failed."""
    for line in log:
        if error := _ERROR_LINE.match(line):
            found = _ERROR_NAME.search(error[2])
            _say(f"{error[1]} {found.group() if found else 'an error'}\n")
        elif _LOG_LINE.match(line):
            _say(line)
        elif found := _ERROR_NAME.match(line):
            _say(f"{found.group()}\n")


def _say(line: str) -> None:
    """Write a line to the log of the run, if it can be written.

    On a full disk the lines are lost; who stopped reading them would have the program wait for it, for ever.
    """
    with contextlib.suppress(OSError):
        sys.stderr.write(line)


def _judge(tap: int, target: int, into: Transfer) -> None:
    if target:
        raise TransferError(f"the target ended with exit code {target}; its log is in the stderr of the run")
    if tap:
        told = [f"{one.stream} {one.outcome}" for one in into.reads if one.outcome in {"failed", "not finished"}]
        raise TransferError(
            f"the tap ended with exit code {tap}: {', '.join(told) or 'its log is in the stderr of the run'}"
        )


def _last_error(lines: Sequence[str]) -> str:
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")
