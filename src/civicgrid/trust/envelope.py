"""Signed envelopes: DSSE v1.0.2 (secure-systems-lab, "Dead Simple Signing Envelope") over Ed25519.

What is signed is the payload's type together with its bytes, so that a signature under a permit cannot be
shown as one under a roster. The payload comes out of `verify` and of nothing else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from pydantic import ConfigDict, Field, field_validator

from civicgrid.canonical import Node
from civicgrid.errors import TrustError
from civicgrid.trust.keys import SigningKey, verify

MAX_SIGNATURES = 200


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that are signed, in which type and payload cannot be
    confused.
    """
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


class Signature(Node):
    """One signature of an envelope. The key's id is its public text; it says which key to try and proves
    nothing.
    """

    keyid: str = ""
    sig: str


class Envelope(Node):
    """A payload with its type and signatures, in DSSE's JSON form. Build one with `sign`, read one with
    `verify`.
    """

    model_config = ConfigDict(validate_by_name=False, validate_by_alias=True)

    payload: str
    payload_type: str = Field(alias="payloadType")
    signatures: tuple[Signature, ...]

    @field_validator("signatures")
    @classmethod
    def _some(cls, signatures: tuple[Signature, ...]) -> tuple[Signature, ...]:
        if not 1 <= len(signatures) <= MAX_SIGNATURES:
            raise TrustError(f"Expected from 1 to {MAX_SIGNATURES} signatures on an envelope; {len(signatures)} came.")
        return signatures

    @classmethod
    def sign(cls, payload_type: str, payload: bytes, *keys: SigningKey) -> Envelope:
        """The payload under a signature of each key."""
        message = pae(payload_type, payload)
        made = tuple(Signature(keyid=key.public, sig=_text(key.sign(message))) for key in keys)
        if not made:
            raise TrustError("Expected at least one key to sign with; none came.")
        return cls(payload=_text(payload), payloadType=payload_type, signatures=made)

    def signers(self, payload_type: str, trusted: Iterable[str]) -> frozenset[str]:
        """Which of the trusted public keys signed this type and payload."""
        if self.payload_type != payload_type:
            raise TrustError(
                f"Expected a signed {payload_type}; this envelope holds a {self.payload_type[:100]!r}. Send the right file."
            )
        message = pae(payload_type, _bytes(self.payload, "payload"))
        keys = frozenset(trusted)
        found: set[str] = set()
        for signature in self.signatures:
            signed = _bytes(signature.sig, "signature")
            # An id that is no key of ours may be another program's name for one: DSSE makes it a hint, so all
            # are tried.
            for key in (signature.keyid,) if signature.keyid in keys else sorted(keys - found):
                if key not in found and _holds(key, signed, message):
                    found.add(key)
                    break
        return frozenset(found)

    def verify(self, payload_type: str, trusted: Iterable[str], threshold: int = 1) -> bytes:
        """The payload, once at least `threshold` different trusted keys are found to have signed it as this
        type.
        """
        if threshold < 1:
            raise TrustError(f"Expected a threshold of at least 1 signature; {threshold} came.")
        keys = frozenset(trusted)
        if len(keys) < threshold:
            raise TrustError(
                f"Expected {threshold} trusted keys or more to check against; {len(keys)} came. Add the "
                "signers' keys "
                "to this site's key file."
            )
        found = self.signers(payload_type, keys)
        if len(found) < threshold:
            wanted = "a valid signature" if threshold == 1 else f"{threshold} valid signatures"
            raise TrustError(
                f"Expected {wanted} by a key that is trusted here; {len(found)} came. It was changed after signing, or "
                "signed with another key: compare the signer's public key with the list of those trusted here."
            )
        return _bytes(self.payload, "payload")

    def joined(self, *others: Envelope) -> Envelope:
        """One envelope with the signatures of all, for a payload that several people signed apart."""
        kept = {(signature.keyid, signature.sig): signature for signature in self.signatures}
        for other in others:
            if (other.payload_type, other.payload) != (self.payload_type, self.payload):
                raise TrustError("Expected envelopes of one and the same payload; these differ. Sign the same file again.")
            kept.update({(signature.keyid, signature.sig): signature for signature in other.signatures})
        return Envelope(payload=self.payload, payloadType=self.payload_type, signatures=tuple(kept.values()))


def _holds(key: str, signature: bytes, message: bytes) -> bool:
    try:
        verify(key, signature, message)
    except TrustError:
        return False
    return True


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str, what: str) -> bytes:
    """Base64 in either alphabet, as DSSE asks of a reader, and nothing that is not base64."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/").encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise TrustError(f"Expected the envelope's {what} in base64; it is not. Ask for the file again.") from None
