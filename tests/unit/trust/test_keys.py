"""Keys against the vectors of RFC 8032 and RFC 7748, and against the ways a key file goes wrong."""

from __future__ import annotations

import base64
import copy
import os
import pickle
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from civicgrid.errors import ConfigError, TrustError
from civicgrid.trust import keys
from civicgrid.trust.keys import ExchangeKey, SigningKey, fingerprint, verify

PRIME = 2**255 - 19


def text(algorithm: str, raw: bytes) -> str:
    return f"{algorithm}:{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


def test_signs_as_rfc_8032_says() -> None:
    # Section 7.1, TEST 2.
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(secret))
    assert key.public == text("ed25519", public)
    assert key.sign(b"\x72") == signature
    verify(key.public, signature, b"\x72")


def test_agrees_as_rfc_7748_says() -> None:
    # Section 6.1.
    alice = ExchangeKey(
        X25519PrivateKey.from_private_bytes(
            bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
        )
    )
    bob = text("x25519", bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"))
    shared = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert alice.agree(bob) == shared
    assert alice.agree(bob) == shared


@pytest.mark.parametrize("kind", [SigningKey, ExchangeKey])
def test_a_saved_key_comes_back_and_only_its_owner_may_read_it(kind: type, tmp_path: Path) -> None:
    key = kind.generate()
    path = tmp_path / "site.key"
    before = os.umask(0)
    try:
        key.save(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert kind.load(path).public == key.public
    with pytest.raises(ConfigError, match=r"already a file .* never overwritten"):
        kind.generate().save(path)
    assert kind.load(path).public == key.public


def test_refuses_a_key_file_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    SigningKey.generate().save(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"mode 0640.*chmod 600"):
        SigningKey.load(path)


def test_says_what_is_wrong_with_a_key_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No key could be read from .*none\.key: No such file"):
        SigningKey.load(tmp_path / "none.key")
    other = tmp_path / "exchange.key"
    ExchangeKey.generate().save(other)
    with pytest.raises(ConfigError, match="Expected an ed25519 key to sign with"):
        SigningKey.load(other)
    junk = tmp_path / "junk.key"
    junk.write_text("not a key")
    junk.chmod(0o600)
    with pytest.raises(ConfigError, match="Expected an unencrypted PEM private key"):
        SigningKey.load(junk)
    with pytest.raises(ConfigError, match="could not be written"):
        SigningKey.generate().save(tmp_path / "no-such-folder" / "a.key")


@pytest.mark.parametrize("kind", [SigningKey, ExchangeKey])
def test_a_private_key_is_neither_shown_nor_copied(kind: type, tmp_path: Path) -> None:
    key = kind.generate()
    key.save(tmp_path / "k")
    secret = "".join((tmp_path / "k").read_text().splitlines()[1:-1])
    assert repr(key) == f"<{kind.__name__} {key.public}>"
    assert secret not in repr(key) + str(key) + str(vars(key))
    with pytest.raises(TrustError, match="not copied"):
        pickle.dumps(key)
    with pytest.raises(TrustError, match="not copied"):
        copy.deepcopy(key)


@given(st.binary(max_size=40), st.integers(0, 511))
def test_one_changed_bit_breaks_a_signature(message: bytes, bit: int) -> None:
    key = SigningKey.generate()
    signature = bytearray(key.sign(message))
    verify(key.public, bytes(signature), message)
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TrustError, match="not by ed25519:"):
        verify(key.public, bytes(signature), message)
    with pytest.raises(TrustError, match="changed"):
        verify(key.public, key.sign(message), message + b"x")


def test_a_key_has_one_text() -> None:
    public = SigningKey.generate().public
    body = public.partition(":")[2]
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = body[:-1] + last[last.index(body[-1]) ^ 1]
    wrong = [
        f"x25519:{body}",
        body,
        f"ed25519:{twin}",
        f"ed25519:{body}=",
        f"ed25519:{body[:-1]}",
        f"ed25519:{'é' * 43}",
    ]
    for bad in [*wrong, "ed25519:" + "!" * 43, ""]:
        with pytest.raises(TrustError, match="Expected"):
            verify(bad, bytes(64), b"")


def small_order_heights() -> set[int]:
    """The y of every point whose order divides 8, from the curve's equation -x^2 + y^2 = 1 + d x^2 y^2 (RFC
    8032).
    """
    d = -121665 * pow(121666, -1, PRIME) % PRIME
    heights = {1, PRIME - 1, 0}
    for root in _roots(1 + d):
        # A point of order 8 doubles to y = 0, so x^2 = -y^2 and d y^4 + 2 y^2 - 1 = 0.
        heights.update(_roots((-1 + root) * pow(d, -1, PRIME)))
    return heights


def _roots(square: int) -> list[int]:
    square %= PRIME
    root = pow(square, (PRIME + 3) // 8, PRIME)
    if root * root % PRIME != square:
        root = root * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    return [root, PRIME - root] if root * root % PRIME == square else []


def test_refuses_signing_keys_that_anybody_can_sign_for() -> None:
    heights = small_order_heights()
    assert len(heights) == 5
    # The sign of x is the top bit; 0 and 1 have a second spelling, p and p + 1.
    written = {height + sign for height in {*heights, PRIME, PRIME + 1} for sign in (0, 2**255)}
    for number in written:
        with pytest.raises(TrustError, match="anybody can sign for"):
            verify(text("ed25519", number.to_bytes(32, "little")), bytes(64), b"any message")


def test_such_a_key_would_have_verified_a_forgery() -> None:
    # The defence is needed: the library itself accepts identity = [0]B as a signature by the neutral point.
    neutral = (1).to_bytes(32, "little")
    keys.Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"any message")


@pytest.mark.parametrize("number", [0, 1, PRIME - 1])
def test_refuses_exchange_keys_of_low_order(number: int) -> None:
    with pytest.raises(TrustError, match="low-order"):
        keys.check_exchange(text("x25519", number.to_bytes(32, "little")))


@pytest.mark.parametrize("number", [PRIME, PRIME + 9, 2**255 + 9])
def test_refuses_a_second_spelling_of_an_exchange_key(number: int) -> None:
    with pytest.raises(TrustError, match="one proper form"):
        keys.check_exchange(text("x25519", number.to_bytes(32, "little")))


def test_does_not_agree_with_itself() -> None:
    key = ExchangeKey.generate()
    with pytest.raises(TrustError, match="itself"):
        key.agree(key.public)
    assert keys.check_exchange(key.public) == key.public


def test_a_fingerprint_can_be_read_aloud() -> None:
    key = SigningKey.generate()
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}", key.fingerprint)
    assert key.fingerprint == fingerprint(key.public) != SigningKey.generate().fingerprint
    # SHA-256 of the empty text begins e3b0c442...; its first 25 bits are 11100 01110 11000 01100 01000.
    assert fingerprint("").startswith("WERC8-")
