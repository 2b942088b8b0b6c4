"""The one road out of a site: from the sums of a method to bytes for the wire.

`release` accepts only the shapes of `disclosure.shapes` and gives back the only bytes that a node may send about its
people. A share goes *open*, after the site's own rules alone have hidden, merged and rounded what they must, or *masked*,
exact but unreadable until the other sites' shares have been added. Which of the two the signed roster decides.

`combine` is the other end: it adds what the sites released. It lives here so that the byte form has one home.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgpack
import numpy as np
import numpy.typing as npt

from civicgrid.disclosure import rules
from civicgrid.disclosure.codes import Code, Withheld
from civicgrid.disclosure.shapes import (
    Combined,
    Counts,
    Histogram,
    IntArray,
    Part,
    Received,
    RoughCount,
    Share,
    Sums,
)
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import DataError, PlanError, TrustError, WireError
from civicgrid.packed import unpack
from civicgrid.trust import masks
from civicgrid.trust.fixedpoint import Encoding, Slot

Mode = Literal["open", "masked"]
Limbs = npt.NDArray[np.uint64]

WHOLE = Counts | Histogram
"""The shapes that hold whole numbers of people, and travel exact."""

TWOFOLD = tuple(shape.__name__ for shape in get_args(WHOLE))
"""Under a mask they are two arrays each."""

KINDS = tuple(shape.__name__ for shape in get_args(Part))

MAX_VALUES = 1_000_000
MAX_ITEMS = 100_000
FORM = 2


@dataclass(frozen=True)
class Terms:
    """Under what a site releases one share.

    `mask` is set where the roster allows masking: it adds the pairwise masks to the encoded share. `must_stand_alone`
    says that the share has to keep the open rules as well: the permit does not allow a pooled threshold. `tag` draws what a
    rough count is blurred by.
    """

    thresholds: Thresholds
    must_stand_alone: bool
    sites: int
    mask: Callable[[Limbs], Limbs] | None
    tag: Callable[[bytes], bytes] | None = None


def release(share: Share, terms: Terms) -> bytes:
    """The bytes that leave, or Withheld. Nothing else in a node makes bytes out of people's data."""
    if not isinstance(share, tuple) or not all(isinstance(part, Part) for part in share):
        raise TypeError("Only the shapes of disclosure.shapes leave a site.")
    if len({part.name for part in share}) != len(share) or sum(part.values.size for part in share) > MAX_VALUES:
        raise Withheld(Code.FAILED, "parts of one name, or too many values")
    if any(isinstance(part, RoughCount) for part in share):
        return _rough(share, terms)
    for part in share:
        if (words := rules.singles_out(part, terms.thresholds)) is not None:
            raise Withheld(Code.DISCLOSURE, f"{part.name}: {words}")
    if terms.mask is None:
        return _open(share, terms.thresholds)
    return _masked(share, terms, terms.mask)


def stands_alone(share: Share, thresholds: Thresholds) -> bool:
    """Whether the share could leave open with nothing hidden: the test for a second roster over the same people."""
    return all(rules.stands_alone(part, thresholds) for part in share)


def _rough(share: Share, terms: Terms) -> bytes:
    """Counts by themselves, blurred by the site: open whatever the roster."""
    if terms.tag is None:
        raise Withheld(Code.FAILED, "there is no key to blur a count by")
    parts: list[list[Any]] = []
    for part in share:
        if not isinstance(part, RoughCount):
            raise Withheld(Code.FAILED, "a rough count stands beside something else")
        told = rules.rough_count(part, terms.thresholds, terms.tag)
        parts.append([*_head(part), 0 if told is None else told, told is None])
    packed: bytes = msgpack.packb([FORM, "rough", parts])
    return packed


