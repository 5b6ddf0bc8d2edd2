"""What an unlearning method is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from curenu.cost import Cost
from curenu.errors import BadRequest
from curenu.objective import EmpiricalRisk
from curenu.status import Status

__all__ = ["Certificate", "Erasure", "ErasureProblem", "Method", "Plan", "StepRecord"]


@dataclass(frozen=True)
class StepRecord:
    """One outer step: where it stood, what it tried and what came of it.

    `value` and `gradient_norm` are those of the (sampled) objective before the step; lengths
    are measured in the method's metric, the usual one where it has none;
    `rho` is actual over predicted decrease, None when it was not measured.
    """

    value: float | None = None
    gradient_norm: float | None = None
    penalty: float | None = None
    damping: float | None = None
    rho: float | None = None
    step_norm: float | None = None
    lambda_min: float | None = None
    accepted: bool = True
    products: int = 0


@dataclass(frozen=True)
class Certificate:
    """Second-order stationarity of the objective at the result: a convergence certificate.

    An eps-second-order stationary point has |∇F| ≤ eps and lambda_min ≥ −√(M eps).
    `epsilon` is the smallest eps both numbers prove, `penalty` its M. `lambda_min` has the
    error bound `lambda_min_residual`. `examples` were looked at out of `population`: unless
    they are equal the numbers are a sample's. This is not an (epsilon, delta) privacy
    certificate. Equation (7) of `docs/theory.md`.
    """

    gradient_norm: float
    lambda_min: float
    lambda_min_residual: float
    penalty: float
    examples: int
    population: int

    @property
    def epsilon(self) -> float:
        """max(|∇F|, max(0, −lambda_min)²/M)."""
        return max(self.gradient_norm, max(0.0, -self.lambda_min) ** 2 / self.penalty)

    @property
    def exact(self) -> bool:
        """Whether it was measured on all examples of the objective."""
        return self.examples == self.population


@dataclass(frozen=True)
class ErasureProblem:
    """Everything a method may use, and nothing else.

    `start` is theta0 `[d]`, the trained vector. `retain` and `forget` are objectives over
    what stays and what goes. `retrain` trains from initialisation on the retain set with the
    task's recipe and returns theta `[d]`; None when the recipe is not known. `on_step` is
    told of every outer step as it ends.
    """

    start: Tensor
    retain: EmpiricalRisk
    forget: EmpiricalRisk
    retrain: Callable[[torch.Generator], Tensor] | None = None
    on_step: Callable[[StepRecord], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.start.shape != (self.retain.dimension,):
            raise BadRequest(
                f"The start has shape {list(self.start.shape)}.",
                f"the trained vector of {self.retain.dimension} parameters.",
            )

    def report(self, record: StepRecord) -> StepRecord:
        """Tell the listener of one outer step."""
        if self.on_step is not None:
            self.on_step(record)
        return record


@dataclass(frozen=True)
class Erasure:
    """What a method returns: the new vector, why it stopped, what it cost, how it went."""

    theta: Tensor
    status: Status
    cost: Cost
    trace: tuple[StepRecord, ...] = ()
    certificate: Certificate | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a method will use at most, known before it starts; growing a sample comes on top.

    `examples` passed through the model, `vectors` `[d]` and `matrices` `[d, d]` (float64)
    held at once beside theta; `curvature` says that second derivatives are needed, `forward`
    how many of the examples pass forward only.
    """

    examples: int
    vectors: int
    matrices: int = 0
    curvature: bool = False
    forward: int = 0


class Method(Protocol):
    """One way to erase: a frozen dataclass of hyper-parameters that is called."""

    def plan(self, problem: ErasureProblem) -> Plan: ...
    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure: ...
