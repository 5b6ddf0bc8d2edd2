"""What erasing an example does to the loss on holdout examples, to first order.

Source: Cook and Weisberg, Residuals and Influence in Regression (1982); Koh and Liang,
Understanding Black-box Predictions via Influence Functions (ICML 2017), equation 2.
Differs from the latter in: the mean over the retained examples is divided by what is retained, as
the training objective is, which adds the term of the mean gradient; and the curvature is damped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from curenu.autodiff import Kind
from curenu.budgets import SINGLE_GRADIENT_MEMORY
from curenu.errors import BadRequest
from curenu.linear import damped_solve
from curenu.operators import inner, length
from curenu.risks import EmpiricalRisk, combined, gradient_rows

__all__ = ["ExampleFigures", "HoldoutInfluence"]


@dataclass(frozen=True)
class ExampleFigures:
    """Length of the gradient `[m]` and change of the holdout loss `[m]` of every example.

    Both in float64 on the CPU, in the order of the examples. The changes add up to a request's.
    """

    norms: Tensor
    changes: Tensor


@dataclass(frozen=True)
class HoldoutInfluence:
    """change_i = (1/M) q·(g_i − c_i ḡ), q = (H + damping I)⁻¹ ∇L_holdout: one solve for all.

    g_i is the gradient of what example i adds to the training sum, c_i what it adds to its
    divisor M (1 each, M = n, for a plain mean), ḡ the mean gradient without weight decay, H the
    curvature of the training objective with it. With `damping` 0, the Hessian and a stationary
    `theta`, Σ change_i over a request is the derivative of the holdout loss in ε where its examples
    count (1 − ε) times in the mean: exact there, and the first-order part of the whole removal.
    `response` is q `[d]`, `mean` q·ḡ, `residual` |(H + damping I) q − ∇L_holdout|/|∇L_holdout|.
    """

    risk: EmpiricalRisk
    theta: Tensor = field(repr=False)
    response: Tensor = field(repr=False)
    mean: float
    residual: float

    @classmethod
    def of(
        cls,
        risk: EmpiricalRisk,
        holdout: EmpiricalRisk,
        *,
        curvature: Kind = "gauss_newton",
        damping: float = 0.01,
        max_products: int | None = 50,
    ) -> Self:
        """Solve for the mean loss of `holdout` at the model that `risk` was made with.

        `risk` is the training objective over what may be erased, `holdout` the same loss over
        examples that were not trained on. The Gauss-Newton curvature has no negative eigenvalue,
        so that the damped one has an inverse. `max_products` None decomposes the dense matrix.

        Cost: two gradients and the products. Raises `BadRequest` where the two objectives are not
        of one model, `IllPosed` where the damped curvature is singular, `UnsupportedModel` where
        the loss hides its outputs and `curvature` needs them.
        """
        if holdout.parameters.shapes != risk.parameters.shapes:
            raise BadRequest(
                f"The holdout objective has {holdout.dimension} parameters of its own and the "
                f"training objective {risk.dimension}.",
                "the same model and the same `only` for both.",
            )
        theta = risk.start
        aim = _data_gradient(holdout, theta)
        bent = risk.linearise(theta, curvature=curvature)
        found = damped_solve(bent, aim, damping, max_products=max_products)
        response = -found.step
        size = length(aim)
        return cls(
            risk,
            theta,
            response,
            inner(response, _data_gradient(risk, theta)),
            found.residual / size if size else 0.0,
        )

    def figures(self, examples: EmpiricalRisk) -> ExampleFigures:
        """The figures of every example of an objective: a part of `risk`, or `over` other data.

        Cost: one gradient an example, a few at a time. Raises `UnsupportedModel` for items that
        are no (input, target) pairs, `IllPosed` for NaN or Inf.
        """
        norms, changes = [], []
        size = max(1, SINGLE_GRADIENT_MEMORY // (self.theta.numel() * self.theta.element_size()))
        for ids in examples.ids.split(size):
            part = examples.subset(ids)
            rows = gradient_rows(part, self.theta).mul_(part.mass / part.size)
            counts = torch.tensor([part.source.mass(one) for one in ids.split(1)])
            along = (rows @ self.response).cpu().double() - self.mean * counts.double()
            norms.append(torch.linalg.vector_norm(rows, dim=1).cpu().double())
            changes.append(along / self.risk.mass)
        return ExampleFigures(torch.cat(norms), torch.cat(changes))

    def over(self, content: Dataset[Any] | DataLoader[Any]) -> EmpiricalRisk:
        """The same loss and model over other examples: what a request brings along.

        Raises the errors of `EmpiricalRisk` for content that the model or the loss cannot take.
        """
        return EmpiricalRisk(
            self.risk.module_at(self.theta),
            content,
            self.risk.source.evaluation.form,
            weight_decay=self.risk.weight_decay,
            only=self.risk.parameters.names,
            micro_batch_size=self.risk.source.micro_batch_size,
        )


def _data_gradient(risk: EmpiricalRisk, theta: Tensor) -> Tensor:
    """The gradient of the mean loss, weight decay apart, `[d]`."""
    return combined([(1.0, risk, None)], weight_decay=0.0).gradient(theta)
