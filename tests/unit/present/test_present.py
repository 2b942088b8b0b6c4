"""Tables, figures and the report of each method's own output: readable, self-contained, and no name is markup."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

import civicgrid as cg
from civicgrid.client.results import Answer
from civicgrid.disclosure.output import Output, OutputColumn, OutputTable
from civicgrid.errors import CivicGridError
from civicgrid.methods import METHODS
from civicgrid.present.plots import describe, draw, drawable, figure, svg
from civicgrid.present.report import Section, report
from civicgrid.present.tables import HIDDEN, as_csv, as_html, as_text, cells, html_table, read, write
from civicgrid.wire import SiteOutcome

EVIL = '<script>x</script><img src="http://evil.example/a">&"\''


def held(size: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [20.0 + (7 * i) % 60 for i in range(size)],
            "sex": ["female" if i % 2 else "male" for i in range(size)],
            "ward": [("north", "south", "east")[i % 3] for i in range(size)],
            "died": [bool((i // 2) % 2) for i in range(size)],
        }
    )


@pytest.fixture(scope="module")
def answer() -> Iterator[Answer]:
    grid = cg.simulate({"a": held(400), "b": held(300), "c": held(200)})
    yield grid.run(
        cg.study(
            cg.dataset("data"),
            title="All methods",
            discover=cg.Discover(),
            count=cg.Count(),
            describe=cg.Describe(columns=["age", "ward"], by="sex"),
            crosstab=cg.Crosstab(rows="ward", columns="died"),
            glm=cg.GLM(outcome="died", predictors=["age", "sex"], family="binomial"),
        )
    )
    grid.close()


def test_every_method_is_shown_here(answer: Answer) -> None:
    assert set(answer) == set(METHODS)
    assert not [result.failure for result in answer.values() if result.failure]


@pytest.mark.parametrize("kind", METHODS)
def test_a_method_s_answer_reads_the_same_as_text_and_as_a_page(answer: Answer, kind: str) -> None:
    output = answer[kind].output
    text, page = as_text(output), as_html(output)
    for table in output.tables:
        assert table.title
        assert html_table(table) in page
        for row in cells(table):
            for value in row:
                if value != HIDDEN:
                    assert value in text
                    assert value.replace("&", "&amp;").replace("<", "&lt;") in page
    ElementTree.fromstring(page.replace("class=num", 'class="num"'))


@pytest.mark.parametrize("kind", METHODS)
def test_a_method_s_figure_says_in_words_what_it_shows(answer: Answer, kind: str) -> None:
    drawn = [table for table in answer[kind].output.tables if drawable(table)]
    if not drawn:
        with pytest.raises(CivicGridError, match="nothing to draw"):
            figure(answer[kind].output)
        return
    assert figure(answer[kind].output).axes
    for table in drawn:
        picture = svg(table)
        root = ElementTree.fromstring(picture)
        assert root.get("role") == "img"
        names = [child.tag.rpartition("}")[2] for child in root[:2]]
        assert names == ["title", "desc"]
        assert root[0].text == table.title
        assert root[1].text == describe(table)
        assert svg(table) == picture, "the same table, the same bytes"


def sections(answer: Answer) -> list[Section]:
    return [
        Section(name, answer.plan.methods[name].explain(answer.plan.schema), r.output, r.failure, r.mode, r.sites)
        for name, r in answer.items()
    ]


def page_of(answer: Answer, **changes: Any) -> str:
    given: dict[str, Any] = {
        "title": answer.plan.title,
        "explanation": answer.explain(),
        "plan": answer.plan.digest(),
        "sections": sections(answer),
        "seconds": {"enrol": 0.5},
        "remarks": ["As pooled."],
    }
    return report(**given | changes)


class Page(HTMLParser):
    """The elements and attributes of a page, and whether each is closed in order."""

    VOID = {"meta", "link", "img", "br", "hr", "input", "path", "use", "rect"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def test_the_report_is_one_file_that_asks_nobody_for_anything(answer: Answer) -> None:
    text = page_of(answer)
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.elements)
    asking = [
        (name, value)
        for name, value in page.attributes
        if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster") and not (value or "").startswith("#")
    ]
    assert not asking
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    styles = re.findall(r"<style.*?</style>", text, re.DOTALL)
    styles += [value or "" for name, value in page.attributes if name == "style"]
    assert not [style for style in styles if "@import" in style or re.search(r"url\((?!#)", style)]


def test_the_report_is_sound_html_with_words_for_every_picture(answer: Answer) -> None:
    text = page_of(answer)
    page = Page(text)
    assert (page.faults, page.open) == ([], [])
    assert ("lang", "en-GB") in page.attributes
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) >= 2
    assert all('role="img"' in one and "<title>" in one and "<desc>" in one for one in pictures)
    assert text.count("<caption>") >= 4
    assert page.elements.count("h1") == 1


def test_the_report_says_what_was_asked_what_came_and_who_answered(answer: Answer) -> None:
    text = page_of(answer)
    for words in (answer.plan.digest(), "People's records stayed at each site", "Who answered", "0.50", "As pooled."):
        assert words in text
    failed = [Section("fit", "A fit.", None, "Separation.", "none", [SiteOutcome(site="wales", status="offline")])]
    text = page_of(answer, sections=failed)
    assert "No answer." in text
    assert "Separation." in text
    assert "Did not answer in time" in text


def evil_output() -> Output:
    table = OutputTable(
        name=EVIL,
        title=EVIL,
        columns=(
            OutputColumn(name=EVIL, format="text", label=EVIL),
            OutputColumn(name=f"{EVIL} %", format="percent", label=EVIL),
            OutputColumn(name="other %", format="percent"),
        ),
        rows=((EVIL, 40.0, 60.0), ("$5 to $10", 50.0, 50.0), ("$\\frac$", 10.0, 90.0)),
    )
    return Output(method="m", version=1, tables=(table,), facts={EVIL: 1}, notes=(EVIL,), suppressed=(EVIL,))


def test_names_with_markup_or_formulas_are_shown_as_they_are(answer: Answer) -> None:
    output = evil_output()
    evil = Section(EVIL, EVIL, output, EVIL, "open", [SiteOutcome(site="a", status="answered")])
    changes = {"title": EVIL, "explanation": f"{EVIL}\n  {EVIL}", "remarks": [EVIL], "seconds": {EVIL: 1.0}}
    text = page_of(answer, sections=[evil], **changes)
    page = Page(text)
    assert (page.faults, page.open) == ([], [])
    assert not {"script", "img"} & set(page.elements)
    root = ElementTree.fromstring(svg(output.tables[0]))
    drawn = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert {"$5 to $10", "$\\frac$", EVIL} <= set(drawn)
    assert EVIL in as_text(output, width=400)


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, "count", "–"),
        (1234567, "count", "1,234,567"),
        (12.345, "percent", "12.3%"),
        (0.0004, "p", "< 0.001"),
        (0.04321, "p", "0.043"),
        (1.0, "p", "1.000"),
        (3.0, "number", "3"),
        (1234.5678, "number", "1,235"),
        (0.000012345, "number", "1.234e-05"),
        (-0.5, "number", "-0.5"),
        ("text", "text", "text"),
    ],
)
def test_numbers_are_written_for_people(value: Any, form: Any, text: str) -> None:
    assert write(value, OutputColumn(name="c", format=form)) == text


def counted(hidden: tuple[tuple[int, int], ...] = ()) -> OutputTable:
    columns = (
        OutputColumn(name="arm", format="text"),
        OutputColumn(name="yes", format="count", label="died: yes"),
        OutputColumn(name="yes %", format="percent", label="died: yes, % of row"),
        OutputColumn(name="total", format="count"),
    )
    gone = {(i, j) for i, j in hidden}
    rows = (("new", 125, 14.7, 850), ("old", 355, 19.2, 1845))
    kept = tuple(tuple(None if (i, j) in gone else v for j, v in enumerate(row)) for i, row in enumerate(rows))
    return OutputTable(name="t", title="T", columns=columns, rows=kept, hidden=hidden)


def test_a_count_and_its_percentage_share_a_column() -> None:
    heads, rows = read(counted())
    assert heads == [("arm", False), ("died: yes, n (% of row)", True), ("total", True)]
    assert rows == [["new", "125 (14.7%)", "850"], ["old", "355 (19.2%)", "1,845"]]
    assert as_csv(counted()).splitlines()[0] == "arm,yes,yes %,total", "a file keeps them apart"
    # What is hidden of the two stays hidden, and a count whose percentage is hidden is shown alone.
    assert read(counted(((0, 1), (0, 2))))[1][0] == ["new", HIDDEN, "850"]
    assert read(counted(((0, 2),)))[1][0] == ["new", "125", "850"]


def test_names_stay_whole_in_a_terminal_of_eighty_columns() -> None:
    names = ("estimate", "std_error", "conf_low", "conf_high", "statistic", "p_value")
    columns = (OutputColumn(name="term", format="text"), *map(_number, names))
    numbers = (-2.502, 0.6004, -0.01122, 0.04923, -4.166, 0.0004)
    rows = tuple((term, *numbers) for term in ("(Intercept)", "drug[celecoxib]", "a" * 60))
    table = OutputTable(name="t", title="T", columns=columns, rows=rows)
    text = as_text(Output(method="m", version=1, tables=(table,)), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "│ (Intercept) " in text and "│ drug[celecoxib] " in text and "-0.01122" in text


def test_a_row_of_a_page_s_table_is_headed_by_its_name() -> None:
    page = html_table(counted())
    assert page.count('<th scope="row">') == 2 and '<th scope="row">new</th><td class="num">125 (14.7%)</td>' in page


def measures(*rows: tuple[str, float | None, float | None, float | None]) -> OutputTable:
    columns = (OutputColumn(name="measure", format="text"), *map(_number, ("estimate", "conf_low", "conf_high")))
    return OutputTable(name="t", title="T", columns=columns, rows=rows)


def _number(name: str) -> OutputColumn:
    return OutputColumn(name=name)


def test_ratios_are_drawn_about_one_and_differences_about_nought() -> None:
    rows = ("odds ratio", 1.4, 1.1, 1.7), ("risk ratio", 1.3, 1.05, 1.6), ("risk difference", 0.05, 0.02, 0.08)
    drawn = draw(measures(*rows))
    ratios, differences = drawn.axes
    assert [axes.lines[-1].get_xdata()[0] for axes in (ratios, differences)] == [1, 0]
    assert (ratios.get_xscale(), differences.get_xscale()) == ("log", "linear")
    assert "ratio" in ratios.get_xlabel() and "difference" in differences.get_xlabel()
    assert len(draw(measures(("age", 0.1, -0.1, 0.3), ("(Intercept)", 9.0, 8.0, 10.0))).axes) == 1


def test_a_ratio_without_an_interval_or_of_nought_is_drawn_all_the_same() -> None:
    for row in (("odds ratio", 0.0, None, None), ("odds ratio", 1.4, None, None), ("odds ratio", 1e9, 1.0, 1e12)):
        assert len(draw(measures(row)).axes) == 1


def test_a_long_name_beside_a_figure_takes_more_lines() -> None:
    drawn = draw(measures(("a name of very many letters and of several words", 1.0, 0.5, 1.5), ("b", 1.0, 0.5, 1.5)))
    first = drawn.axes[0].get_yticklabels()[0].get_text()
    assert max(map(len, first.splitlines())) <= 24 and first.replace("\n", " ").endswith("several words")


def test_each_figure_of_the_report_stands_before_its_table_and_every_link_leads_somewhere(answer: Answer) -> None:
    text = page_of(answer)
    for figure_, after in re.findall(r"<figure>(.*?)</figure>\s*(<div.*?</table>)", text, re.DOTALL):
        title = re.search(r"<title>(.*?)</title>", figure_)
        assert title and f"<caption>{title.group(1)}</caption>" in after
    assert len(re.findall(r"<figure>", text)) == len(re.findall(r"</figure>\s*<div class=\"scroll\"", text)) >= 2
    page = Page(text)
    ids = [value for name, value in page.attributes if name == "id"]
    links = [value for name, value in page.attributes if name == "href" and value in re.findall(r'<a href="(.*?)"', text)]
    assert len(links) == len(answer) + 2 and {(link or "")[1:] for link in links} <= set(ids)


def test_hidden_cells_are_said_in_words_and_never_drawn() -> None:
    table = OutputTable(
        name="t",
        title="T",
        columns=(OutputColumn(name="g", format="text"), OutputColumn(name="p", format="percent")),
        rows=(("a", None), ("b", None)),
        hidden=((0, 1), (1, 1)),
    )
    assert html_table(table).count('<td class="hidden">hidden</td>') == 2
    assert not drawable(table)


def test_words_of_a_hostile_hub_steer_no_terminal() -> None:
    evil = "a\x1b[31mb\r\u202ec\x9d"
    columns = (OutputColumn(name="x", format="text", label=evil), OutputColumn(name="n"))
    table = OutputTable(name="t", title=evil, columns=columns, rows=((evil, 1),))
    shown = as_text(Output(method="count", version=1, tables=(table,), facts={evil: 1}, notes=(evil,), suppressed=(evil,)))
    assert not {"\x1b", "\r", "\u202e", "\x9d"} & set(shown)
    assert shown.count("\ufffd[31mb") == 6


def test_a_table_of_a_hostile_hub_is_not_drawn() -> None:
    names = [OutputColumn(name=name) for name in ("estimate", "conf_low", "conf_high")]
    term = OutputColumn(name="term", format="text")
    good = OutputTable(name="t", title="t", columns=(term, *names), rows=(("a", 1.0, 0.5, 1.5),))
    assert drawable(good)
    for changed in (
        {"rows": (("a", "one", 0.5, 1.5),)},
        {"rows": (("a", 1.0, 0.5, 1.5),) * 301},
        {"columns": (term, term, *names[1:])},
    ):
        assert not drawable(good.model_copy(update=changed))


def test_a_table_as_a_file_has_the_values_and_no_formula() -> None:
    names = ("=1+1", "+x", "-x", "@x", " =x", "＝x", "plain", "a=b", "5")
    rows = tuple((name, number, None if number else -1.5) for number, name in enumerate(names))
    columns = tuple(OutputColumn(name=name) for name in ("@level", "people", "x"))
    text = as_csv(OutputTable(name="t", title="T", columns=columns, rows=rows, hidden=((1, 2),)))
    read = list(csv.reader(io.StringIO(text)))
    assert read[0] == ["'@level", "people", "x"]
    assert [row[0] for row in read[1:]] == [*(f"'{name}" for name in names[:6]), *names[6:]]
    assert [row[1] for row in read[1:]] == [str(number) for number in range(len(names))]
    assert [row[2] for row in read[1:]] == ["-1.5", *[""] * (len(names) - 1)], "numbers stay numbers, hidden ones are empty"


def test_a_result_gives_its_tables_as_files(answer: Answer) -> None:
    result = answer["describe"]
    assert result.to_csv().splitlines()[0].startswith("variable,group,mean")
    assert result.to_csv("ward") == as_csv(result.tables["ward"])
    with pytest.raises(CivicGridError, match="has no table 'none'"):
        result.to_csv("none")
