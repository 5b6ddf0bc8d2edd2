"""The cubic model and the three ways to minimise it."""

from __future__ import annotations

from curenu.cubic.descent import DescentSolver
from curenu.cubic.eigen import EigenSolver
from curenu.cubic.lanczos import LanczosSolver
from curenu.cubic.model import Budget, CubicModel, CubicSolver, CubicStep, Factorised
from curenu.errors import BadRequest

__all__ = [
    "SOLVERS",
    "Budget",
    "CubicModel",
    "CubicSolver",
    "CubicStep",
    "DescentSolver",
    "EigenSolver",
    "Factorised",
    "LanczosSolver",
    "resolve_solver",
]

SOLVERS: dict[str, type[EigenSolver] | type[LanczosSolver] | type[DescentSolver]] = {
    "eigen": EigenSolver,
    "lanczos": LanczosSolver,
    "descent": DescentSolver,
}


def resolve_solver(solver: str | CubicSolver) -> CubicSolver:
    """The solver of that name with its defaults; an object is returned as it is."""
    if not isinstance(solver, str):
        if isinstance(solver, type) or not callable(getattr(solver, "factorise", None)):
            raise BadRequest(f"{solver!r} is no solver.", "a name or e.g. `LanczosSolver()`.")
        return solver
    if solver not in SOLVERS:
        raise BadRequest(f"No solver is named {solver!r}.", f"{', '.join(SOLVERS)}.")
    return SOLVERS[solver]()
