"""What a process does about signals, as Linux tells it."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess


def catches(process: subprocess.Popen[Any], signum: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1], 16)
    return bool(caught >> (signum - 1) & 1)


def wait_until_it_begins(process: subprocess.Popen[Any]) -> None:
    """Wait until the first line of the tap has run, before which Ctrl-C is the interpreter's own affair.

    The interpreter catches SIGINT while it starts, and the tap then leaves it to the system.
    """
    has_started = False
    while process.poll() is None:
        is_caught = catches(process, signal.SIGINT)
        if has_started and not is_caught:
            return
        has_started = has_started or is_caught


def wait_until_it_reads(process: subprocess.Popen[Any]) -> None:
    """Wait until a run of the tap ends in order when it is told to."""
    while process.poll() is None and not catches(process, signal.SIGTERM):
        time.sleep(0.01)
