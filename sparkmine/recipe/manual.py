"""The manual of the operators, made of their docstrings and fields: `make docs` writes it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from sparkmine.recipe import operators
from sparkmine.recipe.operator import Operator
from sparkmine.recipe.selectors import Selector, select

_WIDTH = 100
_HEAD = """\
# Operators

Made by `make docs` from the docstrings in `sparkmine/recipe/operators/`; change those.
[recipes.md](recipes.md) says how recipes and selectors work.

Every operator takes `columns=`, a selector, and most take `output=`, the name of what they write,
such as `"{}_bucket"`; without it they replace their columns. In Python an operator is
`ops.Standardize(columns=numeric())`, in YAML one line under `recipe:`. Unseen values are those that
come after the fit.
"""


def render() -> str:
    """The manual as Markdown: a section a family, an entry an operator."""
    families: dict[str, list[type[Operator]]] = {}
    for name in operators.__all__:
        kind = getattr(operators, name)
        families.setdefault(kind.__module__, []).append(kind)
    sections = [(*_introduction(module), _in_order(found)) for module, found in families.items()]
    sections.sort(key=lambda section: section[0])
    contents = [
        f"- {title}: {', '.join(f'[{kind.__name__}](#{kind.__name__.lower()})' for kind in found)}"
        for title, _, found in sections
    ]
    parts = [_HEAD, "\n".join(contents) + "\n"]
    for title, text, found in sections:
        parts.append("\n".join([f"## {title}", *(["", text] if text else []), ""]))
        parts += [_entry(kind) for kind in found]
    return "\n".join(parts)


def example(kind: type[Operator]) -> str:
    """A line of YAML that makes such an operator."""
    parameters = kind.example or f"columns: {_plain(_default(_fields(kind)['columns']))}"
    return f"- {{operator: {kind.__name__}, {parameters}}}"


def _introduction(module: str) -> tuple[str, str]:
    """The title of a family, the first sentence of its module's docstring, and the rest."""
    title, _, text = (inspect.getdoc(sys.modules[module]) or module).partition("\n")
    return title.rstrip("."), text.strip()


def _in_order(found: list[type[Operator]]) -> list[type[Operator]]:
    return sorted(found, key=lambda kind: inspect.getsourcelines(kind)[1])


def _entry(kind: type[Operator]) -> str:
    lines = [f"### {kind.__name__}", "", "```python", _signature(kind), "```", ""]
    lines += [inspect.getdoc(kind) or "", "", "```yaml", example(kind), "```", ""]
    return "\n".join(lines)


def _signature(kind: type[Operator]) -> str:
    defaults = {name: _default(field) for name, field in _fields(kind).items()}
    if defaults["columns"] == select():  # it finds its columns itself
        del defaults["columns"]
    given = [f"{name}={_plain(value)}" for name, value in defaults.items()]
    # Broken as `ruff format` does it, which formats Python in Markdown too.
    line = f"{kind.__name__}({', '.join(given)})"
    if len(line) <= _WIDTH:
        return line
    inner = "    " + ", ".join(given)
    if len(inner) > _WIDTH:
        inner = "\n".join(f"    {each}," for each in given)
    return f"{kind.__name__}(\n{inner}\n)"


def _fields(kind: type[Operator]) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(kind)}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _plain(value: Any) -> str:
    match value:
        case Selector():
            text = str(value)
            # `a | b` prints its parentheses for the expressions around it; here there are none.
            return text[1:-1] if text.startswith("(") and text.endswith(")") else text
        case str():
            return json.dumps(value)
        case tuple():
            return json.dumps(list(value))
    return repr(value)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
