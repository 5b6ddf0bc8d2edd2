"""One call from a trained model to one that has forgotten."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from curenu.checks import positions_of, size_of
from curenu.cost import Cost
from curenu.distributed import require_same
from curenu.erasure import Certificate, Erasure, ErasureProblem, Method, StepRecord
from curenu.errors import IllPosed, RunBroken
from curenu.losses import Loss, Reduction
from curenu.methods import Unlearning, resolve_method
from curenu.parameters import ParameterSpace, Selection
from curenu.risks import EmpiricalRisk, TrainingTime, require_same_problem
from curenu.status import Status

__all__ = ["Unlearned", "erase", "unlearn", "with_parameters"]


Retrain = Callable[[list[int], int], nn.Module]
"""(retained positions, seed) -> a model trained on those alone."""


@dataclass(frozen=True)
class Unlearned:
    """The new model and how it was made; the given model is untouched."""

    model: nn.Module
    erasure: Erasure

    @property
    def theta(self) -> Tensor:
        """The moved parameters as one vector `[d]`."""
        return self.erasure.theta

    @property
    def status(self) -> Status:
        """Why the method stopped, with advice."""
        return self.erasure.status

    @property
    def cost(self) -> Cost:
        """Gradients, products, examples, seconds, peak bytes."""
        return self.erasure.cost

    @property
    def certificate(self) -> Certificate | None:
        """Second-order stationarity at the result; None where the method makes no claim."""
        return self.erasure.certificate

    @property
    def trace(self) -> tuple[StepRecord, ...]:
        """One record an outer step."""
        return self.erasure.trace


def unlearn(
    model: nn.Module,
    dataset: Dataset[Any],
    loss: Loss,
    *,
    forget: Sequence[Hashable] | Tensor,
    method: str | Method | Unlearning = "stocurenu",
    weight_decay: float = 0.0,
    seed: int = 0,
    ids: Sequence[Hashable] | None = None,
    only: Selection | None = None,
    micro_batch_size: int | Literal["auto"] = 256,
    product_dtype: torch.dtype | None = None,
    reduction: Reduction | None = None,
    collate: Callable[[list[Any]], Any] | None = None,
    retrain: Retrain | None = None,
    holdout: Dataset[Any] | None = None,
    training: TrainingTime = TrainingTime(),
    on_step: Callable[[StepRecord], None] | None = None,
) -> Unlearned:
    """A new model that has forgotten the examples `forget` of `dataset`.

    `dataset` is the training set; `forget` are positions in it, or ids when `ids` names its
    examples. `loss` and `weight_decay` are those of training. `method` is a name, an object
    of `curenu.methods`, or a function (net, retain_loader, forget_loader, validation_loader)
    -> net. `retrain` (retained positions, seed) -> model is needed by `"retrain"` only;
    `holdout`, data never trained on, is what such functions validate on. `training` says how
    long the model was trained, which bounds how far it is moved; where it is left out, a
    share of the mean curvature stands in. The other arguments are those of `EmpiricalRisk`,
    `micro_batch_size="auto"` and `product_dtype=torch.bfloat16` (faster, its error noted) too.

    Raises an error of `curenu.errors` before anything is computed if the request, the data,
    the loss or the model does not allow it.
    """
    chosen = resolve_method(method)
    positions = positions_of(forget, size_of(dataset), ids=ids)
    over = partial(
        EmpiricalRisk,
        model,
        loss=loss,
        weight_decay=weight_decay,
        only=only,
        micro_batch_size=micro_batch_size,
        product_dtype=product_dtype,
        reduction=reduction,
        collate=collate,
    )
    risk = over(dataset)
    aside = None if holdout is None else over(holdout)
    retain, gone = risk.split(positions)
    problem = ErasureProblem(
        risk.start,
        retain,
        gone,
        holdout=aside,
        retrain=None if retrain is None else partial(_retrained, retrain, retain),
        on_step=on_step,
        training=training,
    )
    result = erase(problem, chosen, seed=seed)
    return Unlearned(with_parameters(model, risk.parameters, result.theta), result)


def erase(problem: ErasureProblem, method: Method, *, seed: int) -> Erasure:
    """Run a method on a problem whose curvature was looked at first.

    Raises `IllPosed` when the result holds NaN or Inf, `UnsupportedModel` when the method
    needs a second derivative that the objective does not have; in several processes
    `BadRequest` when they were not given the same, `RunBroken` when one fails or departs.
    """
    require_same_problem(
        problem.start, problem.retain, problem.forget, _without_addresses(method), seed
    )
    generator = torch.Generator().manual_seed(seed)
    if method.plan(problem).curvature:
        # a large model is given few examples at a time for want of memory
        few = problem.retain.sample(min(32, problem.retain.source.micro_batch_size), generator)
        probe = torch.randn(problem.start.shape, generator=generator).to(problem.start)
        few.check_twice_differentiable(problem.start, probe)
    erasure = method(problem, generator=generator)
    if not erasure.theta.isfinite().all():
        raise IllPosed(
            f"{type(method).__name__} ended in NaN or Inf.",
            "another method or a smaller step.",
        )
    require_same(RunBroken, result=erasure.theta)
    return erasure


def _retrained(retrain: Retrain, retain: EmpiricalRisk, generator: torch.Generator) -> Tensor:
    seed = int(torch.randint(2**31, (), generator=generator))
    return retain.vector_of(retrain(retain.ids.tolist(), seed))


def _without_addresses(method: Method) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", repr(method))


def with_parameters(model: nn.Module, space: ParameterSpace, theta: Tensor) -> nn.Module:
    """A copy of `model` whose moving parameters are those of the vector `theta` `[d]`."""
    other = copy.deepcopy(model)
    parameters = dict(other.named_parameters())
    with torch.no_grad():
        for name, value in space.unflatten(theta).items():
            parameters[name].copy_(value)
    return other
