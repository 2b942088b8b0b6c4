"""Table 1, one idea a file; `describe.py` holds the method itself."""

from civicgrid.methods.describe.describe import Describe

__all__ = ["Describe"]
