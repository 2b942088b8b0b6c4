"""Every durable write of the two programs, found in their source.

A write has a name where it is made, and two kill points. What is found here is what the kill tests must die at; a write
outside a named transaction is a fault of the source, and said with its place.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "civicgrid"

# What a running node or hub is made of. Loading data is no part of a study: a load is one transaction of DuckDB's own.
FOLDERS = ("node", "hub", "trust", "disclosure", "governance", "methods", "query")

# Functions that write inside the transaction of their caller, as their docstrings say.
CALLER_COMMITS = {
    "totals.enter", "rosters.enter", "ledger.prepare", "ledger.told", "releases.prepared", "self._hold",
    "state.audit", "state.put_out", "ledger.record", "row_sets.enter", "releases.enter", "epochs.enter", "epochs.end",
    "released_columns.enter",
    "journal.add", "self._commit", "self._write", "self._next_id", "self._commitment", "act.do",
    "register.append", "self.ended", "governed.ended", "register.commit", "register.erase",
    "self._write_pending", "self._put_out", "self._keep", "self._durably",
}  # fmt: skip

# Writes of a person's command and of no study, each one transaction, or one file put in place whole.
BY_COMMAND = {
    "hub/records.py:seed", "hub/home.py:create", "hub/home.py:admit_site", "hub/home.py:admit_person",
    "node/home.py:create", "node/home.py:add_custodian", "node/home.py:pin", "node/home.py:add_roll",
    "node/permits.py:_write",
    "node/backup.py:back_up", "node/witness.py:forget", "node/backup.py:_take", "node/backup.py:_checked",
    "trust/keys.py:save", "trust/seal.py:save",
}  # fmt: skip

WRITES = re.compile(r"\s*(insert|update|delete|replace|create|drop|alter|begin|commit|vacuum)\b", re.I)
REPEATABLE = re.compile(r"\s*(create (unique )?(table|index) if not exists|insert or ignore)\b", re.I)
MAKERS = {"insert", "update", "delete"}
FILES = {"write_text", "write_bytes"}
EXECUTES = {"execute", "executemany", "executescript", "exec_driver_sql"}
PROGRAMS = {"node": "node", "hub": "hub", "trust": "nonces"}


@dataclass
class Found:
    """What a source tree holds: the named writes, and the faults."""

    named: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def durable_writes(source: Path = SOURCE, folders: tuple[str, ...] = FOLDERS) -> Found:
    found = Found()
    for folder in folders:
        for path in sorted((source / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                _File(path.relative_to(source).as_posix(), found).read(ast.parse(path.read_text("utf-8")))
    return found


class _File:
    """One file's functions, and what is written in them."""

    def __init__(self, name: str, found: Found) -> None:
        self.name, self.found = name, found
        self.built: set[str] = set()
        self.program = PROGRAMS.get(name.split("/", 1)[0], "")

    def read(self, tree: ast.Module) -> None:
        # Statements that are built once, and executed by name.
        for node in tree.body:
            if not isinstance(node, ast.Assign) or repeatable(text(node.value)):
                continue
            if WRITES.match(text(node.value)) or any(map(writes, calls(node))):
                self.built.update(target.id for target in node.targets if isinstance(target, ast.Name))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            self._function(function, owner(tree, function))

    def _function(self, function: ast.FunctionDef | ast.AsyncFunctionDef, kind: str) -> None:
        here = f"{self.name}:{function.name}"
        if here in BY_COMMAND:
            return
        keeps = f"{kind}.{function.name}" in CALLER_COMMITS or f"self.{function.name}" in CALLER_COMMITS
        covered: set[ast.AST] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.With | ast.AsyncWith):
                names = [self._name(item.context_expr) for item in node.items]
                if any(names):
                    covered.update(inner for statement in node.body for inner in ast.walk(statement))
        # The places that make the transactions themselves: between `begin` and the kill points around `commit`.
        points = [call for call in calls(function) if dotted(call) == "reach" and len(call.args) == 3]
        points.sort(key=lambda call: call.lineno)
        keeps = keeps or bool(points)
        self._made(points)
        for call in calls(function):
            if call in covered or keeps:
                continue
            first = call.args[0] if call.args else None
            built = isinstance(first, ast.Name) and first.id in self.built and first.id
            why = writes(call) or built
            if why:
                self.found.faults.append(f"{here}, line {call.lineno}: {why} outside a named transaction")

    def _made(self, points: list[ast.Call]) -> None:
        """Note the writes whose kill points stand around their very commit: each has one before and one after."""
        sides: dict[str, list[str]] = {}
        for call in points:
            if text(call.args[1]):
                sides.setdefault(text(call.args[1]), []).append(text(call.args[2]))
        for write, found in sides.items():
            if found != ["before", "after"]:
                self.found.faults.append(f"{self.name}: {write!r} has kill points {found}, not one before and one after")
            self.found.named[text(points[0].args[0]), write] = f"{self.name}, line {points[0].lineno}"

    def _name(self, made: ast.expr) -> str:
        """The name that a `with` gives to a write, noted with its program; empty where it makes none."""
        if not isinstance(made, ast.Call) or dotted(made).rsplit(".", 1)[-1] not in ("transaction", "_write"):
            return ""
        if len(made.args) != 1 or not isinstance(made.args[0], ast.Constant) or not isinstance(made.args[0].value, str):
            self.found.faults.append(f"{self.name}, line {made.lineno}: a transaction without a name written out")
            return "?"
        point = (self.program, made.args[0].value)
        place = f"{self.name}, line {made.lineno}"
        if self.found.named.setdefault(point, place) != place:
            self.found.faults.append(f"{place}: {point[1]!r} names a write at {self.found.named[point]} already")
        return point[1]


def writes(call: ast.Call) -> str:
    """Why a call is a write, or is to be made inside one; empty where it is neither."""
    name = dotted(call)
    last = name.rsplit(".", 1)[-1]
    if last in EXECUTES and call.args and WRITES.match(text(call.args[0])):
        return f"{text(call.args[0]).split()[0]!r}"
    if name.split(".")[0] == "sa" and last in MAKERS:
        return name
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if last in FILES or (last in ("open", "fdopen") and any(mode(argument) for argument in given)):
        return f"a file ({last})"
    if last == "begin":
        return "a transaction of its own"
    if ".".join(name.split(".")[-2:]) in CALLER_COMMITS:
        return name
    return ""


def repeatable(script: str) -> bool:
    """Whether a script may be cut off after any of its statements, and run again: how the nodes' schemas are made."""
    return bool(script) and all(REPEATABLE.match(part) for part in script.split(";") if part.strip())


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def dotted(call: ast.Call) -> str:
    parts, node = [], call.func
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(parts))


def text(node: ast.expr) -> str:
    """A constant text, or the beginning of an f-string."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]  # type: ignore[assignment]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def mode(node: ast.expr) -> bool:
    return bool(re.fullmatch("[rbt]*[wax+][rwax+bt]*", text(node)))


def owner(tree: ast.Module, function: ast.AST) -> str:
    """The class that a function stands in, as an attribute that holds one is called."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and function in node.body:
            return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name).lower()
    return ""
