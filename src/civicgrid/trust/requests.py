"""Signed HTTP requests: RFC 9421 (HTTP Message Signatures) with Ed25519 and RFC 9530 (Content-Digest).

Every request, also one without a body, is signed over its method, its full address and the digest of its
body, with the time, a nonce, the key's id and the tag "civicgrid". The address is the public one, as the
sender typed it: a server behind a proxy gives `verify` its configured public address with the request's raw
path and query, never what a Host header says, so that a message for one hub is none for another. Strings and
bytes in and out: no web framework's types.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    HTTPSignatureComponentResolver,
    HTTPSignatureKeyResolver,
)
from http_message_signatures.algorithms import ED25519

from civicgrid.errors import TrustError, WireError
from civicgrid.trust.keys import SigningKey, signing_public
from civicgrid.trust.keys import verify as verify_signature
from civicgrid.trust.nonces import Nonces

TAG = "civicgrid"
COVERED = ("@method", "@target-uri", "content-digest")
HEADERS = ("content-digest", "signature-input", "signature")
MAX_HEADER = 2048
NONCE_LENGTHS = range(16, 65)

_KEYID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_PARTS: Any = HTTPSignatureComponentResolver
_METHOD = re.compile(r"[A-Z]{1,20}")


@dataclass
class _Message:
    """The view of a request that the signature library reads."""

    method: str
    url: str
    headers: dict[str, str]


def sign(method: str, url: str, body: bytes, key: SigningKey, keyid: str, now: float | None = None) -> dict[str, str]:
    """The three headers to add to a request: Content-Digest, Signature-Input and Signature.

    `url` is absolute and encoded, exactly as it will be sent; `body` is b"" where there is none.
    """
    if not _KEYID.fullmatch(keyid) or not _METHOD.fullmatch(method):
        raise WireError("Expected an upper-case method and a key id of letters, digits and . _ : / @ + - to sign with.")
    created = int(time.time() if now is None else now)
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    covered = " ".join(f'"{name}"' for name in COVERED)
    nonce = secrets.token_urlsafe(16)
    parameters = f'({covered});created={created};keyid="{keyid}";nonce="{nonce}";tag="{TAG}"'
    # RFC 9421, section 2.5. Written out here, since the library takes 250 microseconds to do the same; a slip
    # could only make a signature that no verifier accepts.
    lines = (method, _target(url), digest, parameters)
    base = "\n".join(f'"{name}": {line}' for name, line in zip((*COVERED, "@signature-params"), lines, strict=True))
    signature = base64.b64encode(key.sign(base.encode())).decode()
    return {
        "Content-Digest": digest,
        "Signature-Input": f"{TAG}={parameters}",
        "Signature": f"{TAG}=:{signature}:",
    }


def verify(
    method: str,
    url: str,
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: bytes,
    resolve: Callable[[str], str | None],
    nonces: Nonces,
    now: float | None = None,
) -> str:
    """The id of the key that signed this request, once everything about it holds; the nonce is then used up.

    `resolve` gives the public key for an id, or None. `now` is the time by the clock that counts, in seconds
    since 1970. TrustError for a signature, WireError for a clock or a message sent twice.
    """
    clock = time.time() if now is None else now
    target, found = _target(url), _relevant(headers)
    own = _own_form(method, target, found, body, resolve)
    if own is not None:
        keyid, created, nonce = own
        _check_age(created, clock, nonces.max_age, nonces.max_skew)
        nonces.use(keyid, nonce, created, clock)
        return keyid
    message = _Message(method, target, found)
    keys = _Keys(resolve)
    verifier = _Verifier(keys, clock, nonces.max_skew)
    try:
        results = verifier.verify(
            message,
            max_age=dt.timedelta(seconds=nonces.max_age),
            expect_tag=TAG,
            require_components=COVERED,
            body=body,
        )
    except HTTPMessageSignaturesException as error:
        if keys.fault is not None:
            raise keys.fault from None
        reason = str(error) or "it was changed on the way, or was signed by another key or for another address"
        raise TrustError(
            f"Expected a request to {url} signed by its sender; this signature does not hold: {reason}. "
            "Check the hub's address and the key that signs."
        ) from None
    if len(results) != 1:
        raise TrustError(f'Expected one signature tagged "{TAG}"; {len(results)} came. Sign the request once.')
    parameters: dict[str, Any] = results[0].parameters
    nonce, keyid = str(parameters.get("nonce", "")), str(parameters["keyid"])
    if len(nonce) not in NONCE_LENGTHS:
        raise WireError("Expected a nonce of 16 to 64 characters in the signature. Use this version's client to sign.")
    nonces.use(keyid, nonce, parameters["created"], clock)
    return keyid


class _Keys(HTTPSignatureKeyResolver):
    """Keys by id, from their text. Keeps the reason for a failure, since the library gives it as one of its
    own.
    """

    def __init__(self, resolve: Callable[[str], str | None]) -> None:
        self._resolve = resolve
        self.fault: TrustError | None = None

    def resolve_public_key(self, key_id: str) -> Any:
        public = self._resolve(key_id)
        if public is None:
            self.fault = TrustError(
                f"No key is registered here under {key_id[:100]!r}. Register the site or person first, or check the id."
            )
            return None
        try:
            return signing_public(public)
        except TrustError as fault:
            self.fault = fault
            return None


class _Verifier(HTTPMessageVerifier):
    """The library's verifier, on the clock that it is given and with the offset in its words."""

    def __init__(self, keys: _Keys, now: float, max_skew: int) -> None:
        super().__init__(signature_algorithm=ED25519, key_resolver=keys)
        self._now, self._max_skew = now, max_skew

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        created, expires = sig_input.params.get("created"), sig_input.params.get("expires")
        if created is None:
            raise WireError("Expected the time of signing (created) in the signature; there is none.")
        _check_age(created, self._now, max_age.total_seconds(), self._max_skew)
        if expires is not None and self._now > expires:
            raise WireError(f"This request expired {self._now - expires:.0f} seconds ago. Sign it again.")


