"""The cubic model and the three ways to minimise it."""

from __future__ import annotations

from dataclasses import replace

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


def resolve_solver(solver: str | CubicSolver, memory_budget: int | None = None) -> CubicSolver:
    """The solver of that name with its defaults; an object is returned as it is.

    Of `memory_budget` bytes and a budget of the solver's own the smaller holds.
    """
    if isinstance(solver, str):
        if solver not in SOLVERS:
            raise BadRequest(f"No solver is named {solver!r}.", f"{', '.join(SOLVERS)}.")
        solver = SOLVERS[solver]()
    elif isinstance(solver, type) or not callable(getattr(solver, "factorise", None)):
        raise BadRequest(f"{solver!r} is no solver.", "a name or e.g. `LanczosSolver()`.")
    if memory_budget is None or not isinstance(solver, EigenSolver | LanczosSolver):
        return solver
    own = solver.memory_budget
    return replace(solver, memory_budget=memory_budget if own is None else min(own, memory_budget))
