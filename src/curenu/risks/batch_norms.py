"""Batch norms that measure the batch in evaluation mode: an example then depends on others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from curenu.errors import UnsupportedModel
from curenu.risks.evaluation import Evaluation

__all__ = ["RunningStatistics", "check_norms"]

_TRAINING = 5  # where `functional.batch_norm` has the argument


def check_norms(evaluation: Evaluation) -> None:
    """Raise `UnsupportedModel` for a batch norm that has no running statistics."""
    for name, module in evaluation.model.named_modules():
        if (
            isinstance(module, nn.modules.batchnorm._NormBase)
            and not isinstance(module, nn.modules.instancenorm._InstanceNorm)
            and module.running_mean is None
        ):
            raise UnsupportedModel(
                f"The batch norm {name!r} keeps no running statistics: an example's output "
                "depends on the others in its batch.",
                "`track_running_stats=True` in training, or group or layer norm.",
            )


class RunningStatistics(TorchFunctionMode):
    """Inside, batch norms must use their running statistics.

    Raises `UnsupportedModel`, naming the layer, where a forward pass calls one in training mode:
    by `.train()` in `forward`, by a `train` that does not switch off, or by the function.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__()
        self._model = evaluation.model

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is functional.batch_norm:
            training = args[_TRAINING] if len(args) > _TRAINING else given.get("training", False)
            if training:
                statistics = args[1] if len(args) > 1 else given.get("running_mean")
                raise UnsupportedModel(
                    f"{self._named(statistics)} is in training mode inside the forward pass, "
                    "though the model is in evaluation mode: an example's output depends on the "
                    "others in its batch.",
                    "a forward pass that does not switch it on (`.train()`, `training=True`), so "
                    "that it uses its running statistics, or group or layer norm.",
                )
        return func(*args, **given)

    def _named(self, statistics: Any) -> str:
        modules: Iterable[tuple[str, Any]] = self._model.named_modules()
        for name, module in modules:
            if statistics is not None and getattr(module, "running_mean", None) is statistics:
                return f"The batch norm {name!r}"
        return "A batch norm"
