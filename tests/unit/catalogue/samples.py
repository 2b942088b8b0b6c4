"""Records for the tests: one with every field, and the folder of published standards."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from civicgrid.catalogue.duo import Condition
from civicgrid.catalogue.profile import Bin, LevelCount, VariableProfile
from civicgrid.catalogue.record import Agent, Contact, Distribution, Place, Record, Variable, VariableTable

_CLONE = Path(__file__).parents[3]
_PLACES = [folder / "shared" / "standards" for folder in (_CLONE.parent, _CLONE.parent.parent)]
STANDARDS = next((place for place in _PLACES if place.exists()), _PLACES[0])
"""Published shapes, schemas and examples: beside the clone, or beside the folder that it lies in."""

needs_standards = pytest.mark.skipif(
    not STANDARDS.exists(), reason="the folder of published standards is not beside this clone"
)
BASE = "https://hub.example/catalogue/"
LOADED = dt.date(2026, 11, 20)


def full(identifier: str = "leeds/trial") -> Record:
    return Record(
        identifier=identifier,
        title="Asthma registry of Leeds",
        abstract="People with asthma who were seen at the clinics of Leeds since 2010.",
        description="Everybody with a diagnosis of asthma at one of five clinics. Good for long follow-up.",
        keywords=("asthma", "registry"),
        health_categories=("EHRS", "MRMR"),
        custodian=Agent(
            name="Leeds Trust", address="https://leeds.example/", contact=Contact(email="data@leeds.example")
        ),
        publisher=Agent(name="North Network", contact=Contact(page="https://north.example/contact")),
        contact=Contact(email="asthma@leeds.example", page="https://leeds.example/asthma"),
        hdab=Agent(name="Data Access Body", contact=Contact(email="hdab@health.example")),
        legal_basis="Public task (UK GDPR Article 6(1)(e), 9(2)(h) and (j)).",
        conditions=(
            Condition(code="DUO:0000007", detail="asthma, COPD"),
            Condition(code="DUO:0000021"),
            Condition(code="DUO:0000022", detail="GB, IE"),
        ),
        places=(
            Place(name="England", address="https://sws.geonames.org/6269131/"),
            Place(name="Leeds and its surroundings"),
        ),
        begins=dt.date(2010, 1, 1),
        people=12_340,
        youngest=5,
        oldest=90,
        frequency="monthly",
        refreshed=LOADED,
        delay="2-4 weeks",
        provenance="Copied from the clinics' records every night and checked by the registry's staff.",
        coding_systems=("SNOMED CT", "ICD-10"),
        distributions=(
            Distribution(title="Apply", access="https://hub.example/apply", description="One form for all.", format="CSV"),
        ),
        tables=(
            VariableTable(
                name="trial",
                title="One row a person",
                variables=(
                    Variable(
                        name="age",
                        title="Age",
                        description="Age at diagnosis in years.",
                        datatype="integer",
                        profile=VariableProfile(
                            as_of=LOADED,
                            people=12_300,
                            missing=40,
                            bins=(Bin(high=40, people=6_000), Bin(low=40, people=6_300)),
                        ),
                    ),
                    Variable(
                        name="sex",
                        title="Sex",
                        description="Sex as recorded.",
                        profile=VariableProfile(
                            as_of=LOADED,
                            people=12_340,
                            missing=0,
                            levels=(LevelCount(level="female", people=6_340), LevelCount(level="other")),
                        ),
                    ),
                ),
            ),
        ),
        version="1.2.0",
        issued=dt.date(2026, 1, 5),
    )
