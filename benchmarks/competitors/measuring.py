"""What every reader does the same: it takes the address and prints what it took. The standard library alone."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

API_KEY = "not-a-key"
PATH = "employees/employees"
PAGE_SIZE = 100
VERSION = "2026-10-01"


def measure(read: Callable[[str], int]) -> None:
    """Read all employees from the address on the command line: from before the first request to after the last row."""
    began = time.perf_counter()
    rows = read(sys.argv[1])
    seconds = time.perf_counter() - began
    print(json.dumps({"rows": rows, "seconds": seconds, "max_rss_kb": peak_kb()}))


def peak_kb() -> int:
    """The most resident memory so far."""
    status = Path("/proc/self/status")
    if status.exists():  # what the system counts for the process is no less than what its parent had
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
