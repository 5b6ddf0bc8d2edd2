"""One model of a report: its figures by name, or why it has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from curenu.report.figure import Figure

__all__ = ["NOTHING", "ORACLE", "Model", "above_noise", "first_of", "methods_among", "named"]

NOTHING, ORACLE = "do nothing", "oracle (retrained)"


@dataclass(frozen=True)
class Model:
    """A model as a report compares it.

    `name` is the method that made it, `NOTHING` or `ORACLE`; `failed` holds the reasons of
    attempts that failed, `status` why the method stopped.
    """

    name: str
    figures: dict[str, Figure] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    status: str = ""

    @property
    def reference(self) -> bool:
        """Whether it is one of the two that methods are compared with."""
        return self.name in (NOTHING, ORACLE)


def named(models: Sequence[Model], name: str) -> Model | None:
    """The model of that name; None if there is none."""
    return next((model for model in models if model.name == name), None)


def methods_among(models: Sequence[Model]) -> list[Model]:
    """All models but the two references."""
    return [model for model in models if not model.reference]


def first_of(models: Sequence[Model], *figures: str) -> str | None:
    """The first of `figures` that any model has; None if none has any."""
    return next((f for f in figures if any(f in model.figures for model in models)), None)


def above_noise(models: Sequence[Model]) -> list[Model]:
    """The models without those figures G of which doing nothing has none.

    There the gap between trained model and oracles is not above the noise floor, and a share of
    it would only say which oracles one happened to have.
    """
    nothing = named(models, NOTHING)
    if nothing is None:
        return list(models)

    def kept(model: Model) -> dict[str, Figure]:
        own = model.figures.items()
        return {n: f for n, f in own if not n.startswith("G ") or n in nothing.figures}

    return [replace(model, figures=kept(model)) for model in models]
