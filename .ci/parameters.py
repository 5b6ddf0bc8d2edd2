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
            self._describe(func.docstring, [parameter.name for parameter in func.parameters])

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """A class: the parameters of its `__init__`, or the fields of a dataclass."""
        own = cls.members.get("__init__")
        if isinstance(own, griffe.Function):
            self._describe(cls.docstring, [parameter.name for parameter in own.parameters])
        elif any("dataclass" in str(decorator.value) for decorator in cls.decorators):
            fields = [
                name
                for name, member in cls.members.items()
                if isinstance(member, griffe.Attribute)
                and member.annotation is not None
                and "ClassVar" not in str(member.annotation)
                and "init=False" not in str(member.value)
            ]
            self._describe(cls.docstring, fields)

    def _describe(self, docstring: griffe.Docstring | None, parameters: list[str]) -> None:
        names = [name for name in parameters if name.lstrip("*") not in _SKIPPED]
        names = [name for name in names if not name.startswith("_")]
        if docstring is None or not names:
            return
        sentences = re.split(r"(?<=[.:;])\s+(?=[A-Z`])", " ".join(docstring.value.split()))
        rows = ["", "", "Args:"]
        for name in names:
            said = [s for s in sentences if re.search(rf"`{re.escape(name)}(=[^`]*)?`", s)]
            rows.append(f"    {name}: {' '.join(said) or 'As its name and type say.'}")
        docstring.value += "\n".join(rows)
