"""Pairwise masks: every site's part is hidden, and the masks cancel in the sum.

Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017, section
4.0.1 (masking with one-time pads), without its drop-out recovery: the roster is signed beforehand, and a
round that loses a site is run again under a new roster. Each pair of sites agrees on a secret (X25519),
derives a key for this one use (HKDF-SHA256, RFC 5869) and expands it to a pad (ChaCha20, RFC 8439); one of
the two adds the pad and the other takes it away, modulo 2^128. Whoever holds all parts but two sites' learns
the sum of those two and no more.

A pad is used once. Its context names network, study, round, attempt, roster, block and the Ask that is
answered: a hub that asks two things under one round number gets parts whose masks have nothing in common.
Over the same context a site must send the same values, so a node stores what it sent and sends that again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from civicgrid.canonical import Node
from civicgrid.errors import TrustError
from civicgrid.trust.fixedpoint import Half, Limbs
from civicgrid.trust.keys import ExchangeKey

FEWEST_PEERS = 2

_PURPOSE = b"civicgrid pairwise mask, version 1"


class MaskContext(Node):
    """What one set of masks is for. `roster` and `ask` are digests; any difference makes every pad differ."""

    network: str
    study: str
    round: int
    attempt: int
    roster: str
    ask: str
    block: int = 0

    def salt(self) -> bytes:
        return hashlib.sha256(self.canonical()).digest()


def pair_mask(own: ExchangeKey, peer: str, context: MaskContext, length: int) -> Limbs:
    """What this site adds on account of one peer, shape (length, 2); the peer's for this site is its
    negative.
    """
    low, high = np.zeros(length, dtype=np.uint64), np.zeros(length, dtype=np.uint64)
    _apply(low, high, own, peer, context.salt())
    return np.stack([low, high], axis=1)


def mask(limbs: Limbs, own: ExchangeKey, peers: Sequence[str], context: MaskContext) -> Limbs:
    """This site's part with the masks of all its peers (their exchange keys, without its own) on it."""
    if len(peers) < FEWEST_PEERS:
        raise TrustError(
            f"Expected at least {FEWEST_PEERS} other sites to mask with; {len(peers)} came. With fewer than "
            "three sites "
            "of different organisations a share goes open or not at all."
        )
    if len(set(peers)) != len(peers):
        raise TrustError("Expected each peer's exchange key once; one came twice. The roster is not sound: refuse it.")
    _check(limbs, len(limbs))
    low, high = limbs[:, 0].copy(), limbs[:, 1].copy()
    salt = context.salt()
    for peer in peers:
        _apply(low, high, own, peer, salt)
    return np.stack([low, high], axis=1)


def combine(parts: Sequence[Limbs]) -> Limbs:
    """The sum of all parts modulo 2^128: the plain total where every site of the roster sent one."""
    if not parts:
        raise TrustError("Expected the parts of a round to add up; none came.")
    low, high = np.zeros(len(parts[0]), dtype=np.uint64), np.zeros(len(parts[0]), dtype=np.uint64)
    for part in parts:
        _check(part, len(low))
        _add(low, high, part[:, 0], part[:, 1])
    return np.stack([low, high], axis=1)


def _apply(low: Half, high: Half, own: ExchangeKey, peer: str, salt: bytes) -> None:
    """Put the pad shared with one peer on, in place: the first in order of the public keys adds, the other
    takes away.
    """
    first = own.public < peer
    pair = f"{own.public} {peer}" if first else f"{peer} {own.public}"
    secret = own.agree(peer)
    key = HKDF(hashes.SHA256(), 32, salt, _PURPOSE + pair.encode()).derive(secret)
    # The key is used for this one pad, so the cipher's counter and nonce start at zero.
    pad = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(16 * len(low)))
    halves = np.frombuffer(pad, dtype="<u8").reshape(2, len(low))
    if first:
        _add(low, high, halves[0], halves[1])
    else:
        _subtract(low, high, halves[0], halves[1])


def _add(low: Half, high: Half, low_too: Half, high_too: Half) -> None:
    low += low_too
    high += high_too
    high += low < low_too


def _subtract(low: Half, high: Half, low_less: Half, high_less: Half) -> None:
    borrow = low < low_less
    low -= low_less
    high -= high_less
    high -= borrow


def _check(limbs: Limbs, length: int) -> None:
    if limbs.dtype != np.uint64 or limbs.shape != (length, 2):
        raise TrustError(
            f"Expected {length} values in two 64-bit limbs each; {limbs.dtype} of shape {limbs.shape} came. "
            "The sites did not answer the same Ask."
        )
