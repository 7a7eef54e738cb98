"""The loader: target-postgres, but it stores what it holds, and says so in a STATE, as often as it is told to.

On its own it does so every five minutes, which is how much a run that dies has to read again.
"""

from __future__ import annotations

import os
from typing import ClassVar

from target_postgres.target import TargetPostgres


class Target(TargetPostgres):
    """target-postgres with ``FLUSH_SECONDS`` of the environment."""

    _MAX_RECORD_AGE_IN_MINUTES: ClassVar[float] = float(os.environ.get("FLUSH_SECONDS", "60")) / 60


if __name__ == "__main__":
    Target.cli()
