"""A griffe extension: parameter tables from signatures and from the sentences of docstrings.

The docstrings of this project are prose that names its parameters between backquotes. The tables of
the reference have a row for each parameter: name, type and default of the signature, and the
sentences that name it.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_SKIPPED = ("self", "cls")


class Parameters(griffe.Extension):
    """Adds an `Args:` section to every docstring of a function or class that has parameters."""

    def on_function(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """A function or method."""
        if func.name != "__init__":
            self._describe(func.docstring, func.parameters)

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Classes, once all of them have the `__init__` that `dataclass` gives them."""
        self._visit(pkg)

    def _visit(self, scope: griffe.Module | griffe.Class) -> None:
        for member in scope.members.values():
            if member.is_alias or not (member.is_module or member.is_class):
                continue
            if isinstance(member, griffe.Class) and "__init__" in member.members:
                self._describe(member.docstring, member.parameters)
            if isinstance(member, griffe.Module | griffe.Class):
                self._visit(member)

    def _describe(self, docstring: griffe.Docstring | None, parameters: griffe.Parameters) -> None:
        names = [p.name for p in parameters if p.name.lstrip("*") not in _SKIPPED]
        names = [name for name in names if not name.startswith("_")]
        if docstring is None or not names:
            return
        sentences = re.split(r"(?<=[.:;])\s+(?=[A-Z`])", " ".join(docstring.value.split()))
        rows = ["", "", "Args:"]
        for name in names:
            said = [s for s in sentences if re.search(rf"`{re.escape(name)}(=[^`]*)?`", s)]
            rows.append(f"    {name}: {' '.join(said) or 'As its name and type say.'}")
        docstring.value += "\n".join(rows)
