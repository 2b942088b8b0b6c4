"""The names of conditions, each of which says its condition in the one form, and how they are put together.

A list of values is written `series:in:[…]` or `series:outside:[…]`, a bound `series>=65` or `series<2020-02-29`, where a
series goes by its digest, after the data set if that is said. Nothing is read out of other names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from civicgrid.canonical import digest

Names = frozenset[str]

NOBODY, AMONG, OUTSIDE, ONE_OF = "nobody", ":in:", ":outside:", "one-of:"

# A series, by data set and digest, with values that it has or has not.
LIST = re.compile(rf"(.*?[0-9a-f]{{64}})({AMONG}|{OUTSIDE})(.*)")
# A least whole number or day, or the first one beyond.
_BOUND = re.compile(r"(.*?[0-9a-f]{64})(>=|<)(-?\d{1,18}|\d{4}-\d{2}-\d{2})")


def named_list(series: str, kind: str, values: Iterable[str]) -> str:
    """The name of a list of values, each of them written as JSON."""
    text = json.dumps(sorted(values), separators=(",", ":"))
    return f"{series}{kind}{text}".replace(" ", "\\u0020").replace("&", "\\u0026")


def closest(names: Iterable[str]) -> Names:
    """Of names of what must hold at once, what is left when lists of one series and bounds are put together."""
    lists: dict[tuple[str, str], set[str]] = {}
    bounds: dict[tuple[str, str], int | str] = {}
    others = set()
    for name in names:
        if (listed := LIST.fullmatch(name)) is not None:
            series, kind, values = listed.groups()
            named = set(json.loads(values))
            known = lists.get((series, kind), named)
            lists[series, kind] = known & named if kind == AMONG else known | named
        elif (found := _BOUND.fullmatch(name)) is not None:
            series, op, end = found.groups()
            bound = end if "-" in end[1:] else int(end)
            nearer = max if op == ">=" else min
            bounds[series, op] = nearer(bounds.get((series, op), bound), bound)
        else:
            others.add(name)
    return frozenset(
        others
        | {named_list(series, kind, values) for (series, kind), values in lists.items()}
        | {f"{series}{op}{bound}" for (series, op), bound in bounds.items()}
    )


def merged(alternatives: Iterable[Names]) -> set[Names]:
    """Alternatives without those of nobody; values of one series that are enough apart from each other as one list."""
    lists: dict[str, set[str]] = {}
    others = set()
    for each in alternatives:
        listed = LIST.fullmatch(next(iter(each))) if len(each) == 1 else None
        if listed is not None and listed[2] == AMONG:
            lists.setdefault(listed[1], set()).update(json.loads(listed[3]))
        elif NOBODY not in each:
            others.add(each)
    return others | {frozenset({named_list(series, AMONG, values)}) for series, values in lists.items()}


def either(every: set[Names]) -> Names:
    """The names of what must hold where one of some alternatives is enough."""
    if frozenset() in every:
        return frozenset()
    if len(every) < 2:
        return next(iter(every), frozenset({NOBODY}))
    return frozenset({ONE_OF + digest(json.dumps(sorted(sorted(each) for each in every)).encode())})
