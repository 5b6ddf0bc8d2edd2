"""The certificate of where the outer loop ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from curenu.erasure import Certificate
from curenu.newton.iterates import Found
from curenu.operators import extreme_eigenvalues, kept_vectors, length
from curenu.risks import Objective

if TYPE_CHECKING:
    from curenu.newton.cubic_newton import CubicNewton

__all__ = ["certify"]


def certify(
    loop: CubicNewton, objective: Objective, found: Found, generator: torch.Generator
) -> Certificate | None:
    """Of the objective itself: its Hessian, in the parameters' own lengths."""
    if not loop.certificate_products or found.penalty is None:
        return None
    seen = loop.draw(objective, loop.sample_size or objective.size, generator)
    hessian = seen.curvature.linearise(
        found.theta, memory_budget=loop.memory.graphs, full_precision=True
    )
    whole = seen.gradient is seen.curvature
    gradient = hessian.gradient if whole else seen.gradient.gradient(found.theta)
    ends = extreme_eigenvalues(
        hessian,
        found.theta,
        max_products=loop.certificate_products,
        generator=generator,
        keep=kept_vectors(found.theta, loop.basis_bytes()),
    )
    return Certificate(
        gradient_norm=length(gradient),
        lambda_min=ends.smallest.value,
        lambda_min_residual=ends.smallest.residual,
        penalty=found.penalty,
        examples=min(seen.gradient.size, seen.curvature.size),
        population=objective.size,
        recurrence=ends.recurrence,
    )
