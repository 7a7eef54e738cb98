"""What Meltano has selected, for a command that it runs: `meltano invoke tap-factorialhr check`.

Meltano brings the catalog up to date for a run alone. A command of the tap's own gets the catalog of the last run, or
none before the first one, whatever has been selected since; the selection itself stands in the environment.
"""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

SELECT, CUSTOM_CATALOG, FOLDER = "MELTANO_EXTRACT__SELECT", "MELTANO_EXTRACT__CATALOG", "MELTANO_SYS_DIR_ROOT"


def select_patterns(catalog: str | None) -> list[str] | None:
    """The patterns of the extractor's `select`.

    Args:
        catalog: The path of the catalog that was handed over, if one was.

    Returns:
        The patterns; None where the catalog itself says what is selected: it is not one that Meltano keeps, or the
        user's own (`catalog`), which Meltano takes as it is.
    """
    if SELECT not in os.environ or os.environ.get(CUSTOM_CATALOG):
        return None
    if catalog and not Path(catalog).is_relative_to(os.environ.get(FOLDER, "")):
        return None
    try:
        return msgspec.json.decode(os.environ[SELECT], type=list[str])
    except msgspec.DecodeError:
        return None


def is_selected(stream: str, patterns: Sequence[str]) -> bool:
    """Whether Meltano selects a stream: a pattern takes it in, and none leaves it out as a whole.

    Args:
        stream: The stream's name.
        patterns: `stream` or `stream.field`, with wildcards; behind `!` what is left out.
    """
    taken = [pattern for pattern in patterns if not pattern.startswith("!")]
    left = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return any(fnmatch(stream, pattern.partition(".")[0]) for pattern in taken) and not any(
        fnmatch(stream, name) for name, _, field in (pattern.partition(".") for pattern in left) if field in {"", "*"}
    )
