"""What the policy makes of one stream's rows: of each field, of its schemas, and of its catalog's metadata."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import Metadata

from tap_factorialhr.errors import ConfigError
from tap_factorialhr.openapi import only_kind
from tap_factorialhr.privacy.policy import Treatment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from singer_sdk.singerlib import MetadataMapping

    from tap_factorialhr.fields import Field
    from tap_factorialhr.privacy.hashing import KeyedHash
    from tap_factorialhr.privacy.policy import Policy

    JsonSchema = dict[str, Any]

_NO_CLASS = "not reviewed"
"""What a field is counted as that nobody has given a class."""
_HASHABLE = frozenset({"string", "integer", "number"})


@dataclass(slots=True)
class FieldMetadata(Metadata):
    """A catalog's metadata of a field, with its class: `privacy-class` and `special-category`."""

    privacy_class: str | None = None
    special_category: bool | None = None


class RowPrivacy:
    """The policy, worked out for the fields of one stream.

    Fields are named as in `fields`: with dots where they are inside objects or lists of objects. An object, or a list
    of objects, whose fields are declared, is no field of its own here: it goes when nothing is left in it.

    Attributes:
        unhashable: The fields that are dropped because they cannot be hashed.
    """

    def __init__(  # noqa: PLR0913 (each is needed, all but the first three by name)
        self,
        policy: Policy,
        facts: Mapping[str, Field],
        declared: JsonSchema,
        *,
        keys: tuple[str, ...],
        replication_key: str | None,
        given: JsonSchema | None = None,
    ) -> None:
        """Work out what becomes of each field.

        Args:
            policy: What the settings say.
            facts: What is known of the fields.
            declared: The schema of a row before any of this, as the API document has it.
            keys: The fields that tell rows apart.
            replication_key: The field that bookmarks are taken from.
            given: The schema of a catalog, which may have been made under other settings or by another API document;
                None where there is none.
        """
        self.unhashable: list[str] = []
        self._policy = policy
        self._facts = facts
        self._declared = declared
        self._keys = keys
        self._replication_key = replication_key
        self._given = declared if given is None else given
        self._treatments: dict[str, Treatment] = {}
        self._note(declared, "")
        self.is_emptied = self._is_emptied()
        self._note(self._given, "")
        self._absent = frozenset(path for path in self._treatments if not _may_hold(self._given, path))

    @property
    def keyed_hash(self) -> KeyedHash | None:
        """What hashes values, None where nothing is hashed."""
        return self._policy.keyed_hash

    def treatment(self, path: str) -> Treatment:
        """What becomes of a field; of an object, whether all in it is dropped."""
        found = self._treatments.get(path)
        if found is not None:
            return found
        inside = {treatment for inner, treatment in self._inside(path) if inner not in self._absent}
        return Treatment.DROP if inside == {Treatment.DROP} else Treatment.KEEP

    def dropped(self) -> Counter[str]:
        """How many declared fields of each class are dropped."""
        return self._counted(self.dropped_fields)

    def hashed(self) -> Counter[str]:
        """How many declared fields of each class are hashed."""
        return self._counted(self.hashed_fields)

    @property
    def dropped_fields(self) -> frozenset[str]:
        """The fields that are not in records."""
        return frozenset(path for path, treatment in self._treatments.items() if treatment is Treatment.DROP)

    @property
    def hashed_fields(self) -> frozenset[str]:
        """The fields that records have hashes of."""
        return frozenset(path for path, treatment in self._treatments.items() if treatment is Treatment.HASH)

    def check_keys(self, stream: str, keys: Iterable[str], replication_key: str | None) -> None:
        """See that a catalog makes no key of what is dropped, and takes no bookmarks from hashes.

        Raises:
            ConfigError: It does.
        """
        names = [name for name in keys if self.treatment(name) is Treatment.DROP]
        if replication_key is not None and self.treatment(replication_key) is not Treatment.KEEP:
            names.append(replication_key)
        if names:
            raise ConfigError(
                f"the catalog makes {names[0]} a key of {stream}, which drop_classes or hash_classes does not let "
                "through as it is; discover it anew"
            )

    def under(self, given: JsonSchema) -> RowPrivacy:
        """The same for rows that a catalog gives the schema of."""
        return RowPrivacy(
            self._policy,
            self._facts,
            self._declared,
            keys=self._keys,
            replication_key=self._replication_key,
            given=given,
        )

    @cached_property
    def output(self) -> JsonSchema:
        """The schema of records: without what is dropped, and with plain strings for what is hashed."""
        return self._walk(self._given, self._declared, "", is_output=True) if self._policy.is_active else self._given

    @cached_property
    def source(self) -> JsonSchema:
        """The schema that rows are read by: what is hashed as it is declared, and all that is dropped."""
        return self._walk(self._given, self._declared, "", is_output=False) if self._policy.is_active else self._given

    def annotate(self, metadata: MetadataMapping) -> None:
        """Give the metadata of a catalog the classes of fields, in place.

        What is dropped is not in it any more; a stream that `is_emptied` cannot be selected.

        Args:
            metadata: That of the stream, made from its schema or come with a catalog.
        """
        for breadcrumb in list(metadata):
            if breadcrumb and self.treatment(_path(breadcrumb)) is Treatment.DROP:
                del metadata[breadcrumb]
        for breadcrumb in _breadcrumbs(self.output):
            if fact := self._facts.get(_path(breadcrumb)):
                given = metadata[breadcrumb]
                metadata[breadcrumb] = FieldMetadata(
                    inclusion=given.inclusion,
                    selected=given.selected,
                    selected_by_default=given.selected_by_default,
                    privacy_class=fact.privacy_class,
                    special_category=fact.special,
                )
        if self.is_emptied:
            metadata.root.inclusion = Metadata.InclusionType.UNSUPPORTED

    def _note(self, schema: JsonSchema, path: str) -> None:
        if not self._policy.is_active:
            return  # Nothing to work out: all is kept.
        properties = _properties(schema)
        for name, inner in properties.items():
            self._note(inner, f"{path}.{name}" if path else name)
        if not properties and path and path not in self._treatments and not any(self._inside(path)):
            self._treatments[path] = self._treat(path, schema)

    def _treat(self, path: str, schema: JsonSchema) -> Treatment:
        if path == self._replication_key:
            return Treatment.KEEP
        is_key = path in self._keys
        treatment = self._policy.treatment(self._facts.get(path), is_key=is_key)
        if treatment is Treatment.HASH and not _is_hashable(schema):
            if is_key:
                return Treatment.KEEP
            self.unhashable.append(path)
            return Treatment.DROP
        return treatment

    def _inside(self, path: str) -> Iterator[tuple[str, Treatment]]:
        """The fields inside an object, with their treatments."""
        begin = f"{path}."
        return ((inner, treatment) for inner, treatment in self._treatments.items() if inner.startswith(begin))

    def _touches(self, path: str) -> bool:
        """Whether something at a place, or inside it, is not kept as it is."""
        if not self._policy.is_active:
            return False
        treatments = (treatment for _, treatment in self._inside(path))
        return self.treatment(path) is not Treatment.KEEP or any(one is not Treatment.KEEP for one in treatments)

    def _walk(self, given: JsonSchema, declared: JsonSchema | None, path: str, *, is_output: bool) -> JsonSchema:
        """A part of a schema as it is read by, or as records have it."""
        if declared is not None and _form(given) != _form(declared):
            # A catalog must not open, by a wider type, what is dropped or hashed inside, or what is yet unknown.
            is_opened = _properties(declared) and not _properties(given)
            if path and (is_opened or self._touches(path)):
                given = declared
            else:
                declared = None
        if properties := given.get("properties"):
            return {**given, "properties": self._walk_all(properties, declared or {}, path, is_output=is_output)}
        if "items" in given:
            items = declared.get("items") if declared else None
            return {**given, "items": self._walk(given["items"], items, path, is_output=is_output)}
        if self.treatment(path) is not Treatment.HASH:
            return given
        return _as_text(declared or given) if is_output else declared or given

    def _walk_all(
        self, given: dict[str, JsonSchema], declared: JsonSchema, path: str, *, is_output: bool
    ) -> dict[str, JsonSchema]:
        known = declared.get("properties", {})
        above = f"{path}." if path else ""
        dropped = {name for name in (*given, *known) if self.treatment(above + name) is Treatment.DROP}
        walked = {
            name: self._walk(schema, known.get(name), above + name, is_output=is_output)
            for name, schema in given.items()
            if name not in dropped
        }
        if not is_output:
            walked |= {name: schema for name, schema in {**given, **known}.items() if name in dropped}
        return walked

    def _counted(self, paths: Iterable[str]) -> Counter[str]:
        return Counter(fact.privacy_class if (fact := self._facts.get(path)) else _NO_CLASS for path in paths)

    def _is_emptied(self) -> bool:
        """Whether it lost fields, and nothing but keys, references and time stamps is left."""
        kept = {path for path, treatment in self._treatments.items() if treatment is not Treatment.DROP}
        return len(kept) < len(self._treatments) and all(map(self._says_nothing, kept))

    def _says_nothing(self, path: str) -> bool:
        fact = self._facts.get(path)
        is_known = path in self._keys or path == self._replication_key or (fact is not None and fact.is_reference)
        return is_known or _at(self._declared, path).get("format") == "date-time"


