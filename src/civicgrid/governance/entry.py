"""What every entry of the public register shares: its fields' types, its sentence, and what it is found by.

Entries are never changed or taken away. So nobody's name stands in one: a person is a *commitment*, the SHA-256 of a random
salt and the id of their account. The salt and the name lie beside the register in a table that can be emptied; then nobody
can tell any more whose commitment it was. Organisations, sites and data sets stand in clear.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from civicgrid.canonical import Node

Say = Callable[[str], str]
"""Puts a sentence into the reader's language, with the gaps in it; the identity gives British English."""


def _shown(text: str) -> str:
    """Somebody's own words, as long as nothing in them is invisible or turns the reading around."""
    for char in text:
        if char != "\n" and (unicodedata.category(char) in ("Cc", "Cs", "Co", "Cn") or char in _TURNING):
            raise ValueError("expected text without control characters")
    return text


_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u2028\u2029")

Words = Annotated[str, Field(max_length=3000), AfterValidator(_shown)]
Title = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_shown)]
Line = Annotated[str, Field(max_length=300), AfterValidator(_shown)]
Project = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Place = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Commitment = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Link = Annotated[str, Field(pattern=r"^(https://[!-;=?-~]{1,500})?$")]
Places = Annotated[tuple[Place, ...], Field(max_length=500)]
People = Annotated[tuple[Commitment, ...], Field(max_length=500)]
Titles = Annotated[tuple[Title, ...], Field(max_length=100)]


def commitment(salt: bytes, account: str) -> str:
    """How a person stands on the register: by this, and never by name or id."""
    return hashlib.sha256(salt + account.encode()).hexdigest()


class Entry(Node):
    """One thing that the public may know. Each kind says what it holds; `register.KINDS` lists them all."""

    READ: ClassVar[tuple[str, ...]] = ()
    """The fields whose words the entry is found by."""

    def sentence(self, _: Say = str) -> str:
        """The entry in plain English, for anybody."""
        raise NotImplementedError

    def marks(self) -> Iterator[tuple[str, str]]:
        """What the entry is found by: its kind, project, sites, data sets, organisations, and the words in its texts."""
        given = self.__dict__
        yield "kind", given["kind"]
        for name in ("project", "site", "organisation"):
            if given.get(name):
                yield name, given[name].casefold() if name == "organisation" else given[name]
        yield from (("site", site) for site in given.get("sites", ()))
        yield from (("dataset", dataset) for dataset in given.get("datasets", ()))
        yield from (("word", word) for word in words(" ".join(_texts(given[name] for name in self.READ))))


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from (value,) if isinstance(value, str) else value


_COMMON = frozenset((
    "the", "and", "for", "with", "that", "this", "from", "are", "was", "were", "has", "have", "had", "not", "but",
    "into", "its", "they", "their", "which", "who", "what", "when", "will", "can", "all", "any", "each", "other",
    "than", "then", "them", "there", "use", "used", "using", "about", "more", "been", "being", "our", "out", "over",
))  # fmt: skip
_WORD = re.compile(r"[^\W_]{3,40}")


def words(text: str) -> list[str]:
    """The words that a text is found by: lower case, without accents and plural s, the commonest left out."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    found = (word[:-1] if word.endswith("s") and len(word) > 3 else word for word in _WORD.findall(plain))
    return list(dict.fromkeys(word for word in found if word not in _COMMON))


MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def day(date: dt.date, _: Say = str) -> str:
    """A date as people in the UK write it."""
    return f"{date.day} {_(MONTHS[date.month - 1])} {date.year}"


def several(names: Iterable[str], _: Say = str) -> str:
    """Names in a row: a, b and c."""
    *others, last = tuple(names)
    return f"{', '.join(others)} {_('and')} {last}" if others else last


def ended(text: str) -> str:
    """Somebody's own words as the end of a sentence."""
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
