"""How far one step of a torch optimiser follows the gradient, and so how far many do."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator, Sequence

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from curenu.errors import BadRequest
from curenu.settings import Count, NotNegative, fitted

__all__ = ["Schedule", "check_optimizer", "common_time", "is_adaptive", "planned", "step_times"]

Schedule = LRScheduler | Sequence[float]
"""A scheduler that has not stepped yet, or the rates of all groups one after another."""

_EQUAL = 1e-6  # relative difference up to which two groups had the same time
_BY_HAND = "`curenu.TrainingTime(total)` with Σ rate / (1 − momentum) added up by hand"


def check_optimizer(optimizer: Optimizer) -> None:
    """Raise `BadRequest` unless the time of this optimiser's steps is known.

    Its exact type counts: what a subclass makes of the gradient cannot be known.
    """
    kind = type(optimizer)
    if kind is torch.optim.LBFGS:
        raise BadRequest(
            "LBFGS follows no gradient for a time: its steps use curvature.",
            "`curenu.TrainingTime(math.inf)` where it ran to convergence.",
        )
    if kind not in (SGD, Adam, AdamW):
        raise BadRequest(
            f"The time that {kind.__module__}.{kind.__name__} follows its gradient is not known.",
            f"torch.optim.SGD, Adam or AdamW themselves (the one inside a wrapper), or {_BY_HAND}.",
        )
    for group in optimizer.param_groups:
        if group.get("maximize"):
            raise BadRequest(
                "The optimiser maximises, and erasure takes the loss to have been minimised.",
                "the loss with its sign changed.",
            )
        if group.get("amsgrad"):
            raise BadRequest(
                "Under amsgrad rates are divided by the largest gradients of all training.",
                "Adam without it, or a time given by hand.",
            )
        if not group.get("momentum", 0.0) < 1:
            raise BadRequest(f"momentum={group['momentum']}.", "a number in [0, 1).")


def is_adaptive(optimizer: Optimizer) -> bool:
    """Whether rates are divided by the gradients' root mean square."""
    return isinstance(optimizer, Adam)


def step_times(optimizer: Optimizer) -> list[float]:
    """The time of one step at each group's present settings.

    rate · (1 − dampening) / (1 − momentum) for SGD, Nesterov's too: what a gradient that
    stays the same moves the group by in a step, once momentum has built up. The rate itself
    for Adam and AdamW, whose momentum is a mean.
    """
    return [
        float(group["lr"])
        * (1.0 - group.get("dampening", 0.0))
        / (1.0 - group.get("momentum", 0.0))
        for group in optimizer.param_groups
    ]


def common_time(optimizer: Optimizer, totals: Sequence[float]) -> float:
    """The time that all groups with moving parameters had.

    Raises `BadRequest` where they had different ones: one number cannot say both, and a mean
    of them would hold for neither.
    """
    moving = [
        total
        for group, total in zip(optimizer.param_groups, totals, strict=True)
        if any(parameter.requires_grad for parameter in group["params"])
    ]
    if not moving:
        raise BadRequest("No parameter of the optimiser moves.", "the optimiser of training.")
    least, most = min(moving), max(moving)
    if not math.isfinite(most):
        raise BadRequest(f"The rates add up to {most}.", "finite learning rates.")
    if most - least > _EQUAL * most:
        times = ", ".join(f"{total:g}" for total in moving)
        raise BadRequest(
            f"The parameter groups were trained for different times: {times}.",
            "`curenu.TrainingTime(total)` with the time of the group whose parameters are to "
            "move, and `only=` to move those alone.",
        )
    if not most > 0:
        raise BadRequest(
            "The optimiser took no step that moved anything.",
            "a recorder made before the training loop starts, or positive rates.",
        )
    return most


def planned(
    optimizer: Optimizer, schedule: Schedule | None, steps: int | None, steps_per_rate: int
) -> tuple[list[float], int]:
    """(each group's time over the steps, their number); a rate lasts `steps_per_rate` of them."""
    steps_per_rate = fitted("steps_per_rate", steps_per_rate, Count)
    if not isinstance(schedule, LRScheduler | Sequence | None) or isinstance(schedule, str):
        raise BadRequest(f"schedule={schedule!r}.", "a scheduler of torch, or a list of rates.")
    if steps is None and isinstance(schedule, Sequence):
        steps = len(schedule) * steps_per_rate
    count: int = fitted("steps", steps, Count)
    left = count
    stand_in = _stand_in(optimizer)
    totals = [0.0] * len(stand_in.param_groups)
    for _ in _rates(optimizer, stand_in, schedule, math.ceil(left / steps_per_rate)):
        lasting = min(left, steps_per_rate)
        left -= lasting
        totals = [
            total + lasting * time for total, time in zip(totals, step_times(stand_in), strict=True)
        ]
    return totals, count


def _stand_in(optimizer: Optimizer) -> Optimizer:
    """An optimiser of the same settings over one number a group: a scheduler may turn it."""
    groups = [
        {**group, "params": [torch.zeros(1, requires_grad=True)]}
        for group in optimizer.param_groups
    ]
    return type(optimizer)(groups)  # type: ignore[arg-type]


def _rates(
    optimizer: Optimizer, stand_in: Optimizer, schedule: Schedule | None, count: int
) -> Iterator[None]:
    """Sets the stand-in's groups to each rate in turn, `count` of them."""
    if schedule is None:
        for _ in range(count):
            yield
    elif isinstance(schedule, LRScheduler):
        turning = _copied(optimizer, stand_in, schedule)
        for done in range(count):
            if done:
                _turn(turning)
            yield
    else:
        rates = [fitted("a rate of schedule", rate, NotNegative) for rate in schedule]
        if len(rates) != count:
            raise BadRequest(
                f"{len(rates)} rates for {count} changes of rate.",
                "one for each, or `steps_per_rate=` where one lasts longer.",
            )
        for rate in rates:
            for group in stand_in.param_groups:
                group["lr"] = rate
            yield


def _turn(schedule: LRScheduler) -> None:
    with warnings.catch_warnings():  # that the stand-in itself takes no step
        warnings.simplefilter("ignore", UserWarning)
        try:
            schedule.step()
        except ValueError as reason:  # OneCycleLR's at its end
            raise BadRequest(
                f"The scheduler has not so many rates: {reason}",
                "the `steps` it was made for, `steps_per_rate=` where it steps once an epoch.",
            ) from reason


def _copied(optimizer: Optimizer, stand_in: Optimizer, schedule: LRScheduler) -> LRScheduler:
    """The scheduler as it stands, turning the stand-in's rates instead of the optimiser's."""
    if isinstance(schedule, ReduceLROnPlateau):
        raise BadRequest(
            "What ReduceLROnPlateau did depends on the losses of training.",
            "`curenu.TrainingRecorder(optimizer)` before the training loop.",
        )
    if schedule.optimizer is not optimizer:
        raise BadRequest("The scheduler is another optimiser's.", "the two of one training.")
    parts = [schedule, *getattr(schedule, "_schedulers", ())]  # of one made of several
    if max(getattr(part, "last_epoch", 0) for part in parts) > 0:
        raise BadRequest(
            "The scheduler has stepped already, and does not tell its past.",
            "a new one, asked before training, or `curenu.TrainingRecorder(optimizer)`.",
        )
    return copy.deepcopy(schedule, {id(optimizer): stand_in})
