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
    if not found:
        print("There is no run to look at: make mutants", file=sys.stderr)
        return 1
    noticed, total = defaultdict[str, int](int), Counter[str]()
    for name, status in found.items():
        module = _matched(name)["module"]
        total[module] += 1
        noticed[module] += status in _NOTICED
    lines = ["| module | mutants | noticed |", "| --- | --- | --- |"]
    lines += [f"| `{module}` | {total[module]} | {noticed[module] / total[module]:.0%} |" for module in sorted(total)]
    share = 100 * sum(noticed.values()) / total.total()
    lines += [f"| all | {total.total()} | {share:.0f}% |", ""]
    print("\n".join(lines))
    write_page(lines, [survivor(name) for name, status in found.items() if status not in _NOTICED])
    return int(share < LEAST)


def statuses() -> dict[str, str]:
    """What became of each mutant of the last run, by its name."""
    lines = _mutmut("results", "--all", "true").splitlines()
    pairs = (line.strip().rpartition(": ") for line in lines)
    return {name: status for name, _, status in pairs if _NAME.fullmatch(name) and status != "not checked"}


def survivor(name: str) -> Survivor:
    """A mutant in words: the function, and the line before and after."""
    match = _matched(name)
    function = match["function"].replace("ǁ", ".").strip(".")
    diff = _mutmut("show", name).splitlines()
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


def _mutmut(*arguments: str) -> str:
    program = Path(sys.executable).with_name("mutmut")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
