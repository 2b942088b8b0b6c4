"""Finding data sets: free text with prefixes, and facets, over some thousands of records in memory.

Every word of the text must be found; the beginning of a word is enough. A record ranks by where its words stand (title
before keywords before the rest), by how rare they are among the records, and by whether they are whole words. Of a facet
any of the chosen values will do; of several facets each must hold. Beside each value of a facet stands how many records it
would leave, under what is chosen in the other facets.

Source: the weight of a rare word is the usual inverse document frequency, ln(1 + N / n) (K. Spärck Jones 1972).
"""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from civicgrid.catalogue.duo import TERMS
from civicgrid.catalogue.record import CATEGORIES, Record

LONGEST_QUERY = 200
MOST_WORDS = 12
PAGE = 20
WHOLE = 2.0
"""How much more a whole word counts than the beginning of one."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Facet:
    """One way to narrow a list down: its label, a record's values, and how a value is shown."""

    label: str
    values: Callable[[Record], Iterable[str]]
    words: Callable[[str], str] = str


FACETS: dict[str, Facet] = {
    "custodian": Facet("Custodian", lambda record: [record.custodian.name] if record.custodian.name else []),
    "category": Facet("Kind of data", lambda record: record.health_categories, lambda code: CATEGORIES.get(code, code)),
    "place": Facet("Place", lambda record: sorted({place.name for place in record.places})),
    "purpose": Facet(
        "Purposes and conditions",
        lambda record: sorted({condition.code for condition in record.conditions}),
        lambda code: TERMS[code].label if code in TERMS else code,
    ),
    "approver": Facet("Who approves", lambda record: record.approvers),
    "model": Facet("Data model", lambda record: [record.model]),
    "coding": Facet("Coding system", lambda record: record.coding_systems),
    "type": Facet("Type", lambda record: [record.type]),
    "access": Facet("Access", lambda record: [record.rights]),
}

# Where a word may stand, and what it counts there.
_PLACES: tuple[tuple[float, Callable[[Record], Iterable[str]]], ...] = (
    (8.0, lambda record: [record.title]),
    (6.0, lambda record: [record.identifier]),
    (5.0, lambda record: record.keywords),
    (3.0, lambda record: [record.abstract, record.custodian.name, *(place.name for place in record.places)]),
    (2.0, lambda record: [f"{each.name} {each.title}" for each in record.variables()]),
    (
        1.0,
        lambda record: [
            record.description, record.provenance, *(CATEGORIES[code] for code in record.health_categories),
            *(condition.detail for condition in record.conditions), *(each.description for each in record.variables()),
        ],
    ),
)  # fmt: skip


@dataclass(frozen=True)
class FacetValue:
    """A value of a facet, its words, how many records it would leave, and whether it is chosen."""

    value: str
    words: str
    count: int
    chosen: bool


@dataclass(frozen=True)
class Found:
    """One page of what was found: how many in all, the records of the page in order, and every facet's values."""

    total: int
    records: tuple[Record, ...]
    facets: Mapping[str, tuple[FacetValue, ...]]


def words_of(text: str) -> list[str]:
    """The words of a text as they are looked up: in small letters, without accents, underscores apart."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return _WORD.findall(plain.replace("_", " "))


class Index:
    """The records of a catalogue, ready to be searched. Build another when a record changes: it takes about a millisecond a
    record with a few dozen variables.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = tuple(sorted(records, key=lambda record: (record.title.casefold(), record.identifier)))
        postings: dict[str, dict[int, float]] = defaultdict(dict)
        for place, record in enumerate(self.records):
            for weight, texts in _PLACES:
                for text in texts(record):
                    for word in words_of(text):
                        # Where it counts most; a word said often is not said better.
                        held = postings[word]
                        if held.get(place, 0.0) < weight:
                            held[place] = weight
        self._words = sorted(postings)
        self._postings = [postings[word] for word in self._words]
        self._values: dict[str, dict[str, set[int]]] = {}
        for name, facet in FACETS.items():
            found: dict[str, set[int]] = defaultdict(set)
            for place, record in enumerate(self.records):
                for value in facet.values(record):
                    found[value].add(place)
            self._values[name] = dict(found)

    def search(
        self, text: str = "", chosen: Mapping[str, Sequence[str]] | None = None, *, start: int = 0, size: int = PAGE
    ) -> Found:
        """One page of the records that hold every word of the text and fit what is chosen: best first, by title without
        text.

        Unknown facets and values find nothing, like any value that no record has.
        """
        wanted = {name: set(values) for name, values in (chosen or {}).items() if values}
        scores = self._scored(text)
        everything = set(range(len(self.records))) if scores is None else set(scores)
        fits = {
            name: set[int]().union(*(self._values.get(name, {}).get(value, set()) for value in values))
            for name, values in wanted.items()
        }
        kept = everything.intersection(*fits.values())
        order = sorted(kept) if scores is None else sorted(kept, key=lambda place: (-scores[place], place))
        facets = {}
        for name, facet in FACETS.items():
            others = [places for other, places in fits.items() if other != name]
            beside = everything.intersection(*others)
            mine = wanted.get(name, set())
            counted = [
                FacetValue(value, facet.words(value), len(places & beside), value in mine)
                for value, places in self._values[name].items()
            ]
            facets[name] = tuple(
                sorted((each for each in counted if each.count or each.chosen), key=lambda each: (-each.count, each.words))
            )
        page = order[max(start, 0) : max(start, 0) + max(size, 0)]
        return Found(len(kept), tuple(self.records[place] for place in page), facets)

    def _scored(self, text: str) -> dict[int, float] | None:
        """How well each record fits the text; None where it holds no word."""
        asked = list(dict.fromkeys(words_of(text[:LONGEST_QUERY])))[:MOST_WORDS]
        if not asked:
            return None
        total: dict[int, float] | None = None
        for word in asked:
            best = self._begun(word)
            if total is None:
                total = best
            else:
                total = {place: score + best[place] for place, score in total.items() if place in best}
        return total

    def _begun(self, word: str) -> dict[int, float]:
        """For each record the best of its words that begin so."""
        found: dict[int, float] = {}
        for at in range(bisect_left(self._words, word), len(self._words)):
            if not self._words[at].startswith(word):
                break
            weights = self._postings[at]
            rare = math.log1p(len(self.records) / len(weights)) * (WHOLE if self._words[at] == word else 1.0)
            for place, weight in weights.items():
                if found.get(place, 0.0) < weight * rare:
                    found[place] = weight * rare
        return found
