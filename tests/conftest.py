"""What the tests share: a simulated company, and the tap as a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import HealthCheck, settings

from tap_factorialhr.sandbox import Company, Sandbox
from tap_factorialhr.tap import TapFactorialHR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TAP = [sys.executable, "-m", "tap_factorialhr"]

Figure: TypeAlias = "Callable[[str], None]"

# The same examples everywhere, and no example fails for being slow: a busy machine is not a broken tap. A search with
# other examples: pytest --hypothesis-profile=search. `make mutants` has few of them for each mutant.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=1000)
settings.register_profile(
    "steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
settings.register_profile("quick", settings.get_profile("steady"), max_examples=20)
settings.load_profile("steady")


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
        done = subprocess.run(
            [*self.wrapper, *self.command(config, *arguments, state=state, catalog=catalog)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.folder,
            env={**os.environ, **env},
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def catalog(self, config: Any, *streams: str) -> dict[str, Any]:
        """A catalog in which these streams alone are selected."""
        del config
        catalog: dict[str, Any] = json.loads(_discovered())
        for entry in catalog["streams"]:
            root = next(part for part in entry["metadata"] if not part["breadcrumb"])
            root["metadata"]["selected"] = entry["tap_stream_id"] in streams
        return catalog


@cache
def _discovered() -> str:
    return TapFactorialHR(config={}, validate_config=False, setup_mapper=False).catalog_json_text


@pytest.fixture
def tap(tmp_path: Path) -> TapRunner:
    return TapRunner(tmp_path)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Company(employees=12, untidy=True)) as sandbox:
        yield sandbox


@pytest.fixture
def config(sandbox: Sandbox) -> dict[str, Any]:
    return config_for(sandbox)


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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with a certificate for localhost and its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not there to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    both = folder / "both.pem"
    arguments = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", *arguments.split(), *files], check=True, capture_output=True)
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return str(both)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Shows a figure at the end of the tests' output."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests measured, whether they passed or not."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    figures = [
        (report.nodeid, text)
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, text in report.user_properties
        if name == "figure"
    ]
    if figures:
        terminalreporter.section("figures")
        for nodeid, text in sorted(figures):
            terminalreporter.line(f"{nodeid.rpartition('::')[2]}: {text}")
