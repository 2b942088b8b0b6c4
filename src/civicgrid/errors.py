"""What can go wrong, as the person in front of it should read it.

Every message says what was expected, what came, and what to do next. No message ever holds a person's data: a value
that came out of a record is never quoted, only its file, line and column.
"""

from __future__ import annotations


class CivicGridError(Exception):
    """The base of every error that Civic Grid raises on purpose. The command line prints it without a traceback."""


class PlanError(CivicGridError):
    """A plan, an expression or a method that cannot mean what was written."""


class DataError(CivicGridError):
    """A file, table or data set that cannot be loaded or is not there."""


class ConfigError(CivicGridError):
    """A setting, policy or key file that is missing or wrong."""


class TrustError(CivicGridError):
    """A signature, key, permit or roster that does not hold."""


class WireError(CivicGridError):
    """A message that is malformed, too large, too old, replayed or of an unknown version."""


class FitError(CivicGridError):
    """A model that has no finite or no unique answer: separation, collinearity, a constant column."""


class NotAllowed(CivicGridError):
    """Something that this person may not do."""


class StateError(CivicGridError):
    """Something that cannot be done to a record as it stands, or with what was filled in."""


class Missing(CivicGridError):
    """A record or page that is not there, or not for this person to see."""
