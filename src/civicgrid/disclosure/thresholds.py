"""The numbers that the rules use, at a site, in a permit and on a published output; the stricter always wins."""

from __future__ import annotations

import math

from pydantic import Field, model_validator

from civicgrid.canonical import Node
from civicgrid.errors import ConfigError

COARSEST = 1_000_000_000
"""Rounding to this shows nobody: where the bases of several sites have no smaller multiple in common."""


class Thresholds(Node):
    """How small is too small. The defaults are ours; DESIGN's page of others' defaults lists what peers use.

    min_cell            a cell with fewer people is never shown (nobody in it: see zeros)
    round_to            shown counts are rounded to a multiple of this (1: not rounded)
    interval            a hidden cell must remain uncertain by at least this many people (complementary suppression)
    rows_per_parameter  a model needs at least this many people a coefficient
    residual_df         a model needs at least this many people more than coefficients
    leverage            the largest leverage that one person may have in a model at a site (1: the rule is off)
    zeros               whether a cell with nobody in it may be shown: only where policy and permit both say so
    digits              significant digits of a published estimate (0: all of them)
    covariance          whether covariance matrices may be published
    """

    min_cell: int = Field(default=10, ge=0, le=1000)
    round_to: int = Field(default=5, ge=1, le=COARSEST)
    interval: int = Field(default=10, ge=0, le=1000)
    rows_per_parameter: float = Field(default=10.0, ge=0)
    residual_df: int = Field(default=10, ge=0)
    leverage: float = Field(default=0.5, gt=0.0, le=1.0)
    zeros: bool = False
    digits: int = Field(default=6, ge=0, le=17)
    covariance: bool = False

    @model_validator(mode="after")
    def _check(self) -> Thresholds:
        if self.min_cell == 1:
            raise ConfigError("min_cell = 1 hides nothing; say 0 to switch the rule off, or at least 2.")
        return self

    @classmethod
    def open(cls) -> Thresholds:
        """No rules at all: for teaching, and for checking exactness over one's own data."""
        return cls(
            min_cell=0,
            round_to=1,
            interval=0,
            rows_per_parameter=0.0,
            residual_df=0,
            leverage=1.0,
            zeros=True,
            digits=0,
            covariance=True,
        )

    def stricter(self, other: Thresholds) -> Thresholds:
        """The stricter of each pair; of two rounding bases, their least common multiple.

        In any order and grouping the same, so that it does not matter which site is heard first.
        """
        base = min(math.lcm(self.round_to, other.round_to), COARSEST)
        digits = [d for d in (self.digits, other.digits) if d]
        return Thresholds(
            min_cell=max(self.min_cell, other.min_cell),
            round_to=base,
            interval=max(self.interval, other.interval),
            rows_per_parameter=max(self.rows_per_parameter, other.rows_per_parameter),
            residual_df=max(self.residual_df, other.residual_df),
            leverage=min(self.leverage, other.leverage),
            zeros=self.zeros and other.zeros,
            digits=min(digits, default=0),
            covariance=self.covariance and other.covariance,
        )
