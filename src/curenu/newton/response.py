"""The response of a whole training to the forget set's weight, followed through checkpoints.

Source: the unrolled derivative of training by segments is that of Bae et al., "Training Data
Attribution via Approximate Unrolled Differentiation" (2024). Differs from it in: the oracle's own
clock, sampled Gauss-Newton products, the flow of a segment solved within a Krylov space.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curenu.autodiff import Kind
from curenu.erasure import ErasureProblem, StepRecord
from curenu.errors import UnsupportedModel
from curenu.newton.tuning import Tuning
from curenu.operators import (
    Coordinates,
    KrylovSpace,
    Metric,
    Shifted,
    inner,
    kronecker_metric,
    length,
)
from curenu.risks import EmpiricalRisk

__all__ = ["Response"]

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """How far the weights would have come apart, had the forget set not been there.

    Along training with and without it the difference delta of the weights follows
    d delta/dt = g(theta_t) − w H_r(theta_t) delta, w = n_r/n and
    g = (1/n)(Σ_f ∇l_i + n_f lambda theta): in a segment of length Δt with checkpoint theta_c

        delta_c = delta_{c−1} + φ(w H_r(theta_c)) r,  r = g(theta_c) − w H_r(theta_c) delta_{c−1},

    φ(h) = (1 − e^{−hΔt})/h. The flow is solved exactly among the vectors of one Krylov space of
    r a segment, all on one sample of retained examples. For the oracle of as many steps, w = 1
    and g has −(n_f/n) ∇F_r beside it. Equation (12) of `docs/theory.md`.
    """

    problem: ErasureProblem
    kind: Kind
    metric: bool
    products: int  # of a segment at most
    tuning: Tuning
    graphs: int | None = None

    def __call__(
        self, sample_size: int, generator: torch.Generator
    ) -> tuple[Tensor, tuple[StepRecord, ...]]:
        """theta at the end `[d]`, and a record a segment."""
        retain = self.problem.retain
        sample = retain.sample(sample_size, generator)
        few = retain.sample(self.tuning.metric_size, generator)
        share = self.problem.forget.mass / (self.problem.forget.mass + retain.mass)
        shorter = self.problem.training.oracle == "same_epochs"
        apart = torch.zeros_like(self.problem.start)
        records = []
        for checkpoint, span in self.problem.training.course():
            theta = checkpoint.vector(retain.parameters)
            force = self.problem.forget.gradient(theta).mul_(share)
            if not shorter:
                force.sub_(sample.gradient(theta), alpha=share)
            curvature = sample.linearise(theta, curvature=self.kind, memory_budget=self.graphs)
            scaled = Shifted(curvature, 1.0 - share if shorter else 1.0, 0.0)
            if apart.any():
                force.sub_(scaled @ apart)
            metric = self._metric(few, theta, generator)
            step, record = self._flow(scaled, force, span, Coordinates(theta, metric))
            apart.add_(step)
            records.append(self.problem.report(record))
        return self.problem.start + apart, tuple(records)

    def _flow(
        self, curvature: Shifted, force: Tensor, span: float, coordinates: Coordinates
    ) -> tuple[Tensor, StepRecord]:
        """φ(H)·force `[d]` among the Krylov vectors of R(H + 1/span)R, R the metric's root."""
        size = length(force)
        if size == 0.0:
            return torch.zeros_like(force), StepRecord(gradient_norm=0.0, step_norm=0.0)
        damped, most = replace(curvature, shift=1.0 / span), self.products
        start = coordinates.slope(force)
        space = KrylovSpace(coordinates.seen(damped), start.clone, limit=most, keep=most)
        for _ in space.grow():
            pass
        assert space.basis is not None, "as many vectors as products are kept"
        rows = [coordinates.step(row) for row in space.basis]
        lengths = np.array([[inner(one, other) for other in rows] for one in rows])
        inside = _tridiagonal(space) - lengths / span
        pulled = np.array([inner(row, force) for row in rows])
        step = torch.zeros_like(force)
        for row, part in zip(rows, _flowed(inside, lengths, pulled, span), strict=True):
            step.add_(row, alpha=float(part))
        record = StepRecord(gradient_norm=size, step_norm=length(step), products=space.products)
        return step, record

    def _metric(
        self, few: EmpiricalRisk, theta: Tensor, generator: torch.Generator
    ) -> Metric | None:
        """That of the weights at theta; none where the last model's could not be had either."""
        if not self.metric:
            return None
        try:
            return kronecker_metric(few, theta, generator, damping=self.tuning.metric_damping)
        except UnsupportedModel:  # no curvature at all there
            return None


def _tridiagonal(space: KrylovSpace) -> Matrix:
    """T_k `[k, k]` of a Krylov space."""
    beside = space.off_diagonal[:-1]
    return np.diag(space.diagonal) + np.diag(beside, 1) + np.diag(beside, -1)


def _flowed(inside: Matrix, lengths: Matrix, pulled: Matrix, span: float) -> Matrix:
    """y(span) of lengths·dy/dt = pulled − inside·y from y(0) = 0, `[k]`."""
    from scipy.linalg import eigh  # half a second that an import need not take

    values, vectors = eigh(inside, lengths)
    small = np.abs(values * span) < 1e-8
    safe = np.where(small, 1.0, values)
    filtered = np.where(small, span, -np.expm1(-values * span) / safe)
    return vectors @ (filtered * (vectors.T @ pulled))
