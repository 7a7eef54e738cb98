"""The whole way: `meltano run tap-factorialhr target-postgres` into a real PostgreSQL, beside dlt's."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

from benchmarks.competitors.measuring import API_KEY
from benchmarks.environments import python_with
from benchmarks.process import ENVIRONMENT, FOLDER, FailedError, run
from benchmarks.results import EndToEnd
from benchmarks.taps import tap_command
from scripts.demo import row_counts
from scripts.meltano import MeltanoProject
from scripts.postgres import embedded_postgres

if TYPE_CHECKING:
    from types import TracebackType

    from benchmarks.serving import Pages

WHO = TAP, LOADER, MELTANO = "tap-factorialhr", "target-postgres", "meltano"
EVERY = 0.05
"""Seconds between two looks at how much of the processor was used."""
SEARCHED = 5
"""Looks after which new processes are searched for: that takes ten times as long, on processors that are measured."""
FEW = 100


class CpuWatch:
    """Looks now and then at how much of the processor the tap, the loader and Meltano have used."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, int], float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of the processor, by who used them."""
        return {name: sum(used for (who, _), used in self._used.items() if who == name) for name in WHO}

    def _watch(self) -> None:
        runner, known = psutil.Process(), dict[psutil.Process, str]()
        for number in count():
            if self._over.wait(EVERY):
                return
            if number % SEARCHED == 0:
                known = {process: who for process in runner.children(recursive=True) if (who := _who(process))}
            for process, who in known.items():
                with suppress(psutil.Error):  # It has just ended.
                    times = process.cpu_times()
                    self._used[who, process.pid] = times.user + times.system


def _who(process: psutil.Process) -> str | None:
    """Which of them a process is: its command is the interpreter and the script, whose name says so."""
    with suppress(psutil.Error):
        return next((name for part in process.cmdline()[:2] if (name := Path(part).name) in WHO), None)
    return None


def measure(pages: Pages, folder: Path, versions: dict[str, str], *, quick: bool) -> list[EndToEnd]:
    """Move the employees with both in turn, each round into a schema of its own, and then once more into the same.

    Before each round both move a few rows, which is not counted: each finds its files in memory then, whoever ran last.
    The smaller table gets more rounds, as its times differ more.
    """
    python = python_with("dlt")
    found = [EndToEnd(rows) for rows in ((2_000,) if quick else (20_000, 100_000))]
    with embedded_postgres(folder / "postgres") as url:
        project = MeltanoProject(folder / "project", settings(pages, url), ENVIRONMENT)
        # dlt insists on a password and a host; the socket, which the address names last, takes the host's place.
        full = url.replace("postgres:@", "postgres:none@localhost")
        dlt: list[str | Path] = [python, "-m", "benchmarks.competitors.dlt_to_postgres", pages.address, full]
        for number, one in enumerate(found if quick else found * 3 + found[:1] * 2):
            for measured, which in ((EndToEnd(FEW), "few"), (one, "first"), (one, "again")):
                pages.set(measured.rows, 0)
                ours, theirs = (one.again, one.dlt_again) if which == "again" else (measured.wall, measured.dlt)
                into = f"{number}_{which}" if which == "few" else str(number)
                ours.append(move(project, url, measured, f"round_{into}", which))
                theirs.append(move_by_dlt(dlt, url, measured, f"dlt_{into}"))
            one.tap_alone.append(alone(pages, folder))
            print(f"{one.rows:,} into PostgreSQL: {one.wall[-1]:.1f} s, dlt {one.dlt[-1]:.1f} s", flush=True)
        versions["PostgreSQL"] = server_version(url)
    return found


def settings(pages: Pages, url: str) -> dict[str, str]:
    """What Meltano and its plugins are told."""
    return {
        "TAP_FACTORIALHR_BASE_URL": pages.address,
        "TAP_FACTORIALHR_API_KEY": API_KEY,
        "TAP_FACTORIALHR__SELECT": json.dumps(["employees.*"]),
        "TARGET_POSTGRES_SQLALCHEMY_URL": url.replace("postgresql://", "postgresql+psycopg://"),
    }


def move(project: MeltanoProject, url: str, found: EndToEnd, schema: str, which: str) -> float:
    """Run Meltano, with a state of its own; the time of the processor counts for a run into an empty schema.

    Returns:
        Seconds of the whole command.

    Raises:
        FailedError: It failed, or rows are missing.
    """
    project.settings["TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA"] = schema
    tidy_up(url)
    log = FOLDER / "meltano.log"
    began = time.monotonic()
    with log.open("w") as output, CpuWatch() as watch:
        # Not --full-refresh, with which Meltano discovers the catalog anew, unlike on any day of a schedule.
        state = f"--state-id-suffix={schema}-{which}"
        done = project("run", state, TAP, LOADER, stdout=output, stderr=subprocess.STDOUT)
    wall = time.monotonic() - began
    counts = row_counts(url, schema)
    if done.returncode or counts != {"employees": found.rows}:
        raise FailedError(f"meltano run: exit code {done.returncode}, {counts}; see .bench/{log.name}")
    if len(found.tap_cpu) == len(found.tap_alone):
        for who, used in ((TAP, found.tap_cpu), (LOADER, found.loader_cpu), (MELTANO, found.meltano_cpu)):
            used.append(round(watch.seconds[who], 2))
    return round(wall, 3)


def move_by_dlt(command: list[str | Path], url: str, found: EndToEnd, schema: str) -> float:
    """Run dlt's pipeline.

    Returns:
        Seconds of the whole command.

    Raises:
        FailedError: It failed, or rows are missing.
    """
    tidy_up(url)
    wall = run([*command, schema]).wall
    if (rows := row_counts(url, schema).get("employees")) != found.rows:
        raise FailedError(f"dlt: {rows} rows instead of {found.rows}")
    return round(wall, 3)


def alone(pages: Pages, folder: Path) -> float:
    """Seconds of the tap alone, the whole process, to nowhere."""
    command = tap_command(folder, {"base_url": pages.address, "api_key": API_KEY}, "employees")
    return round(run(command).wall, 3)


def tidy_up(url: str) -> None:
    """Have PostgreSQL do now what it would do later: no run is to pay for the rows of the one before."""
    import psycopg  # noqa: PLC0415 (the runner stays small while others are measured)

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def server_version(url: str) -> str:
    """The version of PostgreSQL."""
    import psycopg  # noqa: PLC0415 (the runner stays small while others are measured)

    with psycopg.connect(url) as connection:
        return str(connection.info.parameter_status("server_version"))
