"""Writes the fault matrix of docs/faults.md from runs of the tap: `python scripts/fault_matrix.py`.

Each kind of fault of the simulated company, and all of them mixed, hits every tenth request of a full sync of all
streams. What is written of it is what the run showed: the reasons in its log lines, its exit code, and the rows
compared with the company's.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tap_factorialhr.sandbox import Company, Faults, Sandbox  # noqa: E402 (the tests are found beside this folder)
from tap_factorialhr.sandbox.faults import KINDS  # noqa: E402
from tests.conftest import Run, TapRunner, config_for  # noqa: E402
from tests.test_sync import DOCUMENT, differences, stream_name  # noqa: E402

PAGE = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- fault matrix: begin -->", "<!-- fault matrix: end -->"
HEAD = (
    "| kind | what the user sees | tried again | exit code | rows lost | rows twice |\n"
    "| --- | --- | --- | --- | --- | --- |"
)
_SEEN = re.compile(r"\w+: (.+), trying again in [0-9.]+ s")


def run_with(kind: str) -> tuple[Company, Run]:
    """Sync a whole company while every tenth request fails in this way."""
    faults = Faults(kind, every=10)
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(Company(employees=8), faults=faults, fault_delay=1.0, retry_after=0) as sandbox,
    ):
        hangs = kind in {"timeout", "mixed"}
        settings = config_for(sandbox, request_timeout=0.8 if hangs else 30)
        return sandbox.company, TapRunner(Path(folder))(settings)


def row_of_table(kind: str, company: Company, run: Run) -> str:
    """The line of the table for one run."""
    reasons = sorted(set(_SEEN.findall(run.stderr)))
    lost = twice = 0
    for path in DOCUMENT.resources:
        rows, records = len(company.rows(path)), len(run.records[stream_name(path)])
        lost, twice = lost + max(rows - records, 0), twice + max(records - rows, 0)
    lost = max(lost, len(differences(company, run)) if not twice else 0)
    seen = "; ".join(f"`{reason}, trying again in … s`" for reason in reasons) or "nothing"
    return f"| `{kind}` | {seen} | {run.stderr.count('trying again in')} | {run.code} | {lost} | {twice} |"


def main() -> None:
    """Run all kinds and write the table between its markers."""
    rows = []
    for kind in (*KINDS, "mixed"):
        rows.append(row_of_table(kind, *run_with(kind)))
        print(rows[-1], flush=True)
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + BEGIN, HEAD, *rows, END]) + after)


if __name__ == "__main__":
    main()
