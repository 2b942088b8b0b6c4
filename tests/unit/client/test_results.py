"""Results: as a frame, as plain data, as text, in a notebook; hidden cells marked and never guessed at."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

import civicgrid as cg
from civicgrid.client.results import Answer, NoAnswer, Result
from civicgrid.disclosure.codes import Code
from civicgrid.disclosure.output import Output, OutputColumn, OutputTable
from civicgrid.errors import CivicGridError, FitError
from civicgrid.methods.plan import bind
from civicgrid.query.types import INT, Schema
from civicgrid.wire import AnalysisResult, SiteOutcome, StudyResult

EVIL = '<script>alert("x")</script><img src=x onerror=y>'
TABLE = OutputTable(
    name="people",
    title="People by sex",
    columns=(OutputColumn(name="sex", format="text"), OutputColumn(name="people", format="count")),
    rows=(("female", 1235), ("male", None), ("total", None)),
    hidden=((1, 1), (2, 1)),
)
SITES = (
    SiteOutcome(site="hull", status="answered"),
    SiteOutcome(site="leeds", status="suppressed"),
    SiteOutcome(site="york", status="refused", code=Code.NOT_PERMITTED),
    SiteOutcome(site="wales", status="offline"),
)


def output(**changes: Any) -> Output:
    fields: dict[str, Any] = {
        "method": "crosstab",
        "version": 1,
        "tables": (TABLE,),
        "facts": {"people": 1235, "chi_square": 3.5},
        "notes": ("Two sites.",),
        "suppressed": ("2 cells below 10",),
    }
    return Output(**fields | changes)


def result(**changes: Any) -> Result:
    fields: dict[str, Any] = {"name": "by_sex", "output": output(), "mode": "masked", "rounds": 2, "sites": SITES}
    return Result(AnalysisResult(**fields | changes))


def test_a_table_as_a_frame_has_nothing_where_something_was_hidden() -> None:
    held = result().to_pandas()
    assert list(held.columns) == ["sex", "people"]
    assert held["people"].isna().tolist() == [False, True, True]
    assert result().to_pandas("people").equals(held)
    with pytest.raises(CivicGridError, match=r"by_sex has no table 'men'\. It has: people"):
        result().to_pandas("men")
    with pytest.raises(CivicGridError, match=r"no table to show\. 2 cells below 10"):
        result(output=output(tables=())).to_pandas()


def test_as_plain_data() -> None:
    data = result().to_dict()
    assert data["tables"]["people"][0] == {"sex": "female", "people": 1235}
    assert data["tables"]["people"][1]["people"] is None
    assert (data["facts"], data["notes"], data["suppressed"]) == (
        {"people": 1235, "chi_square": 3.5},
        ["Two sites."],
        ["2 cells below 10"],
    )
    assert data["sites"][2] == {"site": "york", "status": "refused", "code": "not_permitted"}


def test_as_text_hidden_cells_are_marked_and_every_site_is_named() -> None:
    text = str(result())
    assert repr(result()) == text
    for words in ("People by sex", "1,235", "[hidden]", "Suppressed: 2 cells below 10", "chi square 3.5", "2 rounds"):
        assert words in text
    assert "1 of 4 sites answered; leeds suppressed, york refused, wales offline" in text


def test_each_site_s_outcome_is_said_in_words() -> None:
    held = result().sites.to_pandas().set_index("site")
    assert "no valid permit" in held.loc["york", "words"]
    assert "Held back by disclosure control" in held.loc["leeds", "words"]
    assert "Did not answer in time" in held.loc["wales", "words"]
    assert "no valid permit" in repr(result().sites)


class Reader(HTMLParser):
    """Which elements a page has, and their text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_in_a_notebook_a_table_is_a_table() -> None:
    page = Reader(result()._repr_html_())
    assert {"table", "caption", "th", "td"} <= set(page.elements)
    assert "1,235" in page.text
    assert page.text.count("hidden") == 2
    assert "table" in Reader(result().sites._repr_html_()).elements


def test_no_name_is_markup_in_a_notebook() -> None:
    table = TABLE.model_copy(
        update={
            "title": EVIL,
            "columns": (OutputColumn(name=EVIL, format="text"), OutputColumn(name="n", label=EVIL, format="count")),
            "rows": ((EVIL, 1), (EVIL, None), ("total", None)),
        }
    )
    evil = output(tables=(table,), facts={EVIL: 1}, notes=(EVIL,), suppressed=(EVIL,))
    for shown in (result(output=evil), result(output=None, failure=EVIL, name=EVIL), result(output=None, failure=EVIL)):
        page = Reader(shown._repr_html_())
        assert not {"script", "img"} & set(page.elements)
        assert "alert" in page.text


def test_names_with_square_brackets_are_themselves_in_a_terminal() -> None:
    odd = ("[red]", "[/]", "[bold]x[/bold]", "[18, 30)", "[link=http://x]y[/link]")
    for name in odd:
        table = TABLE.model_copy(
            update={
                "title": f"T {name}",
                "columns": (OutputColumn(name=name, format="text"), OutputColumn(name="n", label=f"L {name}")),
                "rows": ((name, 1), ("male", 2), ("total", 3)),
                "hidden": (),
            }
        )
        text = str(result(output=output(tables=(table,), notes=(name,), suppressed=(name,), facts={name: 1})))
        assert text.count(name) == 7, text


def test_failures_are_raised_as_what_they_are() -> None:
    answered = result(output=None, failure="Separation: sex predicts the outcome.")
    with pytest.raises(FitError, match="Separation"):
        answered.to_pandas()
    nobody = result(output=None, failure="No site answered this analysis.", sites=SITES[1:])
    with pytest.raises(NoAnswer, match="No site answered") as none:
        nobody.to_dict()
    assert none.value.sites.summary().startswith("0 of 3 sites answered")
    assert "What may help: merge levels or widen the cohort" in str(none.value)
    offline = result(output=None, failure="No site answered this analysis.", sites=SITES[2:])
    with pytest.raises(NoAnswer) as away:
        offline.to_dict()
    assert "What may help" not in str(away.value)
    assert "no answer" in str(answered)
    assert answered.failure.startswith("Separation")


def test_an_answer_is_a_mapping_of_its_analyses() -> None:
    plan = bind(cg.dataset("trial"), {"people": cg.Count()}, {"trial": Schema.of({"age": INT})}, "How many?")
    held = Answer(
        plan,
        StudyResult(
            run="0" * 64,
            plan=plan.digest(),
            analyses=(
                AnalysisResult(name="people", output=output(), mode="open", sites=SITES),
                AnalysisResult(name="fit", failure=EVIL, sites=SITES),
            ),
        ),
        {"people": 0.1},
    )
    assert (list(held), len(held), "people" in held, held.seconds) == (["people", "fit"], 2, True, {"people": 0.1})
    with pytest.raises(KeyError, match=r"There is no analysis 'men'\. The study has: people, fit"):
        held["men"]
    assert "How many?" in held.explain()
    assert "each site's share passed its own rules" in str(held)
    page = Reader(held._repr_html_())
    assert page.elements.count("h3") == 2
    assert "script" not in page.elements
