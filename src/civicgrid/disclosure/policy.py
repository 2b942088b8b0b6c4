"""A site's policy: the file that only the site changes, and that nothing from outside can loosen."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import Field, ValidationError

from civicgrid.canonical import Node, describe
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import ConfigError

FLOOR = Thresholds(min_cell=3, round_to=1, interval=3, rows_per_parameter=2.0, residual_df=1, leverage=0.9)
"""The loosest thresholds that a node's policy file may state."""

EXAMPLE = """\
# The disclosure policy of this site. Only this file decides; a permit or the hub may ask for stricter, never for looser.

# Whether a permit may let this site's small numbers into a masked total that is checked as a whole. Where it may not,
# every share of this site must pass the rules by itself, masked or not.
pooled_threshold = true

# Whether a permit may let cells with nobody in them be shown. Where they are, a hidden cell is known to hold somebody.
zeros = true

# How many different organisations must answer before anything is masked. Fewer: shares leave in the open, or not at all.
organisations = 3

# How many different custodians must have signed a permit before it counts.
custodians = 1

# Whether a permit counts only if it carries the yes of a citizen panel whose members this site keeps on a roll.
panel_required = false

[thresholds]
min_cell = 10            # counts of 1 to 9 people are never shown, nor counts of nobody unless a permit says so
round_to = 5             # shown counts are rounded to a multiple of 5
interval = 10            # a hidden count stays uncertain by at least 10 people
rows_per_parameter = 10  # a model has at least 10 people for each of its coefficients
residual_df = 10         # and at least 10 people more than coefficients
leverage = 0.5           # no person of this site has more than half of the leverage in a model
digits = 6               # significant digits of a published estimate
covariance = false       # whether covariance matrices may be published

[ledger]
epoch_days = 7           # answers are compared with those of the last days: a load after so many begins anew
answers = 100            # the most different analyses that are answered about the same people in that time
asks = 1000              # and the most different questions of the hub about them: proposals of studies, and all rounds
rough = 50               # the most different cohorts of which one project is told roughly how many they are in that time
"""


class LedgerRules(Node):
    """How the release ledger remembers.

    epoch_days  an epoch lasts until the first load that comes this many days after it began and brings enough new people
    answers     the most different analyses about the same people in one epoch: what people see
    asks        the most different proposals and Asks about the same people in one epoch: what the hub sees
    rough       the most different cohorts of which one project is told roughly how many people they hold, in one epoch
    """

    epoch_days: float = Field(default=7.0, ge=1.0, le=366.0)
    answers: int = Field(default=100, ge=1, le=10_000)
    asks: int = Field(default=1000, ge=1, le=100_000)
    rough: int = Field(default=50, ge=1, le=10_000)


class Policy(Node):
    """What leaves this site, whatever anybody else says."""

    thresholds: Thresholds = Thresholds()
    pooled_threshold: bool = True
    zeros: bool = True
    organisations: int = Field(default=3, ge=3, le=100)
    custodians: int = Field(default=1, ge=1, le=10)
    panel_required: bool = False
    ledger: LedgerRules = LedgerRules()

    @classmethod
    def open(cls) -> Policy:
        """The disclosure rules switched off. For one's own data in a simulation: a node cannot load it."""
        return cls(thresholds=Thresholds.open())

    @classmethod
    def load(cls, path: Path) -> Policy:
        """A node's policy file. ConfigError where it is missing, unreadable, or looser than the floor."""
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise ConfigError(
                f"There is no policy at {path}. A node runs nothing without one: write it with `civicgrid node init`."
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"The policy at {path} is not valid TOML: {error}. Mend the file.") from None
        try:
            policy = cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(f"The policy at {path} does not hold: {describe(error)}. Mend the file.") from None
        loose = [
            name
            for name in ("min_cell", "round_to", "interval", "rows_per_parameter", "residual_df")
            if getattr(policy.thresholds, name) < getattr(FLOOR, name)
        ]
        words = [f"{name} at least {getattr(FLOOR, name):g}" for name in loose]
        if policy.thresholds.leverage > FLOOR.leverage:
            words.append(f"leverage at most {FLOOR.leverage:g}")
        if policy.thresholds.zeros:
            words.append("zeros at the top of the file and in a permit, not among the thresholds")
        if policy.thresholds.digits == 0:
            words.append("digits at least 1")
        if words:
            raise ConfigError(
                f"The policy at {path} is looser than a node may be. Expected {', '.join(words)}. "
                "An open policy is for simulations over one's own data only."
            )
        return policy
