"""`{command-reference}`: every command with its arguments and options, read from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from civicgrid.cli import app as commands


def every_command() -> Iterator[tuple[str, Any]]:
    """Each command that does something, by its full name, in the order of the help."""
    yield from _below("civicgrid", typer.main.get_command(commands))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    for word, below in (inner or {}).items():
        yield from _below(f"{name} {word}", below)


class CommandReference(SphinxDirective):
    """The directive."""

    def run(self) -> list[nodes.Node]:
        made: list[nodes.Node] = []
        for name, command in every_command():
            section = nodes.section(ids=[nodes.make_id(name)])
            section += nodes.title("", name)
            section += self.parse_text_to_nodes(command.help)
            rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
            if rows:
                section += self.parse_text_to_nodes("\n".join(["| | Default | |", "|---|---|---|", *rows]))
            made.append(section)
        return made


def _row(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name.upper()}`"
    default = "required" if parameter.required else "" if parameter.default in (None, "", ()) else f"`{parameter.default}`"
    return f"| {names} | {default} | {getattr(parameter, 'help', '') or ''} |".replace("\n", " ")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True}
