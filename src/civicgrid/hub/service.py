"""Runs a hub as a process: over TLS, or on this machine alone, or behind a proxy that ends TLS and is said to."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import ssl
import stat
from pathlib import Path

import uvicorn

from civicgrid.config import HubSettings
from civicgrid.errors import ConfigError
from civicgrid.hub.app import create
from civicgrid.hub.door import Door, headers
from civicgrid.hub.home import HubHome
from civicgrid.hub.protocol import Protocol, sweep
from civicgrid.transport import check_address, is_loopback

CIPHERS = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for key in ("ECDSA", "RSA")
)
"""For TLS 1.2: the suites with forward secrecy and authenticated encryption. TLS 1.3 has no others."""


def serve(home: HubHome) -> None:
    """Serve until the process is told to stop. ConfigError where messages would cross a network in the clear."""
    settings = home.settings()
    check_listening(settings)
    context = tls(home.path, settings) if settings.tls_certificate else None
    # Before the database is opened: a newer version would change its schema under the hub that runs.
    claim = home.claim()
    try:
        _run(home, settings, context)
    finally:
        claim.release()


def _run(home: HubHome, settings: HubSettings, context: ssl.SSLContext | None) -> None:
    app = create(home)
    # What is loaded now stays for good: walking over it again and again took a seventh of a round.
    gc.collect()
    gc.freeze()
    Protocol.most, Protocol.always = settings.connections, headers(settings.public)
    config = uvicorn.Config(
        Door(app, app.state.hub.limits, settings.public),
        host=settings.host,
        port=settings.port,
        http=Protocol,
        ws="none",
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,
        server_header=False,
        proxy_headers=settings.behind_proxy,
        forwarded_allow_ips=settings.proxy_addresses,
        ssl_context_factory=(lambda config, default: context) if context else None,
        timeout_notify=1,
    )
    server = uvicorn.Server(config)

    async def watch() -> None:
        sweep(server.server_state.connections, asyncio.get_running_loop().time())

    config.callback_notify = watch
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(3)


def check_listening(settings: HubSettings) -> None:
    """Raise ConfigError unless what is sent to this hub is encrypted on every network, and the settings agree."""
    if not settings.port > 0:
        raise ConfigError("Expected a port in hub.toml that nodes can dial; it says 0.")
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise ConfigError("Expected tls_certificate and tls_key together in hub.toml; one of them is not there.")
    away = not is_loopback(settings.host)
    if away and not settings.tls_certificate and not settings.behind_proxy:
        raise ConfigError(
            f"The hub would listen on {settings.host} without TLS. Give tls_certificate and tls_key in hub.toml; or set "
            "host to 127.0.0.1; or, if a proxy ends TLS before it, say so with behind_proxy = true."
        )
    if not settings.address and (settings.behind_proxy or settings.host in ("0.0.0.0", "::", "")):  # nosec B104
        raise ConfigError("Expected address in hub.toml: the https address that nodes and people dial and sign for.")
    check_address(settings.public)
    encrypted = settings.public.startswith("https://")
    if encrypted and not settings.tls_certificate and not settings.behind_proxy:
        raise ConfigError(
            f"The address {settings.public} in hub.toml is https, but the hub has no certificate. Give tls_certificate and "
            "tls_key; or, if a proxy ends TLS before it, say so with behind_proxy = true."
        )
    if settings.tls_certificate and not encrypted:
        raise ConfigError(f"The hub has a certificate, but its address {settings.public} is not https. Mend hub.toml.")


def tls(folder: Path, settings: HubSettings) -> ssl.SSLContext:
    """The server's side of TLS: version 1.2 or 1.3, Mozilla's intermediate suites on elliptic curves, no renegotiation."""
    certificate, key = folder / settings.tls_certificate, folder / settings.tls_key
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_ciphers(CIPHERS)
    try:
        mode = key.stat().st_mode
        context.load_cert_chain(certificate, key)
    except OSError as error:
        # ssl.SSLError is one: what it says of the two files names no byte of them.
        raise ConfigError(
            f"The certificate {certificate} and its key {key} cannot be used: {error.strerror or error}. Expected a chain "
            "and its private key in PEM, readable by the hub."
        ) from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o007:
        raise ConfigError(f"Expected a TLS key that not everybody may read; run: chmod o= {key}")
    return context
