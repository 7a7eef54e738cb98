"""Meltano as a user runs it, in a project of its own beside the checkout's: its own state, and nobody's ``.env``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = Path(__file__).resolve().parent.parent
OWN = ("TAP_FACTORIALHR_", "TARGET_", "MELTANO_")
"""Settings of the reader's own account in the environment: they have no place in a demo or a test."""


class NotInstalledError(Exception):
    """Meltano or its plugins are not there; the message says what to do."""


class MeltanoProject:
    """The checkout's ``meltano.yml`` with the plugins installed there, and a system database of its own.

    Attributes:
        folder: Where the project is.
        settings: Environment variables of every command.
        logs: Below it, Meltano keeps a log of each run; by itself it would do so in the reader's home.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], environment: Mapping[str, str] | None = None) -> None:
        """Make the project, or take the one that is there with its state.

        Args:
            folder: Where it is.
            settings: Environment variables of every command.
            environment: Those besides them; left out, the reader's, without settings of an account.

        Raises:
            NotInstalledError: Something is not installed.
        """
        self.folder = folder
        self.settings = dict(settings)
        self._environment = os.environ if environment is None else environment
        meltano = shutil.which("meltano", path=str(Path(sys.executable).parent))
        if meltano is None or not (PROJECT / ".meltano" / ".installed").exists():
            raise NotInstalledError("Meltano and its plugins are not installed here: make install")
        self._meltano = meltano
        inner = folder / ".meltano"
        self.logs = inner / "logs"
        inner.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / "meltano.yml", folder)
        for kind in ("extractors", "loaders"):
            link = inner / kind
            if not link.is_symlink():
                link.symlink_to(PROJECT / ".meltano" / kind)

    def __call__(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401
        """Run one command; options are those of ``subprocess.run``."""
        environment = {name: value for name, value in self._environment.items() if not name.startswith(OWN)}
        environment |= {"MELTANO_AUTO_INSTALL": "false", "NO_COLOR": "1", "XDG_STATE_HOME": str(self.logs)}
        environment |= self.settings
        return subprocess.run(
            [self._meltano, "--log-format=plain", *arguments],
            cwd=self.folder,
            env=environment,
            text=True,
            check=False,
            **options,
        )
