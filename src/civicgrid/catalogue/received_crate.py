"""A Five Safes RO-Crate that somebody else made, a request say.

What is assessed is for this network to say. So every assess action in such a crate is taken out, however it is spelt, and
every reference to one; a crate that could hide one (a context of its own that changes what words mean, an entity inside
another) is refused. So is a crate whose responsible project is not in it, which the profile's published shapes do not
notice. Nothing is fetched: a context that stands elsewhere is taken for RO-Crate's own.

Sources: Five Safes RO-Crate profile 0.4; RO-Crate Metadata Specification 1.2, section on the flattened JSON-LD form.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from civicgrid.canonical import MAX_BYTES, parse
from civicgrid.catalogue.crate import METADATA, Entity
from civicgrid.errors import DataError, PlanError

KINDS = ("SignOff", "DisclosureCheck", "ValidationCheck", "CheckValue", "GenerateCheckValue")
"""The profile's own kinds of check, whatever type they are given."""

VALUES = ({"@id"}, {"@value"}, {"@value", "@type"}, {"@value", "@language"})
MOST_FILES = 1_000


@dataclass(frozen=True)
class Received:
    """A crate as it came, without its assess actions: its entities by id, and the ids that were taken out."""

    entities: Mapping[str, Entity]
    stripped: tuple[str, ...]

    @property
    def root(self) -> Entity:
        return self.entities["./"]

    @property
    def project(self) -> Entity:
        """The responsible project."""
        return self.entities[_ids(self.root["sourceOrganization"])[0]]

    @property
    def workflow(self) -> Entity:
        return self.entities[_ids(self.root["mainEntity"])[0]]

    @property
    def requests(self) -> tuple[Entity, ...]:
        """What is asked to be run."""
        return tuple(each for each in self.entities.values() if "CreateAction" in _types(each))


def read_zip(raw: bytes) -> Received:
    """The crate in a zip. Only its metadata is unpacked, and that only where it is small enough."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            entry = archive.getinfo(METADATA)
            if entry.file_size > MAX_BYTES or len(archive.infolist()) > MOST_FILES:
                raise DataError(f"Expected a crate of at most {MOST_FILES:,} files and {MAX_BYTES:,} bytes of metadata.")
            with archive.open(entry) as file:
                return read(file.read(MAX_BYTES + 1))
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise DataError(
            f"Expected a zip with {METADATA} at its top; it could not be read ({type(error).__name__}). Zip it again."
        ) from None


def read(metadata: bytes | str) -> Received:
    """The crate that a metadata file describes. DataError where it is no crate, or its responsible project is not there."""
    try:
        data = parse(metadata)
    except PlanError as error:
        raise DataError(f"The crate's metadata could not be read. {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("@graph"), list):
        raise DataError("Expected the metadata of an RO-Crate, with a @context and a @graph; something else came.")
    terms = _terms(data.get("@context"))
    graph = [_flat(entity) for entity in data["@graph"]]
    stripped = {entity["@id"] for entity in graph if _assesses(entity, terms)}
    entities: dict[str, Entity] = {}
    for entity in graph:
        if entity["@id"] in stripped:
            continue
        if entity["@id"] in entities:
            raise DataError("Expected each entity of a crate once; one stands in it twice.")
        entities[entity["@id"]] = {name: _without(value, stripped) for name, value in entity.items()}
    _check(entities)
    return Received(entities, tuple(sorted(stripped)))


def _check(entities: Mapping[str, Entity]) -> None:
    """What the profile asks of every crate, and its validator's shapes do not all look for."""
    root = entities.get("./")
    if root is None:
        raise DataError("Expected a crate with a root data entity, ./; there is none.")
    projects = [entities.get(node) for node in _ids(root.get("sourceOrganization"))]
    if not projects or any(each is None or "Project" not in _types(each) for each in projects):
        raise DataError(
            "Expected the crate's responsible project: a Project in it, which its sourceOrganization names. Add it."
        )
    workflows = [entities.get(node) for node in _ids(root.get("mainEntity"))]
    if len(workflows) != 1 or workflows[0] is None:
        raise DataError("Expected one workflow in the crate, which its mainEntity names; there is none, or several.")
    own = set(_ids(root["sourceOrganization"]))
    for entity in entities.values():
        if "CreateAction" in _types(entity):
            agents = [entities.get(node) for node in _ids(entity.get("agent"))]
            if not any(each is not None and own & set(_ids(each.get("memberOf"))) for each in agents):
                raise DataError("Expected who asks to be a member of the responsible project; nobody in the crate is.")


