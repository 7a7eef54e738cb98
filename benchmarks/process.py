"""One process, run to its end: how long it took, how much of the processor, and how much memory at most."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.serving import PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LONGEST = 300.0
"""Seconds after which a process is ended."""
FOLDER = PROJECT / ".bench"
ENVIRONMENT = {
    # What cron gives, and no more: for what else is set in a shell Meltano takes longer, and Python may do other
    # things.
    **{name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ},
    # What is measured speaks with nobody but the local server, and leaves nothing in anybody's home.
    "DO_NOT_TRACK": "1",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "DLT_DATA_DIR": str(FOLDER / "dlt"),
    "NO_PROXY": "127.0.0.1",
}


class FailedError(Exception):
    """A process failed; the message is the last it said."""


@dataclass(frozen=True)
class Finished:
    """A process that has ended well.

    Attributes:
        ended: When, as `time.monotonic` tells it.
        wall: Seconds from its start to its end.
        cpu: Seconds of the processor.
        max_rss_kb: Its resident memory at most.
    """

    ended: float
    wall: float
    cpu: float
    max_rss_kb: int


def run(command: Sequence[str | Path], output: Path | None = None) -> Finished:
    """Run a command, its standard output into a file or to nowhere.

    Raises:
        FailedError: Its exit code was not 0, or it took too long.
    """
    with open(output or os.devnull, "wb") as out, tempfile.TemporaryFile() as err:  # noqa: PTH123 (or the null device)
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=PROJECT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        timer = threading.Timer(LONGEST, process.kill)
        timer.start()
        # Not process.wait(), which does not tell what the process has used.
        _, status, used = os.wait4(process.pid, 0)
        ended = time.monotonic()
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            err.seek(0)
            said = err.read().decode(errors="replace").strip().splitlines()
            last = said[-1] if said else f"exit code {process.returncode}"
            raise FailedError(last.replace(f"{PROJECT}/", ""))
    return Finished(ended, ended - began, used.ru_utime + used.ru_stime, used.ru_maxrss)
