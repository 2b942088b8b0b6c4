"""The load report: it accounts for every row, and reads well."""

import pytest

from civicgrid.curation.report import LoadReport, TableReport


def report(**changes):
    values = {
        "dataset": "leeds",
        "kind": "omop",
        "snapshot": "ab" * 32,
        "changed": True,
        "seconds": 1.26,
        "tables": (
            TableReport("person", 1200, 1200),
            TableReport("measurement", 2000, 1990, {"an impossible date": 10}, {"x: not a number": 3}),
        ),
        "notes": ("left <out>",),
    }
    return LoadReport(**(values | changes))


def test_rows_that_are_not_accounted_for_are_a_fault_of_the_loader():
    with pytest.raises(AssertionError, match="10 rows were read, but 8 loaded and 1 set aside"):
        TableReport("person", 10, 8, {"a blank row": 1})


def test_the_first_line_says_what_happened():
    assert str(report()).splitlines()[0] == (
        "leeds: 3,190 of 3,200 rows loaded, 10 set aside, 3 values set to missing, in 2 tables (1.3 s)."
    )
    assert "already holds exactly this content" in str(report(changed=False))


def test_what_was_set_aside_is_listed_with_its_reason():
    words = str(report())
    assert "measurement: 10 × an impossible date" in words
    assert "measurement: 3 × value set to missing, x: not a number" in words


def test_the_page_form_is_escaped():
    page = report()._repr_html_()
    assert "left &lt;out&gt;" in page and "<td>1,990</td>" in page


def test_a_table_that_was_not_loaded_is_answered_with_those_that_were():
    assert report()["person"].loaded == 1200
    with pytest.raises(KeyError, match="person, measurement"):
        report()["death"]
