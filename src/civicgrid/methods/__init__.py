"""The methods that a site can run: this list is the whole of it.

A custodian can read here what may run at the site. Adding a statistic means one file, one line in this list, one spec.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from civicgrid.methods.count import Count
from civicgrid.methods.crosstab import Crosstab
from civicgrid.methods.describe import Describe
from civicgrid.methods.discover import Discover
from civicgrid.methods.glm import GLM
from civicgrid.methods.method import Method

AnyMethod = Annotated[Discover | Count | Describe | Crosstab | GLM, Field(discriminator="kind")]
"""Any method of the list, told apart by its `kind`."""

METHODS: dict[str, type[Method]] = {
    method.model_fields["kind"].default: method for method in (Discover, Count, Describe, Crosstab, GLM)
}

__all__ = ["GLM", "METHODS", "AnyMethod", "Count", "Crosstab", "Describe", "Discover", "Method"]
