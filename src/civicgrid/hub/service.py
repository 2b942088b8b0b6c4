"""Runs a hub as a process."""

from __future__ import annotations

import gc

import uvicorn

from civicgrid.errors import ConfigError
from civicgrid.hub.app import create
from civicgrid.hub.home import HubHome
from civicgrid.transport import check_address


def serve(home: HubHome) -> None:
    """Serve until the process is told to stop. Away from this machine a hub stands behind TLS: see the operator's page."""
    settings = home.settings()
    check_address(settings.address or f"http://{settings.host}:{settings.port}")
    if not settings.port > 0:
        raise ConfigError("Expected a port in hub.toml that nodes can dial; it says 0.")
    # Before the database is opened: a newer version would change its schema under the hub that runs.
    claim = home.claim()
    try:
        app = create(home)
        # What is loaded now stays for good: walking over it again and again took a seventh of a round.
        gc.collect()
        gc.freeze()
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=75,
            server_header=False,
        )
    finally:
        claim.release()
