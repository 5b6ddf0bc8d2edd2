"""How long a network was trained, and which directions that was too short to resolve."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

import torch
from torch import Tensor
from torch.optim import Optimizer

from curenu.autodiff.linearisation import Kind
from curenu.checkpoints import Checkpoint, spans
from curenu.cost import GRADIENT
from curenu.errors import BadRequest
from curenu.risks.convergence import converged, convergence_examples
from curenu.risks.empirical import EmpiricalRisk
from curenu.risks.optimizer_time import (
    Schedule,
    check_optimizer,
    common_time,
    is_adaptive,
    planned,
)
from curenu.settings import Count, Rule, Settings

__all__ = ["Limit", "OracleProtocol", "TrainingTime"]

OracleProtocol = Literal["same_epochs", "same_steps"]
"""How long the retraining lasts that the result is to be close to."""

Time = Annotated[float, Rule("a positive time, or inf", lambda x: x > 0)]

_BATCHES = 4  # minibatches that an adaptive optimiser's scale is measured on
_VECTORS, _EACH = 128, 16  # of random signs that the mean curvature is measured by, examples each
_DENSE = 512  # examples whose matrix is formed where there are no more parameters than vectors
_SHARE = 0.3  # of that mean, taken instead of 1/T where the time is not known


@dataclass(frozen=True)
class Limit:
    """The least curvature that training resolved, 0 for all, and in words where it is from.

    `converged`: the gradient at theta0 was looked at and found to be that of a minimum.
    """

    curvature: float
    note: str
    converged: bool = False


@dataclass(frozen=True)
class TrainingTime(Settings):
    """The time T that training followed its gradient: Σ rate / (1 − momentum).

    Directions of curvature below 1/T hardly moved in it, in the oracle's training neither.
    `total` is T for a loss that is a mean over the batch, inf for no limit, None when it is not
    known: then the gradient at theta0 says whether training had converged.
    `adaptive_batch` is the batch size of an optimiser that divides every rate by the root mean
    square of its gradients (Adam, with T = Σ rate), None for plain or momentum descent.
    `TrainingTime.of` and `curenu.TrainingRecorder` add it up.

    `passes` is how many examples training passed, epochs times their number: what a retraining
    costs, of which the default method uses half at most. None where it is not known: then there is
    no such bound.

    `checkpoints` are weights that training passed through, as `curenu.TrainingRecorder` keeps
    them; with them the pull of the forget set is followed along training, not only at its end.

    `oracle` says which retraining the result is compared with: `"same_epochs"` on fewer
    examples, which takes fewer steps, T_r = T n_r/n; or the `"same_steps"`, T_r = T.
    Section 3 of `docs/theory.md`.
    """

    total: Time | None = None
    adaptive_batch: Count | None = None
    oracle: OracleProtocol = "same_epochs"
    passes: Count | None = field(default=None, kw_only=True)
    checkpoints: tuple[Checkpoint, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adaptive_batch is not None and self.total is None:
            raise BadRequest(f"{self}.", "the time beside the examples a batch.")
        if self.checkpoints:
            self.course()

    def course(self) -> list[tuple[Checkpoint, float]]:
        """The checkpoints in order with the time that each stands for; `total` together."""
        if self.total is None or math.isinf(self.total):
            raise BadRequest(
                f"Checkpoints of a training of time {self.total}.", "the time it had, `total=`."
            )
        return spans(self.checkpoints, self.total)

    @classmethod
    def of(
        cls,
        optimizer: Optimizer,
        schedule: Schedule | None = None,
        *,
        steps: int | None = None,
        steps_per_rate: int = 1,
        batch_size: int | None = None,
        oracle: OracleProtocol = "same_epochs",
    ) -> Self:
        """The time of `steps` steps of a torch SGD, Adam or AdamW.

        `schedule` is None where the optimiser's rates stay as they are, a scheduler of
        `torch.optim.lr_scheduler` that has not stepped yet (nothing is changed in it or in the
        optimiser), or the rates one after another, for every group; `steps_per_rate` is how
        many steps each rate lasts, those of an epoch where it changes once an epoch.
        `batch_size`, all devices together, is needed for Adam. For what no formula knows,
        record it: `curenu.TrainingRecorder`.

        Σ rate (1 − dampening)/(1 − momentum), Σ rate for Adam. Raises `BadRequest` for other
        optimisers, a scheduler that has stepped or waits for losses, and parameter groups
        whose times differ.
        """
        check_optimizer(optimizer)
        times, count = planned(optimizer, schedule, steps, steps_per_rate)
        total = common_time(optimizer, times)
        return cls.followed(optimizer, total, count, batch_size=batch_size, oracle=oracle)

    @classmethod
    def followed(
        cls,
        optimizer: Optimizer,
        total: float,
        steps: int,
        *,
        batch_size: int | None = None,
        oracle: OracleProtocol = "same_epochs",
    ) -> Self:
        """The time `total` of `steps` under this kind of optimiser; Adam needs its batch size."""
        passes = None if batch_size is None else steps * batch_size
        if not is_adaptive(optimizer):
            return cls(total, oracle=oracle, passes=passes)
        if batch_size is None:
            raise BadRequest(
                "Adam divides its rates by the gradients of batches, whose size is not given.",
                "`batch_size=` of training.",
            )
        return cls(total, batch_size, oracle, passes=passes)

    def retraining(self, retained: int, erased: int) -> float:
        """Weighted examples that retraining on what stays passes; inf where it is not known."""
        if self.passes is None:
            return math.inf
        return GRADIENT * self.passes * retained / (retained + erased)

    def examples(self, retain: EmpiricalRisk, forget: EmpiricalRisk) -> int:
        """How many examples `limit` passes at most."""
        if self.total is None:
            probed = _VECTORS * _each(retain.size)
            if retain.dimension <= _VECTORS:  # by its layers first, then column by column
                probed = min(_DENSE, retain.size) * 2 * (retain.dimension + 2)
            return convergence_examples(retain.size, forget.size) + probed
        if self.adaptive_batch is None or math.isinf(self.total):
            return 0
        return _BATCHES * min(self.adaptive_batch, retain.size)

    def limit(
        self,
        retain: EmpiricalRisk,
        forget: EmpiricalRisk,
        theta: Tensor,
        generator: torch.Generator,
    ) -> Limit:
        """The curvature that the oracle's time just resolves at theta: 1/T_r.

        For an adaptive optimiser rms/T_r, with rms the root mean square of minibatch
        gradients' entries. For an unknown time 0 where theta has converged on retained and
        forget examples together, three tenths of the mean Gauss-Newton curvature otherwise.
        """
        if self.total is None:
            return _unknown(retain, forget, theta, generator)
        if math.isinf(self.total):
            return Limit(0.0, "training to convergence")
        shorter = self.oracle == "same_epochs"
        total = self.total * (retain.size / (retain.size + forget.size) if shorter else 1.0)
        note = f"training time of the oracle {total:.4g}"
        if self.adaptive_batch is None:
            return Limit(1.0 / total, note)
        batches = [retain.sample(self.adaptive_batch, generator) for _ in range(_BATCHES)]
        squares = [float(b.gradient(theta).double().square().mean()) for b in batches]
        return Limit(
            math.sqrt(sum(squares) / _BATCHES) / total, f"{note}, of an adaptive optimiser"
        )


def _unknown(
    retain: EmpiricalRisk, forget: EmpiricalRisk, theta: Tensor, generator: torch.Generator
) -> Limit:
    if converged(retain, forget, theta, generator):
        return Limit(0.0, "training time not given: converged, by its gradient", True)
    mean = _mean_curvature(retain, theta, generator)
    if not mean > 0:
        return Limit(0.0, "training time not given, and no curvature to take it from: no limit")
    return Limit(_SHARE * mean, "training time not given: a share of the mean curvature instead")


def _mean_curvature(risk: EmpiricalRisk, theta: Tensor, generator: torch.Generator) -> float:
    """trace/d of the Gauss-Newton matrix without decay (of the Hessian, outputs unknown).

    The mean of z·Gz over vectors z of random signs, each with a few examples of its own: a few
    large eigenvalues make z·Gz spread widely, so many vectors count for more than many examples.
    The trace itself of a model of few parameters.
    """
    kind: Kind = "gauss_newton" if risk.source.evaluation.shows_outputs else "hessian"
    if len(theta) <= _VECTORS:
        few = risk.sample(_DENSE, generator)
        matrix = few.linearise(theta, curvature=kind, full_precision=True).dense()
        return float(torch.trace(matrix)) / len(theta) - risk.weight_decay
    total = 0.0
    for _ in range(_VECTORS):
        few = risk.sample(_each(risk.size), generator)
        signs = torch.randint(2, theta.shape, generator=generator, dtype=torch.int8)
        signs = signs.to(theta).mul_(2).sub_(1)
        bent = few.linearise(theta, curvature=kind, memory_budget=0, full_precision=True)
        total += float(torch.dot(signs.double(), (bent @ signs).double()))
    return total / _VECTORS / len(theta) - risk.weight_decay


def _each(retained: int) -> int:
    """Examples a vector: one pass over the data at most, together."""
    return max(1, min(_EACH, retained // _VECTORS))