def _terms(context: Any) -> dict[str, str]:
    """The words that a crate's own context adds. What could give other words another meaning is refused."""
    found: dict[str, str] = {}
    for part in context if isinstance(context, list) else [context]:
        if isinstance(part, str):
            continue
        if not isinstance(part, dict):
            raise DataError("Expected the context of an RO-Crate: an address, or a list of addresses and words.")
        for term, meaning in part.items():
            if isinstance(meaning, dict) and set(meaning) <= {"@id", "@type"}:
                meaning = meaning.get("@id")
            if term.startswith("@") or not isinstance(meaning, str) or meaning.startswith("@"):
                raise DataError("Expected a context that only adds words; this one changes what others mean. Leave it out.")
            found[term] = meaning
    return found


def _flat(entity: Any) -> Entity:
    """An entity as RO-Crate writes them: flat, with nothing of JSON-LD's own but ids, types and values."""
    if not isinstance(entity, dict) or not isinstance(entity.get("@id"), str):
        raise DataError("Expected entities with an @id in the crate; another came.")
    kinds = entity.get("@type", [])
    if not all(isinstance(kind, str) for kind in (kinds if isinstance(kinds, list) else [kinds])):
        raise DataError("Expected the types of a crate's entities as words; something else came.")
    for name, value in entity.items():
        if name in ("@id", "@type"):
            continue
        for inside in value if isinstance(value, list) else [value]:
            plain = not isinstance(inside, dict | list)
            named = (
                isinstance(inside, dict)
                and set(inside) in VALUES
                and not any(isinstance(part, dict | list) for part in inside.values())
                and isinstance(inside.get("@id", ""), str)
            )
            if name.startswith("@") or not (plain or named):
                raise DataError("Expected a flat RO-Crate; an entity of this one holds another. Flatten it.")
    return entity


def _assesses(entity: Entity, terms: Mapping[str, str]) -> bool:
    """Whether an entity is an assess action, or one of the profile's checks under another type, in whatever spelling."""
    kinds = {_spelt_out(kind, terms) for kind in _types(entity)}
    for name, value in entity.items():
        if _last(_spelt_out(name, terms)) in ("additionalType", "type"):
            found = value if isinstance(value, list) else [value]
            kinds |= {
                _spelt_out(str(each.get("@id", each.get("@value")) if isinstance(each, dict) else each), terms)
                for each in found
            }
    return any(kind.endswith("AssessAction") or _last(kind) in KINDS for kind in kinds)


def _spelt_out(word: str, terms: Mapping[str, str], depth: int = 0) -> str:
    """A word with the prefixes and aliases of the crate's own context replaced."""
    if depth > len(terms):
        raise DataError("Expected a context whose words lead somewhere; this one goes round in a circle.")
    if word in terms:
        return _spelt_out(terms[word], terms, depth + 1)
    prefix, colon, rest = word.partition(":")
    if colon and prefix in terms:
        return _spelt_out(terms[prefix], terms, depth + 1) + rest
    return word


def _last(word: str) -> str:
    return re.split(r"[/#:]", word)[-1]


def _types(entity: Entity) -> list[str]:
    kinds = entity.get("@type", [])
    return [str(kind) for kind in (kinds if isinstance(kinds, list) else [kinds])]


def _ids(value: Any) -> list[str]:
    found = value if isinstance(value, list) else [value]
    return [str(each["@id"]) for each in found if isinstance(each, dict) and "@id" in each]


def _without(value: Any, gone: Set[str]) -> Any:
    """A value without the references to what was taken out."""
    if isinstance(value, list):
        return [inside for inside in value if not (isinstance(inside, dict) and inside.get("@id") in gone)]
    return [] if isinstance(value, dict) and value.get("@id") in gone else value
