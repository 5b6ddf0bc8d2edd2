"""What an unlearning method is given and what it returns."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from curenu.autodiff import Kind
from curenu.budgets import OUTPUT_MEMORY
from curenu.cost import Cost
from curenu.errors import BadRequest
from curenu.operators import Recurrence
from curenu.risks import AnchoredRisk, EmpiricalRisk, Limit, TrainingTime
from curenu.status import Status
from curenu.user_code import calling

__all__ = [
    "Certificate",
    "Constant",
    "Erasure",
    "ErasureProblem",
    "Guarantee",
    "Method",
    "Plan",
    "StepRecord",
    "made_by",
]

T = TypeVar("T")


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

    An eps-second-order stationary point has |∇F| ≤ eps and lambda_min ≥ −√(M eps), M being
    `penalty`. `lambda_min` is a Ritz value, never below the smallest eigenvalue; *some*
    eigenvalue lies within `lambda_min_residual` of it, which does not say that it is the
    smallest. `recurrence` is what the products showed: from it follows a lower bound of the
    smallest eigenvalue that holds but for a stated share of random starts, and with it `proved`.

    `examples` were looked at out of `population`: unless they are equal the numbers are a
    sample's, and so is what is proved. This is not an (epsilon, delta) privacy certificate.
    Equation (7) of `docs/theory.md`.
    """

    gradient_norm: float
    lambda_min: float
    lambda_min_residual: float
    penalty: float
    examples: int
    population: int
    recurrence: Recurrence | None = None

    @property
    def epsilon(self) -> float:
        """max(|∇F|, max(0, residual − lambda_min)²/M): eps if the eigenvalue found is the smallest.

        That it is the smallest is likely and not shown; `proved` does without.
        """
        return self._of(self.lambda_min - self.lambda_min_residual)

    @property
    def least_epsilon(self) -> float:
        """max(|∇F|, max(0, −lambda_min)²/M): no smaller eps holds, whatever else is true."""
        return self._of(self.lambda_min)

    def lower_bound(self, failure_probability: float = 0.01) -> float:
        """What the smallest eigenvalue is not below, but for this share of random starts.

        In exact arithmetic, for orthonormal Lanczos vectors. −inf without a `recurrence`.
        """
        if self.recurrence is None:
            return -math.inf
        return self.recurrence.lower_bound(failure_probability)

    def proved(self, failure_probability: float = 0.01) -> float:
        """The eps that is proved: max(|∇F|, max(0, −`lower_bound`)²/M).

        The probability is over the random start of the products alone. Few products prove
        a large eps; inf without a `recurrence`.
        """
        return self._of(self.lower_bound(failure_probability))

    def _of(self, lowest: float) -> float:
        return max(self.gradient_norm, max(0.0, -lowest) ** 2 / self.penalty)

    @property
    def exact(self) -> bool:
        """Whether it was measured on all examples of the objective."""
        return self.examples == self.population


@dataclass(frozen=True)
class Constant:
    """One number that a guarantee rests on, and where it comes from; None where it is unknown."""

    name: str
    value: float | None
    origin: Literal["chosen", "measured", "assumed", "unknown"]

    def __str__(self) -> str:
        value = "" if self.value is None else f" = {self.value:.4g}"
        return f"{self.name}{value} ({self.origin})"


@dataclass(frozen=True)
class Guarantee:
    """(epsilon, delta)-indistinguishability of the result from an oracle with the same noise.

    The result without its noise is at most `distance` from the oracle without its noise, if
    every one of `constants` is what it is taken to be; `noise` is the standard deviation of each
    coordinate. `distance` is None where a constant is unknown. Not a convergence certificate.
    `docs/guarantees.md`.
    """

    distance: float | None
    noise: float
    delta: float
    constants: tuple[Constant, ...]

    @property
    def epsilon(self) -> float:
        """(distance/noise) √(2 ln(1.25/delta)); inf where that is above 1 or unknown.

        The theorem says nothing above 1. Source: Dwork and Roth, The algorithmic foundations of
        differential privacy (2014), theorem A.1.
        """
        if self.distance is None or self.noise == 0.0:
            return math.inf
        found = self.distance / self.noise * math.sqrt(2.0 * math.log(1.25 / self.delta))
        return found if found <= 1.0 else math.inf

    @property
    def notes(self) -> tuple[str, ...]:
        """The guarantee in a sentence, and what it rests on in another."""
        distance = "unknown" if self.distance is None else f"{self.distance:.4g}"
        if math.isinf(self.epsilon):
            said = f"no epsilon at delta {self.delta:g}: "
        else:
            said = f"epsilon {self.epsilon:.4g} at delta {self.delta:g}, if all below holds: "
        said += f"distance at most {distance}, noise {self.noise:g}"
        return said, "rests on: " + ", ".join(map(str, self.constants))


