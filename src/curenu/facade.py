"""One call from a trained model to one that has forgotten."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from curenu.budgets import DATA_MEMORY
from curenu.checks import check_callables, check_curvature
from curenu.cost import Cost
from curenu.data import Collate, joined
from curenu.distributed import require_same
from curenu.erasure import (
    Certificate,
    Erasure,
    ErasureProblem,
    Guarantee,
    Method,
    Plan,
    StepRecord,
    made_by,
)
from curenu.errors import BadRequest, IllPosed, RunBroken
from curenu.losses import Loss, Reduction
from curenu.methods import Unlearning, resolve_method
from curenu.own_model import (
    sum_of_the_rest,
    unwrapped,
    with_parameters,
    write_parameters,
)
from curenu.parameters import ParameterSpace, Selection
from curenu.risks import EmpiricalRisk, TrainingTime, require_same_problem
from curenu.settings import Seed, fitted
from curenu.status import Status, share_advice
from curenu.user_code import calling

__all__ = ["Unlearned", "erase", "unlearn"]

_KEPT = 0.5  # of the change, along it: what rounding must leave
_LOOKED_AT = 64  # forget examples whose own gradients say how a sum of them rounds

Retrain = Callable[[list[int], int], nn.Module]
"""(retained positions, seed) -> a model trained on those alone."""


@dataclass(frozen=True)
class Unlearned:
    """How a model was made to forget, and the new model; the given one is untouched.

    `theta` `[d]` is in float32 or float64; the model and `state_dict()` have the given model's own
    types. `source` is the given model, whose parameters that did not move the result shares.
    """

    erasure: Erasure
    source: nn.Module = field(repr=False)
    parameters: ParameterSpace = field(repr=False)
    stayed: float = field(repr=False)  # a sum over what did not move, when the result was made

    @classmethod
    def of(cls, erasure: Erasure, source: nn.Module, parameters: ParameterSpace) -> Unlearned:
        """The result of an erasure from `source` as it is now."""
        return cls(erasure, source, parameters, sum_of_the_rest(source, parameters))

    @cached_property
    def model(self) -> nn.Module:
        """A new module, made when first asked for, with all that did not move copied.

        Raises `BadRequest` where that has been changed in the given model since.
        """
        if sum_of_the_rest(self.source, self.parameters) != self.stayed:
            raise BadRequest(
                "What did not move (frozen weights, buffers) has been changed in the given model "
                "since the result was made.",
                "`.model` before the given model is used in training, or `.state_dict()`, which "
                "has what moved.",
            )
        return with_parameters(self.source, self.parameters, self.theta)

    def state_dict(self) -> dict[str, Tensor]:
        """The parameters that moved, and no others, by name and in their own types."""
        named = self.parameters.unflatten(self.theta)
        return {n: part.to(self.parameters.dtypes[n], copy=True) for n, part in named.items()}

    def apply_to(self, model: nn.Module) -> nn.Module:
        """Write the moved parameters into `model`, in place; nothing else is copied.

        Raises `BadRequest` when a parameter is missing or has another shape.
        """
        inner = unwrapped(model)
        self.parameters.flatten(dict(inner.named_parameters()))
        write_parameters(inner, self.parameters, self.theta)
        return model

    @property
    def theta(self) -> Tensor:
        """The moved parameters as one vector `[d]`."""
        return self.erasure.theta

    @property
    def status(self) -> Status:
        """Why the method stopped, with advice."""
        return self.erasure.status

    @property
    def notes(self) -> tuple[str, ...]:
        """What was settled about model, loss and data, and what the method chose."""
        return self.erasure.notes

    @property
    def cost(self) -> Cost:
        """Gradients, products, examples, seconds, peak bytes."""
        return self.erasure.cost

    @property
    def certificate(self) -> Certificate | None:
        """Second-order stationarity at the result; None where the method makes no claim."""
        return self.erasure.certificate

    @property
    def guarantee(self) -> Guarantee | None:
        """(epsilon, delta) and what it rests on; None where the method promises none."""
        return self.erasure.guarantee

    @property
    def trace(self) -> tuple[StepRecord, ...]:
        """One record an outer step."""
        return self.erasure.trace


@torch.inference_mode(False)
def unlearn(
    model: nn.Module,
    dataset: Dataset[Any] | DataLoader[Any],
    loss: Loss,
    *,
    forget: Any,
    method: str | Method | Unlearning = "stocurenu",
    weight_decay: float = 0.0,
    seed: int = 0,
    ids: Sequence[Hashable] | None = None,
    only: Selection | None = None,
    micro_batch_size: int | Literal["auto"] = 256,
    product_dtype: torch.dtype | None = None,
    reduction: Reduction | None = None,
    collate: Collate | None = None,
    weights: Tensor | Sequence[float] | None = None,
    data_memory: int = DATA_MEMORY,
    retrain: Retrain | None = None,
    holdout: Dataset[Any] | None = None,
    training: TrainingTime = TrainingTime(),
    on_step: Callable[[StepRecord], None] | None = None,
) -> Unlearned:
    """A new model that has forgotten the examples `forget` of `dataset`.

    `dataset` is the training set, or a `DataLoader` of it; `forget` are positions in it, ids when
    `ids` names its examples, a mask of booleans, or a data set of its own beside `dataset`, which
    is then the retain set, unless the forget set is made of its examples (a `Subset`): then they
    are what goes. `loss` and `weight_decay` are those of training, `weights` what each
    example weighed in it. `method` is a name, an object of `curenu.methods`, or a function (net,
    retain_loader, forget_loader, validation_loader) -> net. `retrain` (retained positions, seed)
    -> model is needed by `"retrain"` only; `holdout`, data never trained on, is what such
    functions validate on. `training` says how long the model was trained, which bounds how far it
    is moved. The other arguments are those of `EmpiricalRisk`.

    `.status.ok` says whether the result may be used. Raises an error of `curenu.errors` before
    anything is computed if the request, the data, the loss or the model does not allow it.
    """
    chosen = resolve_method(method)
    _check_arguments(training, retrain=retrain, on_step=on_step, collate=collate)
    seed = fitted("seed", seed, Seed)
    dataset, positions, collate, told = joined(dataset, forget, collate, ids)
    settings: dict[str, Any] = {
        "weight_decay": weight_decay, "only": only, "micro_batch_size": micro_batch_size,
        "product_dtype": product_dtype, "reduction": reduction, "collate": collate,
        "data_memory": data_memory,
    }  # fmt: skip
    over = partial(EmpiricalRisk, model, loss=loss, **settings)
    risk = over(dataset, weights=weights)
    retain, gone = risk.split(positions)
    problem = ErasureProblem(
        risk.start,
        retain,
        gone,
        holdout=None if holdout is None else over(holdout),
        retrain=None if retrain is None else partial(_retrained, retrain, retain),
        on_step=on_step,
        training=training,
    )
    result = _in_own_type(erase(problem, chosen, seed=seed), problem)
    result = replace(result, notes=(*result.notes, *told))
    return Unlearned.of(result, unwrapped(model), risk.parameters)


@torch.inference_mode(False)
def erase(problem: ErasureProblem, method: Method, *, seed: int) -> Erasure:
    """Run a method on a problem whose products were compared with differences first.

    Raises `IllPosed` when the result holds NaN or Inf, `UnsupportedModel` when the method
    needs a second derivative that the objective does not have; in several processes
    `BadRequest` when they were not given the same, `RunBroken` when one fails or departs.
    A result that moved nothing is `UNMOVED` unless there was nothing to move for.
    """
    require_same_problem(
        problem.start, problem.retain, problem.forget, _without_addresses(method), seed
    )
    generator = torch.Generator().manual_seed(seed)
    kind = made_by(method, Plan, lambda: method.plan(problem)).curvature
    if kind is not None:
        # a large model is given few examples at a time for want of memory
        few = problem.retain.sample(min(32, problem.retain.source.micro_batch_size), generator)
        probe = torch.randn(problem.start.shape, generator=generator, dtype=torch.float32).to(
            problem.start
        )
        if kind == "hessian":
            few.check_twice_differentiable(problem.start, probe)
        product = few.linearise(problem.start, curvature=kind, memory_budget=0) @ probe
        if not product.any() or not product.isfinite().all():
            check_curvature(few.gradient(problem.start), product)
    with problem.retain.source.arithmetic():  # of solvers and metrics as well
        erasure = made_by(method, Erasure, lambda: method(problem, generator=generator))
    problem.retain.parameters.check(erasure.theta)
    if not erasure.theta.isfinite().all():
        raise IllPosed(
            f"{type(method).__name__} ended in NaN or Inf.",
            "another method or a smaller step.",
        )
    require_same(RunBroken, result=erasure.theta)
    gone = problem.forget.size
    advice = share_advice(gone, gone + problem.retain.size)
    said = () if advice is None else (str(advice),)
    notes = (*erasure.notes, *problem.retain.notes, *said)
    return replace(erasure, status=_told(erasure, problem), notes=notes)


def _told(erasure: Erasure, problem: ErasureProblem) -> Status:
    """The status: of a result that moved nothing it depends on whether anything pulls."""
    if not torch.equal(erasure.theta, problem.start):
        return erasure.status
    if not _pulls(problem):
        return Status.CONVERGED
    return Status.UNMOVED if erasure.status.ok else erasure.status


def _pulls(problem: ErasureProblem) -> bool:
    """Whether the forget set's gradient at the start is more than the rounding of its sum."""
    forget, start = problem.forget, problem.start
    pull = float(forget.gradient(start).norm())
    few = forget.ids[:_LOOKED_AT].split(1)
    each = max(float(forget.subset(one).gradient(start).norm()) for one in few)
    return pull > 8 * torch.finfo(start.dtype).eps * each


