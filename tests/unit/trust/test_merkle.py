"""The Merkle tree against published vectors and against the RFC's own recursive definitions, written down a second time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civicgrid.errors import TrustError
from civicgrid.trust import merkle
from civicgrid.trust.merkle import EMPTY, Memory, leaf_hash, verify_consistency, verify_inclusion

# --- section 2.1 of RFC 9162, as it is written there ------------------------------------------------------------------


def _sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _k(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d: Sequence[bytes]) -> bytes:
    if not d:
        return _sha(b"")
    if len(d) == 1:
        return _sha(b"\x00" + d[0])
    k = _k(len(d))
    return _sha(b"\x01" + mth(d[:k]) + mth(d[k:]))


def path(m: int, d: Sequence[bytes]) -> list[bytes]:
    if len(d) == 1:
        return []
    k = _k(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: Sequence[bytes], b: bool) -> list[bytes]:
    if m == len(d):
        return [] if b else [mth(d)]
    k = _k(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def tree(entries: Sequence[bytes]) -> Memory:
    made = Memory()
    for entry in entries:
        made.append(leaf_hash(entry))
    return made


def entries(size: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(size)]


# --- published: what the certificate-transparency implementations are tested with (RFC 6962 has the same tree)

LEAVES = [bytes.fromhex(leaf) for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")] + [
    bytes.fromhex("606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
G = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
INCLUSION = [
    (0, 1, []),
    (0, 8, [A, B, C]),
    (5, 8, [D, E, ROOTS[3]]),
    (2, 3, [ROOTS[1]]),
    (1, 5, [ROOTS[0], B, D]),
]
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [A, B, C]),
    (6, 8, [F, E, ROOTS[3]]),
    (2, 5, [B, D]),
    (6, 7, [F, G, ROOTS[3]]),
]


def test_published_heads() -> None:
    assert EMPTY.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [merkle.head(size, tree(LEAVES)).hex() for size in range(1, 9)] == ROOTS


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_published_proofs_of_inclusion(index: int, size: int, proof: list[str]) -> None:
    assert [part.hex() for part in merkle.inclusion(index, size, tree(LEAVES))] == proof


@pytest.mark.parametrize(("first", "second", "proof"), CONSISTENCY)
def test_published_proofs_of_consistency(first: int, second: int, proof: list[str]) -> None:
    assert [part.hex() for part in merkle.consistency(first, second, tree(LEAVES))] == proof


# --- every small tree, whole -------------------------------------------------------------------------------------------


def test_every_head_and_proof_of_every_small_tree() -> None:
    data = entries(33)
    nodes = tree(data)
    for size in range(len(data) + 1):
        root = merkle.head(size, nodes)
        assert root == mth(data[:size])
        for index in range(size):
            proof = merkle.inclusion(index, size, nodes)
            assert list(proof) == path(index, data[:size])
            verify_inclusion(leaf_hash(data[index]), index, size, proof, root)
        for first in range(1, size + 1):
            proof = merkle.consistency(first, size, nodes)
            assert list(proof) == subproof(first, data[:size], True)
            verify_consistency(first, size, mth(data[:first]), root, proof)
        verify_consistency(0, size, EMPTY, root, ())


def test_a_growing_tree_has_the_same_heads() -> None:
    growing, data = merkle.Growing(), entries(70)
    for size, entry in enumerate([*data, b""]):
        assert (growing.size, growing.head) == (size, mth(data[:size]))
        growing.append(leaf_hash(entry))


@given(st.integers(0, 300), st.lists(st.integers(1, 40), max_size=6))
def test_many_at_once_are_one_after_the_other(size: int, steps: list[int]) -> None:
    data = entries(size + sum(steps))
    whole, nodes = tree(data), tree(data[:size])
    for step in steps:
        made = merkle.appended(size, [leaf_hash(entry) for entry in data[size : size + step]], nodes)
        # Nothing that was kept is ever written again.
        assert not set(made) & set(nodes)
        nodes.update(made)
        size += step
    assert dict(nodes) == dict(whole)


@settings(deadline=None)
@given(st.integers(1, 5000), st.data())
def test_large_trees_agree_with_the_definition(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    given_entries = entries(size)
    nodes = tree(given_entries)
    assert list(merkle.inclusion(index, size, nodes)) == path(index, given_entries)
    assert list(merkle.consistency(first, size, nodes)) == subproof(first, given_entries, True)


def test_an_append_and_a_proof_ask_for_few() -> None:
    asked: list[int] = []

    class Counting(Memory):
        def hashes(self, places):  # type: ignore[no-untyped-def]
            asked.append(len(places))
            return super().hashes(places)

    nodes = Counting()
    for entry in entries(1000):
        nodes.append(leaf_hash(entry))
    asked.clear()
    assert len(merkle.appended(1000, [bytes(32)], nodes)) <= 11
    merkle.inclusion(517, 1000, nodes)
    merkle.consistency(517, 1000, nodes)
    assert max(asked) <= 20


# --- what does not hold is refused -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 200), st.data())
def test_any_changed_bit_makes_a_proof_of_inclusion_fail(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    given_entries = entries(size)
    nodes = tree(given_entries)
    root, leaf = merkle.head(size, nodes), leaf_hash(given_entries[index])
    proof = list(merkle.inclusion(index, size, nodes))
    parts = [leaf, root, *proof]
    which, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[which] = flipped(parts[which], bit)
    with pytest.raises(TrustError):
        verify_inclusion(parts[0], index, size, parts[2:], parts[1])


@settings(deadline=None)
@given(st.integers(2, 200), st.data())
def test_any_changed_bit_makes_a_proof_of_consistency_fail(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, size))
    nodes = tree(entries(size))
    parts = [merkle.head(first, nodes), merkle.head(size, nodes), *merkle.consistency(first, size, nodes)]
    which, bit = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 255))
    parts[which] = flipped(parts[which], bit)
    with pytest.raises(TrustError):
        verify_consistency(first, size, parts[0], parts[1], parts[2:])


def test_proofs_of_other_lengths_places_and_sizes_fail() -> None:
    for size in range(1, 20):
        nodes = tree(entries(size))
        root = merkle.head(size, nodes)
        for index in range(size):
            leaf, proof = leaf_hash(entries(size)[index]), merkle.inclusion(index, size, nodes)
            wrong = [(index + 1, size, proof), (index - 1, size, proof), (index ^ 2, size, proof)]
            wrong += [(index, size, (*proof, root)), (index, size, (bytes(32), *proof)), (index, 0, proof)]
            wrong += [(index, size, proof[:-1]), (index, size, proof[1:])] if proof else []
            for other, of, parts in wrong:
                with pytest.raises(TrustError):
                    verify_inclusion(leaf, other, of, parts, root)
        for first in range(1, size):
            old, proof = merkle.head(first, nodes), merkle.consistency(first, size, nodes)
            bad = [(first + 1, size, old, root, proof), (first - 1, size, old, root, proof)]
            bad += [(size, first, root, old, proof)]
            bad += [(first, size, root, old, proof), (first, size, old, root, (*proof, root))]
            bad += [(first, size, old, root, (old, *proof)), (first, size, old, root, proof[:-1])]
            bad += [(first, size, old, root, ()), (first, first, old, root, ()), (0, size, old, root, ())]
            for one, two, older, newer, parts in bad:
                with pytest.raises(TrustError):
                    verify_consistency(one, two, older, newer, parts)


def test_hashes_of_another_length_are_refused() -> None:
    with pytest.raises(TrustError, match="hashes of 32 bytes"):
        verify_inclusion(bytes(31), 0, 1, (), bytes(32))
    with pytest.raises(TrustError, match="hashes of 32 bytes"):
        verify_consistency(1, 2, bytes(32), bytes(32), (bytes(33),))


def test_a_leaf_is_no_node() -> None:
    """Two hashes side by side, written as an entry, are not the tree over them: the prefixes tell them apart."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != merkle.node_hash(left, right)


def test_what_is_not_there_is_said() -> None:
    nodes = tree(entries(5))
    for asked in (5, -1):
        with pytest.raises(TrustError, match="Expected an entry from 0 to 4"):
            merkle.inclusion(asked, 5, nodes)
    for first, second in ((0, 3), (4, 3)):
        with pytest.raises(TrustError, match="two sizes of a log"):
            merkle.consistency(first, second, nodes)
    del nodes[2, 0]
    with pytest.raises(TrustError, match="damaged"):
        merkle.head(5, nodes)


def flipped(value: bytes, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
