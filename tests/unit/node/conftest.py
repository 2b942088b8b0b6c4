"""What a site wrote into its own log, for the tests of its refusals."""

from __future__ import annotations

import logging

import pytest

from unit.node.trial import Why


@pytest.fixture
def why(caplog: pytest.LogCaptureFixture) -> Why:
    """The reason that a site wrote into its own log for the latest refusal."""
    caplog.set_level(logging.INFO, logger="civicgrid.node")
    return lambda: caplog.records[-1].getMessage()
