"""DSSE against the vector in its specification, and against everything that must not verify."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from civicgrid.errors import PlanError, TrustError
from civicgrid.trust.envelope import Envelope, Signature, pae
from civicgrid.trust.keys import SigningKey

TYPE = "application/vnd.civicgrid.permit+json"
ANA, BEN, EVE = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()
TRUSTED = [ANA.public, BEN.public]


def test_encodes_as_the_specification_does() -> None:
    # protocol.md, "Test Vectors" (DSSE v1.0.2).
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == expected
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


@given(st.text(max_size=8), st.binary(max_size=8), st.text(max_size=8), st.binary(max_size=8))
def test_two_messages_never_encode_alike(one: str, first: bytes, two: str, second: bytes) -> None:
    assert (pae(one, first) == pae(two, second)) == ((one, first) == (two, second))


@given(st.binary(max_size=200))
def test_the_payload_comes_back_verified(payload: bytes) -> None:
    signed = Envelope.from_bytes(Envelope.sign(TYPE, payload, ANA, BEN).canonical())
    assert signed.verify(TYPE, TRUSTED, threshold=2) == payload
    assert signed.signers(TYPE, [*TRUSTED, EVE.public]) == {ANA.public, BEN.public}


def test_is_dsse_that_any_program_can_read() -> None:
    data = json.loads(Envelope.sign(TYPE, b"hello", ANA).canonical())
    assert set(data) == {"payload", "payloadType", "signatures"}
    assert base64.b64decode(data["payload"]) == b"hello"
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(ANA.public[8:] + "="))
    public.verify(base64.b64decode(data["signatures"][0]["sig"]), b"DSSEv1 %d %b 5 hello" % (len(TYPE), TYPE.encode()))


def test_reads_either_base64_and_unknown_or_missing_key_ids() -> None:
    made = Envelope.sign(TYPE, b"\xfb\xff\xfe", BEN)
    safe = made.payload.replace("+", "-").replace("/", "_")
    assert safe != made.payload
    for name in ("", "their-name-for-ben", ANA.public):
        raw = {
            "payload": safe,
            "payloadType": TYPE,
            "signatures": [{"keyid": name, "sig": made.signatures[0].sig}],
        }
        envelope = Envelope.from_bytes(json.dumps(raw))
        if name == ANA.public:
            with pytest.raises(TrustError, match="0 came"):
                envelope.verify(TYPE, TRUSTED)
        else:
            assert envelope.verify(TYPE, TRUSTED) == b"\xfb\xff\xfe"


def test_refuses_another_type() -> None:
    signed = Envelope.sign("application/vnd.civicgrid.roster+json", b"{}", ANA)
    with pytest.raises(TrustError, match="Expected a signed application"):
        signed.verify(TYPE, TRUSTED)
    renamed = Envelope(payload=signed.payload, payloadType=TYPE, signatures=signed.signatures)
    with pytest.raises(TrustError, match="changed after signing"):
        renamed.verify(TYPE, TRUSTED)


def test_refuses_a_changed_payload_and_strangers() -> None:
    signed = Envelope.sign(TYPE, b"yes", ANA)
    changed = Envelope(payload=base64.b64encode(b"yet").decode(), payloadType=TYPE, signatures=signed.signatures)
    for bad in (changed, Envelope.sign(TYPE, b"yes", EVE)):
        with pytest.raises(TrustError, match="signed with another key"):
            bad.verify(TYPE, TRUSTED)


def test_one_signer_twice_is_one_signer() -> None:
    signed = Envelope.sign(TYPE, b"yes", ANA)
    again = Signature(keyid="alias", sig=signed.signatures[0].sig)
    twice = Envelope(payload=signed.payload, payloadType=TYPE, signatures=(signed.signatures[0], again, again))
    with pytest.raises(TrustError, match=r"Expected 2 valid signature.* 1 came"):
        twice.verify(TYPE, TRUSTED, threshold=2)


def test_refuses_thresholds_that_mean_nothing() -> None:
    signed = Envelope.sign(TYPE, b"yes", ANA)
    with pytest.raises(TrustError, match="threshold of at least 1"):
        signed.verify(TYPE, TRUSTED, threshold=0)
    with pytest.raises(TrustError, match="trusted keys or more"):
        signed.verify(TYPE, [], threshold=1)
    with pytest.raises(TrustError, match="trusted keys or more"):
        signed.verify(TYPE, [ANA.public, ANA.public], threshold=2)


def test_refuses_what_is_not_an_envelope() -> None:
    signed = Envelope.sign(TYPE, b"yes", ANA)
    with pytest.raises(TrustError, match="at least one key"):
        Envelope.sign(TYPE, b"yes")
    with pytest.raises(TrustError, match="from 1 to 200 signatures"):
        Envelope.from_bytes(json.dumps({"payload": "", "payloadType": TYPE, "signatures": []}))
    with pytest.raises(PlanError, match="extra"):
        Envelope.from_bytes(json.dumps({**signed.to_data(), "extra": 1}))
    for text in ("a", "aGk=\n", "é"):
        broken = Envelope(payload=text, payloadType=TYPE, signatures=signed.signatures)
        with pytest.raises(TrustError, match="payload in base64"):
            broken.verify(TYPE, TRUSTED)


def test_joins_signatures_made_apart() -> None:
    one, two = Envelope.sign(TYPE, b"yes", ANA), Envelope.sign(TYPE, b"yes", BEN)
    assert one.joined(two, one).verify(TYPE, TRUSTED, threshold=2) == b"yes"
    assert len(one.joined(two, one).signatures) == 2
    with pytest.raises(TrustError, match="one and the same payload"):
        one.joined(Envelope.sign(TYPE, b"no", BEN))
