"""The names of the SDK that the tap rests on though the SDK keeps them to itself: docs/architecture.md has them all."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path

from tap_factorialhr.authenticators import FactorialAuthenticator
from tap_factorialhr.streams import FactorialStream
from tap_factorialhr.tap import TapFactorialHR

PROJECT = Path(__file__).resolve().parent.parent


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_abc_impl"


def names_in(module: str) -> tuple[set[str], set[str]]:
    """The private names that the code of a module sets, and those that it takes, of its own objects or classes."""
    stored, taken = set[str](), set[str]()
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if (
            isinstance(node, ast.Attribute)
            and is_private(node.attr)
            and ast.unparse(node.value) in {"self", "cls", "super()"}
        ):
            (stored if isinstance(node.ctx, ast.Store) else taken).add(node.attr)
    return stored, taken


def borrowed(kind: type) -> set[str]:
    """The private names of the SDK that one of our classes overrides, sets or takes."""
    theirs, ours = set[str](), set[str]()
    for base in kind.__mro__:
        if base.__module__.startswith("singer_sdk"):
            theirs |= {*filter(is_private, vars(base)), *names_in(base.__module__)[0]}
        elif base.__module__.startswith("tap_factorialhr"):
            ours |= {*filter(is_private, vars(base)), *set().union(*names_in(base.__module__))}
    assert theirs
    return theirs & ours


def private_modules() -> set[str]:
    """The modules of the SDK that are imported from though their names say that they are its own."""
    found = set[str]()
    for path in (PROJECT / "tap_factorialhr").rglob("*.py"):
        for module in re.findall(r"^\s*from (singer_sdk[\w.]*) import", path.read_text(), re.MULTILINE):
            found |= {module} if any(map(is_private, module.split("."))) else set()
    return found


def test_they_are_all_in_the_document() -> None:
    text = (PROJECT / "docs" / "architecture.md").read_text()
    section = text.partition("\n## What the SDK keeps to itself\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE))
    assert told == {
        *borrowed(TapFactorialHR),
        *borrowed(FactorialStream),
        *borrowed(FactorialAuthenticator),
        *private_modules(),
    }
