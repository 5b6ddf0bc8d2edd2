"""The mean loss over chosen examples plus weight decay."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from curenu.autodiff.bags import twice_differentiable_bags
from curenu.budgets import DATA_MEMORY
from curenu.checks import check_product_dtype, positions_of
from curenu.cost import FORWARD, Meter
from curenu.data import Collate, Examples
from curenu.errors import BadRequest
from curenu.losses import Loss, Reduction, Tokens
from curenu.own_model import full_copy, own_copy, unwrapped
from curenu.parameters import ParameterSpace, Selection
from curenu.risks.evaluation import Evaluation
from curenu.risks.micro_batch_size import fastest_size
from curenu.risks.risk import Risk, drawn
from curenu.risks.source import Source
from curenu.risks.terms import Head, Quadratic, Term
from curenu.risks.trial import FEW, trial
from curenu.risks.weighted_sum import WeightedSum
from curenu.settings import Bytes, Count, NotNegative, fitted

__all__ = ["EmpiricalRisk"]


class EmpiricalRisk(Risk):
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
        dataset: Dataset[Any] | DataLoader[Any],
        loss: Loss,
        *,
        weight_decay: float = 0.0,
        only: Selection | None = None,
        micro_batch_size: int | Literal["auto"] = 256,
        product_dtype: torch.dtype | None = None,
        reduction: Reduction | None = None,
        collate: Collate | None = None,
        weights: Tensor | Sequence[float] | None = None,
        data_memory: int = DATA_MEMORY,
    ) -> None:
        weight_decay = fitted("weight_decay", weight_decay, NotNegative)
        size = fitted("micro_batch_size", micro_batch_size, Count | Literal["auto"])
        word = size == "auto"
        model = unwrapped(model)
        parameters = ParameterSpace.of(model, only)
        check_product_dtype(product_dtype, parameters.dtype, parameters.device)
        examples = Examples(
            dataset,
            parameters.device,
            collate=collate,
            weights=weights,
            memory_budget=fitted("data_memory", data_memory, Bytes),
        )
        own = twice_differentiable_bags(own_copy(model, parameters.names))
        self._start = parameters.flatten(dict(own.named_parameters()))
        parameters.check_finite(self._start)
        source = Source(
            parameters,
            Evaluation(own, loss, reduction).eval(),
            examples,
            FEW if word else size,
            Meter(shared=True),
            product_dtype,
            seen=torch.zeros(examples.size, dtype=torch.bool),
        )
        self.ids = torch.arange(examples.size)
        source = trial(source, self._start)
        if word:
            term = Term(self.ids, 1.0 / examples.size, source.evaluation.total)
            chosen = fastest_size(source, term, self._start)
            source = replace(source, micro_batch_size=chosen)
            source.measured["micro-batch size"] = chosen
        self.weight_decay = weight_decay
        super().__init__(_mean(source, self.ids, self.weight_decay))

    @property
    def size(self) -> int:
        """n: how many examples the mean is over."""
        return len(self.ids)

    @property
    def mass(self) -> float:
        """What the sum over the examples is divided by: n, or the sum of what each counts."""
        return self.source.mass(self.ids)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the trial pass found worth saying of model, loss and data."""
        return self.source.measured.get("notes", ())

    @property
    def start(self) -> Tensor:
        """The vector `[d]` of the model as it was given."""
        return self._start.clone()

    def vector_of(self, model: nn.Module) -> Tensor:
        """theta `[d]` of another model with the same parameters; what does not move is ignored."""
        return self.parameters.flatten(dict(model.named_parameters()))

    def subset(self, ids: Sequence[int] | Tensor) -> Self:
        """The same objective over the examples at `ids` only; `BadRequest` if not in it."""
        wanted = torch.as_tensor(ids, dtype=torch.int64, device="cpu")
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
        return self if size >= self.size else self._over(drawn(self.ids, size, generator))

    def batches(self, size: int, generator: torch.Generator) -> Iterator[Self]:
        """One epoch of shuffled batches of `size` examples, each an objective of its own."""
        for chosen in torch.randperm(self.size, generator=generator).split(size):
            yield self._over(self.ids[chosen])

    def term(self, weight: float = 1.0, head: Head | None = None) -> Term:
        """weight · mean of `head` over these examples; the training objective's mean if None."""
        if head is None:
            return Term(self.ids, weight / self.mass, self.source.evaluation.total)
        return Term(self.ids, weight / self.size, head)

    def outputs(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Model outputs `[n, ...]` and targets `[n, ...]`, in the order of `ids`.

        For a `TokenCrossEntropy` n counts target tokens, example by example.
        """
        named = self.source.named(theta)
        collected: list[tuple[Tensor, Tensor]] = []
        with self.source.arithmetic(), torch.no_grad():
            for ids in self.ids.split(self.source.micro_batch_size):
                batch = self.source.batch(ids)
                targets = self.source.evaluation.targets(batch)
                shown = targets.classes if isinstance(targets, Tokens) else targets
                collected.append((self.source.outputs(named, batch), shown))
                self.meter.passed(batch.size, FORWARD)
        outputs, targets = zip(*collected, strict=True)
        return torch.cat(outputs), torch.cat(targets)

    def module_at(self, theta: Tensor) -> nn.Module:
        """A new copy of the model at `theta` `[d]`, in training mode; what moves is trainable."""
        model = full_copy(self.source.evaluation.model).train()
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
        other.ids = ids
        other._sum = _mean(self.source, ids, self.weight_decay)
        return other


def _mean(source: Source, ids: Tensor, weight_decay: float) -> WeightedSum:
    mass = source.mass(ids)
    if not mass > 0:
        raise BadRequest(
            f"None of {len(ids)} examples has a target that counts: all are left out by "
            "`ignore_index`, or weigh nothing.",
            "examples that took part in training.",
        )
    term = Term(ids, 1.0 / mass, source.evaluation.total)
    return WeightedSum(source, (term,), Quadratic(weight_decay))
