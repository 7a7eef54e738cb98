"""What the benchmarks ran on, and with which versions; nothing that names the machine or its owner."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import distributions, version
from pathlib import Path

import psutil

from benchmarks.environments import PINNED
from benchmarks.results import Machine
from benchmarks.serving import PROJECT

SHOWN = ("tap-factorialhr", "singer-sdk", "msgspec", "requests", "urllib3", "uvicorn", "meltano")
LOADER = "meltanolabs-target-postgres"


def machine() -> Machine:
    """The processor, the memory, the system and Python."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=platform.system(),
        python=platform.python_version(),
    )


def versions() -> dict[str, str]:
    """The versions of what is measured, and of what it is measured with."""
    own = {name: version(name) for name in SHOWN}
    own["tap-factorialhr"] += _commit()
    return {**own, **_loader(), **PINNED}


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", described.read_text(), re.MULTILINE) if described.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    return f" at {done.stdout.strip()}" if done.returncode == 0 else ""


def _loader() -> dict[str, str]:
    folders = (PROJECT / ".meltano" / "loaders" / "target-postgres" / "venv").glob("lib/python*/site-packages")
    found = distributions(path=list(map(str, folders)), name=LOADER)
    return {one.name: one.version for one in found}
