"""What a run of ``make mutants`` showed: the share of breakages that the tests notice, and those that they do not.

The survivors are listed in docs/mutants.md, each with the reason why it is left. A reason is written there by hand
and stays; a survivor without one shows as such.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "mutants.md"
BEGIN, END = "<!-- mutants: begin -->\n", "<!-- mutants: end -->\n"
LEAST = 85
"""Percent of the mutants that have to be noticed, in all."""
OPEN = "not looked at yet"
_NAME = re.compile(r"tap_factorialhr\.(?P<module>[\w.]+)\.x_?(?P<function>[\wǁ]+)__mutmut_\d+")
_NOTICED = ("killed", "timeout", "suspicious", "segfault", "caught by type check")
_ROW = re.compile(r"\| `(?P<function>[^`]+)` \| `(?P<before>[^`]*)` \| `(?P<after>[^`]*)` \| (?P<reason>.*) \|")


class Survivor(NamedTuple):
    """A mutant that no test notices.

    Attributes:
        function: The function, with its module.
        before: The line as it is.
        after: The line as the mutant has it, empty where it is gone.
    """

    function: str
    before: str
    after: str


def main() -> int:
    """Write the page, and print the shares.

    Returns:
        The exit code: 1 where fewer mutants are noticed than have to be.
    """
    found = statuses()
    checked = {name: status for name, status in found.items() if status != "not checked"}
    if not checked:
        print("There is no run to look at: make mutants", file=sys.stderr)
        return 1
    noticed, total = defaultdict[str, int](int), Counter[str]()
    for name, status in checked.items():
        module = _matched(name)["module"]
        total[module] += 1
        noticed[module] += status in _NOTICED
    lines = [f"At commit {_commit()}; of {len(found)} mutants, {len(checked)} were tried.", ""]
    lines += ["| module | mutants | noticed |", "| --- | --- | --- |"]
    lines += [f"| `{module}` | {total[module]} | {noticed[module] / total[module]:.0%} |" for module in sorted(total)]
    share = 100 * sum(noticed.values()) / total.total()
    lines += [f"| all | {total.total()} | {share:.0f}% |", ""]
    print("\n".join(lines))
    write_page(lines, [survivor(name) for name, status in checked.items() if status not in _NOTICED])
    return int(share < LEAST)


def statuses() -> dict[str, str]:
    """What became of each mutant of the last run, by its name."""
    found: dict[str, str] = {}
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        found |= {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}
    return found


def survivor(name: str) -> Survivor:
    """A mutant in words: the function, and the line before and after."""
    match = _matched(name)
    function = match["function"].replace("ǁ", ".").strip(".")
    diff = get_diff_for_mutant(name, path=f"tap_factorialhr/{match['module'].replace('.', '/')}.py").splitlines()
    changed = [line for line in diff if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    before = " ".join(line[1:].strip() for line in changed if line[0] == "-")
    after = " ".join(line[1:].strip() for line in changed if line[0] == "+")
    return Survivor(f"{match['module']}.{function}", _cell(before), _cell(after))


def write_page(table: list[str], survivors: list[Survivor]) -> None:
    """Write the generated part of the page; reasons that stand there stay."""
    page = DOCUMENT.read_text()
    head, _, rest = page.partition(BEGIN)
    old, _, tail = rest.partition(END)
    reasons = {Survivor(row["function"], row["before"], row["after"]): row["reason"] for row in _ROW.finditer(old)}
    rows = [
        f"| `{one.function}` | `{one.before}` | `{one.after}` | {reasons.get(one, OPEN)} |"
        for one in sorted(set(survivors))
    ]
    part = [*table, "| function | line | mutant | why it is left |", "| --- | --- | --- | --- |", *rows, ""]
    DOCUMENT.write_text(head + BEGIN + "\n" + "\n".join(part) + "\n" + END + tail)


def _cell(line: str) -> str:
    return line.replace("|", "¦").replace("`", "'")


def _matched(name: str) -> re.Match[str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name} is no name of a mutant")
    return match


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