def _path(breadcrumb: tuple[str, ...]) -> str:
    """The dotted name of a breadcrumb, such as ``("properties", "lines", "items", "properties", "amount")``."""
    names = []
    position = 0
    while position < len(breadcrumb):
        if breadcrumb[position] == "properties":
            names.append(breadcrumb[position + 1])
            position += 1
        position += 1
    return ".".join(names)


def _breadcrumbs(schema: JsonSchema, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The breadcrumb of each field, those inside objects and lists after the one that holds them."""
    for name, inner in schema.get("properties", {}).items():
        breadcrumb = (*above, "properties", name)
        yield breadcrumb
        yield from _breadcrumbs(inner, breadcrumb)
    if "items" in schema:
        yield from _breadcrumbs(schema["items"], (*above, "items"))


def _properties(schema: JsonSchema) -> dict[str, JsonSchema]:
    """The declared fields of an object, or of the objects in a list."""
    while "items" in schema:
        schema = schema["items"]
    found: dict[str, JsonSchema] = schema.get("properties") or {}
    return found


def _at(schema: JsonSchema, path: str) -> JsonSchema:
    for name in path.split("."):
        schema = _properties(schema)[name]
    return schema


def _may_hold(schema: JsonSchema, path: str) -> bool:
    """Whether rows of a schema can have a field: it declares it, or leaves open what is around it."""
    for name in path.split("."):
        if not (properties := _properties(schema)):
            return True
        if name not in properties:
            return False
        schema = properties[name]
    return True


def _form(schema: JsonSchema) -> str:
    """What a schema declares the inside of."""
    if schema.get("properties"):
        return "object"
    return "array" if "items" in schema else "value"


def _is_hashable(schema: JsonSchema) -> bool:
    """Whether the values of a field, or those in a list, have one text each."""
    while "items" in schema:
        schema = schema["items"]
    return only_kind(schema) in _HASHABLE


def _as_text(schema: JsonSchema) -> JsonSchema:
    is_nullable = "null" in (schema.get("type") or ())
    return {"type": ["string", "null"] if is_nullable else "string"}
