"""The anchored objective: only what the forget examples put in is taken out."""

from __future__ import annotations

import copy
from typing import Any, Self

import torch
from torch import Tensor

from curenu.errors import BadRequest
from curenu.losses.bregman import Bregman
from curenu.memory import OUTPUT_MEMORY
from curenu.risks.anchor import Anchor
from curenu.risks.empirical import EmpiricalRisk
from curenu.risks.source import Source
from curenu.risks.weighted_sum import Quadratic, Term, WeightedSum

__all__ = ["AnchoredRisk"]

_FORGET_SHARE = 4  # a sample has at least one forget example for so many retained ones


class AnchoredRisk(WeightedSum):
    """The retain objective as if theta0 had minimised the training objective exactly.

    A(theta) = (1/n_r) [Σ_{D_r} B_i + Σ_{D_f} (B_i − l_i)]
               + (n/n_r)(lambda/2)|theta − theta0|² − (n_f/n_r)(lambda/2)|theta|²
               + (limit/2)|theta − theta0|²,

    up to a constant, with B_i the loss's Bregman divergence between the outputs at theta and
    at theta0: KL(p_i(theta0) ‖ p_i(theta)) for cross-entropy, the squared distance for
    `"mse"`, the weighted KL of its target tokens for `TokenCrossEntropy`. There the forget
    terms are linear in the outputs, so nothing is ascended without bound, and every retained
    example has zero gradient at theta0. For any other loss it is the tilted form
    F_r(theta) − (n/n_r) ∇F_D(theta0)·theta, at the cost of one gradient.

    A sample of it keeps the pull of the whole forget set exactly: forget examples beyond the
    sample enter by their gradient at theta0, so its gradient there has no sampling noise.

    `limit` is the least curvature that training resolved (`TrainingTime`): in flatter
    directions the oracle did not move either.

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
        limit: float = 0.0,
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
        self._outputs = Anchor(retain.source, self._start, memory_budget)
        decay = (1.0 + forget.size / retain.size) * retain.weight_decay
        self._decay = start.mul(decay + limit)
        terms = self._terms_of(retain.ids, self._forget)
        super().__init__(
            retain.source,
            terms,
            Quadratic(retain.weight_decay + limit, lambda: self._tilt(retain.source, terms)),
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
        return self._over(*self._both(size, generator))

    def hold_out(self, size: int, generator: torch.Generator) -> tuple[Self, Self]:
        """(the objective without `size` retained examples, a sample over just those)."""
        ids = self._terms[0].ids
        held, gone = self._both(size, generator)
        return self._over(ids[~torch.isin(ids, held)], self._forget), self._over(held, gone)

    def _both(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`size` retained examples, and the forget examples that go with them."""
        gone = max(1, size // _FORGET_SHARE, round(size * self._scale * len(self._forget)))
        retained = _drawn(self._terms[0].ids, size, generator)
        return retained, _drawn(self._forget, gone, generator)

    def _over(self, retained: Tensor, gone: Tensor) -> Self:
        other = copy.copy(self)
        terms = other._terms = self._terms_of(retained, gone)
        other._quadratic = Quadratic(self.weight_decay, lambda: self._tilt(self.source, terms))
        return other

    def _terms_of(self, retained: Tensor, gone: Tensor) -> tuple[Term, ...]:
        if self._outputs.source.evaluation.bregman is None:
            return (Term(retained, 1.0 / len(retained), self._total),)
        weight = self._scale * len(self._forget) / len(gone)
        return (
            Term(retained, 1.0 / len(retained), self._divergence),
            Term(gone, weight, self._removal),
        )

    def _tilt(self, source: Source, terms: tuple[Term, ...]) -> Tensor:
        """What is taken off the gradient so that at theta0 it is the whole forget set's pull."""
        if source.evaluation.bregman is not None and len(terms[1].ids) == len(self._forget):
            return self._decay
        surplus = terms if source.evaluation.bregman is None else terms[1:]
        excess = WeightedSum(source, surplus, Quadratic(0.0)).gradient(self._start)
        return excess.add_(self._outputs.pull(self._forget, self._scale)).add_(self._decay)

    def _total(self, outputs: Tensor, batch: Any, _: Tensor) -> Tensor:
        return self._outputs.source.evaluation.total(outputs, batch)

    def _divergence(self, outputs: Tensor, batch: Any, ids: Tensor) -> Tensor:
        """Σ B_i over a batch of retained examples."""
        return self._closed.divergence(outputs, self._outputs.of(batch, ids), batch)

    def _removal(self, outputs: Tensor, batch: Any, ids: Tensor) -> Tensor:
        """Σ (B_i − l_i) over a batch of forget examples, its value at theta0 subtracted."""
        return self._closed.removal(outputs, self._outputs.of(batch, ids), batch)

    @property
    def _closed(self) -> Bregman:
        closed = self._outputs.source.evaluation.bregman
        assert closed is not None  # these heads are of losses in closed form only
        return closed


def _drawn(ids: Tensor, size: int, generator: torch.Generator) -> Tensor:
    if size >= len(ids):
        return ids
    return ids[torch.randperm(len(ids), generator=generator)[:size]].sort().values
