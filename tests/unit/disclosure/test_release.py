"""The one road out and its other end: what masked shares add up to, what may leave open, and what is never added."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from civicgrid.disclosure.codes import Code, Withheld
from civicgrid.disclosure.release import Terms, combine, release, stands_alone
from civicgrid.disclosure.shapes import Counts, Dimension, Histogram, ModelSums, Part, RoughCount, Share, Sums
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.errors import WireError
from civicgrid.trust.keys import ExchangeKey
from civicgrid.trust.masks import MaskContext, mask
from civicgrid.trust.seal import Seal

SHIPPED, OPEN = Thresholds(), Thresholds.open()
CONTEXT = MaskContext(network="n", study="s", round=0, attempt=0, roster="r", ask="a")
KEYS = [ExchangeKey.generate() for _ in range(3)]


def dimension(size: int) -> Dimension:
    return Dimension("d", tuple(f"level {i}" for i in range(size)))


def whole(*values: object) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def masked(shares: list[Share], keys: list[ExchangeKey] = KEYS) -> list[bytes]:
    """Every site's share under the real masks of all the others."""
    released = []
    for own, share in zip(keys, shares, strict=True):
        peers = [key.public for key in keys if key is not own]
        terms = Terms(SHIPPED, False, len(keys), lambda limbs, own=own, peers=peers: mask(limbs, own, peers, CONTEXT))  # type: ignore[misc]
        released.append(release(share, terms))
    return released


def opened(share: Share, thresholds: Thresholds = SHIPPED) -> bytes:
    return release(share, Terms(thresholds, True, 1, None))


@st.composite
def three(draw: st.DrawFn) -> list[Share]:
    """The shares of three sites: the same parts with other numbers."""
    shapes = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=3))
    kinds = [draw(st.sampled_from(["counts", "histogram", "sums", "model"])) for _ in shapes]
    exponent = draw(st.integers(-8, 24))
    # Quanta of 2^(exponent - 60), so few that their float64 sum is exact.
    reals = st.integers(-(2**40), 2**40).map(lambda quanta: float(np.ldexp(quanta, exponent - 60)))
    shares = []
    for _ in range(3):
        share: list[Part] = []
        for number, (kind, (n, k)) in enumerate(zip(kinds, shapes, strict=True)):
            name, sizes = f"{kind} {number}", np.full(k, exponent, dtype=np.int64)
            counts = draw(arrays.arrays(np.int64, (n, k), elements=st.integers(0, 10**9)))
            numbers = draw(arrays.arrays(np.float64, (n, k), elements=reals))
            if kind == "counts":
                share.append(Counts(name, counts, (dimension(n), dimension(k))))
            elif kind == "histogram":
                share.append(Histogram(name, counts, np.arange(float(k - 1)), dimension(n)))
            elif kind == "sums":
                share.append(Sums(name, numbers, counts, sizes, dimension(n)))
            else:
                share.append(ModelSums(name, numbers[0], sizes, 100, 1, lambda: whole(50), 1.0, 0.0, lambda enough: 0.1))
        shares.append(tuple(share))
    return shares


@settings(max_examples=40, deadline=None)
@given(three())
def test_masked_shares_add_up_to_exactly_the_plain_sum(shares: list[Share]) -> None:
    combined = combine(masked(shares))
    for parts in zip(*shares, strict=True):
        received = combined[parts[0].name]
        total = parts[0].values + parts[1].values + parts[2].values
        assert received.values.dtype == total.dtype
        assert np.array_equal(received.values, total)
        assert received.complete
        if isinstance(parts[0], Histogram):
            assert received.low is not None
            assert np.array_equal(received.low, received.high)
            assert np.array_equal(np.diff(received.low, axis=1), total)
    assert set(combined) == {part.name for part in shares[0]}


@settings(max_examples=25, deadline=None)
@given(three())
def test_open_shares_under_an_open_policy_add_up_to_exactly_the_plain_sum(shares: list[Share]) -> None:
    combined = combine([opened(share, OPEN) for share in shares])
    for parts in zip(*shares, strict=True):
        assert np.array_equal(combined[parts[0].name].values, parts[0].values + parts[1].values + parts[2].values)


def test_one_masked_share_is_noise() -> None:
    share: Share = (Counts("people", whole(4, 5), (dimension(2),)),)
    form = msgpack.unpackb(masked([share, share, share])[0])
    limbs = np.frombuffer(form[3], "<u8").reshape(-1, 2)
    assert (limbs[:, 1] != 0).all(), "plain counts have nothing in their upper half"
    assert not set(limbs[:, 0].tolist()) & {4, 5}