# What `sign` writes, to the letter. No value in it can hold a quote, a comma or a space, so there is one way to read it.
_INPUT = re.compile(
    r'civicgrid=(\("@method" "@target-uri" "content-digest"\);created=(\d{1,12});keyid="([A-Za-z0-9._:/@+-]{1,200})";'
    r'nonce="([A-Za-z0-9_-]{16,64})";tag="civicgrid")'
)
_SIGNATURE = re.compile(r"civicgrid=:([A-Za-z0-9+/]{86}==):")


def _own_form(
    method: str, target: str, headers: Mapping[str, str], body: bytes, resolve: Callable[[str], str | None]
) -> tuple[str, int, str] | None:
    """Key id, time and nonce of a request in the very form that `sign` gives it, with a signature that holds.

    A message every round and site is read here in a third of the library's time. Anything in another form, or that does
    not hold, is None and left to the library, which says what is wrong.
    """
    said, signature = _INPUT.fullmatch(headers["signature-input"]), _SIGNATURE.fullmatch(headers["signature"])
    if said is None or signature is None or not _METHOD.fullmatch(method):
        return None
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    parameters, created, keyid, nonce = said.groups()
    public = resolve(keyid) if headers["content-digest"] == digest else None
    if public is None:
        return None
    lines = (method, target, digest, parameters)
    base = "\n".join(f'"{name}": {line}' for name, line in zip((*COVERED, "@signature-params"), lines, strict=True))
    try:
        verify_signature(public, base64.b64decode(signature.group(1)), base.encode())
    except TrustError:
        return None
    return keyid, int(created), nonce


def _check_age(created: int, now: float, max_age: float, max_skew: int) -> None:
    """Raise WireError, with the offset in seconds, for a message from the future or from too long ago."""
    age = now - created
    if age < -max_skew:
        raise WireError(
            f"The sender's clock is {-age:.0f} seconds ahead of this one; at most {max_skew} are accepted. "
            "Set both clocks (NTP) and send the request again."
        )
    if age > max_age:
        raise WireError(
            f"This request was signed {age:.0f} seconds ago; at most {max_age:.0f} are accepted. If it was just sent, the "
            f"sender's clock is {age:.0f} seconds behind: set both clocks (NTP). Then sign it again."
        )


@lru_cache(maxsize=1024)
def _target(url: str) -> str:
    """The address in the one form that is signed: host in lower case, no default port, a path of at least
    "/".
    """
    try:
        parts = _PARTS(_Message("GET", url, {}))
    except HTTPMessageSignaturesException:
        raise WireError("Expected the full, encoded address of a request: https://host/path?query.") from None
    return f"{parts.get_scheme()}://{parts.get_authority()}{parts.get_path()}{parts.url_parts.query_suffix}"


def _relevant(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that the signature concerns, repeated lines joined as RFC 9110 (section 5.3) joins them."""
    found: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        lower = name.lower()
        if lower in HEADERS:
            found[lower] = f"{found[lower]}, {value}" if lower in found else value
    missing = [name for name in HEADERS if name not in found]
    if missing:
        raise TrustError(f"Expected a signed request; it came without {', '.join(missing)}. Sign it before sending.")
    if max(len(value) for value in found.values()) > MAX_HEADER:
        raise WireError(f"Expected at most {MAX_HEADER} characters in each signature header; more came.")
    return found