def _in_own_type(erasure: Erasure, problem: ErasureProblem) -> Erasure:
    """Say what rounding to the model's own type takes of the change; not ok if most of it."""
    space = problem.retain.parameters
    low = [dtype for dtype in space.dtypes.values() if dtype != erasure.theta.dtype]
    wanted = (erasure.theta - problem.start).double()
    if not low or not wanted.any():
        return erasure
    kept = (space.rounded(erasure.theta) - problem.start).double()
    share = float(torch.dot(kept, wanted) / wanted.square().sum())
    lost = float((kept - wanted).norm() / wanted.norm())
    note = (
        f"rounding to {str(low[0]).removeprefix('torch.')} keeps {share:.0%} of the change, "
        f"off by {lost:.0%} of its length"
    )
    gone = share < _KEPT and erasure.status.ok
    status = Status.ROUNDED_AWAY if gone else erasure.status
    return replace(erasure, status=status, notes=(*erasure.notes, note))


def _check_arguments(training: object, **functions: object) -> None:
    """Raise `BadRequest` for a training time that is none, or what cannot be called."""
    check_callables(**functions)
    if not isinstance(training, TrainingTime):
        number = isinstance(training, int | float)
        raise BadRequest(
            f"training={training!r}.",
            f"`curenu.TrainingTime({training})`." if number else "a `curenu.TrainingTime`.",
        )


def _retrained(retrain: Retrain, retain: EmpiricalRisk, generator: torch.Generator) -> Tensor:
    seed = int(torch.randint(2**31, (), generator=generator))
    with calling("`retrain`"):
        made: Any = retrain(retain.ids.tolist(), seed)
    if not isinstance(made, nn.Module):
        raise BadRequest(
            f"`retrain` returned a {type(made).__name__}.",
            "the trained model: a `torch.nn.Module`.",
        )
    theta = retain.vector_of(unwrapped(made))
    if not theta.isfinite().all():
        raise IllPosed("`retrain` returned a model with NaN or Inf in it.", "mending its training.")
    return theta


def _without_addresses(method: Method) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", repr(method))