def test_an_open_share_hides_and_rounds_what_a_masked_one_sends_exactly() -> None:
    share: Share = (Counts("people", whole(4, 23, 61), (dimension(3),)),)
    received = combine([opened(share)])["people"]
    assert received.hidden is not None
    assert received.hidden[0]
    assert 4 not in received.values
    assert set(received.values[~received.hidden].tolist()) <= {25, 60}
    assert combine(masked([share, share, share]))["people"].values.tolist() == [12, 69, 183]


def test_a_small_open_part_that_cannot_be_hidden_in_part_withholds_the_share() -> None:
    few = Sums("sums", np.ones((1, 1)), whole(9), whole(0), dimension(1))
    thin = ModelSums("pass", np.ones(2), whole(0, 0), 60, 7, lambda: whole(60), 1.0, 0.0, lambda enough: 0.1)
    for share in ((few,), (thin,), (Counts("people", whole(9), (dimension(1),)),)):
        with pytest.raises(Withheld) as refused:
            opened(share)
        assert refused.value.code is Code.DISCLOSURE
        assert not stands_alone(share, SHIPPED)


def test_a_share_that_must_stand_alone_is_withheld_though_masked() -> None:
    share: Share = (Counts("people", whole(9), (dimension(1),)),)
    assert release(share, Terms(SHIPPED, False, 3, lambda limbs: limbs))
    with pytest.raises(Withheld) as refused:
        release(share, Terms(SHIPPED, True, 3, lambda limbs: limbs))
    assert refused.value.code is Code.DISCLOSURE


def test_what_must_stand_alone_is_hidden_and_merged_under_the_mask_as_in_the_open() -> None:
    def alone(share: Share, sites: int = 2) -> bytes:
        return release(share, Terms(SHIPPED, True, sites, lambda limbs: limbs))

    def share(few: int, sparse: list[int]) -> Share:
        held = np.array([sparse], dtype=np.int64)
        return (
            Counts("people", whole(few, 23, 61), (dimension(3),)),
            Histogram("h", held, np.arange(float(held.size - 1)), dimension(1)),
        )

    one, other = share(4, [3, 20, 0, 30]), share(40, [15, 25, 12, 30])
    combined = combine([alone(one), alone(other)])
    people, h = combined["people"], combined["h"]
    assert people.hidden is not None and people.hidden.tolist() == [True, True, False], "hidden where one site hides it"
    assert people.values.tolist()[2] == 122, "what is shown is exact"
    assert h.low is not None and h.high is not None
    truth = np.concatenate([[0], np.cumsum(np.add([3, 20, 0, 30], [15, 25, 12, 30]))])
    assert (h.low[0] <= truth).all() and (truth <= h.high[0]).all()
    assert h.low[0, 1] < h.high[0, 1], "three people lie between two edges of one site"
    pooled = combine([release(each, Terms(SHIPPED, False, 2, lambda limbs: limbs)) for each in (one, other)])
    assert pooled["people"].complete and pooled["people"].values.tolist() == [44, 46, 122]
    assert np.array_equal(pooled["h"].low, pooled["h"].high)  # type: ignore[arg-type]


def test_no_part_is_hidden_by_more_sites_than_there_are() -> None:
    plain: Share = (Counts("people", whole(60, 60), (dimension(2),)),)
    sent = [msgpack.unpackb(release(plain, Terms(SHIPPED, False, 2, lambda limbs: limbs))) for _ in range(2)]
    limbs = np.frombuffer(sent[0][3], "<u8").copy()
    limbs[4] = 7
    forged = [*sent[0][:3], limbs.tobytes()]
    with pytest.raises(WireError, match="hidden by more sites than there are"):
        combine([msgpack.packb(forged), msgpack.packb(sent[1])])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**80])
def test_what_has_no_place_in_the_fixed_point_is_refused_before_masking(value: float) -> None:
    touched = []
    part = Sums("sums", np.array([[value]]), whole(60), whole(0), dimension(1))
    with pytest.raises(Withheld) as refused:
        release((part,), Terms(SHIPPED, False, 3, lambda limbs: touched.append(1) or limbs))
    assert (refused.value.code, touched) == (Code.FAILED, [])
    assert "1.2" not in refused.value.detail, "2^80 itself is not quoted"


@pytest.mark.parametrize("share", [[], ({"a": 1},), (np.zeros(3),), (b"rows",), "text", (("people", 3),)])
def test_only_the_declared_shapes_leave(share: Any) -> None:
    with pytest.raises(TypeError, match="Only the shapes"):
        release(share, Terms(OPEN, False, 1, None))


