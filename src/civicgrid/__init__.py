"""Civic Grid: a federated health data research service."""

__version__ = "0.1.0"
