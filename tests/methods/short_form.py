"""Every method by its name, in a form that a test of a small network can run."""

from __future__ import annotations

from typing import Any

from curenu.erasure import Method
from curenu.method_choice import make_method
from curenu.methods import METHODS

__all__ = ["BY_NAME", "short_form"]

BY_NAME = [
    name for name in METHODS if name not in ("retrain", "rewind-to-delete", "online-removal")
]
"""What a model, its data and a loss are enough for: no recipe, no recorded training."""

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "alt-eraser": {"users": "0.*", "items": "2.*"},
    "constrained-newton": {"recursions": 20, "scale": 20.0, "without_guarantee": True},
    "ssd": {"selection": 1.5},
}


def short_form(name: str) -> Method:
    """With its defaults, but for what a small network in a short test cannot have."""
    return make_method(name, _ARGUMENTS.get(name, {}))
