"""Numbers as 128-bit integers, so that sums over sites are exact and come out the same in any order.

A float64 becomes a whole number of quanta of 2^(exponent - 60), where the exponent is the public size of that
value as a power of two (from the Ask, never from the data): a value near its size keeps 60 bits, more than a
float64 has, and there is room for totals 2^66 times the size. A whole number is its own quantum and exact.
Two's complement, two little-endian 64-bit limbs a value, the low limb first: an array of shape (n, 2).

What would not fit is refused before masking, since a masked sum that wrapped looks like any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from civicgrid.errors import DataError, PlanError, TrustError

Limbs = npt.NDArray[np.uint64]
Half = npt.NDArray[np.uint64]
Array = npt.NDArray[Any]

FRACTION_BITS = 60
TOTAL_BITS = 126
MAX_EXPONENT = 900
MAX_SITES = 10_000


@dataclass(frozen=True, eq=False)
class Slot:
    """One array of a share: its name, its shape, and the public size of its values.

    `exponents` broadcasts to the shape (whole numbers, the size of each value as a power of two); None for an
    array of whole numbers, which travels exact.
    """

    name: str
    shape: tuple[int, ...]
    exponents: npt.NDArray[np.int64] | int | None = None

    def __post_init__(self) -> None:
        if self.exponents is None:
            return
        sizes = np.asarray(self.exponents)
        if sizes.dtype.kind not in "iu" or (sizes.size and np.abs(sizes).max() > MAX_EXPONENT):
            raise PlanError(
                f"{self.name}: expected exponents that are whole numbers within ±{MAX_EXPONENT}. Rescale the column."
            )
        try:
            np.broadcast_to(sizes, self.shape)
        except ValueError:
            raise PlanError(
                f"{self.name}: expected exponents for an array of shape {self.shape}; shape {sizes.shape} came."
            ) from None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def scaled(self, values: npt.NDArray[np.float64], sign: int) -> npt.NDArray[np.float64]:
        """A flat array of the slot's values in quanta (sign 1), or back from quanta (sign -1)."""
        # A product with a power of two is exact, or correctly rounded where it is too small for a normal
        # number.
        scale = np.ldexp(1.0, (sign * (FRACTION_BITS - np.asarray(self.exponents))).astype(np.intc))
        shaped: npt.NDArray[np.float64] = values.reshape(self.shape) * scale
        return shaped.reshape(-1)


