"""KFADE: a few steps up the forget loss, each short in what it changes of the retained outputs.

Source: McKinney, Thudi, Bae, Rezaei, Papernot, McIlraith and Grosse, "Gauss-Newton Unlearning for
the LLM Era" (2026). Differs from the paper in: the sign is that of its algorithm, uphill on the
forget loss, and not of its printed equation 4; the damping is a share of the curvature's mean, as
everywhere in this project, weight decay added; factors are measured anew at every step; and steps,
their size and the sample are this project's defaults, the paper's being those of language models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.erasure import Erasure, ErasureProblem, Plan, StepRecord
from curenu.errors import UnsupportedModel
from curenu.operators import Metric, inner, kronecker_metric, length
from curenu.operators.metric import DAMPING
from curenu.risks import combined
from curenu.settings import Count, Positive, Settings
from curenu.status import Status

__all__ = ["KFADE"]


@dataclass(frozen=True)
class KFADE(Settings):
    """theta ← theta + `step_size` · (G_r + damping)⁻¹ ∇L_f, `steps` times.

    L_f is the mean loss of D_f, decay apart, and G_r the K-FAC approximation of the Gauss-Newton
    matrix of `sample_size` retained examples with labels drawn from the model, which is the Hessian
    of their KL divergence from its present outputs: of all steps that change it as much, to second
    order, each raises L_f most, to first. What is in no linear or convolutional layer has a
    constant instead. `damping` is a share of the mean of G_r's diagonal; weight decay comes on top.
    The loss rises without bound if the steps go on. A step's length in the trace is |s|_P with
    P = G_r + damping; half its square is the divergence that it is predicted to cost.

    Cost per step: one gradient of D_f and two of the sample; the factors of every layer and their
    eigenvectors. Raises `UnsupportedModel` where there are none, or they do not fit.
    """

    step_size: Positive = 0.1
    steps: Count = 4
    damping: Positive = DAMPING
    sample_size: Count = 1024

    def plan(self, problem: ErasureProblem) -> Plan:
        """A gradient of the forget set and the factors at every step."""
        sample = min(self.sample_size, problem.retain.size)
        return Plan(self.steps * (sample + problem.forget.size), vectors=7)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by steps uphill."""
        trace: list[StepRecord] = []
        with problem.retain.meter.measure() as spent:
            forgotten = combined([(1.0, problem.forget, None)], weight_decay=0.0)
            theta = problem.start
            for _ in range(self.steps):
                metric = self._metric(problem, theta, generator)
                gradient = forgotten.gradient(theta)
                step = metric.inverse(gradient).mul_(self.step_size)
                rise = inner(gradient, step)
                record = StepRecord(
                    gradient_norm=length(gradient),
                    damping=self.damping,
                    step_norm=math.sqrt(max(0.0, rise * self.step_size)),
                )
                trace.append(problem.report(record))
                theta = theta + step
        return Erasure(theta, Status.SCHEDULE_DONE, spent(), tuple(trace))

    def _metric(self, problem: ErasureProblem, theta: Tensor, generator: torch.Generator) -> Metric:
        sample = problem.retain.sample(self.sample_size, generator)
        try:
            return kronecker_metric(sample, theta, generator, damping=self.damping)
        except UnsupportedModel as reason:
            raise UnsupportedModel(
                reason.problem, "`FisherRemoval`, which needs no factors, or `only=`."
            ) from reason
