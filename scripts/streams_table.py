"""Write again what is generated: tables in README.md and docs, and what Meltano is told of the tap.

``python -m scripts.streams_table`` writes them; with ``--check`` nothing is written, and the exit code is 1 where
one is out of date.
"""

from __future__ import annotations

import ast
import json
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from scripts import plugin_definition
from tap_factorialhr.tap import TapFactorialHR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_factorialhr.resources import Resource
    from tap_factorialhr.streams import FactorialStream

PROJECT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    """Write what is out of date, or only name it with ``--check``.

    Returns:
        The exit code.
    """
    stale = [path for path, text in documents().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if "--check" in arguments:
            print(f"{path.relative_to(PROJECT)} is out of date: make docs", file=sys.stderr)
        else:
            path.write_text(documents()[path])
            print(f"{path.relative_to(PROJECT)} is written")
    return int("--check" in arguments and bool(stale))


def documents() -> dict[Path, str]:
    """The documents that hold something generated, as they should be."""
    streams = discovered()
    readme, details = PROJECT / "README.md", PROJECT / "docs" / "streams.md"
    text = between_marks(readme.read_text(), "settings", settings_table())
    house = PROJECT / "docs" / "architecture.md"
    return {
        house: between_marks(house.read_text(), "arrows", arrows()),
        readme: between_marks(text, "streams", short_table(streams)),
        details: between_marks(details.read_text(), "streams", long_table(streams)),
        **plugin_definition.documents(),
    }


def between_marks(text: str, name: str, lines: list[str]) -> str:
    """A document with the lines between its two marks of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return "\n".join((before + begin, "", *lines, "", end + after))


def arrows() -> list[str]:
    """What each module imports, types alone included, those that import nothing first.

    Raises:
        graphlib.CycleError: They go round in a circle.
    """
    imports = {name: imported(path) for name, path in modules().items()}
    floors = TopologicalSorter({name: sorted(others) for name, others in sorted(imports.items())}).static_order()
    return table(
        ("module", "imports"),
        ((f"`{name}`", ", ".join(f"`{other}`" for other in sorted(imports[name] - {"errors"}))) for name in floors),
    )


def modules() -> dict[str, Path]:
    """The tap's modules by their names, packages among them; the sandbox is no part of the tap."""
    package = PROJECT / "tap_factorialhr"
    found = {
        ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__"): path
        for path in package.rglob("*.py")
        if package / "sandbox" not in path.parents and path.parent != package / "sandbox"
    }
    return {name: path for name, path in found.items() if name != "__init__"}


def imported(path: Path) -> set[str]:
    """The modules of the tap that one of them imports, anywhere in it."""
    known, found = modules(), set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tap_factorialhr"):
            _, _, name = (node.module or "").partition(".")
            for alias in node.names:
                inner = f"{name}.{alias.name}".lstrip(".")
                found.add(inner if inner in known else name)
    return found & known.keys()


def settings_table() -> list[str]:
    """The tap's own settings, their defaults and meaning."""
    properties = TapFactorialHR.config_jsonschema["properties"]
    return table(
        ("setting", "default", "meaning"),
        (
            (f"`{name}`", code(declared.get("default")), declared["description"])
            for name, declared in properties.items()
            if name not in plugin_definition.OF_THE_SDK
        ),
    )


def code(value: object) -> str:
    """A default as it is written in a file of settings."""
    if value is None:
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def discovered() -> list[FactorialStream]:
    """The streams as the tap discovers them."""
    return TapFactorialHR(config={}, validate_config=False).discover_streams()


def short_table(streams: list[FactorialStream]) -> list[str]:
    """Stream, key, replication, kind of read, and what a run can miss."""
    return table(
        ("stream", "key", "replication", "read", "can miss"),
        (
            (
                f"`{stream.name}`",
                key(stream),
                replication(stream),
                kind_of_read(stream.resource),
                can_miss(stream.resource),
            )
            for stream in streams
        ),
    )


def long_table(streams: list[FactorialStream]) -> list[str]:
    """The same, with the resource and the parameters that are always sent."""
    return table(
        ("stream", "resource", "key", "replication", "read", "always sent", "can miss"),
        (
            (
                f"`{stream.name}`",
                f"`{stream.resource.path}`",
                key(stream),
                replication(stream),
                kind_of_read(stream.resource),
                ", ".join(always(stream.resource)),
                can_miss(stream.resource),
            )
            for stream in streams
        ),
    )


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in (head, ("---",) * len(head), *rows)]


def key(stream: FactorialStream) -> str:
    """The key's fields."""
    return ", ".join(f"`{name}`" for name in stream.primary_keys) or "none"


def replication(stream: FactorialStream) -> str:
    """Whether it is read whole, or from a bookmark and by which field."""
    return f"incremental by `{stream.replication_key}`" if stream.is_incremental else "full table"


def kind_of_read(resource: Resource) -> str:
    """How its rows are asked for."""
    parts = []
    if resource.changed_since:
        parts.append(f"changes, `{resource.changed_since}`")
    parts += map(str, resource.axes)
    return "; ".join(parts) or "pages"


def always(resource: Resource) -> Iterator[str]:
    """The parameters that are sent with every request."""
    for name, value in resource.always.items():
        text = ("true" if value else "false") if isinstance(value, bool) else value
        yield f"`{name}={text}`" if isinstance(text, str) else f"`{name}` with all values"
    if resource.today:
        yield f"`{resource.today}`, today"
    if resource.since:
        yield f"`{resource.since}`, the start date"


def can_miss(resource: Resource) -> str:
    """What a second run does not see; the letters are explained above the table."""
    if resource.windows:
        return "W"
    return "C" if resource.changed_since else "F"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