@dataclass(frozen=True, eq=False)
class Encoding:
    """How the arrays of one share lie in one run of limbs; the same at every site of a round.

    `sites` is how many will be added: a value is refused where that many of its size would pass 2^126 quanta.
    """

    slots: tuple[Slot, ...]
    sites: int

    def __post_init__(self) -> None:
        if not 1 <= self.sites <= MAX_SITES:
            raise PlanError(f"Expected from 1 to {MAX_SITES:,} sites to add up; {self.sites} came.")
        names = [slot.name for slot in self.slots]
        if len(set(names)) != len(names):
            raise PlanError("Expected each array of a share under its own name; one name came twice.")

    @property
    def length(self) -> int:
        """How many values, that is rows of limbs, the share has."""
        return sum(slot.size for slot in self.slots)

    def encode(self, arrays: Mapping[str, Array]) -> Limbs:
        """The arrays, in the order of the slots, as limbs of shape (length, 2). DataError names the array at
        fault.
        """
        if set(arrays) != {slot.name for slot in self.slots}:
            raise PlanError(f"Expected the arrays {', '.join(slot.name for slot in self.slots)}; {', '.join(arrays)} came.")
        limbs = np.empty((self.length, 2), dtype="<u8")
        start = 0
        for slot in self.slots:
            values = np.asarray(arrays[slot.name])
            if values.shape != slot.shape:
                raise PlanError(f"{slot.name}: expected shape {slot.shape}; {values.shape} came.")
            into = limbs[start : start + slot.size]
            if slot.exponents is None:
                self._whole(slot, values.reshape(-1), into)
            else:
                self._real(slot, values.reshape(-1), into)
            start += slot.size
        return limbs

    def decode(self, limbs: Limbs) -> dict[str, Array]:
        """The total's arrays: int64 where the slot holds whole numbers, else the float64 nearest to the exact
        sum.
        """
        if limbs.shape != (self.length, 2) or limbs.dtype != np.uint64:
            raise TrustError(
                f"Expected a total of {self.length} values in two 64-bit limbs each; {limbs.dtype} of shape "
                f"{limbs.shape} came. The sites did not answer the same Ask."
            )
        high = limbs[:, 1].astype(np.int64)
        if (high > 1 << (TOTAL_BITS - 64)).any() or (high < -(1 << (TOTAL_BITS - 64))).any():
            raise TrustError(
                "The total is larger than the sites can have sent: a part is missing, came twice, or was "
                "masked for "
                "another roster or Ask. Run the round again with every site of the roster."
            )
        arrays: dict[str, Array] = {}
        start = 0
        for slot in self.slots:
            part = limbs[start : start + slot.size]
            values: Array
            if slot.exponents is None:
                values = part[:, 0].astype(np.int64)
                if (part[:, 1].astype(np.int64) != values >> 63).any():
                    raise TrustError(f"{slot.name}: the total of whole numbers does not fit 64 bits. Ask for smaller ones.")
            else:
                values = slot.scaled(_nearest(part), -1)
            arrays[slot.name] = values.reshape(slot.shape)
            start += slot.size
        return arrays

    def _whole(self, slot: Slot, values: Array, into: Limbs) -> None:
        if values.dtype.kind not in "iub" or (values.dtype == np.uint64 and (values > 2**63 - 1).any()):
            raise DataError(f"{slot.name}: expected whole numbers of at most 64 bits; {values.dtype} came.")
        signed = values.astype(np.int64)
        into[:, 0] = signed.astype(np.uint64)
        into[:, 1] = (signed >> 63).astype(np.uint64)

    def _real(self, slot: Slot, values: Array, into: Limbs) -> None:
        if values.dtype != np.float64:
            raise DataError(f"{slot.name}: expected float64; {values.dtype} came.")
        if not np.isfinite(values).all():
            raise DataError(f"{slot.name}: holds a number that is infinite or not a number. Nothing was sent.")
        with np.errstate(over="ignore", under="ignore"):
            quanta = np.rint(slot.scaled(values, 1))
        size = np.abs(quanta)
        if (size > np.nextafter(2.0**TOTAL_BITS / self.sites, 0)).any():
            raise DataError(
                f"{slot.name}: holds a number too large for the public size in the Ask, summed over "
                f"{self.sites} sites. "
                "Nothing was sent. Give its column a wider range in the data dictionary."
            )
        # All of it exact: a float64 is 53 bits wherever they lie, and each piece below is a run of them.
        high = np.floor(size * 2.0**-64)
        low = size - high * 2.0**64
        into[:, 0], into[:, 1] = _signed(low.astype(np.uint64), high.astype(np.uint64), quanta < 0)


def _signed(low: Half, high: Half, negative: npt.NDArray[np.bool_]) -> tuple[Half, Half]:
    """The limbs with those rows negated (two's complement) that are marked."""
    one = negative.astype(np.uint64)
    every = ~one + np.uint64(1)
    low = (low ^ every) + one
    return low, (high ^ every) + (negative & (low == 0))


def _nearest(limbs: Limbs) -> npt.NDArray[np.float64]:
    """Each 128-bit integer (within ±2^126) as the nearest float64, ties to even.

    The leading 64 bits are kept with the rest folded into their last bit, so that the one rounding is the
    conversion.
    """
    negative = limbs[:, 1] >> np.uint64(63) == 1
    low, high = _signed(limbs[:, 0], limbs[:, 1], negative)
    # How far to shift right; frexp may say one bit too many just below a power of two, which costs nothing.
    drop = np.frexp(high.astype(np.float64))[1].astype(np.uint64)
    shifted = drop > 0
    keep = np.where(shifted, np.uint64(64) - drop, np.uint64(0))
    lost = np.where(shifted, low << keep, np.uint64(0)) != 0
    lead = np.where(shifted, high << keep | low >> drop, low) | lost
    sized: npt.NDArray[np.float64] = np.ldexp(lead.astype(np.float64), drop.astype(np.intc))
    return np.where(negative, -sized, sized)
