"""A key that stays at one site, for what it writes down for nobody but itself.

ChaCha20-Poly1305 (RFC 8439) under a key file that only the node's own user may read. What a blob is about goes in as
associated data, so that one blob cannot be put in another's place.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from civicgrid.errors import ConfigError

_SIZE, _NONCE = 32, 12


class Seal:
    """Closes and opens blobs, and tags text, with one secret key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = ChaCha20Poly1305(key)

    def __repr__(self) -> str:
        return "<Seal>"

    @classmethod
    def generate(cls) -> Self:
        return cls(secrets.token_bytes(_SIZE))

    def save(self, path: Path) -> None:
        """Write the key to a file that only its owner may read; an existing file is never overwritten."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise ConfigError(f"The key could not be written to {path}: {error.strerror}. Nothing was changed.") from None
        with os.fdopen(handle, "wb") as file:
            file.write(self._key)
            file.flush()
            os.fsync(handle)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key. ConfigError where it is missing, readable by others, or no such key."""
        try:
            mode, key = stat.S_IMODE(path.stat().st_mode), path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"No key could be read from {path}: {error.strerror}. Restore it from the node's backup: without it the "
                "release ledger cannot be read, and the node answers nothing."
            ) from None
        if os.name == "posix" and mode & 0o077:
            raise ConfigError(f"Expected a key file that only its owner may read; {path} has mode {mode:04o}: chmod 600.")
        if len(key) != _SIZE:
            raise ConfigError(f"Expected a key of {_SIZE} bytes in {path}; {len(key)} came. Restore it from a backup.")
        return cls(key)

    def close(self, plain: bytes, about: str) -> bytes:
        """The blob, encrypted, for this use alone."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plain, about.encode())

    def open(self, closed: bytes, about: str) -> bytes:
        """What was closed for this use. ConfigError where the key is another, or the blob was changed or moved."""
        try:
            return self._cipher.decrypt(closed[:_NONCE], closed[_NONCE:], about.encode())
        except InvalidTag:
            raise ConfigError(
                "An entry of the release ledger cannot be opened: it was changed, or the node's ledger key is another. "
                "Restore state and keys from one backup."
            ) from None

    def tag(self, text: bytes) -> bytes:
        """32 bytes that nobody without the key can work out or foretell (HMAC-SHA256, RFC 2104)."""
        return hmac.new(self._key, text, hashlib.sha256).digest()
