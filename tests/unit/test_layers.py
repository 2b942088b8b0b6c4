"""Imports point down only: the layers of the architecture page, read from the code itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "civicgrid"

# From the top down. Names on one row do not import each other, but where MAY says so.
LAYERS = (
    ("cli", "__main__"),
    ("client",),
    ("node", "hub"),
    ("present",),
    ("wire", "transport"),
    ("learning", "skills", "governance", "catalogue", "curation", "genomics", "linkage"),
    ("methods",),
    ("disclosure",),
    ("query", "trust"),
    ("omop", "errors", "config", "canonical", "packed", "killpoint", "lock"),
)
MAY = {
    ("cli", "__main__"),
    ("__main__", "cli"),
    ("transport", "wire"),
    ("config", "canonical"),
    ("config", "errors"),
    ("lock", "errors"),
    ("canonical", "errors"),
    ("omop", "errors"),
    ("omop", "canonical"),
    # An application says what the data are for in the catalogue's terms: see docs/decisions/panels.md.
    ("governance", "catalogue"),
    # One description of frames and columns: see docs/decisions/layers.md.
}
LAZY = {"civicgrid/__init__.py"}


def area(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("civicgrid."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("civicgrid.")}
    return found


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
HEIGHT = {name: number for number, row in enumerate(LAYERS) for name in row}


def test_every_area_has_a_layer() -> None:
    assert {area(path) for path in FILES} <= set(HEIGHT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    own = area(path)
    wrong = {
        name
        for name in imported(path) - {own}
        if HEIGHT[name] <= HEIGHT[own] and (own, name) not in MAY
    }
    assert not wrong, f"{own} may not import {', '.join(sorted(wrong))}: it stands above or beside it"


def test_no_web_code_below_the_programs() -> None:
    for path in FILES:
        if area(path) in ("hub", "cli"):
            continue
        text = path.read_text("utf-8")
        assert "fastapi" not in text and "starlette" not in text, f"{path.name} reaches for web code"
