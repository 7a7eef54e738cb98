"""Writes the fault matrix of docs/faults.md from runs of the tap: `python scripts/fault_matrix.py`.

Each kind of fault of the simulated company hits every tenth request of a sync. What is written of it is what the run
showed: the reasons in its log lines, its exit code, and the rows compared with the company's. The tests do the same
and hold the page against it.
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
from tests.support.tap import Run, TapRunner, config_for  # noqa: E402
from tests.test_sync import differences, stream_name  # noqa: E402

PAGE = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- fault matrix: begin -->", "<!-- fault matrix: end -->"
HEAD = ("| kind | what the user sees | exit code | rows lost | rows twice |", "| --- | --- | --- | --- | --- |")
PATHS = ("employees/employees", "timeoff/leaves", "contracts/contracts")
_SEEN = re.compile(r"\w+: (.+), trying again in [0-9.]+ s")


def run_with(kind: str, tap: TapRunner) -> tuple[Company, Run]:
    """Sync three streams of ten pages and more while every tenth request fails in this way."""
    with Sandbox(Company(employees=60), fault_delay=1.2, retry_after=0) as sandbox:
        config = config_for(sandbox, page_size=5, request_timeout=1 if kind == "timeout" else 30)
        catalog = tap.catalog(*map(stream_name, PATHS))
        sandbox.faults = Faults(kind, every=10)
        return sandbox.company, tap(config, catalog=catalog)


def row_of_table(kind: str, company: Company, run: Run) -> str:
    """The line of the table for one run."""
    reasons = sorted(set(_SEEN.findall(run.stderr)))
    lost = twice = 0
    for path in PATHS:
        rows, records = len(company.rows(path)), len(run.records[stream_name(path)])
        lost, twice = lost + max(rows - records, 0), twice + max(records - rows, 0)
    lost = max(lost, len(differences(company, run, PATHS)) if not twice else 0)
    seen = "; ".join(f"`{reason}, trying again in … s`" for reason in reasons) or "nothing"
    return f"| `{kind}` | {seen} | {run.code} | {lost} | {twice} |"


def documented() -> list[str]:
    """The lines of the table as the page has it."""
    _, _, rest = PAGE.read_text().partition(BEGIN)
    return rest.partition(END)[0].strip().splitlines()


def main() -> int:
    """Run all kinds and write the table between its markers; with ``--check`` see whether it is as it would be."""
    rows = [*HEAD]
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row_of_table(kind, *run_with(kind, TapRunner(Path(folder)))))
        print(rows[-1], flush=True)
    if "--check" in sys.argv[1:]:
        return int(rows != documented())
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text("\n".join([before + BEGIN, *rows, END]) + rest.partition(END)[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
