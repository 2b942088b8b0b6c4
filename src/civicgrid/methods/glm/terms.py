"""What a regression can have on its right-hand side: typed terms, never formula text.

A column's name is short for the column itself; `interaction` and `poly` write the other two.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from civicgrid.canonical import Node
from civicgrid.errors import PlanError

MAX_DEGREE = 6


class ColumnTerm(Node):
    """A column as it is: a number itself, a yes/no column as 1 or 0, a category as one column a level."""

    kind: Literal["column"] = "column"
    column: str

    def words(self) -> str:
        return self.column

    def columns(self) -> tuple[str, ...]:
        return (self.column,)


def as_tuple(given: Any) -> Any:
    """A list as a tuple, for the parameters that people write as lists; anything else as it came."""
    return tuple(given) if isinstance(given, list) else given


class Interaction(Node):
    """The products of two or more columns, beside the columns themselves."""

    kind: Literal["interaction"] = "interaction"
    of: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=2, max_length=4)]

    def words(self) -> str:
        return "the interaction of " + " and ".join(self.of)

    def columns(self) -> tuple[str, ...]:
        return self.of


class Polynomial(Node):
    """A number and its powers up to a degree."""

    kind: Literal["polynomial"] = "polynomial"
    column: str
    degree: Annotated[int, Field(ge=2, le=MAX_DEGREE)]

    def words(self) -> str:
        return f"{self.column} with its powers up to {self.degree}"

    def columns(self) -> tuple[str, ...]:
        return (self.column,)


Term = Annotated[ColumnTerm | Interaction | Polynomial, Field(discriminator="kind")]


def interaction(*columns: str) -> Interaction:
    """How the effect of one column changes with another: their products. List the columns themselves too.

    >>> interaction("age", "sex").words()
    'the interaction of age and sex'
    """
    if len(columns) < 2 or len(set(columns)) != len(columns):
        raise PlanError(
            "An interaction is between two or more different columns, as in interaction('age', 'sex'). For "
            "the "
            "square of a column write poly('age', 2)."
        )
    if len(columns) > 4:
        raise PlanError(f"Expected at most 4 columns in an interaction; {len(columns)} came.")
    return Interaction(of=columns)


def poly(column: str, degree: int) -> Polynomial:
    """A number with its powers up to `degree`: poly("age", 2) is age and age^2.

    >>> poly("age", 2).words()
    'age with its powers up to 2'
    """
    if isinstance(degree, bool) or not isinstance(degree, int) or not 2 <= degree <= MAX_DEGREE:
        raise PlanError(f"Expected a degree from 2 to {MAX_DEGREE}, as in poly('age', 2). For 1 name the column.")
    return Polynomial(column=column, degree=degree)


def as_terms(given: Any) -> Any:
    """A list of names and terms as the tuple of terms that a model holds; anything else as it came."""
    if isinstance(given, str):
        given = (given,)
    if isinstance(given, list | tuple):
        return tuple(ColumnTerm(column=item) if isinstance(item, str) else item for item in given)
    return given
