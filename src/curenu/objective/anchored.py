"""The anchored objective: only what the forget examples put in is taken out."""

from __future__ import annotations

import copy
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from curenu.errors import BadRequest
from curenu.objective.empirical import EmpiricalRisk
from curenu.objective.weighted_sum import Quadratic, Term, WeightedSum

__all__ = ["OUTPUT_MEMORY", "AnchoredRisk"]

OUTPUT_MEMORY = 2**28
"""Bytes of outputs at theta0 kept between passes unless asked otherwise."""


class AnchoredRisk(WeightedSum):
    """The retain objective as if theta0 had minimised the training objective exactly.

    A(theta) = (1/n_r) [Σ_{D_r} B_i + Σ_{D_f} (B_i − l_i)]
               + (n/n_r)(lambda/2)|theta − theta0|² − (n_f/n_r)(lambda/2)|theta|²,

    up to a constant, with B_i the loss's Bregman divergence between the outputs at theta and
    at theta0: KL(p_i(theta0) ‖ p_i(theta)) for cross-entropy, the squared distance for
    `"mse"`. There the forget terms are linear in the outputs, so nothing is ascended without
    bound, and every retained example has zero gradient at theta0. For any other loss it is
    the tilted form F_r(theta) − (n/n_r) ∇F_D(theta0)·theta, at the cost of one gradient.

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
        self._retain, self._forget = retain, forget
        self._start = start.clone()
        self._outputs = _Anchor(retain, self._start, memory_budget)
        ratio = (retain.size + forget.size) / retain.size
        if retain.source.evaluation.name is None:
            tilt = retain.gradient(start).add_(forget.gradient(start), alpha=ratio - 1.0)
        else:
            tilt = start.mul(ratio * retain.weight_decay)
        super().__init__(
            retain.source, self._parts(retain.ids), Quadratic(retain.weight_decay, tilt)
        )

    @property
    def size(self) -> int:
        """How many retained examples the objective is over; the forget set is always whole."""
        return len(self._terms[0].ids)

    def sample(self, size: int, generator: torch.Generator) -> Self:
        """The objective over `size` retained examples and all of the forget set."""
        if size >= self.size:
            return self
        other = copy.copy(self)
        ids = self._terms[0].ids
        chosen = torch.randperm(len(ids), generator=generator)[:size]
        other._terms = other._parts(ids[chosen].sort().values)
        return other

    def _parts(self, retained: Tensor) -> tuple[Term, ...]:
        weight = 1.0 / len(retained)
        if self._retain.source.evaluation.name is None:
            total = self._retain.source.evaluation.total
            return (Term(retained, weight, lambda outputs, batch, _: total(outputs, batch)),)
        return (
            Term(retained, weight, self._divergence),
            Term(self._forget.ids, 1.0 / self._retain.size, self._removal),
        )

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
    """Outputs at theta0, computed once an example while they fit in the budget."""

    def __init__(self, risk: EmpiricalRisk, start: Tensor, memory_budget: int) -> None:
        self._risk = risk
        self._named = risk.parameters.unflatten(start)
        self._budget = memory_budget
        self._kept: Tensor | None = None
        self._known = torch.zeros(risk.source.examples.size, dtype=torch.bool)

    def of(self, batch: Any, ids: Tensor) -> Tensor:
        """Outputs at theta0 of the examples `ids`, `[b, ...]`, without a graph."""
        if self._kept is not None and self._known[ids].all():
            return self._kept[ids]
        with torch.no_grad():
            made = self._risk.source.outputs(self._named, batch).detach()
        self._risk.meter.passed(len(ids))
        needed = len(self._known) * made[0].numel() * made.element_size()
        if needed <= self._budget:
            if self._kept is None:
                self._kept = made.new_empty(len(self._known), *made.shape[1:])
            self._kept[ids] = made
            self._known[ids] = True
        return made
