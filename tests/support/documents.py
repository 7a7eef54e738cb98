"""API documents that differ from ours: parts to change, and the tap run with one."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.api_document import main
from tap_factorialhr import openapi

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_BEGIN = """
import sys
from pathlib import Path
from tap_factorialhr import openapi
openapi.DOCUMENTS = Path(sys.argv[1])
del sys.argv[1:5]  # with python -m tap_factorialhr
from tap_factorialhr.__main__ import main
main()
"""


NEXT = f"{int(openapi.DEFAULT_VERSION[:4]) + 1}{openapi.DEFAULT_VERSION[4:]}"
"""A version that comes after ours."""


def vendored(version: str = openapi.DEFAULT_VERSION) -> dict[str, Any]:
    """Our document, as that of a version; to be changed."""
    text = (openapi.DOCUMENTS / f"{openapi.DEFAULT_VERSION}.json").read_text()
    document: dict[str, Any] = json.loads(text.replace(openapi.DEFAULT_VERSION, version))
    return document


def address(document: dict[str, Any], path: str) -> str:
    """What a list is called in it."""
    return f"/api/{document['info']['version']}/resources/{path}"


def listing(document: dict[str, Any], path: str) -> dict[str, Any]:
    """What it says of a list."""
    operation: dict[str, Any] = document["paths"][address(document, path)]["get"]
    return operation


def parameter(document: dict[str, Any], path: str, name: str) -> dict[str, Any]:
    """What it says of one of its parameters."""
    (found,) = [one for one in listing(document, path)["parameters"] if one["name"] == name]
    return found  # type: ignore[no-any-return]


def without_parameter(document: dict[str, Any], path: str, name: str) -> None:
    """Let a list not have a parameter."""
    listing(document, path)["parameters"].remove(parameter(document, path, name))


def content(document: dict[str, Any], path: str) -> dict[str, Any]:
    """What it says of its answer, with the schema."""
    found: dict[str, Any] = listing(document, path)["responses"]["200"]["content"]["application/json"]
    return found


def row(document: dict[str, Any], path: str) -> dict[str, Any]:
    """The schema of its rows."""
    name = content(document, path)["schema"]["properties"]["data"]["items"]["$ref"].rpartition("/")[2]
    schema: dict[str, Any] = document["components"]["schemas"][name]
    return schema


def folder_of_ours(folder: Path) -> Path:
    """A folder of documents with ours in it, inside another one."""
    into = folder / "documents"
    into.mkdir()
    source = openapi.DOCUMENTS / f"{openapi.DEFAULT_VERSION}.json"
    (into / source.name).write_bytes(source.read_bytes())
    return into


@dataclass
class Importer:
    """Brings in a document as that of a version: the exit code, and all that is told."""

    version: str
    file: Path
    into: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, document: object, *arguments: str) -> tuple[int, str]:
        self.file.write_text(document if isinstance(document, str) else json.dumps(document))
        code = main([self.version, "--file", str(self.file), "--into", str(self.into), *arguments])
        told = self.capsys.readouterr()
        return code, told.out + told.err


def tap_with(document: dict[str, Any], folder: Path) -> tuple[str, ...]:
    """What runs the tap with a document in the place of ours, as a `TapRunner.wrapper`."""
    documents = folder / "documents"
    documents.mkdir()
    (documents / f"{document['info']['version']}.json").write_text(json.dumps(document))
    return (sys.executable, "-c", _BEGIN, str(documents))
