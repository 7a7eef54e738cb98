"""The servers, as the runner sees them: processes of their own, on a free port of the loopback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

if TYPE_CHECKING:
    from types import TracebackType

PROJECT = Path(__file__).resolve().parent.parent
_direct = build_opener(ProxyHandler({}))


class Record(msgspec.Struct):
    """What a server has been asked for; times are those of `time.monotonic`, which all processes share.

    Attributes:
        requests: How many requests have come.
        first: When the first one came; None before.
        most_at_once: How many were in flight at one time, at most.
    """

    requests: int = 0
    first: float | None = None
    most_at_once: int = 0


class _Process:
    """A module that serves until its standard input ends, so that it never outlives the runner."""

    module: str
    arguments: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", self.module, *self.arguments]
        self._process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._greet(self._line())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._process.communicate(timeout=10)
        finally:
            self._process.kill()

    def _greet(self, line: str) -> None:
        raise NotImplementedError

    def _line(self) -> str:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"{self.module} ended")
        return line


class Pages(_Process):
    """The employees, `benchmarks.server`."""

    module = "benchmarks.server"

    def _greet(self, line: str) -> None:
        self.address = line.strip()

    def set(self, rows: int, latency: float) -> None:
        """Serve that many rows, with that many seconds before each answer, and begin a new record."""
        self._call("setting", rows=rows, latency=latency)

    @property
    def record(self) -> Record:
        """What has been asked for since the last setting."""
        return msgspec.json.decode(self._call("record"), type=Record)

    def _call(self, name: str, **values: float) -> bytes:
        request = Request(f"{self.address}/{name}?{urlencode(values)}", method="POST")
        with _direct.open(request) as response:
            body: bytes = response.read()
        return body


class Company(_Process):
    """The whole simulated company, `benchmarks.company`."""

    module = "benchmarks.company"

    def __init__(self, employees: int, latency: float) -> None:
        self.arguments = (str(employees), str(latency))

    def _greet(self, line: str) -> None:
        self.settings: dict[str, Any] = msgspec.json.decode(line)

    def take_record(self) -> Record:
        """What has been asked for since the last time."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        return msgspec.json.decode(self._line(), type=Record)
