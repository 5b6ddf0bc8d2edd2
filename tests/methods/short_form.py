"""Every method by its name, in a form that a test of a small network can run."""

from __future__ import annotations

from typing import Any

from curenu.erasure import Method
from curenu.method_choice import make_method

__all__ = ["short_form"]

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "constrained-newton": {"recursions": 20, "scale": 20.0, "without_guarantee": True},
    "ssd": {"selection": 1.5},
}


def short_form(name: str) -> Method:
    """With its defaults, but for what a small network in a short test cannot have."""
    return make_method(name, _ARGUMENTS.get(name, {}))
