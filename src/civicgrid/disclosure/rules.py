"""The rules on what leaves a site: which part may go by itself, and what an open part looks like when it
goes.

Each function takes one part of a share and the thresholds, and gives back bytes-to-be or a refusal (None);
nothing here reads a policy or decides whether a part goes open or masked: that is `disclosure.release`.

Under `Thresholds.open()` every part passes exactly as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from civicgrid.disclosure.shapes import Counts, FloatArray, Histogram, IntArray, ModelSums, Part, RoughCount, Sums
from civicgrid.disclosure.suppression import Mask, hide, hide_with_margins, small, with_margins
from civicgrid.disclosure.thresholds import Thresholds

__all__ = [
    "STEEPEST",
    "UNKNOWN",
    "Mask",
    "hidden_counts",
    "hide",
    "hide_with_margins",
    "model_refusal",
    "open_counts",
    "open_histogram",
    "open_model",
    "open_sums",
    "people_needed",
    "rough_count",
    "round_counts",
    "singles_out",
    "small",
    "split",
    "stands_alone",
    "with_margins",
]

Array = npt.NDArray[Any]

STEEPEST = 32.0
"""The largest coefficient times the spread of its column: e^32 is a thousand times the people on Earth to one."""

UNKNOWN = 1 << 40
"""The upper bound of a count of which nothing is said: above any number of people, and safe to add over
many sites.
"""


ROUGH, ROUGHEST = 2.0, 6

_CUMULATED = np.cumsum(
    [weight for away in range(-ROUGHEST, ROUGHEST + 1) for weight in [math.exp(-(away**2) / (2 * ROUGH**2))]]
)
_CUMULATED = _CUMULATED[:-1] / _CUMULATED[-1]


def stands_alone(part: Part, thresholds: Thresholds) -> bool:
    """Whether this part could leave a site by itself with nothing hidden, merged or rounded.

    Counts and histograms: no cell is small (then no margin is). Of people left out there may be nobody: for one table
    where somebody has no value there are ten where everybody has. Sums: no support is small. Models: see
    `model_refusal`; there a cell of nobody at one site passes, since levels and their joint levels are many and each
    site has its own. And none of them singles one person out.
    """
    if singles_out(part, thresholds) is not None:
        return False
    if isinstance(part, Counts):
        known, left_out = split(part.values, part.left_out)
        return not (small(known, thresholds).any() or small(left_out, _nobody_shown(thresholds)).any())
    if isinstance(part, Histogram):
        return not small(part.values, thresholds).any()
    if isinstance(part, Sums):
        return not small(part.support, thresholds).any()
    if isinstance(part, RoughCount):
        return True
    cells = part.cells()
    if not part.values.any():
        return not small(cells, _nobody_shown(thresholds)).any()
    return model_refusal(part.rows, part.parameters, cells, _nobody_shown(thresholds)) is None


def _nobody_shown(thresholds: Thresholds) -> Thresholds:
    return thresholds.model_copy(update={"zeros": True})


def split(values: Array, left_out: bool) -> tuple[Array, Array]:
    """What is counted of those with a value, and of those left out because they have none."""
    if not left_out:
        return values, values[..., :0] if values.ndim else values.reshape(1)[:0]
    return (values[..., :-1], values[..., -1:]) if values.ndim else (values.reshape(1)[:0], values.reshape(1))


def singles_out(part: Part, thresholds: Thresholds) -> str | None:
    """Which rule a part breaks that may then not leave at all, not even under a mask; in words without a number.

    Whoever chooses the coefficients of a pass, or the columns of a model, can make its sums those of one person, and then
    the sum over all sites is that person's too. So a site looks at its own rows alone: people enough in effect, nobody
    with so much of the leverage, no coefficient so steep that the outcome of all but a few is foregone. At leverage 1 the
    rules on one person are off.
    """
    if isinstance(part, Sums):
        if part.effective is not None and part.effective < thresholds.min_cell:
            return "a few people outweigh all others in a sum"
        return None
    if not isinstance(part, ModelSums):
        return None
    if part.rows == 0 and not part.values.any():
        return None  # the sums of nobody
    if part.rows < people_needed(part.parameters, thresholds):
        return "too few people carry the sums of the model"
    if thresholds.leverage >= 1.0:
        return None
    if part.steepness > STEEPEST:
        return "a coefficient is beyond any that a fit could have"
    if part.share > thresholds.leverage:
        return "one person has most of the outcome"
    if part.leverage(thresholds.leverage) > thresholds.leverage:
        return "one person has most of the leverage"
    return None


def model_refusal(rows: int, parameters: int, cells: IntArray, thresholds: Thresholds) -> str | None:
    """Which rule a fit of `parameters` coefficients to `rows` people breaks, in words without a count;
    None if none.

    The sums of a regression are a table in disguise (its score at zero coefficients holds the sums of
    every cell of every 0/1 column, by outcome), so the cells of the design obey the rule on cells. The
    other two follow the rules of thumb for regression output in Hundepool et al. (2012) and the ACRO
    checks: residual degrees of freedom, and parameters few beside the people.
    """
    if rows < (needed := people_needed(parameters, thresholds)):
        # None are left where every site sat out, be it since one person outweighs the rest there.
        return (
            f"there are too few people for the model, or one who weighs too much: {parameters} coefficients need at least "
            f"{needed} people"
        )
    if small(cells, thresholds).any():
        return (
            "a group that the model tells apart (a level of a category, a yes/no column, or one of these by "
            f"outcome) has {'' if thresholds.zeros else 'nobody or '}fewer than {thresholds.min_cell} people"
        )
    return None


def people_needed(parameters: int, thresholds: Thresholds) -> int:
    """The fewest people that a fit of so many coefficients may be shown for: one number, so that falling short of it
    says nothing about by how much.
    """
    freedom = thresholds.residual_df + parameters if thresholds.residual_df else 0
    return max(thresholds.min_cell, math.ceil(thresholds.rows_per_parameter * parameters), freedom)


def round_counts(values: IntArray, base: int) -> IntArray:
    """To the nearest multiple of `base`, halves up."""
    return np.asarray((values + base // 2) // base * base, dtype=np.int64)


def rough_count(part: RoughCount, thresholds: Thresholds, tag: Callable[[bytes], bytes]) -> int | None:
    """The count with noise of its own, rounded; None for fewer than `min_cell`, with or without the noise.

    `tag` gives bytes that only this site can work out (its cell key). From them a whole number is drawn with the mean 0 and
    about the standard deviation `ROUGH`, at most `ROUGHEST` either way. The same people get the same number. (The node's
    `tag` knows the conditions too: else equal numbers would say that two conditions hold for the same people.)
    """
    if thresholds.min_cell == 0:
        return part.count
    place = int.from_bytes(tag(b"rough count" + part.people)[:8], "little") / 2.0**64
    rough = part.count + int(np.searchsorted(_CUMULATED, place, side="right")) - ROUGHEST
    if min(part.count, rough) < thresholds.min_cell:
        return None
    return int(round_counts(np.array(rough), thresholds.round_to))


def open_counts(part: Counts, thresholds: Thresholds) -> tuple[IntArray, Mask]:
    """The counts rounded, hidden ones as 0, and the mask of the hidden."""
    hidden = hidden_counts(part, thresholds)
    return np.where(hidden, 0, round_counts(part.values, thresholds.round_to)), hidden


def hidden_counts(part: Counts, thresholds: Thresholds) -> Mask:
    """The cells that a site does not show. How many people have no value is hidden by itself, in all groups if in one."""
    known, left_out = split(part.values, part.left_out)
    if not part.left_out:
        found = hide(known, thresholds)
    else:
        few = np.full(left_out.shape, bool(small(left_out, thresholds).any()))
        found = np.concatenate([hide(known, thresholds), few], axis=-1) if part.values.ndim else few.reshape(())
    return found if part.hidden is None else found | part.hidden


def open_histogram(part: Histogram, thresholds: Thresholds) -> tuple[IntArray, IntArray]:
    """Bounds on the number of people below each bin's lower end and below infinity, shape (groups, bins + 1).

    Neighbouring bins are merged until each holds at least min_cell, empty ones too, so that no minimum or maximum shows.
    At an end of a merged bin the bounds are the count rounded down and up; inside it they are those of its ends. A group
    too small to show, or hidden so that another cannot be worked out from a total, is bounded by 0 and `UNKNOWN`.
    """
    groups, bins = part.values.shape
    low = np.zeros((groups, bins + 1), dtype=np.int64)
    high = np.zeros((groups, bins + 1), dtype=np.int64)
    hidden = hide(part.values.sum(axis=1), thresholds)
    base = thresholds.round_to
    for group in range(groups):
        if hidden[group]:
            high[group, 1:] = UNKNOWN
            continue
        below = np.concatenate([[0], np.cumsum(part.values[group])])
        ends = np.array(_merged_ends(part.values[group], thresholds), dtype=np.int64)
        place = np.arange(bins + 1)
        before = ends[np.searchsorted(ends, place, side="right") - 1]
        after = ends[np.searchsorted(ends, place, side="left")]
        low[group] = below[before] // base * base
        high[group] = -(-below[after] // base) * base
    return low, high


def _merged_ends(counts: IntArray, thresholds: Thresholds) -> list[int]:
    """The bin boundaries (0 to bins) that remain when small bins are merged with their neighbours.

    The bins are halved, the halves are halved, and so on; a middle remains where enough people lie on either side of it
    within its part. So a boundary tells of two groups. Bins gathered from one end until enough people are in them would
    end at one person's value.
    """
    bins = len(counts)
    if thresholds.min_cell == 0:
        return list(range(bins + 1))
    below = np.concatenate([[0], np.cumsum(counts)])
    inner: list[int] = []
    parts = [(0, bins)]
    while parts:
        start, end = parts.pop()
        middle = (start + end) // 2
        if middle == start or below[end] - below[start] < thresholds.min_cell:
            continue
        if min(below[middle] - below[start], below[end] - below[middle]) >= thresholds.min_cell:
            inner.append(middle)
        parts += [(start, middle), (middle, end)]
    return [0, *sorted(inner), bins]


def open_sums(part: Sums, thresholds: Thresholds) -> FloatArray | None:
    """The sums as they are, or None if too few people stand behind one of them."""
    return part.values if stands_alone(part, thresholds) else None


def open_model(part: ModelSums, thresholds: Thresholds) -> FloatArray | None:
    """The sums of the pass as they are, or None if the model at this site breaks a rule."""
    return part.values if stands_alone(part, thresholds) else None
