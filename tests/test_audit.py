"""Which run of pip-audit ends CI, and which only says that nothing is known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.audit import verdict


def report(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


GOOD = {"name": "requests", "version": "2.34.2", "vulns": []}
BAD = {"name": "rich", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": []}]}
UNKNOWN = {"name": "click", "skip_reason": "Dependency not found on PyPI and could not be audited: click (8.5.1)"}


@pytest.mark.parametrize(
    ("stdout", "stderr", "words", "code"),
    [
        (report(GOOD), "", "1 packages without", 0),
        (report(GOOD, BAD), "Found 1 known vulnerability", "rich 1.0: PYSEC-1", 1),
        (report(UNKNOWN, BAD), "", "rich 1.0: PYSEC-1", 1),
        (report(UNKNOWN), "No known vulnerabilities found, 1 skipped", "cannot be reached", 0),
        (report(UNKNOWN, GOOD), "", "not audited: click", 1),
        (report(), "", "not audited: anything", 1),
        ("", "ConnectionError: HTTPSConnectionPool: Max retries exceeded", "cannot be reached", 0),
        ("", "error: Failed to fetch: the index", "cannot be reached", 0),
        ("", "TypeError: unexpected keyword", "TypeError", 1),
        ("[]", "", "pip-audit failed", 1),
    ],
)
def test_the_ends_are_told_apart(stdout: str, stderr: str, words: str, code: int) -> None:
    text, found = verdict(stdout, stderr)
    assert words in text
    assert found == code
