"""The schemas of an API document as facts: in one form, whatever wrapping they come in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SCHEMAS = "#/components/schemas/"
_SEVERAL = ("oneOf", "anyOf", "allOf")


class DocumentError(Exception):
    """A document cannot be had, or cannot be used; the message says why in one line."""

    def __init__(self, message: str) -> None:
        """Take the message, with whatever the document brought into it."""
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """A text in which each character can be seen."""
    return text if text.isprintable() else repr(text)[1:-1]


def an_object(raw: object, at: str) -> Mapping[str, Any]:
    """What stands there.

    Raises:
        DocumentError: It is no object.
    """
    return raw if isinstance(raw, Mapping) else _refuse(at, "an object")


def a_list(raw: object, at: str) -> list[Any]:
    """What stands there.

    Raises:
        DocumentError: It is no list.
    """
    return raw if isinstance(raw, list) else _refuse(at, "a list")


def a_text(raw: object, at: str) -> str:
    """What stands there.

    Raises:
        DocumentError: It is no text.
    """
    return raw if isinstance(raw, str) else _refuse(at, "a text")


def _a_value(raw: object, at: str) -> str | float:
    return raw if isinstance(raw, (str, float, int)) else _refuse(at, "texts or numbers")


def _refuse(at: str, wanted: str) -> Any:  # noqa: ANN401 (it never returns, in the place of anything)
    raise DocumentError(f"it cannot be read: at {at} there should be {wanted}")


class Schemas:
    """The schemas of one document."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        """Take the document."""
        self._root = raw
        components = an_object(raw.get("components") or {}, "components")
        self._raw = dict(an_object(components.get("schemas") or {}, "components > schemas"))
        self._known: dict[str, dict[str, Any]] = {}
        self._begun: list[str] = []

    def followed(self, raw: object, at: str) -> tuple[Mapping[str, Any], str]:
        """What stands there or is referred to, and where that is.

        Raises:
            DocumentError: It is no object, or a reference leads nowhere.
        """
        seen: set[str] = set()
        node = an_object(raw, at)
        while "$ref" in node:
            reference = a_text(node["$ref"], f"{at} > $ref")
            if reference in seen:
                raise DocumentError(f"it cannot be read: at {at} references go round in a circle")
            seen.add(reference)
            at, node = reference, an_object(self._at(reference), reference)
        return node, at

    def _at(self, reference: str) -> object:
        node: object = self._root if reference.startswith("#/") else None
        for step in reference.removeprefix("#/").split("/"):
            node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
        if node is None:
            raise DocumentError(f"it refers to {reference}, which it does not hold")
        return node

    def facts(self, raw: object, at: str) -> dict[str, Any]:
        """A schema without its sentences. Names of properties are kept whatever they are, ``description`` included.

        Raises:
            DocumentError: It is not of the form of one.
        """
        if isinstance(raw, bool):  # Anything, or nothing: there are no facts in either.
            return {}
        schema = an_object(raw, at)
        if isinstance(schema.get("$ref"), str):
            return self._reference(schema["$ref"], at)
        kept = {name: read(schema[name], f"{at} > {name}") for name, read in self._readers.items() if name in schema}
        # One schema in a wrapping, as OpenAPI 3.0 does beside a description or `nullable`, is that schema.
        parts = [inner for name in _SEVERAL for inner in kept.get(name, ()) if inner != _says_nothing(name)]
        wraps_one = len(parts) == 1
        if not wraps_one and "allOf" not in kept:
            return kept
        told = {*_SEVERAL, "nullable"} if wraps_one else {"allOf"}
        rest = {name: value for name, value in kept.items() if name not in told}
        if wraps_one and rest.keys() <= {"type"}:
            return dict(parts[0])
        return self._merged([*(parts if wraps_one else kept["allOf"]), rest], at)

    @property
    def _readers(self) -> dict[str, Any]:
        """What reads each part of a schema that is kept, in the order in which they are written."""
        return {
            "type": lambda raw, at: raw if isinstance(raw, str) else [a_text(one, at) for one in a_list(raw, at)],
            "format": a_text,
            "nullable": lambda raw, _: bool(raw),
            "$ref": a_text,
            "enum": lambda raw, at: [_a_value(one, at) for one in a_list(raw, at) if one is not None],
            "required": lambda raw, at: [a_text(one, at) for one in a_list(raw, at)],
            "items": self.facts,
            "properties": self._properties,
            **dict.fromkeys(_SEVERAL, self._each),
        }

    def _properties(self, raw: object, at: str) -> dict[str, Any]:
        return {name: self.facts(inner, f"{at} > {name}") for name, inner in an_object(raw, at).items()}

    def _each(self, raw: object, at: str) -> list[dict[str, Any]]:
        return [self.facts(inner, f"{at} > {number}") for number, inner in enumerate(a_list(raw, at))]

    def _reference(self, reference: str, at: str) -> dict[str, Any]:
        """A reference to a schema that has a name and is no reference itself; what has no name is put there."""
        node, last = self.followed({"$ref": reference}, at)
        is_named = last.startswith(_SCHEMAS) and last.removeprefix(_SCHEMAS) in self._raw
        return {"$ref": last} if is_named else self.facts(node, last)

    def _merged(self, parts: list[dict[str, Any]], at: str) -> dict[str, Any]:
        """A schema of which all of several hold, as one."""
        merged: dict[str, Any] = {}
        for part in parts:
            for name, value in self.resolved(part).items():
                if name == "properties":
                    merged[name] = {**merged.get(name, {}), **value}
                elif name == "required":
                    merged[name] = list(dict.fromkeys([*merged.get(name, ()), *value]))
                elif merged.setdefault(name, value) != value:
                    raise DocumentError(
                        f"it cannot be read: at {at} several schemas hold at once that differ in {name}"
                    )
        return merged

    def resolved(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The facts of a schema itself, where they are a reference to it.

        Raises:
            DocumentError: It is a part of itself.
        """
        reference = facts.get("$ref")
        return self._of_name(reference.removeprefix(_SCHEMAS)) if isinstance(reference, str) else dict(facts)

    def _of_name(self, name: str) -> dict[str, Any]:
        if name in self._begun:
            raise DocumentError(f"it cannot be read: the schema {name} is made of itself")
        if name not in self._known:
            self._begun.append(name)
            facts = self.facts(self._raw[name], f"components > schemas > {name}")
            self._known[name] = self.resolved(facts)  # One in a wrapping is that one.
            self._begun.pop()
        return self._known[name]

    def give_name(self, name: str, facts: dict[str, Any]) -> dict[str, Any]:
        """Give a schema a name; returns the reference to it."""
        while name in self._raw:
            name += "_"
        self._raw[name] = self._known[name] = facts
        return {"$ref": _SCHEMAS + name}

    def used(self, kept: object) -> dict[str, Any]:
        """The schemas that something refers to, and those that they refer to, by their names."""
        found: dict[str, Any] = {}
        waiting = [*_references(kept)]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self._of_name(name)
                waiting += _references(found[name])
        return dict(sorted(found.items()))


def _says_nothing(name: str) -> dict[str, Any]:
    """Which of several schemas adds nothing: all of which hold, the one without facts; else that of null."""
    return {} if name == "allOf" else {"type": "null"}


def _references(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(_SCHEMAS)
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)
