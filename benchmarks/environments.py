"""The competitors' environments: one each under `.bench/`, made by uv from the package index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.process import FOLDER, FailedError
from scripts import environments

if TYPE_CHECKING:
    from pathlib import Path

PINNED = {
    **environments.CLIENTS,
    "dlt": "1.31.0",
    "airbyte-cdk": "7.39.1",
}
"""What is compared with, in the versions that were current when this was written; none is a dependency of the tap."""
EXTRAS = {"dlt": "[postgres]"}


def python_with(package: str) -> Path:
    """The interpreter of the environment that has a pinned package, made when it is not there.

    Raises:
        FailedError: It could not be made.
    """
    try:
        return environments.make(package, PINNED[package], FOLDER / "competitors", extras=EXTRAS.get(package, ""))
    except environments.FailedError as error:
        raise FailedError(str(error)) from None
