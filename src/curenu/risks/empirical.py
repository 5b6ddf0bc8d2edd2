"""The mean loss over chosen examples plus weight decay."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from curenu.checks import (
    check_data_repeats,
    check_loss_repeats,
    check_product_dtype,
    positions_of,
)
from curenu.cost import Meter
from curenu.data.examples import Examples
from curenu.errors import BadRequest
from curenu.losses.loss import Evaluation, Loss, Reduction
from curenu.parameters import ParameterSpace, Selection
from curenu.risks.micro_batch_size import fastest_size
from curenu.risks.source import Source, one_arithmetic
from curenu.risks.weighted_sum import (
    Head,
    Quadratic,
    Term,
    WeightedSum,
)

__all__ = ["EmpiricalRisk"]

_FEW = 32  # examples that are enough to see whether data and loss repeat


class EmpiricalRisk(WeightedSum):
    """Mean loss over examples plus weight decay: F = (1/n) Σ l_i + (lambda/2)|theta|².

    A function of the flat vector theta `[d]` of the moving parameters; the other parameters
    and all buffers stay as they are in a private copy of `model`. Dropout is off and
    batch-norm uses its running statistics. Peak memory does not grow with n, and nothing
    depends on `micro_batch_size` beyond rounding.

    `micro_batch_size="auto"` times a gradient and a product at sizes from 32 to 1,024, about a
    second in all, once for a model and its inputs in a process; what that passes is in no
    cost. Another size is another order of summation, so the default is a fixed one: a size
    that is measured may differ between runs, and the last bits of all that follows with it.

    `product_dtype` (`torch.bfloat16`, or `torch.float16`, meant for graphics cards) is what a
    float32 model computes in, by autocast, in products with the curvature. Their sums over
    micro-batches, values, gradients, dense matrices and certificates stay in float32, and no
    graph is kept between products. Products are off by about 2^-8 of their length, on trained
    networks by several times that; a method measures by how much and notes it.

    `loss` is `"cross_entropy"`, `"mse"`, a callable on (outputs, targets), or, for items
    that are mappings, a callable on (model, batch); a mean or a sum over examples, which
    `reduction` declares and a few examples verify. `only` restricts which parameters move.

    Raises `BadRequest` for arguments that cannot be meant, `UnsupportedModel` when nothing
    can move, `NotDeterministic` for random data or dropout that ignores `.eval()`,
    `IllPosed` for NaN or Inf in weights, data or loss. Section 1 of `docs/theory.md`.
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset[Any],
        loss: Loss,
        *,
        weight_decay: float = 0.0,
        only: Selection | None = None,
        micro_batch_size: int | Literal["auto"] = 256,
        product_dtype: torch.dtype | None = None,
        reduction: Reduction | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        if not 0 <= weight_decay < float("inf"):
            raise BadRequest(f"weight_decay is {weight_decay}.", "zero or a positive number.")
        word = isinstance(micro_batch_size, str)
        if micro_batch_size != "auto" if word else micro_batch_size < 1:
            raise BadRequest(f"micro_batch_size is {micro_batch_size!r}.", '1 or more, or "auto".')
        parameters = ParameterSpace.of(model, only)
        check_product_dtype(product_dtype, parameters.dtype, parameters.device)
        examples = Examples(dataset, collate, parameters.device)
        frozen = copy.deepcopy(model).eval().requires_grad_(False)
        self._start = parameters.flatten(dict(frozen.named_parameters()))
        evaluation = Evaluation(frozen, loss, reduction).eval()
        super().__init__(
            Source(
                parameters,
                evaluation,
                examples,
                _FEW if word else int(micro_batch_size),
                Meter(shared=True),
                product_dtype,
            ),
            _mean(torch.arange(examples.size), evaluation),
            Quadratic(float(weight_decay)),
        )
        self._check()
        if word:
            chosen = fastest_size(self.source, self._terms[0], self._start)
            self.source = replace(self.source, micro_batch_size=chosen)
            self.source.measured["micro-batch size"] = chosen

    @property
    def size(self) -> int:
        """n: how many examples the mean is over."""
        return len(self.ids)

    @property
    def ids(self) -> Tensor:
        """Positions of the examples in the dataset, `[n]`."""
        return self._terms[0].ids

    @property
    def start(self) -> Tensor:
        """The vector `[d]` of the model as it was given."""
        return self._start.clone()

    def vector_of(self, model: nn.Module) -> Tensor:
        """theta `[d]` of another model with the same parameters; what does not move is ignored."""
        return self.parameters.flatten(dict(model.named_parameters()))

    def subset(self, ids: Sequence[int] | Tensor) -> Self:
        """The same objective over the examples at `ids` only; `BadRequest` if not in it."""
        wanted = torch.as_tensor(ids, dtype=torch.int64)
        if wanted.numel() == 0:
            raise BadRequest("The subset is empty.", "ids of at least one example.")
        if wanted.unique().numel() < wanted.numel():
            raise BadRequest("The subset repeats ids.", "each id once.")
        unknown = wanted[~torch.isin(wanted, self.ids)]
        if unknown.numel():
            raise BadRequest(
                f"{unknown.numel()} ids are not in this objective, first {int(unknown[0])}.",
                "ids that it is over (`.ids`).",
            )
        return self._over(wanted.sort().values)

    def split(self, forget: Sequence[int]) -> tuple[Self, Self]:
        """(retain, forget) objectives for the positions in `forget`."""
        gone = torch.tensor(positions_of(forget, self.source.examples.size))
        return self.subset(self.ids[~torch.isin(self.ids, gone)]), self.subset(gone)

    def sample(self, size: int, generator: torch.Generator) -> Self:
        """The objective over `size` examples drawn without replacement (all, if fewer)."""
        if size >= self.size:
            return self
        chosen = torch.randperm(self.size, generator=generator)[:size]
        return self._over(self.ids[chosen].sort().values)

    def batches(self, size: int, generator: torch.Generator) -> Iterator[Self]:
        """One epoch of shuffled batches of `size` examples, each an objective of its own."""
        for chosen in torch.randperm(self.size, generator=generator).split(size):
            yield self._over(self.ids[chosen])

    def term(self, weight: float = 1.0, head: Head | None = None) -> Term:
        """weight · mean of `head` over these examples; the training loss if None."""
        own = self._terms[0]
        return Term(own.ids, weight / len(own.ids), head or own.head)

    def outputs(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Model outputs `[n, ...]` and targets `[n, ...]`, in the order of `ids`.

        For a `TokenCrossEntropy` n counts target tokens, example by example.
        """
        named = self.parameters.unflatten(theta)
        collected: list[tuple[Tensor, Tensor]] = []
        with torch.no_grad(), one_arithmetic():
            for ids in self.ids.split(self.source.micro_batch_size):
                batch = self.source.examples.batch(ids)
                targets = self.source.evaluation.targets(batch)
                collected.append((self.source.outputs(named, batch), targets))
                self.meter.passed(len(ids))
        outputs, targets = zip(*collected, strict=True)
        return torch.cat(outputs), torch.cat(targets)

    def module_at(self, theta: Tensor) -> nn.Module:
        """A new copy of the model at `theta` `[d]`, in training mode; what moves is trainable."""
        model = copy.deepcopy(self.source.evaluation.model).train()
        named = dict(model.named_parameters())
        for name, piece in self.parameters.unflatten(theta).items():
            named[name].data.copy_(piece)
            named[name].requires_grad_()
        return model

    def loader(self, size: int, generator: torch.Generator) -> DataLoader[Any]:
        """Collated batches of `size` of these examples, shuffled; passes are not counted."""
        return self.source.examples.loader(self.ids, size, generator)

    def _over(self, ids: Tensor) -> Self:
        other = copy.copy(self)
        other._terms = _mean(ids, self.source.evaluation)
        return other

    def _check(self) -> None:
        self.parameters.check_finite(self._start)
        fetch, evaluation = self.source.examples.batch, self.source.evaluation
        few = self.ids[: min(self.source.micro_batch_size, _FEW)]
        check_data_repeats(lambda: fetch(few))
        batch = fetch(few)
        with torch.no_grad():
            check_loss_repeats(lambda: evaluation.loss(evaluation(batch), batch).sum())
        evaluation.settle(fetch, self.ids)


def _mean(ids: Tensor, evaluation: Evaluation) -> tuple[Term, ...]:
    return (
        Term(
            ids,
            1.0 / len(ids),
            lambda outputs, batch, _: evaluation.total(outputs, batch),
        ),
    )
