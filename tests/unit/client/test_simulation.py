"""What a researcher types: arguments that do not fit are refused with what to write instead; plans travel unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.client.results import NoAnswer
from civicgrid.client.simulate import Simulation, site_name
from civicgrid.errors import CivicGridError, DataError, FitError, PlanError
from civicgrid.methods import METHODS
from civicgrid.methods.plan import Plan, read_plan
from unit.node.sites import frame

TRIAL = cg.dataset("trial")


@pytest.fixture(scope="module")
def grid() -> Iterator[Simulation]:
    made = cg.simulate({"Leeds": frame(60), "york": frame(50), "hull": frame(40)}, dataset="trial")
    yield made
    made.close()


# --- studies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda: cg.study(TRIAL), "needs at least one method"),
        (lambda: cg.study(TRIAL, people=cg.Count), "Expected a method for 'people'.*Metaclass came"),
        (lambda: cg.study(TRIAL, people="count"), "Expected a method for 'people'.*str came"),
        (lambda: cg.study(TRIAL, people=cg.Count(TRIAL)), r"'people' has one of its own. Write Count\(…\) without it"),
    ],
)
def test_a_study_written_wrong_says_how_to_write_it(write: Callable[[], Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        write()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (cg.Count(), r"Count needs a table to run on: Count\(cohort, …\)"),
        ("count", r"Expected a method or a study to run; str came. Write, for example, cg.Count\(cohort\)"),
        (cg.Count(cg.cdm("gp")), "a method is run on a cohort of it: cg.cohort"),
        (cg.Count(cg.dataset("tril")), "called 'tril'. It has: trial"),
        (cg.Count(42), "run on a cohort or on a data set; int came"),
        (cg.Describe(TRIAL, columns=["height"]), "has no column 'height'. It has: age, sex, died"),
    ],
)
def test_what_cannot_be_bound_says_why(grid: Simulation, what: Any, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        grid.run(what)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sites": [1, 2]}, "Expected each site.s data under its name: cg.simulate.*; list came"),
        ({"sites": frame(60)}, "under its name.*; DataFrame came"),
        ({"sites": {"a": frame(60)}, "policy": "open"}, r"Expected a policy such as cg.Policy.open\(\); str came"),
    ],
)
def test_what_cannot_be_simulated_says_how_to_write_it(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        cg.simulate(**arguments)


def test_one_site_may_be_named_without_a_list(grid: Simulation) -> None:
    assert repr(grid) == "<a simulation of leeds, york, hull>"
    assert [site.site for site in grid.run(cg.Count(TRIAL), sites="leeds").sites] == ["leeds"]


def test_an_unknown_method_parameter_is_named() -> None:
    with pytest.raises(PlanError, match="it has no parameter 'outcom'"):
        cg.GLM(TRIAL, outcom="died", predictors=["age"], family="binomial")


def test_an_analysis_is_named_as_a_name(grid: Simulation) -> None:
    with pytest.raises(ValueError, match="String should match pattern"):
        grid.plan(cg.study(TRIAL, **{"<script>": cg.Count()}))


def test_a_handle_with_the_dictionary_s_types_comes_from_the_grid(grid: Simulation) -> None:
    nobody = grid.run(cg.Count(cg.cohort(grid.dataset("trial")["age"] > 100)))
    assert nobody.to_pandas()["people"].isna().all()
    assert nobody.suppressed, "nobody looks like a few"
    with pytest.raises(PlanError, match=r"no research table 'tril'|has no|No site of this grid"):
        grid.dataset("tril")


# --- simulate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "plain"), [("Leeds", "leeds"), ("  St James' ", "st-james"), ("_a", "a"), ("a_b", "a_b"), (7, "7")]
)
def test_a_site_s_name_is_written_plainly(name: Any, plain: str) -> None:
    assert site_name(name) == plain


@pytest.mark.parametrize("name", ["", "...", "__", "’"])
def test_a_site_needs_a_name(name: str) -> None:
    with pytest.raises(DataError, match="Expected a name for each site"):
        cg.simulate({name: frame(60)})


def test_long_names_stay_within_what_the_wire_allows() -> None:
    one = cg.simulate({"a" * 200: frame(60)})
    assert one.run(cg.Count(cg.dataset("data"))).sites[0].site == "a" * 63


@pytest.mark.parametrize(
    ("sites", "words"),
    [
        ({}, "at least one site"),
        ({"Leeds": frame(60), "leeds": frame(60)}, "two are the same once written in lower case"),
        ({"leeds": "no/such/file.csv"}, "file.csv"),
        ({"leeds": 42}, "int"),
    ],
)
def test_sites_that_cannot_be_simulated_are_refused(sites: Any, words: str) -> None:
    with pytest.raises(CivicGridError, match=words):
        cg.simulate(sites)


def test_of_sites_with_different_columns_only_the_common_ones_are_read_and_the_report_says_so() -> None:
    other = frame(50).rename(columns={"age": "years"})
    grid = cg.simulate({"leeds": frame(60), "york": other, "hull": frame(40)})
    assert "Left out, since the data dictionary does not declare them: years" in str(grid.reports["york"])
    assert grid.dictionaries()["data"].names == ("sex", "died")
    with pytest.raises(PlanError, match="has no column 'age'"):
        grid.run(cg.Describe(cg.dataset("data"), columns=["age"]))
    with pytest.raises(CivicGridError, match="at least one column"):
        cg.simulate({"leeds": frame(60), "york": pd.DataFrame({"other": [1]})})


def test_a_run_may_be_limited_to_some_sites(grid: Simulation) -> None:
    result = grid.run(cg.Count(TRIAL), sites=["Leeds", "york"])
    assert ({site.site for site in result.sites}, result.mode) == ({"leeds", "york"}, "open")
    with pytest.raises(DataError, match=r"There is no site london\. There is: leeds, york, hull"):
        grid.run(cg.Count(TRIAL), sites=["london"])


def test_csv_parquet_and_frames_are_the_same_site(tmp_path: Path) -> None:
    frame(60).to_csv(tmp_path / "a.csv", index=False)
    frame(50).to_parquet(tmp_path / "b.parquet")
    grid = cg.simulate({"a": tmp_path / "a.csv", "b": str(tmp_path / "b.parquet"), "c": frame(40)})
    assert grid.run(cg.Count(cg.dataset("data"))).to_pandas()["people"].item() == 150


def test_an_open_policy_shows_the_exact_count() -> None:
    grid = cg.simulate({"a": frame(3), "b": frame(4)}, policy=cg.Policy.open())
    assert grid.run(cg.Count(cg.dataset("data"))).to_pandas()["people"].item() == 7


def test_progress_is_told(grid: Simulation) -> None:
    seen: list[Any] = []
    grid.run(cg.Count(TRIAL), progress=seen.append)
    assert {line["kind"] for line in seen} == {"accepted", "shared"}


# --- plans -----------------------------------------------------------------------------------------------------------

EVERY: dict[str, tuple[Any, ...]] = {
    "discover": (cg.Discover(),),
    "count": (cg.Count(),),
    "describe": (
        cg.Describe(columns=["age", "sex"]),
        cg.Describe(columns=["sex", "age"]),
        cg.Describe(columns=["age"]),
        cg.Describe(columns=["age", "died"], by="sex"),
        cg.Describe(columns=["age", "died"]),
    ),
    "crosstab": (cg.Crosstab(rows="sex", columns="ward"), cg.Crosstab(rows="ward", columns="sex")),
    "glm": (
        cg.GLM(outcome="died", predictors=["age"], family="binomial"),
        cg.GLM(outcome="died", predictors=["age"], family="poisson"),
        cg.GLM(outcome="died", predictors=["age"], family="gaussian"),
        cg.GLM(outcome="died", predictors=["age", "sex"], family="binomial"),
        cg.GLM(outcome="age", predictors=["died"], family="gaussian"),
        cg.GLM(outcome="died", predictors=[cg.poly("age", 2)], family="binomial"),
        cg.GLM(outcome="died", predictors=["age", "sex", cg.interaction("age", "sex")], family="binomial"),
        cg.GLM(outcome="died", predictors=["age"], family="poisson", offset="exposure"),
        cg.GLM(outcome="died", predictors=["age"], family="binomial", weights="exposure"),
    ),
}


@pytest.fixture(scope="module")
def wide() -> Iterator[Simulation]:
    held = frame(60)
    held["ward"] = pd.Series(["north", "south", "east"] * 20)
    held["exposure"] = [1.0 + i % 3 for i in range(60)]
    made = cg.simulate({"a": held}, dataset="trial")
    yield made
    made.close()


def test_every_method_is_tried_here() -> None:
    assert set(EVERY) == set(METHODS)


@pytest.mark.parametrize("kind", METHODS)
def test_a_plan_comes_back_from_its_bytes_under_the_same_digest(wide: Simulation, kind: str) -> None:
    for method in EVERY[kind]:
        plan = wide.plan(cg.study(TRIAL, title="T", it=method))
        back = read_plan(plan.canonical())
        assert (back, back.digest(), back.canonical()) == (plan, plan.digest(), plan.canonical())
        assert back.explain() == plan.explain()
        assert isinstance(back, Plan)
        assert back.identity == plan.identity


@pytest.mark.parametrize("kind", METHODS)
def test_a_method_that_means_something_else_says_so(wide: Simulation, kind: str) -> None:
    plans = [wide.plan(cg.study(TRIAL, it=method)) for method in EVERY[kind]]
    words = [plan.analyses[0].method.explain(plan.schema) for plan in plans]
    assert len(set(words)) == len(words)
    assert len({plan.digest() for plan in plans}) == len(plans)


CHANGED: dict[str, dict[str, Any]] = {
    "discover": {},
    "count": {},
    "describe": {"variables": ("age",), "by": "ward"},
    "crosstab": {"rows": "band", "across": "band"},
    "glm": {
        "outcome": "exposure",
        "predictors": cg.GLM(outcome="died", predictors=["sex"], family="binomial").predictors,
        "family": "poisson",
        "offset": "exposure",
        "weights": "exposure",
        "reference": {"sex": "male"},
    },
}


@pytest.mark.parametrize("kind", METHODS)
def test_every_parameter_of_a_method_is_in_its_words(kind: str) -> None:
    held = frame(60)
    held["ward"] = pd.Series(["north", "south", "east"] * 20)
    held["band"] = pd.Series(["low", "high"] * 30)
    held["exposure"] = [1.0 + i % 3 for i in range(60)]
    schema = cg.simulate({"a": held}).dictionaries()["data"]
    method = EVERY[kind][3 if kind in ("describe", "glm") else 0]
    free = set(METHODS[kind].model_fields) - {"kind"}
    tried = dict(CHANGED[kind])
    for name in free - set(tried):
        value = getattr(method, name)
        # Numbers and switches are changed as they are; whatever else a method has must be named above.
        assert isinstance(value, bool | int | float), f"{kind}.{name} is not tried here"
        tried[name] = not value if isinstance(value, bool) else (value + 0.01 if isinstance(value, float) else value + 1)
    assert set(tried) == free
    for name, value in tried.items():
        assert method.model_copy(update={name: value}).explain(schema) != method.explain(schema), name


# --- answers that are none -------------------------------------------------------------------------------------------


def test_a_single_method_without_an_answer_raises_its_reason() -> None:
    small = cg.simulate({"a": frame(9)})
    with pytest.raises(NoAnswer, match="No site answered") as none:
        small.run(cg.Count(cg.dataset("data")))
    assert [(site.site, site.status) for site in none.value.sites] == [("a", "suppressed")]


def test_in_a_study_the_reason_is_kept_with_the_analysis(grid: Simulation) -> None:
    same = frame(60).assign(one=1.0)
    grid = cg.simulate({"a": same, "b": same, "c": same}, zeros=True)
    answer = grid.run(
        cg.study(
            cg.dataset("data"),
            fit=cg.GLM(outcome="age", predictors=["one"], family="gaussian"),
            people=cg.Count(),
        )
    )
    assert answer["fit"].failure
    assert answer["people"].failure == ""
    with pytest.raises(FitError):
        _ = answer["fit"].output


def test_a_study_of_complete_cases_is_about_the_same_people_throughout() -> None:
    """Three at each site lack a weight: the ages of all, and of all but those, would give theirs away."""
    parts = {name: frame(120) for name in ("a", "b", "c")}
    for part in parts.values():
        part["weight"] = [None if i in (7, 50, 90) else 60.0 + i % 23 for i in range(120)]
    methods = {
        "people": cg.Count(),
        "table": cg.Describe(columns=["age", "weight"], by="sex"),
        "fit": cg.GLM(outcome="weight", predictors=["age", "sex"], family="gaussian"),
    }
    grid = cg.simulate(parts, dataset="trial")
    with pytest.raises(CivicGridError, match="Held back by disclosure control"):
        _ = grid.run(cg.study(TRIAL, **methods))["fit"].output
    answer = cg.simulate(parts, dataset="trial").run(cg.study(TRIAL, complete=True, **methods))
    assert answer["people"].to_pandas()["people"].item() == 350, "351, rounded"
    assert answer["fit"].facts["people_used"] == 350
    assert "it is not so that (the column “weight” is missing)" in answer.explain()
    pooled = cg.simulate(parts, dataset="trial", policy=cg.Policy.open()).run(cg.study(TRIAL, **methods))
    ours, theirs = (a["fit"].to_pandas()["estimate"].to_numpy() for a in (answer, pooled))
    assert ours == pytest.approx(theirs, rel=1e-5)