def _open(share: Share, thresholds: Thresholds) -> bytes:
    parts: list[list[Any]] = []
    shown = False
    for part in share:
        if isinstance(part, RoughCount):
            raise TypeError("A rough count leaves by itself.")
        if isinstance(part, Counts):
            values, hidden = rules.open_counts(part, thresholds)
            shown |= not hidden.all()
            parts.append([*_head(part), _raw(np.where(hidden, 0, values)), hidden.tobytes()])
        elif isinstance(part, Histogram):
            low, high = rules.open_histogram(part, thresholds)
            shown = True
            parts.append([*_head(part), _raw(low), _raw(high)])
        else:
            sums = rules.open_sums(part, thresholds) if isinstance(part, Sums) else rules.open_model(part, thresholds)
            if sums is not None and not np.isfinite(sums).all():
                raise Withheld(Code.FAILED, f"{part.name} holds a number that is not finite")
            if sums is None:
                raise Withheld(Code.DISCLOSURE, f"{part.name} does not pass alone")
            shown = True
            parts.append([*_head(part), _raw(sums)])
    if not shown:
        raise Withheld(Code.DISCLOSURE, "every count is hidden")
    packed: bytes = msgpack.packb([FORM, "open", parts])
    return packed


def _masked(share: Share, terms: Terms, mask: Callable[[Limbs], Limbs]) -> bytes:
    """Exact, or where the share must stand alone with the same hidden and merged as in the open."""
    arrays: list[npt.NDArray[Any]] = []
    slots: list[Slot] = []
    shown = False
    for part in share:
        written = _written(part, terms)
        shown |= not isinstance(part, Counts) or not written[1].all()
        for array in written:
            slots.append(Slot(str(len(slots)), array.shape, _exponents(part)))
            arrays.append(array)
    if not shown:
        raise Withheld(Code.DISCLOSURE, "every count is hidden")
    encoding = Encoding(tuple(slots), terms.sites)
    try:
        limbs = encoding.encode({slot.name: array for slot, array in zip(slots, arrays, strict=True)})
    except DataError as error:
        raise Withheld(Code.FAILED, str(error)) from None
    heads = [[*_head(part), None if (sizes := _exponents(part)) is None else _raw(sizes)] for part in share]
    packed: bytes = msgpack.packb([FORM, "masked", heads, mask(limbs).tobytes()])
    return packed


def _written(part: Part, terms: Terms) -> list[npt.NDArray[Any]]:
    """The arrays that a part is under a mask: of counts also how many sites hide each, of a histogram the two bounds."""
    alone, thresholds = terms.must_stand_alone, terms.thresholds
    if isinstance(part, Counts):
        hidden = rules.hidden_counts(part, thresholds) if alone else np.zeros(part.values.shape, dtype=bool)
        return [np.where(hidden, 0, part.values), hidden.astype(np.int64)]
    if isinstance(part, Histogram):
        return list(rules.open_histogram(part, thresholds)) if alone else [below(part.values)] * 2
    if alone and not rules.stands_alone(part, thresholds):
        raise Withheld(Code.DISCLOSURE, f"{part.name} does not stand alone")
    return [part.values]


def below(values: IntArray) -> IntArray:
    """How many people lie below each bin's lower end, and altogether."""
    return np.concatenate([np.zeros((values.shape[0], 1), np.int64), np.cumsum(values, axis=1)], axis=1)


def _head(part: Part) -> list[Any]:
    return [type(part).__name__, part.name, list(part.values.shape)]


def _exponents(part: Part) -> IntArray | None:
    return None if isinstance(part, WHOLE | RoughCount) else part.exponents


