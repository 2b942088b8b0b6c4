"""Masked sums against plain sums, and one masked part against chance."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from civicgrid.errors import TrustError
from civicgrid.trust.fixedpoint import Encoding, Limbs, Slot
from civicgrid.trust.keys import ExchangeKey
from civicgrid.trust.masks import MaskContext, combine, mask, pair_mask

CONTEXT = MaskContext(network="demo", study="S-1", round=2, attempt=1, roster="ab" * 32, ask="cd" * 32)
KEYS = [ExchangeKey(X25519PrivateKey.from_private_bytes(bytes([n + 1]) * 32)) for n in range(12)]
limb = st.integers(0, 2**64 - 1)


def masked(parts: list[Limbs], context: MaskContext = CONTEXT) -> list[Limbs]:
    keys = KEYS[: len(parts)]
    return [
        mask(part, own, [key.public for key in keys if key is not own], context)
        for part, own in zip(parts, keys, strict=True)
    ]


def integers(limbs: Limbs) -> list[int]:
    return [int(low) + (int(high) << 64) for low, high in limbs.tolist()]


@given(st.integers(3, 12), st.data())
@settings(max_examples=50)
def test_masks_cancel_in_the_sum(sites: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 9))
    rows = st.lists(st.tuples(limb, limb), min_size=length, max_size=length)
    parts = [np.array(data.draw(rows), dtype=np.uint64).reshape(length, 2) for _ in range(sites)]
    expected = [sum(column) % 2**128 for column in zip(*(integers(part) for part in parts), strict=True)]
    hidden = masked(parts)
    assert integers(combine(hidden)) == expected == integers(combine(parts))
    assert all(not np.array_equal(part, shown) for part, shown in zip(parts, hidden, strict=True))


@given(
    st.lists(
        st.lists(st.one_of(st.floats(-1e9, 1e9), st.floats(-1e-9, 1e-9)), min_size=4, max_size=4),
        min_size=3,
        max_size=6,
    )
)
@settings(max_examples=50)
def test_numbers_come_through_masks_unchanged(values: list[list[float]]) -> None:
    encoding = Encoding((Slot("x", (4,), 10),), sites=len(values))
    plain = [encoding.encode({"x": np.array(row)}) for row in values]
    with_masks, without = encoding.decode(combine(masked(plain))), encoding.decode(combine(plain))
    assert with_masks["x"].tolist() == without["x"].tolist()


def test_the_pad_is_what_its_standards_say() -> None:
    # HKDF (RFC 5869) written out with HMAC; X25519 and ChaCha20 called by hand.
    one, two = sorted(KEYS[:2], key=lambda key: key.public)
    secret = one._private.exchange(two._private.public_key())
    salt = hashlib.sha256(
        b'{"ask":"' + b"cd" * 32 + b'","attempt":1,"network":"demo","roster":"' + b"ab" * 32 + b'","round":2,"study":"S-1"}'
    ).digest()
    info = f"civicgrid pairwise mask, version 1{one.public} {two.public}".encode()
    prk = hmac.digest(salt, secret, "sha256")
    key = hmac.digest(prk, info + b"\x01", "sha256")
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(48))
    words = [int.from_bytes(stream[at : at + 8], "little") for at in range(0, 48, 8)]
    expected = [words[row] + (words[3 + row] << 64) for row in range(3)]
    assert integers(pair_mask(one, two.public, CONTEXT, 3)) == expected
    assert integers(pair_mask(two, one.public, CONTEXT, 3)) == [-number % 2**128 for number in expected]


def test_one_masked_part_alone_looks_like_chance() -> None:
    # Bytes of a part of all zeros: chi-square over 256 values, and every bit set about half the time.
    length = 20_000
    shown = masked([np.zeros((length, 2), dtype=np.uint64)] * 3)[0]
    raw = np.frombuffer(shown.tobytes(), dtype=np.uint8)
    counts = np.bincount(raw, minlength=256)
    statistic = ((counts - raw.size / 256) ** 2 / (raw.size / 256)).sum()
    assert 1e-4 < chi2.cdf(statistic, 255) < 1 - 1e-4
    bits = np.unpackbits(shown.view(np.uint8).reshape(length, 16), axis=1).mean(axis=0)
    assert np.abs(bits - 0.5).max() < 4.5 * 0.5 / np.sqrt(length)
    other = np.unpackbits(masked([np.full((length, 2), 7, dtype=np.uint64)] * 3)[1].view(np.uint8))
    assert abs(np.corrcoef(np.unpackbits(shown.view(np.uint8)), other)[0, 1]) < 5 / np.sqrt(length * 128)


def test_all_but_one_peer_still_see_only_chance() -> None:
    # A site whose other peers all collude with the hub is still hidden by the one that does not.
    part = np.zeros((1000, 2), dtype=np.uint64)
    hidden = masked([part] * 4)[0]
    left = combine([hidden, *(pair_mask(KEYS[n], KEYS[0].public, CONTEXT, 1000) for n in (1, 2))])
    assert np.array_equal(left, pair_mask(KEYS[0], KEYS[3].public, CONTEXT, 1000))
    assert len(np.unique(left)) == 2000


@pytest.mark.parametrize(
    "change",
    [
        {"network": "other"},
        {"study": "S-2"},
        {"round": 3},
        {"attempt": 2},
        {"roster": "00" * 32},
        {"ask": "00" * 32},
        {"block": 1},
    ],
)
def test_any_other_context_is_another_pad(change: dict[str, object]) -> None:
    other = MaskContext(**{**CONTEXT.to_data(), **change})
    mine, theirs = (pair_mask(KEYS[0], KEYS[1].public, context, 50) for context in (CONTEXT, other))
    assert not np.intersect1d(mine, theirs).size
    parts = [np.zeros((50, 2), dtype=np.uint64)] * 3
    mixed = combine([masked(parts)[0], *masked(parts, other)[1:]])
    with pytest.raises(TrustError, match="masked for another roster or Ask"):
        Encoding((Slot("x", (50,), 0),), sites=3).decode(mixed)


def test_a_missing_part_gives_nothing_away() -> None:
    parts = masked([np.zeros((50, 2), dtype=np.uint64)] * 4)
    with pytest.raises(TrustError, match="a part is missing"):
        Encoding((Slot("x", (50,), 0),), sites=4).decode(combine(parts[1:]))


def test_refuses_fewer_than_two_peers_and_a_peer_twice() -> None:
    part = np.zeros((1, 2), dtype=np.uint64)
    with pytest.raises(TrustError, match="fewer than three sites"):
        mask(part, KEYS[0], [KEYS[1].public], CONTEXT)
    with pytest.raises(TrustError, match="one came twice"):
        mask(part, KEYS[0], [KEYS[1].public, KEYS[1].public], CONTEXT)
    with pytest.raises(TrustError, match="itself"):
        mask(part, KEYS[0], [KEYS[1].public, KEYS[0].public], CONTEXT)
    with pytest.raises(TrustError, match="low-order"):
        mask(part, KEYS[0], [KEYS[1].public, "x25519:" + "A" * 43], CONTEXT)


def test_refuses_parts_of_another_shape() -> None:
    good = np.zeros((2, 2), dtype=np.uint64)
    with pytest.raises(TrustError, match="none came"):
        combine([])
    with pytest.raises(TrustError, match="did not answer the same Ask"):
        combine([good, good[:1]])
    with pytest.raises(TrustError, match="two 64-bit limbs"):
        mask(np.zeros((2, 2)), KEYS[0], [KEYS[1].public, KEYS[2].public], CONTEXT)  # type: ignore[arg-type]
