"""What a training loop did that erasing needs to know, recorded while it runs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from curenu.checkpoints import Checkpoints
from curenu.errors import BadRequest
from curenu.own_model import unwrapped
from curenu.risks import OracleProtocol, TrainingTime
from curenu.risks.optimizer_time import check_optimizer, common_time, step_times

__all__ = ["TrainingRecorder"]


class TrainingRecorder:
    """Adds up Σ rate / (1 − momentum) while a torch optimiser trains: one line before the loop.

        recorder = curenu.TrainingRecorder(optimizer, model, folder="course")
        ...  # the training loop, as it was
        curenu.unlearn(..., training=recorder.training_time())

    With a `model` it also keeps its weights at moments spread evenly over that time, twice as
    many as `checkpoints` at most, of which as many as that are given on: in `folder`
    (safetensors files, for their owner alone) or, without one, in memory. `bytes` is what they
    take. They saw what is to be erased: delete the folder with the model at the latest.

    Every `optimizer.step()` counts at the rate, momentum and dampening that its groups have at
    that step, whatever changed them: a scheduler, a restart, a hand. A step that a
    `GradScaler` leaves out does not count, nor does one that a group has no gradient in. Adam
    and AdamW add up their rates. `state_dict()` belongs in the checkpoint, beside the
    optimiser's; a recorder of the optimiser that goes on takes it by `load_state_dict`.

    The loss is taken for the mean over the batch, gradients accumulated over several batches
    for their mean. The steps of one process count: those of data-parallel training are the
    same in each. Raises `BadRequest` for optimisers whose time is not known, LBFGS among them.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        model: nn.Module | None = None,
        *,
        checkpoints: int = 3,
        folder: str | Path | None = None,
    ) -> None:
        check_optimizer(optimizer)
        if model is None and folder is not None:
            raise BadRequest("A folder for checkpoints and no model.", "the model as well.")
        self._optimizer = optimizer
        self._kept = None
        if model is not None:
            place = None if folder is None else Path(folder)
            self._kept = Checkpoints(unwrapped(model), checkpoints, place)
        self._steps = 0
        self._totals = [0.0] * len(optimizer.param_groups)
        self._hook = optimizer.register_step_post_hook(self._count)

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self._steps

    @property
    def totals(self) -> tuple[float, ...]:
        """Σ rate / (1 − momentum) of each parameter group."""
        return tuple(self._totals)

    @property
    def bytes(self) -> int:
        """What the checkpoints take now, on disk or in memory."""
        return 0 if self._kept is None else self._kept.bytes

    def training_time(
        self, *, batch_size: int | None = None, oracle: OracleProtocol = "same_epochs"
    ) -> TrainingTime:
        """The time that training has had so far, for `unlearn(..., training=)`.

        `batch_size`, all devices together, is needed for Adam and AdamW, and for every optimiser
        to know what a retraining costs; `oracle` is as in `TrainingTime`. Raises `BadRequest`
        where nothing was recorded, or groups whose parameters move had different times.
        """
        check_optimizer(self._optimizer)
        total = common_time(self._optimizer, self._known())
        found = TrainingTime.followed(
            self._optimizer, total, self._steps, batch_size=batch_size, oracle=oracle
        )
        return (
            found
            if self._kept is None
            else replace(found, checkpoints=self._kept.chosen(found.total or 0.0))
        )

    def state_dict(self) -> dict[str, Any]:
        """What was recorded: plain numbers, and weights where they are kept in memory."""
        kept = {} if self._kept is None else {"checkpoints": self._kept.state()}
        return {"steps": self._steps, "totals": self._known()} | kept

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state recorded before; what was recorded here until now is dropped."""
        steps, totals = state.get("steps"), state.get("totals")
        groups = len(self._optimizer.param_groups)
        if not isinstance(steps, int) or steps < 0 or not isinstance(totals, list):
            raise BadRequest("This is no recorder's state.", "what `state_dict()` gave.")
        if len(totals) != groups:
            raise BadRequest(
                f"A state of {len(totals)} parameter groups for an optimiser of {groups}.",
                "the optimiser that it was recorded on.",
            )
        if not all(isinstance(t, float | int) and 0 <= t < math.inf for t in totals):
            raise BadRequest(f"Recorded times of {totals}.", "what `state_dict()` gave.")
        if self._kept is not None:
            self._kept.load(state.get("checkpoints"))
        self._steps, self._totals = steps, [float(total) for total in totals]

    def stop(self) -> None:
        """Record no further step."""
        self._hook.remove()

    def _count(self, optimizer: Optimizer, *_: Any) -> None:
        if float(getattr(optimizer, "found_inf", None) or 0.0) > 0:
            return  # a fused optimiser was told by its GradScaler to leave the step out
        self._steps += 1
        self._totals = self._known()
        for place, (group, time) in enumerate(
            zip(optimizer.param_groups, step_times(optimizer), strict=True)
        ):
            if any(parameter.grad is not None for parameter in group["params"]):
                self._totals[place] += time
        if self._kept is not None:
            self._kept.passed(max(self._totals), self._steps)

    def _known(self) -> list[float]:
        """The totals, none yet for groups that the optimiser was given since."""
        missing = len(self._optimizer.param_groups) - len(self._totals)
        return [*self._totals, *[0.0] * missing]
