"""SOUL: unlearning by Sophia, steps scaled by a moving estimate of the curvature.

Source: Jia, Zhang, Zhang and others, "SOUL: Unlocking the Power of Second-Order Optimization for
LLM Unlearning" (EMNLP 2024). Differs from the paper in: of its objectives GradDiff and NPO are
here and preference optimisation, which needs answers to prefer, is not. Differs from its code in:
the moving gradient is updated once a step, there twice; the curvature is of the training loss over
both batches (squared gradients with the given targets, a positive estimate), there of the mixed
gradient that is descended on, which makes nearly every step a sign.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from curenu.descent.first_order import paired, paired_size
from curenu.descent.sophia import Sophia
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.risks import Anchor, WeightedSum, combined, preference
from curenu.settings import BelowOne, Count, NotNegative, Positive, Settings
from curenu.status import Status

__all__ = ["SOUL"]


@dataclass(frozen=True)
class SOUL(Settings):
    """Sophia on w L_R − L_B (`"grad-diff"`) or w L_R + NPO's loss of B (`"npo"`).

    B are batches of D_f, each beside a batch R of D_r, an epoch passes over D_f. w is
    `retain_weight`, `decay` the decoupled weight decay, `every` how many steps a curvature is
    used. No weight moves by more than learning_rate (1 + decay |weight|) a step. Cost: `epochs`
    gradients of D_f and of as much of D_r, twice where the curvature is taken.

    Raises `IllPosed` when it diverges, `UnsupportedModel` for `"npo"` and a loss without one
    value an example.
    """

    forgetting: Literal["grad-diff", "npo"] = "grad-diff"
    retain_weight: NotNegative = 1.0
    inverse_temperature: Positive = 0.1
    learning_rate: Positive = 5e-6
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.95)
    rho: Positive = 0.04
    decay: NotNegative = 0.1
    every: Count = 1
    epochs: Count = 5
    batch_size: Count = 32

    def plan(self, problem: ErasureProblem) -> Plan:
        """`epochs` passes over pairs, twice where the curvature is taken; five vectors."""
        pairs = self.epochs * paired_size(problem.forget, problem.retain, self.batch_size)
        forward = self.epochs * problem.forget.size if self.forgetting == "npo" else 0
        return Plan(examples=2 * pairs + forward, vectors=6, forward=forward)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: up on what goes and down on what stays, by the curvature of both."""
        with problem.retain.meter.measure() as spent:
            theta = self.moved(problem, generator)
        return Erasure(theta, Status.SCHEDULE_DONE, spent())

    def moved(
        self, problem: ErasureProblem, generator: torch.Generator, mask: Tensor | None = None
    ) -> Tensor:
        """The vector `[d]` after all steps; what `mask` `[d]` does not hold stays to the bit."""
        return self._rule().follow(problem.start, self._steps(problem, generator), mask=mask)

    def _rule(self) -> Sophia:
        return Sophia(self.learning_rate, self.betas, self.rho, self.decay, self.every)

    def _steps(
        self, problem: ErasureProblem, generator: torch.Generator
    ) -> Iterator[tuple[WeightedSum, WeightedSum, int]]:
        """(objective, mean training loss, examples) of every step."""
        head, sign = None, -1.0
        if self.forgetting == "npo":
            anchor = Anchor(problem.forget.source, problem.start)
            head, sign = preference(anchor, self.inverse_temperature), 1.0
        for _ in range(self.epochs):
            for gone, kept in paired(problem.forget, problem.retain, self.batch_size, generator):
                size = gone.size + kept.size
                terms = [(sign, gone, head), (self.retain_weight, kept, None)]
                shares = [(part.size / size, part, None) for part in (gone, kept)]
                yield combined(terms, weight_decay=0.0), combined(shares, weight_decay=0.0), size