def test_two_parts_of_one_name_do_not_leave() -> None:
    part = Counts("people", whole(60), (dimension(1),))
    with pytest.raises(Withheld):
        opened((part, part))


def test_shares_of_different_shape_name_kind_or_mode_are_not_added() -> None:
    plain: Share = (Counts("people", whole(60, 60), (dimension(2),)),)
    others: list[Share] = [
        (Counts("people", whole(60, 60, 60), (dimension(3),)),),
        (Counts("women", whole(60, 60), (dimension(2),)),),
        (Sums("people", np.ones((2, 1)), whole(60, 60), whole(0), dimension(2)),),
        (*plain, Counts("women", whole(60), (dimension(1),))),
    ]
    for other in others:
        with pytest.raises(WireError, match="do not fit together"):
            combine([opened(plain), opened(other)])
        with pytest.raises(WireError, match="do not fit together"):
            combine(masked([plain, plain, other]))
    with pytest.raises(WireError, match="different forms"):
        combine([opened(plain), masked([plain, plain, plain])[0]])


def test_a_total_of_fewer_than_nobody_is_not_believed() -> None:
    honest: Share = (Counts("people", whole(60, 60), (dimension(2),)),)
    lie: Share = (Counts("people", whole(-500, 60), (dimension(2),)),)
    with pytest.raises(WireError, match="people counts fewer than nobody"):
        combine([opened(honest, Thresholds.open()), opened(lie, Thresholds.open())])
    with pytest.raises(WireError, match="people counts fewer than nobody"):
        combine(masked([honest, honest, lie]))


def test_a_lost_or_doubled_masked_share_is_noticed() -> None:
    share: Share = (Counts("people", whole(*range(40)), (dimension(40),)),)
    sent = masked([share, share, share])
    for wrong in (sent[:2], [sent[0], sent[0], sent[2]]):
        with pytest.raises(WireError):
            combine(wrong)


FORM = st.recursive(
    st.none() | st.integers(-(2**62), 2**62) | st.binary(max_size=24) | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
KINDS = st.sampled_from(["Counts", "Histogram", "Sums", "ModelSums", "Rows"])
PIECE = st.tuples(
    KINDS,
    st.text(max_size=3),
    st.lists(st.integers(-2, 2**40), max_size=3),
    st.binary(max_size=32) | st.none() | st.integers(-(2**40), 2**40),
    st.binary(max_size=32),
).map(list)
SHAPED = st.tuples(st.just(2), st.sampled_from(["open", "masked"]), st.lists(PIECE, max_size=2), st.binary(max_size=64))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40) | FORM.map(msgpack.packb) | SHAPED.map(msgpack.packb), min_size=1, max_size=3))
def test_what_a_hostile_site_sends_is_added_or_refused_and_nothing_else(released: list[bytes]) -> None:
    try:
        combine(released)
    except WireError:
        return


def test_a_part_of_a_shape_that_is_not_declared_is_not_added() -> None:
    with pytest.raises(WireError, match="not declared"):
        combine([msgpack.packb([2, "open", [["Rows", "people", [1], bytes(8)]]])])


def test_a_rough_count_leaves_blurred_by_a_key_and_by_itself_or_not_at_all() -> None:
    rough, exact = RoughCount("people", 100, b"people"), Counts("n", np.array(50, dtype=np.int64))
    for share, tag, words in (
        ((rough,), None, "no key to blur a count by"),
        ((rough, exact), Seal.generate().tag, "beside something else"),
        ((exact, rough), Seal.generate().tag, "beside something else"),
    ):
        for mask_ in (None, lambda limbs: limbs):
            with pytest.raises(Withheld) as refused:
                release(share, Terms(SHIPPED, False, 3, mask_, tag))
            assert refused.value.code is Code.FAILED and words in refused.value.detail


def test_a_sum_that_is_no_number_never_leaves() -> None:
    for value in (np.nan, np.inf, -np.inf):
        part = Sums("s", np.array([[value]]), np.array([50]), np.array([0]), dimension(1))
        for thresholds in (SHIPPED, OPEN):
            with pytest.raises(Withheld) as refused:
                opened((part,), thresholds)
            assert (refused.value.code, refused.value.detail) == (Code.FAILED, "s holds a number that is not finite")
        with pytest.raises((Withheld, OverflowError, ValueError)):
            masked([(part,)] * 3)
