"""The only shapes in which anything leaves a site, or is published to a researcher.

A *share* is a tuple of parts. Each part is a set of sums over people, so that sites' parts can be added,
and each carries what the gate needs to judge it. `disclosure.release` accepts these classes and nothing
else; a new shape is a change to this file and to the rules, never to a method alone.

An *output* is a tuple of blocks: what the coordinator has worked out from the sums of all sites, exact,
before the output rules (cells, rounding, digits) have been over it. Only `disclosure.publish` turns blocks
into what people see.

Two conventions keep the rules simple. Counts are given as a partition, without margins: margins follow by
adding, and the rules treat them as known. Evidence that only the gate reads (the cells of a design) is a
function, called only if needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from civicgrid.errors import PlanError

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Dimension:
    """One way in which people are told apart: its name and its levels, all of them, in order."""

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """How many people are in each cell of a cross-classification that puts every person in exactly one cell.

    `values` has one axis a dimension (a scalar array for none). In a share it may leave open (small cells
    hidden) or masked; in an output it is a table to publish. `hidden`, where given, marks cells that some
    site did not show: their values are not to be read.

    `left_out` says that the last level of the last dimension (of a scalar, the whole) is of people without a value.
    They are judged apart from the table of those with one: see `rules.split`.
    """

    name: str
    values: IntArray
    dimensions: tuple[Dimension, ...] = ()
    hidden: npt.NDArray[np.bool_] | None = None
    left_out: bool = False

    def __post_init__(self) -> None:
        _expect(self.name, self.values, np.int64, tuple(len(d.levels) for d in self.dimensions))


@dataclass(frozen=True)
class Histogram:
    """How many people have a value in each bin between consecutive public `edges`, one row a group.

    `values` has shape (groups, bins), bins = len(edges) + 1 with the two open ends. Edges follow from the plan, never
    from an Ask. It leaves as bounds, `low` and `high`, shape (groups, bins + 1), on the number of people below each
    bin's lower end: equal under a mask and a pooled threshold, and otherwise with neighbouring bins merged until each
    holds at least the threshold.
    """

    name: str
    values: IntArray
    edges: FloatArray
    groups: Dimension

    def __post_init__(self) -> None:
        _expect(self.name, self.values, np.int64, (len(self.groups.levels), len(self.edges) + 1))


@dataclass(frozen=True)
class Sums:
    """Sums of numbers over groups of people that do not overlap.

    `values` has shape (groups, k); `support` has shape (groups,) or (groups, k) and says how many people
    stand behind each. `exponents` (shape (k,)) is the public size of each number as a power of two, taken
    from the Ask, never from the data: the fixed point of a masked sum resolves 2^(exponent - 60).
    `effective`, where given, is how many people a sum rests on in effect, where some could outweigh all others.
    """

    name: str
    values: FloatArray
    support: IntArray
    exponents: IntArray
    groups: Dimension
    effective: int | None = None

    def __post_init__(self) -> None:
        _expect(self.name, self.values, np.float64, (len(self.groups.levels), self.values.shape[-1]))
        _expect(self.name, self.exponents, np.int64, (self.values.shape[-1],))
        if self.support.shape not in ((self.values.shape[0],), self.values.shape):
            raise PlanError(f"{self.name}: the support of a sum has one entry a group or one a value.")


@dataclass(frozen=True)
class ModelSums:
    """One pass of a regression: the sums that an iteration needs, over `rows` people in effect.

    In effect: (sum w)^2 / (sum w^2), of prior weights and of working weights, whichever leaves fewer. `values` is a flat
    vector (score, upper triangle of the information, deviance parts); `exponents` its public sizes. `cells` gives, when
    the gate asks, the number of people in every cell that the sums could give away: each binary design column and its
    complement, each pair of them, and each of these by outcome class where the outcome is binary. `parameters` is how
    many coefficients the model has.

    What tells whether the sums are one person's rather than many people's: `steepness`, the largest coefficient times the
    spread of its column here; `share`, one person's largest share of an outcome without an upper end; and `leverage`,
    which gives the largest leverage of one person, or something larger that is still below its argument.
    """

    name: str
    values: FloatArray
    exponents: IntArray
    rows: int
    parameters: int
    cells: Callable[[], IntArray] = field(compare=False)
    steepness: float
    share: float
    leverage: Callable[[float], float] = field(compare=False)

    def __post_init__(self) -> None:
        _expect(self.name, self.values, np.float64, self.exponents.shape)
        _expect(self.name, self.exponents, np.int64, self.values.shape)


@dataclass(frozen=True)
class RoughCount:
    """How many people there are at this site, to be told roughly: with noise drawn from `people`, which names just them.

    It always leaves open and by itself, and is never added to anything.
    """

    name: str
    count: int
    people: bytes = field(repr=False)

    @property
    def values(self) -> IntArray:
        return np.array(self.count, dtype=np.int64)


Part = Counts | Histogram | Sums | ModelSums | RoughCount
Share = tuple[Part, ...]
"""What a method's site half hands to the gate."""


