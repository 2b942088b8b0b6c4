"""Which cells of a table of counts must be hidden so that no small cell shows, by itself or by subtraction.

Primary suppression hides the cells with fewer than min_cell people, nobody included unless zeros may be shown: a nought
beside a hidden cell would say that somebody is in the other. Since totals are often known, one hidden
cell in a row follows from the others, so further cells are hidden with it (complementary suppression).
Whether that is enough is judged by linear programming: the smallest and largest value of each small cell
among all tables that agree with everything shown must lie at least `interval` apart, and the smallest must be nought
unless zeros may be shown.

An attacker is taken to know every shown cell and every shown margin exactly (rounding only widens what we
grant), and that no count is negative. A margin counts as shown unless it is small itself; then it is
hidden and protected like a cell, and another margin may have to be hidden with it. The grand total is
hidden only if it is small.

Sources: M. Fischetti and J.J. Salazar-González (2001), Solving the cell suppression problem on tabular
data with linear constraints, Management Science 47(7):1008-1027 (the two attacker's programs, and the
incremental heuristic used here); A. Hundepool et al. (2012), Statistical Disclosure Control, Wiley,
chapter 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from civicgrid.disclosure.shapes import FloatArray, IntArray
from civicgrid.disclosure.thresholds import Thresholds

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# scipy.optimize and scipy.sparse are loaded where a table needs them: a node that hides nothing starts a second earlier.

Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[np.intp]

LARGEST = 2_000
"""Larger tables are hidden whole as soon as one cell is small: the programs would take too long."""

_SLACK = 1e-6

_PROBES = 12
"""Programs that push all narrow cells at once, in directions drawn from a fixed seed, before each gets its own."""


def small(values: IntArray, thresholds: Thresholds) -> Mask:
    """The entries that must not be shown: below min_cell, and of these 0 unless zeros may be shown."""
    few = values < thresholds.min_cell
    return np.asarray(few & (values > 0) if thresholds.zeros else few)


def hide(values: IntArray, thresholds: Thresholds) -> Mask:
    """The cells to hide, in the shape of `values`. See `hide_with_margins` for what to do about margins."""
    return hide_with_margins(values, thresholds)[tuple(slice(size) for size in values.shape)]


def with_margins(values: IntArray) -> IntArray:
    """The table with its totals appended as a last entry on every axis, the grand total last of all."""
    for axis in range(values.ndim):
        values = np.concatenate([values, values.sum(axis=axis, keepdims=True)], axis=axis)
    return values


def hide_with_margins(values: IntArray, thresholds: Thresholds, known: Mask | None = None) -> Mask:
    """The cells and margins to hide, in the shape of `with_margins(values)`.

    Whoever publishes margins beside the cells must hide the margins marked here. A caller who shows no
    margins may drop them. The same table and thresholds always give the same mask. What `known` marks, in the shape of
    the answer, is not protected, and gives no protection to others.
    """
    full = with_margins(values)
    primary = small(full, thresholds)
    if known is not None:
        primary &= ~known
    if not primary.any() or thresholds.interval == 0 or values.ndim == 0:
        return primary
    if primary.flat[-1] or full.size > LARGEST:
        return np.ones(full.shape, dtype=bool)
    hidden = _Suppression(full, primary, thresholds).solve()
    return hidden if hidden is not None else np.ones(full.shape, dtype=bool)


class _Suppression:
    """The incremental heuristic on one table, all its cells and margins in one flat vector."""

    def __init__(self, full: IntArray, primary: Mask, thresholds: Thresholds) -> None:
        interval = thresholds.interval
        self.shape = full.shape
        self.values = full.ravel().astype(np.float64)
        self.primary = np.flatnonzero(primary)
        self.hidden: Mask = primary.ravel().copy()
        self.interval = float(interval)
        # How far each cell must be able to fall: to nought, or as far as the interval takes it.
        self.depth: FloatArray = np.zeros(full.size) if thresholds.zeros else self.values
        self.relations = _relations(full.shape)
        self.cap = float(self.values[-1]) + interval
        self.found: list[FloatArray] = []
        # A zero is often known to be one, and a margin is often known from elsewhere: both are hidden last.
        total = self.values[-1]
        margin = np.zeros(full.shape, dtype=bool)
        for axis in range(full.ndim):
            margin[(slice(None),) * axis + (-1,)] = True
        self.cost: FloatArray = np.where(self.values > 0, self.values, total) + 10 * total * margin.ravel()

    def solve(self) -> Mask | None:
        """Hide cells until every small one is protected, then show what need not be; None: impossible."""
        while (exposed := self._exposed(self.hidden)) is not None:
            added = self._complement(exposed)
            if added is None or not (added & ~self.hidden).any():
                return None
            self.hidden |= added
        complementary = np.setdiff1d(np.flatnonzero(self.hidden), self.primary)
        for cell in complementary[np.argsort(-self.cost[complementary], kind="stable")]:
            trial = self.hidden.copy()
            trial[cell] = False
            if self._exposed(trial) is None:
                self.hidden = trial
        return self.hidden.reshape(self.shape)

    def _exposed(self, hidden: Mask) -> int | None:
        """A small cell whose interval is too narrow, or that cannot be nought, or None.

        Every solution of a program is a table that an attacker cannot rule out, so it widens the known
        interval of all cells at once; only those still too narrow after that get programs of their own.
        """
        cells = np.flatnonzero(hidden)
        place = {int(cell): i for i, cell in enumerate(cells)}
        lines = self.relations[:, cells]
        lines = lines[np.flatnonzero(np.diff(lines.indptr)), :]
        bounds = np.column_stack([-self.values[cells], np.full(len(cells), self.cap)])
        # A table found before still counts if it leaves alone what is shown now.
        self.found = [table for table in self.found if np.abs(table[~hidden]).max(initial=0.0) < _SLACK]
        known = np.array([table[cells] for table in self.found]).reshape(-1, len(cells))
        low, high = known.min(axis=0, initial=0.0), known.max(axis=0, initial=0.0)

        from scipy.optimize import linprog

        def widen(objective: FloatArray) -> None:
            found = linprog(objective, A_eq=lines, b_eq=np.zeros(lines.shape[0]), bounds=bounds, method="highs")
            if found.x is not None:
                np.minimum(low, found.x, out=low)
                np.maximum(high, found.x, out=high)
                table = np.zeros(len(self.values))
                table[cells] = found.x
                self.found.append(table)

        targets = np.array([place[int(cell)] for cell in self.primary])
        depth = self.depth[cells]

        def exposed(target: Array) -> Mask:
            narrow = high[target] - low[target] < self.interval - _SLACK
            return np.asarray(narrow | (low[target] > _SLACK - depth[target]))

        signs = np.random.default_rng(0)
        for _ in range(_PROBES):
            narrow = targets[exposed(targets)]
            if len(narrow) < 16:
                break
            objective = np.zeros(len(cells))
            objective[narrow] = signs.choice((-1.0, 1.0), len(narrow))
            widen(objective)
            widen(-objective)
        for target, cell in zip(targets, self.primary, strict=True):
            for sign in (-1.0, 1.0):
                if exposed(target):
                    objective = np.zeros(len(cells))
                    objective[target] = sign
                    widen(objective)
            if exposed(target):
                return int(cell)
        return None

    def _complement(self, target: int) -> Mask | None:
        """The cheapest cells through which `target` can move up by u and down by d with u + d = interval, d >= depth.

        The variables are the rises and falls of every cell in two alternative tables; moving a hidden cell
        is free.
        """
        n = len(self.values)
        cost = np.where(self.hidden, 0.0, self.cost)
        rise = np.full(n, self.cap)
        if not self.hidden[-1]:
            rise[-1] = 0.0
        fall = np.where(rise > 0, self.values, 0.0)
        from scipy.optimize import linprog
        from scipy.sparse import csr_array, hstack, vstack

        one = hstack([self.relations, -self.relations])
        empty = csr_array(one.shape)
        equal = vstack([hstack([one, empty]), hstack([empty, one])]).tocsr()
        span, fallen = np.zeros(4 * n), np.zeros(4 * n)
        span[[target, n + target, 2 * n + target, 3 * n + target]] = (-1.0, 1.0, 1.0, -1.0)
        fallen[[2 * n + target, 3 * n + target]] = (1.0, -1.0)
        found = linprog(
            np.tile(cost, 4),
            A_ub=np.stack([span, fallen]),
            b_ub=[-self.interval, -self.depth[target]],
            A_eq=equal,
            b_eq=np.zeros(equal.shape[0]),
            bounds=np.column_stack([np.zeros(4 * n), np.concatenate([rise, fall, rise, fall])]),
            method="highs",
        )
        if found.x is None:
            return None
        moved: Mask = np.abs(found.x.reshape(4, n)).max(axis=0) > _SLACK
        return moved


def _relations(shape: tuple[int, ...]) -> csr_array:
    """One row a line of the table along one axis: the sum of its cells less its total, always nought."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    lines = [line for axis, size in enumerate(shape) for line in np.moveaxis(index, axis, -1).reshape(-1, size)]
    signs = np.concatenate([np.append(np.ones(len(line) - 1), -1.0) for line in lines])
    rows = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    from scipy.sparse import csr_array

    return csr_array((signs, (rows, np.concatenate(lines))), shape=(len(lines), index.size))
