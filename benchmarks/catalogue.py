"""The catalogue: a search over a thousand data sets, as a page asks for it, and what it takes to be ready for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.tables import markdown
from civicgrid.catalogue.duo import Condition
from civicgrid.catalogue.record import CATEGORIES, Agent, Place, Record, Variable, VariableTable
from civicgrid.catalogue.search import Index

RECORDS, VARIABLES, TIMES = 1_000, 40, 100
TARGET = 50.0
WORDS = 3_000


def records() -> list[Record]:
    """A thousand made-up records: words of made-up letters, a few of them common, as words are."""
    rng = np.random.default_rng(4)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, int(rng.integers(4, 11)))) for _ in range(WORDS)]
    common = 1.0 / np.arange(1, WORDS + 1)
    common /= common.sum()

    def text(count: int) -> str:
        return " ".join(words[place] for place in rng.choice(WORDS, count, p=common))

    return [
        Record(
            identifier=f"site{number % 40}/set{number}",
            title=text(5),
            abstract=text(40)[:500],
            description=text(200),
            keywords=tuple(dict.fromkeys(text(6).split())),
            custodian=Agent(name=f"Trust {number % 40}"),
            health_categories=(str(rng.choice(sorted(CATEGORIES))),),
            conditions=(Condition(code="DUO:0000042"), Condition(code="DUO:0000021")),
            places=(Place(name=f"Region {number % 9}"),),
            tables=(
                VariableTable(
                    name="people",
                    variables=tuple(Variable(name=f"v{n}", title=text(3), description=text(8)) for n in range(VARIABLES)),
                ),
            ),
        )
        for number in range(RECORDS)
    ]


def milliseconds(work: Callable[[], object], times: int) -> float:
    """Of CPU, the mean of so many times."""
    began = time.process_time()
    for _ in range(times):
        work()
    return 1000 * (time.process_time() - began) / times


def run() -> str:
    """The table: milliseconds of CPU, and the target."""
    made = records()
    index = Index(made)
    title = made[0].title.split()
    asked = {
        "no text, no choice": lambda: index.search(),
        "two words": lambda: index.search(" ".join(title[:2])),
        "the beginning of a word": lambda: index.search(title[0][:2]),
        "two words and two facets": lambda: index.search(
            " ".join(title[:2]), {"custodian": ["Trust 0", "Trust 1"], "place": ["Region 0"]}
        ),
    }
    rows = [[name, f"{milliseconds(work, TIMES):.2f}", f"{TARGET:.0f}"] for name, work in asked.items()]
    rows.append(["making the index", f"{milliseconds(lambda: Index(made), 3):.0f}", "once a change"])
    heading = f"The catalogue: {RECORDS:,} data sets of {VARIABLES} variables each, every facet counted"
    return markdown(heading, ["asked for", "milliseconds of CPU", "target"], rows)
