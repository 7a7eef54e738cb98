"""The tap as a process of its own, and what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from tap_factorialhr.tap import TapFactorialHR
from tests.support import forks

if TYPE_CHECKING:
    from pathlib import Path

    from tap_factorialhr.sandbox import Sandbox

TAP = [sys.executable, "-m", "tap_factorialhr"]


@dataclass
class Run:
    """What a run of the tap left behind."""

    code: int
    stdout: str
    stderr: str

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @cached_property
    def records(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for message in self.of_type("RECORD"):
            found[message["stream"]].append(message["record"])
        return found

    @property
    def state(self) -> dict[str, Any]:
        """The last state that was written."""
        value: dict[str, Any] = self.of_type("STATE")[-1]["value"]
        return value


class TapRunner:
    """Runs the tap in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wrapper: tuple[str, ...] = ()

    def file(self, name: str, content: Any) -> str:
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def command(self, config: Any, *arguments: str, state: Any = None, catalog: Any = None) -> list[str]:
        command = [*TAP, "--config", self.file("config.json", config), *arguments]
        if state is not None:
            command += ["--state", self.file("state.json", state)]
        if catalog is not None:
            command += ["--catalog", self.file("catalog.json", catalog)]
        return command

    def __call__(self, config: Any, *arguments: str, state: Any = None, catalog: Any = None, **env: str) -> Run:
        command = self.command(config, *arguments, state=state, catalog=catalog)
        environment = {**os.environ, **env}
        if not self.wrapper:
            return Run(*forks.run(command[len(TAP) :], self.folder, environment, seconds=120))
        done = subprocess.run(
            [*self.wrapper, *command],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.folder,
            env=environment,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def catalog(self, *streams: str) -> dict[str, Any]:
        """A catalog in which these streams alone are selected; of the others it has no more than that they are not."""
        catalog: dict[str, Any] = {"streams": []}
        for name, entry in _discovered().items():
            if name in streams:
                chosen = json.loads(entry)
                (root,) = [part["metadata"] for part in chosen["metadata"] if not part["breadcrumb"]]
                root["selected"] = True
            else:
                metadata = [{"breadcrumb": [], "metadata": {"selected": False}}]
                chosen = {"tap_stream_id": name, "stream": name, "schema": {"properties": {}}, "metadata": metadata}
            catalog["streams"].append(chosen)
        return catalog


@cache
def _discovered() -> dict[str, bytes]:
    """The entries of the catalog, as JSON by the name of the stream."""
    catalog = TapFactorialHR(config={}, validate_config=False, setup_mapper=False).catalog_dict
    return {entry["tap_stream_id"]: msgspec.json.encode(entry) for entry in catalog["streams"]}


def set_in(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The bookmarks of a state, without what is null in them."""
    marks = state["bookmarks"].items()
    return {stream: {name: value for name, value in mark.items() if value is not None} for stream, mark in marks}


def config_for(sandbox: Sandbox, **settings: Any) -> dict[str, Any]:
    """The settings of a run that reads the whole of a simulated company."""
    return {
        "base_url": sandbox.base_url,
        "api_key": sandbox.api_key,
        "start_date": "2015-01-01",
        "window_days": 4000,
        "integration_uuids": sandbox.company.integration_uuids,
        **settings,
    }
