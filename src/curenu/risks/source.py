"""What an objective and all its samples share: parameters, model and loss, data, meter."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from curenu.autodiff.switches import one_arithmetic, twice_differentiable
from curenu.cost import Meter
from curenu.data import Batch, Examples, floating_tensors
from curenu.errors import BadRequest, CurenuError, IllPosed
from curenu.losses.form import Form, widest
from curenu.parameters import ParameterSpace
from curenu.risks.evaluation import Evaluation

__all__ = ["Named", "Source"]

Named = dict[str, Tensor]


@dataclass(frozen=True)
class Source:
    """What a sum and all its samples share: parameters, model and loss, data and meter.

    `counts` `[N]` is what every example of the data set adds to the denominator of the mean, in
    float64 (see `Form`), None where all add the same. `measured` is what was found out about the
    model once, and need not be again.
    """

    parameters: ParameterSpace
    evaluation: Evaluation
    examples: Examples
    micro_batch_size: int
    meter: Meter
    product_dtype: torch.dtype | None = None
    counts: Tensor | None = None
    measured: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)
    seen: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool), repr=False)
    """Which examples have been looked at for what no loss is defined on, `[N]`."""

    @property
    def recurrent(self) -> bool:
        """Whether the model has recurrent layers, whose own kernels torch cannot differentiate."""
        if "recurrent" not in self.measured:
            modules = self.evaluation.modules()
            self.measured["recurrent"] = any(isinstance(m, nn.RNNBase) for m in modules)
        return self.measured["recurrent"]

    def mass(self, ids: Tensor) -> float:
        """Σ c_i over `ids`: the denominator of their mean."""
        if self.counts is None:
            return len(ids) * self.measured.get("count", 1.0)
        return float(self.counts[ids].sum())

    def batch(self, ids: Tensor) -> Batch:
        """The examples at `ids`, looked at once; raises naming the first that cannot be used."""
        batch = self.examples.batch(ids)
        if not self.seen[ids].all():
            self.check(batch)
            self.seen[ids] = True
        return batch

    def check(self, batch: Batch) -> None:
        """Raise, naming the first example at fault, for NaN or targets that cannot be meant."""
        fault = self._fault(batch)
        if fault is None:
            return
        for one in batch.ids.split(1):
            single = self._fault(self.examples.batch(one))
            if single is not None:
                raise type(single)(f"Example {int(one)}: {single.problem}", single.remedy)
        raise fault

    def outputs(self, named: Named, batch: Batch) -> Tensor:
        """The model's outputs on a batch (its loss, where it hides them) at named parameters."""
        inputs = {f"model.{name}": self._typed(name, tensor) for name, tensor in named.items()}
        return functional_call(self.evaluation, inputs, (batch,))

    def under(self, named: Named, work: Callable[[], Any]) -> Any:
        """What `work` gives while the model holds the named parameters.

        For backward passes as well: checkpointed parts of a model are passed again on them.
        """
        inputs = {
            f"evaluation.model.{name}": self._typed(name, tensor) for name, tensor in named.items()
        }
        return functional_call(_Holding(self.evaluation), inputs, (work,))

    def named(self, theta: Tensor) -> Named:
        """theta's parts by name; copies where the model writes into what it is given."""
        named = self.parameters.unflatten(theta)
        if self.measured.get("writes"):
            return {name: tensor.clone() for name, tensor in named.items()}
        return named

    def wide(self, outputs: Tensor) -> Tensor:
        """Outputs in the widest type: what is computed of them adds no rounding of its own."""
        if self.measured.get("widens", True) and outputs.is_floating_point():
            return outputs.to(widest(outputs.device))
        return outputs

    def arithmetic(self) -> AbstractContextManager[None]:
        """Where passes happen, the same in all of them."""
        return one_arithmetic(self.parameters.device, recurrent=self.recurrent)

    def bending(self) -> AbstractContextManager[None]:
        """Where second derivatives are taken."""
        return twice_differentiable(self.parameters.device, recurrent=self.recurrent)

    def _typed(self, name: str, tensor: Tensor) -> Tensor:
        own = self.measured["types"].get(name) if "types" in self.measured else None
        return tensor if own is None or tensor.dtype == own else tensor.to(own)

    def _fault(self, batch: Batch) -> CurenuError | None:
        content = batch.content
        if not all(bool(tensor.isfinite().all()) for tensor in floating_tensors(content)):
            return IllPosed("NaN or Inf in the data.", "cleaning or removing it.")
        evaluation = self.evaluation
        if not evaluation.shows_outputs or "width" not in self.measured:
            return None  # hidden, or not yet known what outputs look like
        try:
            targets = evaluation.targets(batch)
            if isinstance(targets, Tensor) and (targets.ndim == 0 or len(targets) != batch.size):
                raise BadRequest(
                    f"{batch.size} examples collate to targets {list(targets.shape)}.",
                    "a `collate` that keeps every example it is given.",
                )
            if evaluation.tokens is None:
                evaluation.form.check_targets(targets, self.measured.get("width"))
                if self.measured.get("all count"):
                    _check_all_count(evaluation.form, targets)
        except CurenuError as error:
            return error
        return None


def _check_all_count(form: Form, targets: Tensor) -> None:
    """In data too large to read whole no target may be left out: the mean's divisor is unknown."""
    counts = form.counts(targets)
    if counts is not None and not counts.all():
        raise BadRequest(
            "A target is left out of the loss, in a data set too large to be counted first.",
            "a `Subset` of the examples that have a target.",
        )


class _Holding(nn.Module):
    """A module that calls work given to it, so that its parameters can be placed meanwhile."""

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__()
        self.evaluation = evaluation

    def forward(self, work: Callable[[], Any]) -> Any:
        return work()
