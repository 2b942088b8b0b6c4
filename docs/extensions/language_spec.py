"""`{language-spec}`: the specification of the query language, read from its tests.

A file of tests/spec/query is a chapter, its docstring the title; a test is a paragraph, its docstring the words and its
body the example. Nothing is written twice: a paragraph that is not true fails as a test.
"""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SPEC = Path(__file__).parents[2] / "tests" / "spec" / "query"


@dataclass(frozen=True)
class Paragraph:
    """One test: its name in words, its docstring, its body as an example, and what its file sets up just before it."""

    title: str
    words: str
    setting: str
    example: str


@dataclass(frozen=True)
class Chapter:
    """One file."""

    title: str
    path: Path
    paragraphs: tuple[Paragraph, ...]


def chapters() -> tuple[Chapter, ...]:
    """Every chapter, in the order of the files' numbers."""
    return tuple(read(path) for path in sorted(SPEC.glob("test_*.py")))


def read(path: Path) -> Chapter:
    """One file as a chapter. ValueError where a test says nothing in words."""
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    title = (ast.get_docstring(tree) or "").split("\n", 1)[0].rstrip(".")
    if not title:
        raise ValueError(f"{path.name} has no docstring to be its title.")
    paragraphs, setting = [], []
    for statement in tree.body[1:]:
        if isinstance(statement, ast.FunctionDef) and statement.name.startswith("test_"):
            words = ast.get_docstring(statement)
            if not words:
                raise ValueError(f"{path.name}: {statement.name} has no docstring to be its paragraph.")
            name = statement.name.removeprefix("test_").replace("_", " ")
            example = _example(source, statement)
            paragraphs.append(Paragraph(name[0].upper() + name[1:], words, "\n".join(setting), example))
            setting = []
        elif not isinstance(statement, ast.Import | ast.ImportFrom):
            setting.append(_segment(source, statement))
    return Chapter(title, path, tuple(paragraphs))


def _example(source: str, test: ast.FunctionDef) -> str:
    lines = source.splitlines()
    body = textwrap.dedent("\n".join(lines[test.body[1].lineno - 1 : test.end_lineno]))
    for decorator in reversed(test.decorator_list):
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("parametrize"):
            names = ast.literal_eval(decorator.args[0])
            names = names if isinstance(names, str) else ", ".join(names)
            cases = ast.get_source_segment(source, decorator.args[1])
            body = f"for {names} in {cases}:\n{textwrap.indent(body, '    ')}"
    return body


def _segment(source: str, statement: ast.stmt) -> str:
    return "\n".join(source.splitlines()[statement.lineno - 1 : statement.end_lineno])


class LanguageSpec(SphinxDirective):
    """The directive."""

    def run(self) -> list[nodes.Node]:
        made: list[nodes.Node] = []
        for chapter in chapters():
            self.env.note_dependency(str(chapter.path))
            section = nodes.section(ids=[nodes.make_id(chapter.title)])
            section += nodes.title("", chapter.title.replace("`", ""))
            for paragraph in chapter.paragraphs:
                part = nodes.section(ids=[nodes.make_id(f"{chapter.path.stem} {paragraph.title}")])
                part += nodes.title("", paragraph.title)
                for block in re.split(r"\n\s*\n", paragraph.words):
                    part += self.parse_text_to_nodes(block)
                if paragraph.setting:
                    part += nodes.literal_block(paragraph.setting, paragraph.setting, language="python")
                part += nodes.literal_block(paragraph.example, paragraph.example, language="python")
                section += part
            made.append(section)
        return made


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("language-spec", LanguageSpec)
    return {"parallel_read_safe": True}
