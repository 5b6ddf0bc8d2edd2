"""The one step that the undamped, the damped and the low-rank Newton baselines share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from curenu.erasure import Erasure, ErasureProblem, Plan, StepRecord
from curenu.linear import LinearStep
from curenu.newton.precision import precision_examples, precision_notes
from curenu.operators import length
from curenu.risks import Linearised

__all__ = ["newton_plan", "newton_step"]


def newton_step(
    problem: ErasureProblem,
    solve: Callable[[Linearised, Tensor], LinearStep],
    *,
    hvp_size: int | None,
    damping: float,
    generator: torch.Generator,
) -> Erasure:
    """theta0 + s with the full retain gradient and H over `hvp_size` examples (None: all)."""
    with problem.retain.meter.measure() as spent:
        notes = precision_notes(problem, "hessian")
        sample = problem.retain.sample(hvp_size or problem.retain.size, generator)
        curvature = sample.linearise(problem.start)
        whole = sample.size == problem.retain.size
        gradient = curvature.gradient if whole else problem.retain.gradient(problem.start)
        found = solve(curvature, gradient)
        record = StepRecord(
            gradient_norm=length(gradient),
            damping=damping,
            step_norm=length(found.step),
            products=found.products,
        )
        problem.report(record)
    theta = problem.start + found.step
    return Erasure(theta, found.status, spent(), (record,), notes=notes + found.notes)


def newton_plan(problem: ErasureProblem, hvp_size: int | None, max_products: int | None) -> Plan:
    """Products twice in a Krylov space, once an eigenvector otherwise; one gradient."""
    size = min(hvp_size or problem.retain.size, problem.retain.size)
    dense = max_products is None
    products = problem.retain.dimension if dense else 2 * max_products
    return Plan(
        examples=problem.retain.size + size * (products + 2) + precision_examples(problem),
        vectors=2 if dense else 5,
        matrices=3 if dense else 0,
        curvature="hessian",
    )
