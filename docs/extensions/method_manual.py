"""`{method-manual} glm`: a method's manual, read from its class: the docstring, then its parameters as a table."""

from __future__ import annotations

import re
import textwrap
import typing

from docutils import nodes
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from civicgrid.methods import METHODS


class MethodManual(SphinxDirective):
    """The directive; its argument is the method's kind."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        method = METHODS[self.arguments[0]]
        made: list[nodes.Node] = []
        for block in re.split(r"\n\s*\n", textwrap.dedent("    " + (method.__doc__ or "")).strip("\n")):
            plain = textwrap.dedent(block)
            if plain.startswith(">>>") or (block.startswith(" ") and made):
                made.append(nodes.literal_block(plain, plain, language="pycon" if plain.startswith(">>>") else "text"))
            else:
                made += self.parse_text_to_nodes(plain.replace("*", r"\*"))
        parameters = {name: field for name, field in method.model_fields.items() if name != "kind"}
        if parameters:
            lines = ["| Parameter | Default | What it is |", "|---|---|---|"]
            lines += [
                f"| `{field.alias or name}` | {_default(field)} | {field.description} |"
                for name, field in parameters.items()
            ]
            made += self.parse_text_to_nodes("\n".join(lines))
        return made


def _default(field: FieldInfo) -> str:
    if field.is_required():
        choices = typing.get_args(field.annotation)
        return "required" if not choices or not all(isinstance(c, str) for c in choices) else (
            "required: " + ", ".join(f"`{choice}`" for choice in choices)
        )
    return f"`{field.default}`"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("method-manual", MethodManual)
    return {"parallel_read_safe": True}