def _raw(array: npt.NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def combine(released: Sequence[bytes], sites: Sequence[str] = ()) -> Combined:
    """Add what the sites of one roster released in one round; put side by side what is told roughly, under their names.

    WireError where the parts do not fit together, so that a site which sends another shape, size or mode is noticed
    rather than added.
    """
    try:
        read = [unpack(raw, MAX_ITEMS) for raw in released]
        if any(form[0] != FORM for form in read) or len({form[1] for form in read}) != 1:
            raise ValueError("sites answered in different forms")
        if read[0][1] == "rough":
            combined = _side_by_side(read, tuple(sites))
        else:
            combined = _add_masked(read) if read[0][1] == "masked" else _add_open(read)
        _possible(combined)
    except (ValueError, TypeError, PlanError, TrustError) as error:
        raise WireError(f"The sites' shares do not fit together: {error}. Nothing was added.") from None
    except (LookupError, ArithmeticError, MemoryError) as error:
        raise WireError(
            f"The sites' shares do not fit together: a site sent another form ({type(error).__name__}). Nothing was added."
        ) from None
    return combined


def _add_masked(read: list[Any]) -> Combined:
    if any(form[2] != read[0][2] for form in read):
        raise ValueError("sites described their shares differently")
    _declared(head[0] for head in read[0][2])
    slots: list[Slot] = []
    for kind, _, dims, exponents in read[0][2]:
        shape = (dims[0], dims[1] + 1) if kind == "Histogram" else tuple(dims)
        sizes = None if exponents is None else np.frombuffer(exponents, "<i8")
        for _ in range(2 if kind in TWOFOLD else 1):
            slots.append(Slot(str(len(slots)), shape, sizes))
    encoding = Encoding(tuple(slots), len(read))
    total = masks.combine([np.frombuffer(form[3], "<u8").reshape(encoding.length, 2) for form in read])
    decoded = iter(encoding.decode(total).values())
    combined: Combined = {}
    for kind, name, _, _ in read[0][2]:
        values = next(decoded)
        combined[name] = _received(kind, name, values, next(decoded) if kind in TWOFOLD else None, len(read))
    return combined


def _add_open(read: list[Any]) -> Combined:
    combined: Combined = {}
    for pieces in zip(*(form[2] for form in read), strict=True):
        if any(piece[:3] != pieces[0][:3] for piece in pieces):
            raise ValueError("sites described their shares differently")
        kind, name, dims = pieces[0][:3]
        _declared([kind])
        shape = tuple(dims)
        if kind == "Counts":
            values = sum(np.frombuffer(piece[3], "<i8").reshape(shape) for piece in pieces)
            hidden = np.any([np.frombuffer(piece[4], "?").reshape(shape) for piece in pieces], axis=0)
            combined[name] = Received(name, np.asarray(values), hidden)
        elif kind == "Histogram":
            wide = (shape[0], shape[1] + 1)
            low, high = (np.sum([np.frombuffer(p[at], "<i8").reshape(wide) for p in pieces], axis=0) for at in (3, 4))
            combined[name] = Received(name, np.diff(low, axis=1), None, low, high)
        else:
            values = np.sum([np.frombuffer(piece[3], "<f8").reshape(shape) for piece in pieces], axis=0)
            combined[name] = Received(name, values)
    return combined


def _side_by_side(read: list[Any], sites: tuple[str, ...]) -> Combined:
    combined: Combined = {}
    for pieces in zip(*(form[2] for form in read), strict=True):
        if any(piece[:3] != ["RoughCount", pieces[0][1], []] for piece in pieces) or len(sites) != len(pieces):
            raise ValueError("sites described their shares differently")
        told = [(piece[3], piece[4]) for piece in pieces]
        if not all(type(value) is int and 0 <= value < rules.UNKNOWN and type(hidden) is bool for value, hidden in told):
            raise ValueError("a site told a count that is none")
        values, hidden = np.array([t[0] for t in told], dtype=np.int64), np.array([t[1] for t in told])
        combined[pieces[0][1]] = Received(pieces[0][1], values, hidden, sites=sites)
    return combined


def _possible(combined: Combined) -> None:
    """No fewer than nobody: such a total is that of a site that lies, or has read another mask."""
    for received in combined.values():
        counts = [received.values, received.low, received.high]
        if received.values.dtype == np.int64 and any((c < 0).any() for c in counts if c is not None):
            raise ValueError(f"{received.name} counts fewer than nobody")


def _declared(kinds: Iterable[Any]) -> None:
    if any(kind not in KINDS for kind in kinds):
        raise ValueError("a site sent a part of a shape that is not declared")


def _received(
    kind: str, name: str, values: npt.NDArray[Any], beside: npt.NDArray[Any] | None, sites: int
) -> Received:
    if kind == "Histogram":
        return Received(name, np.diff(values, axis=1), None, values, beside)
    if kind != "Counts" or beside is None:
        return Received(name, values)
    if ((beside < 0) | (beside > sites)).any():
        raise ValueError(f"{name} is hidden by more sites than there are, or by fewer than none")
    return Received(name, values, beside > 0 if beside.any() else None)
