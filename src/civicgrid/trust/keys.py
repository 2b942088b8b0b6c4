"""Keys: Ed25519 to sign with (RFC 8032), X25519 to agree on a secret with (RFC 7748), from the `cryptography`
package.

A public key is one short text, `ed25519:<base64url>` or `x25519:<base64url>`, and every key has exactly one
such text: encodings that a curve library would quietly accept as a second name for the same key are refused,
because keys are compared, pinned and ordered by their text. A private key lives in a PEM file (PKCS #8) that
only its owner may read; it is never printed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from civicgrid.errors import ConfigError, TrustError

SIGNING = "ed25519"
EXCHANGE = "x25519"

MAX_FILE = 10_000

_PRIME = 2**255 - 19
_EIGHT = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
_ORDER_EIGHT = int.from_bytes(_EIGHT, "little")
# A signature by one of these "keys" can be made by anybody for any message: the points whose order divides 8,
# by their y coordinate (two points of order 8 in each of the last two).
_SMALL_ORDER = frozenset({0, 1, _PRIME - 1, _ORDER_EIGHT, _PRIME - _ORDER_EIGHT})
# Crockford's base 32: no I, L, O or U, so that nothing read aloud is heard as something else.
_ALOUD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class _KeyFile:
    """What both kinds of private key share: how they are made, kept and named. It never shows the private
    half.
    """

    algorithm: ClassVar[str]

    def __init__(self, private: Ed25519PrivateKey | X25519PrivateKey) -> None:
        self._private = private
        raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.public = f"{self.algorithm}:{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.public}>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TrustError("A private key is not copied into messages or other processes; load it from its file there.")

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public)

    def save(self, path: str | Path) -> None:
        """Write the key to a file that only its owner may read; an existing file is never overwritten."""
        pem = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ConfigError(
                f"There is already a file at {path}; a key is never overwritten. Choose another name, or move it away."
            ) from None
        except OSError as error:
            raise ConfigError(f"The key could not be written to {path}: {error.strerror}.") from None
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(handle)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a key, refusing a file that others may read and a key of the other kind."""
        try:
            with Path(path).open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                pem = file.read(MAX_FILE)
        except OSError as error:
            raise ConfigError(f"No key could be read from {path}: {error.strerror}. Give the key file's path.") from None
        if pem.startswith((b"ed25519:", b"x25519:")):
            raise ConfigError(
                f"Expected a private key; {path} holds a public one. Give the file that `civicgrid key create` made."
            )
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise ConfigError(
                f"Expected a key file that only its owner may read; {path} has mode "
                f"{stat.S_IMODE(mode):04o}. "
                f"Run: chmod 600 {path}  (and make a new key if others may have read this one)."
            )
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            raise ConfigError(f"Expected an unencrypted PEM private key in {path}; it holds something else.") from None
        return cls._take(private, path)

    @classmethod
    def _take(cls, private: object, path: str | Path) -> Self:
        wanted = Ed25519PrivateKey if cls.algorithm == SIGNING else X25519PrivateKey
        if not isinstance(private, wanted):
            use = "sign" if cls.algorithm == SIGNING else "agree on masks"
            raise ConfigError(f"Expected an {cls.algorithm} key to {use} with in {path}; it holds a key of another kind.")
        return cls(private)


class SigningKey(_KeyFile):
    """An Ed25519 private key: what a site, person or hub signs with."""

    algorithm = SIGNING
    _private: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(Ed25519PrivateKey.generate())

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature over the message."""
        return self._private.sign(message)


class ExchangeKey(_KeyFile):
    """An X25519 private key: what a site derives the secrets it shares with its peers from."""

    algorithm = EXCHANGE
    _private: X25519PrivateKey

    def __init__(self, private: X25519PrivateKey) -> None:
        super().__init__(private)
        self._shared: dict[str, bytes] = {}

    @classmethod
    def generate(cls) -> ExchangeKey:
        return cls(X25519PrivateKey.generate())

    def agree(self, peer: str) -> bytes:
        """The 32 bytes that only this key's owner and the peer's can compute; kept, since a study asks each
        round.

        They are an input to a key derivation, never a key (RFC 7748, section 6.1).
        """
        if peer not in self._shared:
            if peer == self.public:
                raise TrustError("A site cannot agree on a secret with itself; leave its own key out of its peers.")
            try:
                self._shared[peer] = self._private.exchange(exchange_public(peer))
            except ValueError:
                raise TrustError(
                    f"The exchange key {peer} would make every secret the same (a low-order point). "
                    "Ask its site for a new one, made with `civicgrid`."
                ) from None
        return self._shared[peer]


def raw(public: str, algorithm: str) -> bytes:
    """The 32 bytes of a public key's text, refused unless this text is the key's only one."""
    name, _, text = public.partition(":")
    if name != algorithm:
        raise TrustError(f"Expected a public key that begins {algorithm}: and got one that begins {name[:12]!r}.")
    try:
        key = base64.urlsafe_b64decode(text + "=") if len(text) == 43 else b""
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32 or base64.urlsafe_b64encode(key).decode().rstrip("=") != text:
        raise TrustError(
            f"Expected {algorithm}: and 43 characters of base64url; got {len(text)} that are not. Copy the whole key."
        )
    return key


@lru_cache(maxsize=4096)
def signing_public(public: str) -> Ed25519PublicKey:
    """A signing key's text as a key to verify with; one that anybody could sign for is refused."""
    key = raw(public, SIGNING)
    height = int.from_bytes(key, "little") & (2**255 - 1)
    if height >= _PRIME or height in _SMALL_ORDER:
        raise TrustError(f"The signing key {public} is one that anybody can sign for. Ask its owner for a new one.")
    return Ed25519PublicKey.from_public_bytes(key)


@lru_cache(maxsize=4096)
def exchange_public(public: str) -> X25519PublicKey:
    """An exchange key's text as a key to agree with; a low-order one is refused at the exchange."""
    key = raw(public, EXCHANGE)
    if int.from_bytes(key, "little") >= _PRIME:
        raise TrustError(f"The exchange key {public} is not written in its one proper form. Ask its site for a new one.")
    return X25519PublicKey.from_public_bytes(key)


def check_exchange(public: str) -> str:
    """The text of an exchange key after refusing what is no key and what is of low order."""
    ExchangeKey.generate().agree(public)
    return public


def verify(public: str, signature: bytes, message: bytes) -> None:
    """Raise TrustError unless the signature over the message is by the owner of the public key."""
    try:
        signing_public(public).verify(signature, message)
    except InvalidSignature:
        raise TrustError(
            f"The signature is not by {public} over these bytes: the message was changed, or another key signed it."
        ) from None


def fingerprint(public: str) -> str:
    """125 bits of the key's SHA-256 as five groups of five, for two people to compare by telephone."""
    number = int.from_bytes(hashlib.sha256(public.encode()).digest(), "big") >> (256 - 125)
    letters = "".join(_ALOUD[(number >> shift) & 31] for shift in range(120, -1, -5))
    return "-".join(letters[start : start + 5] for start in range(0, 25, 5))