@dataclass(frozen=True)
class Received:
    """One part after the sites' parts have been added: what a method's coordinator reads.

    `values` is the sum; of rough counts there is none, and `values` has one entry for each of `sites`. `hidden`
    marks entries that at least one open site did not show. For a histogram
    `low` and `high` bound the number of people below each bin's lower end, shape (groups, bins + 1); equal
    where every bin came exact.
    """

    name: str
    values: IntArray | FloatArray
    hidden: npt.NDArray[np.bool_] | None = None
    low: IntArray | None = None
    high: IntArray | None = None
    sites: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every entry came from every site."""
        return self.hidden is None or not bool(self.hidden.any())


Combined = dict[str, Received]
"""The sum of the sites' shares, by part name."""


@dataclass(frozen=True)
class Measures:
    """Statistics to publish, each with the number of people it rests on.

    `values` and `support` have shape (len(rows), len(columns)); NaN is "not available". `bounds`, where
    given, has the same shape and is the largest amount by which a value can be off. A value on too few
    people is hidden.

    `groups`, where given, has one entry a row: rows of one label are then groups of people that do not
    overlap, except for the group called `total`, which is all of them. A hidden group takes others with it
    so that the total does not give it away. `contrasts` names the columns that compare a group with another:
    none of a label's is shown when one of its groups is hidden.
    """

    name: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: FloatArray
    support: IntArray
    bounds: FloatArray | None = None
    groups: tuple[str, ...] = ()
    total: str = "all"
    contrasts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Derived:
    """Statistics worked out from tables of counts: hidden with a table as soon as one of its cells is.

    `source` names the one table, or a table a row. `notes` are said only if every row is shown.
    """

    name: str
    title: str
    source: str | tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: FloatArray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Estimates:
    """The fitted coefficients of a model, with what the output rules check before anyone sees them.

    `values` has shape (len(terms), len(columns)); `cells` are the pooled cell counts of the design (as in
    `ModelSums`). `notes` are said only if the estimates are shown.
    """

    name: str
    title: str
    terms: tuple[str, ...]
    columns: tuple[str, ...]
    values: FloatArray
    rows: int
    parameters: int
    cells: IntArray
    covariance: FloatArray | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PerSite:
    """What each site has told by itself under its own rules. `hidden` marks the sites that told nothing."""

    name: str
    title: str
    sites: tuple[str, ...]
    values: IntArray
    hidden: npt.NDArray[np.bool_]


Block = Counts | Measures | Derived | Estimates | PerSite


@dataclass(frozen=True)
class RawOutput:
    """What a method's coordinator returns: exact blocks, facts about the fit, notes for the reader.

    `facts` are numbers about the whole analysis (iterations, deviance, AIC); those that count people go in
    `counts`, and how many were left out for want of a value in `left_out`. `notes` here are said
    whatever is hidden: one that rests on people's data belongs to its block.
    """

    blocks: tuple[Block, ...]
    facts: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)


def _expect(name: str, values: np.ndarray, dtype: type, shape: Sequence[int]) -> None:
    if values.dtype != dtype or values.shape != tuple(shape):
        raise PlanError(
            f"{name}: expected an array of {np.dtype(dtype)} with shape {tuple(shape)}; "
            f"{values.dtype} with shape {values.shape} came."
        )
