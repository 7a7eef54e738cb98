"""The tap on simulated days: one run a day, each with the state of the one before, in this process."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tap_factorialhr.tap import TapFactorialHR
from tests.support.tap import config_for

if TYPE_CHECKING:
    from tap_factorialhr.sandbox import Sandbox

BEGIN = datetime(2026, 3, 2, 6, tzinfo=UTC)


def stamp(number: int) -> str:
    """The night before a day, as the API writes it."""
    return (BEGIN + timedelta(days=number, hours=-4)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass
class Day:
    """What one run wrote.

    Attributes:
        number: Which day it is, from 0.
        lines: Its messages, as they were written.
    """

    number: int
    lines: bytes

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.splitlines()]

    @property
    def state(self) -> dict[str, Any]:
        """The last state."""
        value: dict[str, Any] = [message for message in self.messages if message["type"] == "STATE"][-1]["value"]
        return value

    @property
    def whole_streams(self) -> set[str]:
        """The streams that are read by changes and were read whole on this day."""
        today = (BEGIN + timedelta(days=self.number)).isoformat()[:10]
        return {name for name, mark in self.state["bookmarks"].items() if mark.get("whole_at", "").startswith(today)}


class TapByDays:
    """Runs the tap against a company, a run a day."""

    def __init__(self, sandbox: Sandbox, **settings: Any) -> None:
        """Take the company, and settings besides the usual ones."""
        self._config = config_for(sandbox, **settings)
        del self._config["start_date"]
        self._state: dict[str, Any] = {}

    def run(self, number: int, catalog: dict[str, Any]) -> Day:
        """The run of a day; its state is kept for the next one."""
        moment = BEGIN + timedelta(days=number)
        kind = type("TapOfThatDay", (TapFactorialHR,), {"initialized_at": moment.timestamp() * 1000})
        output = io.BytesIO()
        with redirect_stdout(io.TextIOWrapper(output, write_through=True)) as text:
            kind(config=self._config, catalog=catalog, state=self._state).run()
            text.detach()
        day = Day(number, output.getvalue())
        self._state = day.state
        return day
