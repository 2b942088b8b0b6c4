"""128-bit fixed point against Python's own integers and fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from civicgrid.errors import DataError, PlanError, TrustError
from civicgrid.trust.fixedpoint import Encoding, Limbs, Slot
from civicgrid.trust.masks import combine

int64 = st.integers(-(2**63), 2**63 - 1)


def integers(limbs: Limbs) -> list[int]:
    whole = [int(low) + (int(high) << 64) for low, high in limbs.tolist()]
    return [number - 2**128 if number >> 127 else number for number in whole]


def limbs_of(numbers: list[int]) -> Limbs:
    rows = [[number % 2**64, number % 2**128 >> 64] for number in numbers]
    return np.array(rows, dtype=np.uint64).reshape(len(numbers), 2)


def nearest(number: Fraction) -> float:
    return number.numerator / number.denominator


@st.composite
def sized(draw: st.DrawFn) -> tuple[int, list[float]]:
    """An exponent, and values from far below its quantum to the most that six sites may send."""
    exponent = draw(st.integers(-300, 300))
    top = 2.0 ** (exponent + 63)
    value = st.one_of(
        st.floats(-top, top, allow_nan=False),
        st.builds(lambda m, s: float(m) * 2.0 ** (exponent + s), st.integers(-(2**53), 2**53), st.integers(-120, 9)),
        st.sampled_from([0.0, -0.0, 5e-324, -5e-324, top, -top]),
    )
    return exponent, draw(st.lists(value, max_size=12))


@given(sized())
def test_a_float_is_a_whole_number_of_quanta(case: tuple[int, list[float]]) -> None:
    exponent, values = case
    encoding = Encoding((Slot("x", (len(values),), exponent),), sites=6)
    got = integers(encoding.encode({"x": np.array(values, dtype=np.float64)}))
    quantum = Fraction(2) ** (exponent - 60)
    assert got == [round(Fraction(value) / quantum) for value in values]


@given(st.lists(st.integers(-(2**126), 2**126), max_size=12), st.integers(-300, 300))
def test_a_total_comes_back_as_the_nearest_float(totals: list[int], exponent: int) -> None:
    encoding = Encoding((Slot("x", (len(totals),), exponent),), sites=6)
    got = encoding.decode(limbs_of(totals))["x"].tolist()
    assert got == [nearest(total * Fraction(2) ** (exponent - 60)) for total in totals]


@given(st.integers(0, 126), st.integers(-3, 3), st.integers(0, 73), st.integers(-1, 1), st.booleans())
def test_rounds_ties_to_even(bits: int, near: int, tie: int, off: int, negative: bool) -> None:
    total = min(2**bits + near + 2**tie + off, 2**126) * (-1 if negative else 1)
    encoding = Encoding((Slot("x", (), 60),), sites=1)
    assert float(encoding.decode(limbs_of([total]))["x"]) == float(total)


@given(st.lists(st.lists(int64, min_size=3, max_size=3), min_size=1, max_size=8))
def test_whole_numbers_add_exactly_or_are_refused(parts: list[list[int]]) -> None:
    encoding = Encoding((Slot("n", (3,)),), sites=len(parts))
    total = combine([encoding.encode({"n": np.array(part, dtype=np.int64)}) for part in parts])
    expected = [sum(column) for column in zip(*parts, strict=True)]
    assert integers(total) == expected
    if all(-(2**63) <= number < 2**63 for number in expected):
        assert encoding.decode(total)["n"].tolist() == expected
    else:
        with pytest.raises(TrustError, match="n: the total of whole numbers does not fit"):
            encoding.decode(total)


@given(st.permutations(range(7)), st.lists(st.floats(-1e6, 1e6), min_size=7, max_size=7))
def test_the_order_of_the_sites_changes_nothing(order: list[int], values: list[float]) -> None:
    encoding = Encoding((Slot("x", (1,), 20),), sites=7)
    parts = [encoding.encode({"x": np.array([value])}) for value in values]
    assert np.array_equal(combine(parts), combine([parts[index] for index in order]))
    exact = sum(Fraction(value) for value in values)
    error = abs(Fraction(float(encoding.decode(combine(parts))["x"][0])) - exact)
    assert error <= 7 * Fraction(2) ** (20 - 61) + abs(exact) / 2**53


def test_several_arrays_with_a_size_for_each_value() -> None:
    sizes = np.array([-40, 0, 40])
    encoding = Encoding((Slot("score", (2, 3), sizes), Slot("n", (2,)), Slot("all", (), 3)), sites=3)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "n": np.array([7, -1], dtype=np.int64),
        "score": np.array([[2.0**-41, -0.1, 2.0**41], [0.0, 1.0, -3e12]]),
        "all": np.array(-5.5),
    }
    assert encoding.length == 9
    back = encoding.decode(encoding.encode(arrays))
    assert {name: array.tolist() for name, array in back.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }
    assert back["n"].dtype == np.int64


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_no_number_by_the_array_name(bad: float) -> None:
    encoding = Encoding((Slot("score", (2,), 0),), sites=3)
    with pytest.raises(DataError, match=r"^score: holds a number that is infinite or not a number\. Nothing was sent\.$"):
        encoding.encode({"score": np.array([1.0, bad])})


@pytest.mark.parametrize("sites", [1, 3, 6, 50, 10_000])
def test_refuses_what_could_wrap_when_summed(sites: int) -> None:
    encoding = Encoding((Slot("score", (1,), 60),), sites)
    most = np.nextafter(2.0**126 / sites, 0)
    assert abs(integers(encoding.encode({"score": np.array([-most])}))[0]) * sites <= 2**126
    for value in (2.0**126 / sites * (1 + 2**-50), 1e300, -1e300):
        with pytest.raises(DataError, match="score: holds a number too large") as caught:
            encoding.encode({"score": np.array([value])})
        assert f"{value:g}" not in str(caught.value) and str(value) not in str(caught.value)


def test_refuses_a_total_that_the_sites_cannot_have_sent() -> None:
    encoding = Encoding((Slot("x", (1,), 0),), sites=3)
    for total in (2**127 - 1, -(2**127), 2**126 + 2**64):
        with pytest.raises(TrustError, match="larger than the sites can have sent"):
            encoding.decode(limbs_of([total]))
    with pytest.raises(TrustError, match="Expected a total of 1 values"):
        encoding.decode(limbs_of([1, 2]))


def test_refuses_arrays_that_the_layout_does_not_name() -> None:
    encoding = Encoding((Slot("x", (2,), 0), Slot("n", (1,))), sites=3)
    good = {"x": np.zeros(2), "n": np.zeros(1, dtype=np.int64)}
    with pytest.raises(PlanError, match="Expected the arrays x, n; x came"):
        encoding.encode({"x": good["x"]})
    with pytest.raises(PlanError, match=r"x: expected shape \(2,\)"):
        encoding.encode({**good, "x": np.zeros(3)})
    with pytest.raises(DataError, match="x: expected float64; int64 came"):
        encoding.encode({**good, "x": np.zeros(2, dtype=np.int64)})
    with pytest.raises(DataError, match="n: expected whole numbers"):
        encoding.encode({**good, "n": np.zeros(1)})
    with pytest.raises(DataError, match="n: expected whole numbers"):
        encoding.encode({**good, "n": np.array([2**63], dtype=np.uint64)})


def test_refuses_layouts_that_mean_nothing() -> None:
    with pytest.raises(PlanError, match="each array of a share under its own name"):
        Encoding((Slot("x", (1,), 0), Slot("x", (1,), 0)), sites=3)
    with pytest.raises(PlanError, match="from 1 to 10,000 sites"):
        Encoding((), sites=0)
    with pytest.raises(PlanError, match="x: expected exponents that are whole numbers"):
        Slot("x", (1,), 901)
    with pytest.raises(PlanError, match="x: expected exponents for an array of shape"):
        Slot("x", (2,), np.zeros(3, dtype=np.int64))
