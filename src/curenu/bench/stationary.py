"""How near a model is to a minimum of what retraining minimises."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from curenu.audits import Finding, stationarity
from curenu.budgets import BASIS_MEMORY
from curenu.erasure import Certificate
from curenu.operators import extreme_eigenvalues, kept_vectors, length
from curenu.risks import EmpiricalRisk

__all__ = ["stationarity_findings"]

_EXAMPLES, _PRODUCTS = 2048, 20
_PENALTY = 1.0  # one M for every method, so that eps can be compared


def stationarity_findings(risk: EmpiricalRisk, retain: Sequence[int]) -> list[Finding]:
    """|∇F_r|, lambda_min and eps of the model of `risk` on the `retain` positions.

    From 2,048 of them, the same for every model of an erasure, and 20 products: a gradient
    near zero and no negative eigenvalue are what a minimum has. eps is for M = 1.
    """
    generator = torch.Generator().manual_seed(0)
    seen = risk.subset(list(retain)).sample(_EXAMPLES, generator)
    hessian = seen.linearise(seen.start)
    keep = kept_vectors(seen.start, BASIS_MEMORY)
    ends = extreme_eigenvalues(hessian, seen.start, _PRODUCTS, generator, keep=keep)
    return stationarity(
        Certificate(
            gradient_norm=length(hessian.gradient),
            lambda_min=ends.smallest.value,
            lambda_min_residual=ends.smallest.residual,
            penalty=_PENALTY,
            examples=seen.size,
            population=len(retain),
            recurrence=ends.recurrence,
        )
    )
