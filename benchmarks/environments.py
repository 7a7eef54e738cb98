"""The competitors' environments: one each under `.bench/`, made by uv from the package index."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.process import FOLDER, FailedError
from benchmarks.serving import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

PINNED = {
    "factorial-api-client": "3.0.0",
    "factorialhr": "7.0.0",
    "dlt": "1.31.0",
    "airbyte-cdk": "7.39.1",
}
"""What is compared with, in the versions that were current when this was written; none is a dependency of the tap."""


def python_with(package: str) -> Path:
    """The interpreter of the environment that has a pinned package, made when it is not there.

    Raises:
        FailedError: It could not be made.
    """
    folder = FOLDER / "competitors" / package
    requirement = f"{package}=={PINNED[package]}"
    made, python = folder / "made-for.txt", folder / "bin" / "python"
    if not made.exists() or made.read_text() != requirement:
        print(f"installing {requirement} ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--python", str(python), requirement)
        made.write_text(requirement)
    return python


def _uv(*arguments: str) -> None:
    uv = PROJECT / ".venv-uv" / "bin" / "uv"
    if subprocess.run([uv, "--quiet", *arguments], cwd=PROJECT, check=False).returncode:
        raise FailedError(f"uv {' '.join(arguments[:2])} failed".replace(f"{PROJECT}/", ""))