@dataclass(frozen=True)
class ErasureProblem:
    """Everything a method may use, and nothing else.

    `start` `[d]` is where minimisation starts, the vector before the request. `retain` and
    `forget` are objectives over what stays and what goes, `holdout` one over examples never
    trained on, where there are some. `retrain` trains from initialisation on the retain set
    with the task's recipe and returns theta `[d]`; None when the recipe is not known.
    `on_step` is told of every outer step as it ends. `training` is how long `start` was
    trained, which limits how far the anchored objective leads; by default it does not.

    In a sequence of requests `anchor` `[d]` is the vector that anchored objectives are built
    at where that is not `start`: the first model of the sequence, `forget` being then all that
    was erased since. `penalty` is what the request before settled on; an automatic penalty
    starts from it.
    """

    start: Tensor
    retain: EmpiricalRisk
    forget: EmpiricalRisk
    holdout: EmpiricalRisk | None = field(default=None, kw_only=True)
    retrain: Callable[[torch.Generator], Tensor] | None = None
    on_step: Callable[[StepRecord], None] | None = field(default=None, repr=False)
    training: TrainingTime = field(default=TrainingTime(math.inf), kw_only=True)
    anchor: Tensor | None = field(default=None, kw_only=True)
    penalty: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.start.shape != (self.retain.dimension,):
            raise BadRequest(
                f"The start has shape {list(self.start.shape)}.",
                f"the trained vector of {self.retain.dimension} parameters.",
            )
        for checkpoint in self.training.checkpoints:
            checkpoint.vector(self.retain.parameters)  # before anything is computed

    @property
    def theta0(self) -> Tensor:
        """Where anchored objectives are built, `[d]`: the anchor, or the start."""
        return self.start if self.anchor is None else self.anchor

    def limit(self, generator: torch.Generator) -> Limit:
        """The least curvature that training had the time for, measured at `theta0`."""
        return self.training.limit(self.retain, self.forget, self.theta0, generator)

    def anchored(self, limit: Limit, *, memory_budget: int = OUTPUT_MEMORY) -> AnchoredRisk:
        """The anchored objective at `theta0`, limited to what training had the time for."""
        return AnchoredRisk(
            self.retain,
            self.forget,
            self.theta0,
            limit=limit.curvature,
            memory_budget=memory_budget,
        )

    def report(self, record: StepRecord) -> StepRecord:
        """Tell the listener of one outer step."""
        if self.on_step is not None:
            with calling("`on_step`"):
                self.on_step(record)
        return record


@dataclass(frozen=True)
class Erasure:
    """What a method returns: the new vector, why it stopped, what it cost, how it went.

    `penalty` is what an automatic penalty settled on at the first step, where the next request
    starts (later ones answer to the samples' noise); None without one, or without a result.
    `certificate` is about convergence, `guarantee` about privacy; most methods have neither.
    """

    theta: Tensor
    status: Status
    cost: Cost
    trace: tuple[StepRecord, ...] = ()
    certificate: Certificate | None = None
    notes: tuple[str, ...] = ()
    penalty: float | None = None
    guarantee: Guarantee | None = None


@dataclass(frozen=True)
class Plan:
    """What a method will use at most, known before it starts; growing a sample comes on top.

    `examples` passed through the model, `vectors` `[d]` and `matrices` `[d, d]` (float64)
    held at once beside theta; `curvature` says which products are needed (None: none), `forward`
    how many of the examples pass forward only, `anchored` that the anchored objective is what
    is minimised, `kept` of how many examples at most the graphs wait for the next product
    (None: of all), in how many bytes `graphs` (None: the usual 1 GiB).
    """

    examples: int
    vectors: int
    matrices: int = 0
    curvature: Kind | None = None
    forward: int = 0
    anchored: bool = False
    kept: int | None = None
    graphs: int | None = None


class Method(Protocol):
    """One way to erase: a frozen dataclass of hyper-parameters that is called."""

    def plan(self, problem: ErasureProblem) -> Plan: ...
    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure: ...


def made_by(method: Method, kind: type[T], work: Callable[[], Any]) -> T:
    """What a method's plan or call, `work`, returns, if it is of that `kind`.

    Raises `UserCodeFailed` where a method of the caller's own fails, `BadRequest` where it returns
    something else.
    """
    own = not type(method).__module__.startswith("curenu.")
    with calling(type(method).__name__) if own else nullcontext():
        made = work()
    if not isinstance(made, kind):
        raise BadRequest(
            f"{type(method).__name__} returned a {type(made).__name__} for a {kind.__name__}.",
            f"a `curenu.erasure.{kind.__name__}`, as `curenu.erasure.Method` says.",
        )
    return made
