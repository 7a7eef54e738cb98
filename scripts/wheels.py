"""A package index in a folder: all that the documented commands install, so that the tests run them offline.

`python -m scripts.wheels` makes it. Each plugin's requirements are resolved by themselves, as Meltano does.
"""

from __future__ import annotations

import shlex
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / ".wheels"
TOOLS = ["duckdb-cli"]
"""What the documents run besides Meltano."""


def main() -> None:
    """Fill the folder."""
    pip = [str(PROJECT / ".venv-uv" / "bin" / "python"), "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    for requirements in sets():
        subprocess.run([*pip, "--wheel-dir", str(FOLDER), *requirements], check=True, stderr=subprocess.DEVNULL)


def sets() -> list[list[str]]:
    """The requirements of each environment that the documented commands make."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    loaders = yaml.safe_load((PROJECT / "meltano.yml").read_text())["plugins"]["loaders"]
    return [
        project["build-system"]["requires"],
        [*project["project"]["dependencies"], *chain(*project["project"]["optional-dependencies"].values())],
        project["dependency-groups"]["meltano"],
        TOOLS,
        *(shlex.split(loader["pip_url"]) for loader in loaders),
    ]


if __name__ == "__main__":
    main()
