"""What a cubic method minimises, with which curvature and in which metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from curenu.autodiff import Kind
from curenu.budgets import Memory
from curenu.erasure import ErasureProblem
from curenu.errors import UnsupportedModel
from curenu.newton.allowance import Allowance
from curenu.newton.precision import precision_notes
from curenu.newton.tuning import Tuning
from curenu.operators import Coordinates, Metric, kronecker_metric
from curenu.risks import Limit, Objective

__all__ = [
    "Aim",
    "Curvature",
    "Preconditioner",
    "Target",
    "aim_at",
    "kind_of",
]

Aim = Literal["anchored", "retain"]
Curvature = Literal["auto", "hessian", "gauss_newton"]
Preconditioner = Literal["auto", "kfac", "none"]


@dataclass(frozen=True)
class Target:
    """The objective, the curvature of its models, the coordinates of its steps; in words too.

    `limit` is the least curvature that training resolved, None for the retain objective. Where it
    says `converged`, theta0 minimises the training objective, so the oracle is a minimiser too,
    and the minimum is the aim. `allowance` is what getting there may cost.
    """

    objective: Objective
    curvature: Kind
    coordinates: Coordinates
    notes: tuple[str, ...]
    allowance: Allowance
    limit: Limit | None = None

    @property
    def converged(self) -> bool:
        """Whether theta0 was found to be a minimum of the training objective."""
        return self.limit is not None and self.limit.converged


def aim_at(
    problem: ErasureProblem,
    aim: Aim,
    curvature: Curvature,
    preconditioner: Preconditioner,
    tuning: Tuning,
    generator: torch.Generator,
    memory: Memory,
    allowance: Allowance,
) -> Target:
    """The target of `problem`; a metric is measured on some of the retained examples.

    `"auto"` takes Gauss-Newton products for the anchored objective of a loss in closed form,
    whose outputs it needs, and the Hessian otherwise; and K-FAC where the model and the loss
    allow it. The notes say what was taken, and how far products in a lower precision are off.
    """
    kind = kind_of(problem, aim, curvature)
    metric, why = _metric(problem, preconditioner, tuning, generator)
    objective: Objective = problem.retain
    limit: Limit | None = None
    if aim == "anchored":
        limit = problem.limit(generator)
        objective = problem.anchored(limit, memory_budget=memory.outputs)
    limited = () if limit is None else (limit.note,)
    notes = (f"objective {aim}", f"curvature {kind.replace('_', '-')}", why, *limited)
    size = problem.retain.source.measured.get("micro-batch size")
    timed = () if size is None else (f"micro-batches of {size}, the fastest here",)
    notes += precision_notes(problem, kind) + timed
    coordinates = Coordinates(problem.start, metric)
    return Target(objective, kind, coordinates, notes, allowance, limit)


def kind_of(problem: ErasureProblem, aim: Aim, curvature: Curvature) -> Kind:
    """Which products `curvature` means for this problem."""
    if curvature != "auto":
        return curvature
    shown = problem.retain.source.evaluation.shows_outputs
    return "gauss_newton" if aim == "anchored" and shown else "hessian"


def _metric(
    problem: ErasureProblem, wanted: Preconditioner, tuning: Tuning, generator: torch.Generator
) -> tuple[Metric | None, str]:
    if wanted == "none":
        return None, "no preconditioner"
    sample = problem.retain.sample(tuning.metric_size, generator)
    try:
        metric = kronecker_metric(sample, problem.start, generator, damping=tuning.metric_damping)
    except UnsupportedModel as reason:
        if wanted == "kfac":
            raise
        return None, f"no preconditioner: {reason.problem}"
    return metric, f"K-FAC metric from {sample.size} retained examples"
