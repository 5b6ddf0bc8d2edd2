"""LCODEC: for each example that goes, a Newton step on the few units that its loss depends on.

Source: Mehta, Pal, Singh and Ravi, "Deep Unlearning via Randomized Conditionally Independent
Hessians" (CVPR 2022). Differs from the paper in: the Hessian among the chosen parameters is the
retain objective's own, by products (the published code takes a finite difference of rank one, in
its main routine between two gradients of the same sample, which is zero); a unit is an output of a
linear or convolutional layer, with the row of weights and the bias that make it; dependence is the
coefficient of Azadkia and Chatterjee on all perturbations, without the paper's randomised form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from curenu.erasure import Erasure, ErasureProblem, Plan, StepRecord
from curenu.linear import damped_solve
from curenu.newton.dependence import select
from curenu.operators import Block, length
from curenu.risks import UnitResponses
from curenu.settings import Count, Positive, Rule, Settings
from curenu.status import Status

__all__ = ["LCODEC"]


@dataclass(frozen=True)
class LCODEC(Settings):
    """theta_S ← theta_S + (1/n_r) (H_SS + damping I)^{-1} ∇_S l_i, one example i after another.

    S holds the parameters of at most `max_units` units: those whose activations the loss of the
    example depends on when its input is given normal noise of standard deviation `noise`,
    `perturbations` times, chosen by conditional dependence until none tells anything more. An
    example whose loss depends on none moves nothing. H is the retain objective's Hessian at the
    present theta on `hvp_size` examples (None: all), `max_products` bounds the solve.

    Cost: for each example that goes `perturbations` forward passes and the products.

    Raises `UnsupportedModel` for inputs that are not one floating tensor, and for a model without
    linear or convolutional layers among what moves.
    """

    max_units: Count = 10
    perturbations: Annotated[int, Rule("a whole number of 3 or more", lambda x: x >= 3)] = 100
    noise: Positive = 0.1
    damping: Positive = 0.01
    max_products: Count = 50
    hvp_size: Count | None = 1000

    def plan(self, problem: ErasureProblem) -> Plan:
        """For each example that goes: its perturbations, its gradient, the products of a solve."""
        size = min(self.hvp_size or problem.retain.size, problem.retain.size)
        solve = size * (2 * self.max_products + 3)
        forward = problem.forget.size * self.perturbations
        return Plan(
            problem.forget.size * (solve + 1) + forward,
            vectors=6,
            curvature="hessian",
            forward=forward,
        )

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: one block step for each example that goes."""
        theta, trace, still = problem.start.clone(), [], 0
        seen = UnitResponses(problem.forget)
        with problem.retain.meter.measure() as spent:
            for one in problem.forget.ids.tolist():
                values, units = seen(theta, one, self.perturbations, self.noise, generator)
                chosen = select(values, units, self.max_units)
                still += not chosen
                if chosen:
                    places = seen.units.places(chosen)
                    trace.append(problem.report(self._step(problem, theta, one, places, generator)))
        notes = (f"{still} of {problem.forget.size} examples: no unit tells their loss",)
        return Erasure(
            theta, Status.SCHEDULE_DONE, spent(), tuple(trace), notes=notes if still else ()
        )

    def _step(
        self,
        problem: ErasureProblem,
        theta: Tensor,
        one: int,
        places: Tensor,
        generator: torch.Generator,
    ) -> StepRecord:
        """Move theta, in place, by one example's step."""
        sample = problem.retain.sample(self.hvp_size or problem.retain.size, generator)
        example = problem.forget.subset([one])
        pull = example.gradient(theta).sub_(theta, alpha=example.weight_decay)[places]
        pull.mul_(-example.mass / problem.retain.mass)
        found = damped_solve(
            Block(sample.linearise(theta), places, len(theta)),
            pull,
            self.damping,
            max_products=min(self.max_products, len(places)),
        )
        theta[places] += found.step
        return StepRecord(
            gradient_norm=length(pull),
            damping=self.damping,
            step_norm=length(found.step),
            products=found.products,
        )
