"""Bring in another version of the API document: as facts, with what changed, and with what somebody has to decide.

.venv/bin/python -m scripts.api_document 2027-01-01              # from Factorial's own address
.venv/bin/python -m scripts.api_document 2027-01-01 --file FILE  # from a file
.venv/bin/python -m scripts.api_document 2027-01-01 --dry-run    # write nothing, only say what would change
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import requests

from scripts.api_changes import compare
from scripts.api_facts import facts_of
from scripts.api_schemas import DocumentError
from tap_factorialhr.openapi import DOCUMENTS, Document

ADDRESS = "https://api.factorialhr.com/oas/"
"""Where Factorial serves the document, without a login (API notes)."""
TIMEOUT = 60
"""Seconds to wait for it."""


def main(arguments: list[str] | None = None) -> int:
    """Bring one version in.

    Returns:
        The exit code: 0, or 1 where the document cannot be had or used.
    """
    options = _parser().parse_args(arguments)
    try:
        raw = _read(options.file) if options.file else _fetch(options.version, options.address)
        facts = facts_of(raw, options.version)
        before = _vendored(newest_until(options.compare or options.version, options.into))
        print(compare(before, facts.document, facts.left_out))
        if not options.dry_run:
            target = options.into / f"{options.version}.json"
            _write(target, json.dumps(facts.document, indent=1) + "\n")
            print(f"Written: {target}")
    except RecursionError:
        error: Exception = DocumentError("it is nested too deeply")
    except DocumentError as raised:
        error = raised
    else:
        return 0
    print(f"The API document was not brought in: {error}", file=sys.stderr)
    return 1


def newest_until(version: str, folder: Path) -> Path:
    """The file of that version or else of the newest before it, to compare it with: Factorial amends documents.

    Raises:
        DocumentError: There is none.
    """
    older = [file for file in sorted(folder.glob("[0-9]*.json")) if file.stem <= version]
    if not older:
        raise DocumentError(f"there is no version up to {version} in {folder} to compare it with")
    return older[-1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Bring in another version of the API document.")
    parser.add_argument("version", type=_version, help="the version, a date such as 2027-01-01")
    parser.add_argument("--file", type=Path, help="the document, where it has been fetched by other means")
    parser.add_argument("--address", default=ADDRESS, help="where to fetch it")
    parser.add_argument("--into", type=Path, default=DOCUMENTS, help="the folder of the documents")
    parser.add_argument("--compare", type=_version, help="the version to compare it with, or the newest before that")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    return parser


def _version(text: str) -> str:
    try:
        is_day = date.fromisoformat(text).isoformat() == text
    except ValueError:
        is_day = False
    if not is_day:
        raise argparse.ArgumentTypeError(f"{text} is no version: one is a date such as 2027-01-01")
    return text


def _read(path: Path) -> Any:  # noqa: ANN401 (JSON is anything)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DocumentError(f"{path} cannot be read ({error.strerror})") from None
    return _decoded(content, str(path))


def _fetch(version: str, address: str) -> Any:  # noqa: ANN401 (JSON is anything)
    try:
        answer = requests.get(address, params={"version": version}, timeout=TIMEOUT)
        answer.raise_for_status()
    except requests.HTTPError as error:
        raise DocumentError(f"{address} answers with HTTP {error.response.status_code}") from None
    except requests.RequestException as error:
        raise DocumentError(f"{address} cannot be reached ({type(error).__name__}); fetch it, and use --file") from None
    return _decoded(answer.content, f"what {address} answers")


def _decoded(content: bytes, what: str) -> Any:  # noqa: ANN401 (JSON is anything)
    try:
        return json.loads(content)  # Of bytes it sees the encoding, and passes over a mark of it.
    except (ValueError, RecursionError):
        raise DocumentError(f"{what} is not JSON") from None


def _vendored(path: Path) -> Any:  # noqa: ANN401 (JSON is anything)
    """The facts of an earlier version, all of which can be read."""
    facts = _read(path)
    try:
        document = Document(facts)
        for resource in document.resources:
            document.schema(resource)
    except (LookupError, TypeError, AttributeError):
        raise DocumentError(
            f"{path}, which it is compared with, is broken; get it back from git, or --compare with another version"
        ) from None
    return facts


def _write(target: Path, text: str) -> None:
    """Write a file whole, or leave what was there."""
    beside = target.with_name(f"{target.name}.new")
    try:
        try:
            beside.write_text(text)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise DocumentError(f"{target} cannot be written ({error.strerror}), and is as it was") from None


if __name__ == "__main__":
    sys.exit(main())
