"""The response of a whole training to the forget set's weight, followed through checkpoints.

Source: the unrolled derivative of training by segments is that of Bae et al., "Training Data
Attribution via Approximate Unrolled Differentiation" (2024). Differs from it in: backward Euler
in a segment, the oracle's own clock, sampled Gauss-Newton products in a K-FAC metric.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.autodiff import Kind
from curenu.erasure import ErasureProblem, StepRecord
from curenu.errors import UnsupportedModel
from curenu.newton.krylov_steps import krylov_steps
from curenu.newton.tuning import Tuning
from curenu.operators import Coordinates, Metric, Shifted, kronecker_metric, length
from curenu.risks import EmpiricalRisk

__all__ = ["Response"]


@dataclass(frozen=True)
class Response:
    """How far the weights would have come apart, had the forget set not been there.

    Along training with and without it the difference delta of the weights follows
    d delta/dt = −w H_r(theta_t) delta + g(theta_t), w = n_r/n and
    g = (1/n)(Σ_f ∇l_i + n_f lambda theta): in a segment of length Δt with checkpoint theta_c

        delta_c = (w H_r(theta_c) + 1/Δt)⁻¹ (g(theta_c) + delta_{c−1}/Δt).

    For the oracle of as many steps, w = 1 and g has −(n_f/n) ∇F_r beside it. One Krylov solve a
    segment, all on one sample of retained examples. Equation (11) of `docs/theory.md`.
    """

    problem: ErasureProblem
    kind: Kind
    metric: bool
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
            system = Shifted(curvature, 1.0 - share if shorter else 1.0, 1.0 / span)
            coordinates = Coordinates(theta, self._metric(few, theta, generator))
            apart, record = self._solved(system, force.add_(apart, alpha=1.0 / span), coordinates)
            records.append(self.problem.report(record))
        return self.problem.start + apart, tuple(records)

    def _solved(
        self, system: Shifted, force: Tensor, coordinates: Coordinates
    ) -> tuple[Tensor, StepRecord]:
        gradient = coordinates.slope(force).neg()
        if not gradient.any():
            return torch.zeros_like(force), StepRecord(gradient_norm=0.0, step_norm=0.0)
        reach = self.tuning.longest * max(1.0, length(self.problem.start))
        system_t, limit = coordinates.seen(system), self.tuning.large_products
        products, (step, damping) = 0, (gradient, 0.0)
        for products, (step, damping) in enumerate(  # noqa: B007
            krylov_steps(system_t, gradient, limit, reach), start=1
        ):
            pass
        record = StepRecord(
            gradient_norm=length(gradient),
            damping=damping,
            step_norm=length(step),
            products=products,
        )
        return coordinates.step(step), record

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
