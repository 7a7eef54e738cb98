"""The tap as a process, as Meltano runs it: its settings and its catalog in files, its messages on standard output."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.serving import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PYTHON = PROJECT / ".venv" / "bin" / "python"
"""What taps run with: the benchmarks' own environment has libraries in it that every start of a tap would load."""
TAP = PYTHON.parent / "tap-factorialhr"
_RECORD = b'{"type":"RECORD"'


def tap_command(folder: Path, settings: Mapping[str, Any], *streams: str) -> list[str | Path]:
    """The command that reads these streams, or all."""
    command: list[str | Path] = [TAP, "--config", written(folder / "config.json", settings)]
    return [*command, "--catalog", catalog(folder, streams)] if streams else command


def written(path: Path, content: object) -> Path:
    """A file with this JSON."""
    path.write_bytes(msgspec.json.encode(content))
    return path


def catalog(folder: Path, streams: tuple[str, ...]) -> Path:
    """A file with the catalog in which these streams alone are selected, discovered once."""
    path = folder / f"catalog-{'-'.join(streams)}.json"
    if path.exists():
        return path
    done = subprocess.run([TAP, "--discover"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    discovered = msgspec.json.decode(done.stdout)
    for entry in discovered["streams"]:
        root = next(part["metadata"] for part in entry["metadata"] if not part["breadcrumb"])
        root["selected"] = entry["tap_stream_id"] in streams
    return written(path, discovered)


def count_records(messages: Path) -> int:
    """How many records a file of messages has."""
    with messages.open("rb") as lines:
        return sum(line.startswith(_RECORD) for line in lines)
