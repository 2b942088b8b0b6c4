"""Generalised linear models, one idea a file; `glm.py` holds the method itself."""

from civicgrid.methods.glm.glm import GLM
from civicgrid.methods.glm.terms import Interaction, Polynomial, interaction, poly

__all__ = ["GLM", "Interaction", "Polynomial", "interaction", "poly"]
