"""What a sum over examples and all its samples share, and the model under named parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from curenu.cost import Meter
from curenu.data.examples import Examples
from curenu.losses.loss import Evaluation
from curenu.parameters import ParameterSpace

__all__ = ["Named", "Source", "one_arithmetic"]

Named = dict[str, Tensor]


@dataclass(frozen=True)
class Source:
    """What a sum and all its samples share: parameters, model and loss, data and meter."""

    parameters: ParameterSpace
    evaluation: Evaluation
    examples: Examples
    micro_batch_size: int
    meter: Meter
    product_dtype: torch.dtype | None = None
    measured: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)
    """What has been measured of the model once, and need not be again."""

    def outputs(self, named: Named, batch: Any) -> Tensor:
        """The model's outputs on a batch (its loss, for mappings) under named parameters."""
        inputs = {f"model.{name}": tensor for name, tensor in named.items()}
        return functional_call(self.evaluation, inputs, (batch,))

    def under(self, named: Named, work: Callable[[], Any]) -> Any:
        """What `work` gives while the model holds the named parameters.

        For ways back as well: checkpointed parts of a model are passed again on them.
        """
        inputs = {f"evaluation.model.{name}": tensor for name, tensor in named.items()}
        return functional_call(_Holding(self.evaluation), inputs, (work,))


class _Holding(nn.Module):
    """A module that calls work given to it, so that its parameters can be placed meanwhile."""

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__()
        self.evaluation = evaluation

    def forward(self, work: Callable[[], Any]) -> Any:
        return work()


@contextmanager
def one_arithmetic() -> Iterator[None]:
    """Turn off the inference-only attention path: the same arithmetic in every pass."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
