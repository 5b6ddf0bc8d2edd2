"""The anchored objective: only what the forget examples put in is taken out."""

from __future__ import annotations

import copy
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from curenu.errors import BadRequest
from curenu.objective.empirical import EmpiricalRisk
from curenu.objective.weighted_sum import Quadratic, Source, Term, WeightedSum

__all__ = ["OUTPUT_MEMORY", "AnchoredRisk"]

OUTPUT_MEMORY = 2**28
"""Bytes of outputs at theta0 kept between passes unless asked otherwise."""

_FORGET_SHARE = 4  # a sample has at least one forget example for so many retained ones


class AnchoredRisk(WeightedSum):
    """The retain objective as if theta0 had minimised the training objective exactly.

    A(theta) = (1/n_r) [Σ_{D_r} B_i + Σ_{D_f} (B_i − l_i)]
               + (n/n_r)(lambda/2)|theta − theta0|² − (n_f/n_r)(lambda/2)|theta|²,

    up to a constant, with B_i the loss's Bregman divergence between the outputs at theta and
    at theta0: KL(p_i(theta0) ‖ p_i(theta)) for cross-entropy, the squared distance for
    `"mse"`. There the forget terms are linear in the outputs, so nothing is ascended without
    bound, and every retained example has zero gradient at theta0. For any other loss it is
    the tilted form F_r(theta) − (n/n_r) ∇F_D(theta0)·theta, at the cost of one gradient.

    A sample of it keeps the pull of the whole forget set exactly: forget examples beyond the
    sample enter by their gradient at theta0, so its gradient there has no sampling noise.

    `retain` and `forget` are the two parts of one `EmpiricalRisk`; `start` is theta0 `[d]`.
    Outputs at theta0 are computed once and kept when they fit in `memory_budget` bytes.
    Equation (5) of `docs/theory.md`; Bae et al. (2022), turned to removal.
    """

    def __init__(
        self,
        retain: EmpiricalRisk,
        forget: EmpiricalRisk,
        start: Tensor,
        *,
        memory_budget: int = OUTPUT_MEMORY,
    ) -> None:
        if retain.source is not forget.source:
            raise BadRequest(
                "Retain and forget objectives have different sources.",
                "the two parts of one objective, as `risk.split(forget)` gives them.",
            )
        retain.parameters.check(start)
        self._start = start.clone()
        self._forget, self._scale = forget.ids, 1.0 / retain.size
        self._outputs = _Anchor(retain.source, self._start, memory_budget)
        self._decay = start.mul((1.0 + forget.size / retain.size) * retain.weight_decay)
        terms = self._terms_of(retain.ids, self._forget)
        super().__init__(
            retain.source,
            terms,
            Quadratic(retain.weight_decay, lambda: self._tilt(retain.source, terms)),
        )

    @property
    def size(self) -> int:
        """How many retained examples the objective is over."""
        return len(self._terms[0].ids)

    @property
    def start(self) -> Tensor:
        """theta0, `[d]`."""
        return self._start.clone()

    def sample(self, size: int, generator: torch.Generator) -> Self:
        """The objective over `size` retained examples, and a quarter as many to forget.

        At least the forget set's own share of them; its pull at theta0 stays the whole's.
        """
        if size >= self.size:
            return self
        gone = max(1, size // _FORGET_SHARE, round(size * self._scale * len(self._forget)))
        return self._over(
            _drawn(self._terms[0].ids, size, generator), _drawn(self._forget, gone, generator)
        )

    def hold_out(self, size: int, generator: torch.Generator) -> tuple[Self, Self]:
        """(the objective without `size` retained examples, a sample over just those)."""
        ids = self._terms[0].ids
        held = _drawn(ids, size, generator)
        gone = _drawn(self._forget, size, generator)
        return self._over(ids[~torch.isin(ids, held)], self._forget), self._over(held, gone)

    def _over(self, retained: Tensor, gone: Tensor) -> Self:
        other = copy.copy(self)
        terms = other._terms = self._terms_of(retained, gone)
        other._quadratic = Quadratic(self.weight_decay, lambda: self._tilt(self.source, terms))
        return other

    def _terms_of(self, retained: Tensor, gone: Tensor) -> tuple[Term, ...]:
        if self._outputs.source.evaluation.name is None:
            return (Term(retained, 1.0 / len(retained), self._total),)
        weight = self._scale * len(self._forget) / len(gone)
        return (
            Term(retained, 1.0 / len(retained), self._divergence),
            Term(gone, weight, self._removal),
        )

    def _tilt(self, source: Source, terms: tuple[Term, ...]) -> Tensor:
        """What is taken off the gradient so that at theta0 it is the whole forget set's pull."""
        if source.evaluation.name is not None and len(terms[1].ids) == len(self._forget):
            return self._decay
        surplus = terms if source.evaluation.name is None else terms[1:]
        excess = WeightedSum(source, surplus, Quadratic(0.0)).gradient(self._start)
        return excess.add_(self._outputs.pull(self._forget, self._scale)).add_(self._decay)

    def _total(self, outputs: Tensor, batch: Any, _: Tensor) -> Tensor:
        return self._outputs.source.evaluation.total(outputs, batch)

    def _divergence(self, outputs: Tensor, batch: Any, ids: Tensor) -> Tensor:
        """Σ B_i over a batch of retained examples."""
        before = self._outputs.of(batch, ids)
        if self.source.evaluation.name == "mse":
            return (outputs - before).square().flatten(1).mean(1).sum()
        return functional.kl_div(
            outputs.log_softmax(1),
            before.log_softmax(1),
            log_target=True,
            reduction="sum",
        )

    def _removal(self, outputs: Tensor, batch: Any, ids: Tensor) -> Tensor:
        """Σ (B_i − l_i) over a batch of forget examples, its value at theta0 subtracted."""
        before = self._outputs.of(batch, ids)
        if self.source.evaluation.name == "mse":
            return (2.0 * (batch[1] - before) * (outputs - before)).flatten(1).mean(1).sum()
        target = functional.one_hot(batch[1], outputs.shape[1]).to(outputs.dtype)
        return ((target - before.softmax(1)) * (outputs - before)).sum()


class _Anchor:
    """What is known at theta0: outputs, once an example while they fit, and the pull."""

    def __init__(self, source: Source, start: Tensor, memory_budget: int) -> None:
        self.source, self._start = source, start
        self._named = source.parameters.unflatten(start)
        self._budget = memory_budget
        self._kept: Tensor | None = None
        self._known = torch.zeros(source.examples.size, dtype=torch.bool)
        self._pull: Tensor | None = None

    def of(self, batch: Any, ids: Tensor) -> Tensor:
        """Outputs at theta0 of the examples `ids`, `[b, ...]`, without a graph."""
        if self._kept is not None and self._known[ids].all():
            return self._kept[ids]
        with torch.no_grad():
            made = self.source.outputs(self._named, batch).detach()
        self.source.meter.passed(len(ids))
        needed = len(self._known) * made[0].numel() * made.element_size()
        if needed <= self._budget:
            if self._kept is None:
                self._kept = made.new_empty(len(self._known), *made.shape[1:])
            self._kept[ids] = made
            self._known[ids] = True
        return made

    def pull(self, forget: Tensor, weight: float) -> Tensor:
        """weight · Σ ∇l_i(theta0) over the forget set, `[d]`; computed once."""
        if self._pull is None:
            total = self.source.evaluation.total
            term = Term(forget, weight, lambda outputs, batch, _: total(outputs, batch))
            whole = WeightedSum(self.source, (term,), Quadratic(0.0))
            self._pull = whole.gradient(self._start)
        return self._pull


def _drawn(ids: Tensor, size: int, generator: torch.Generator) -> Tensor:
    if size >= len(ids):
        return ids
    return ids[torch.randperm(len(ids), generator=generator)[:size]].sort().values
