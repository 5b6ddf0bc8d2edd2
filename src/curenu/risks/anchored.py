"""The anchored objective: only what the forget examples put in is taken out."""

from __future__ import annotations

import copy
from functools import partial
from typing import Self

import torch
from torch import Tensor

from curenu.budgets import OUTPUT_MEMORY
from curenu.data import Batch
from curenu.errors import BadRequest
from curenu.losses.form import widest
from curenu.risks.anchor import Anchor
from curenu.risks.empirical import EmpiricalRisk
from curenu.risks.risk import Risk, drawn
from curenu.risks.terms import Quadratic, Term
from curenu.risks.weighted_sum import WeightedSum

__all__ = ["AnchoredRisk", "forget_beside"]

_FORGET_SHARE = 4  # a sample has at least one forget example for so many retained ones


def forget_beside(retain: int, forget: int) -> float:
    """Forget examples in a sample for each retained one: a quarter, or their share if more."""
    return max(1.0 / _FORGET_SHARE, forget / retain)


class AnchoredRisk(Risk):
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
        self.ids = retain.ids
        self._start = start.clone()
        self._forget = forget.ids
        self._share = len(self._forget) / len(retain.ids)  # of all, whatever is sampled
        self._mass = retain.mass  # what the retain set's mean is divided by
        self._anchor = Anchor(retain.source, self._start, memory_budget)
        share = forget.mass / retain.mass
        self._scale = retain.weight_decay + limit
        self._decay = start.mul(share * retain.weight_decay)
        super().__init__(self._over_both(retain.ids, self._forget))

    @property
    def size(self) -> int:
        """How many retained examples the objective is over."""
        return len(self.ids)

    @property
    def start(self) -> Tensor:
        """theta0, `[d]`."""
        return self._start.clone()

    @property
    def gradient_at_start(self) -> Tensor:
        """∇A(theta0) `[d]`: the whole forget set's pull and its share of the decay, exactly.

        The same for every sample. One gradient over the forget set, computed once.
        """
        pull = self._anchor.pull(self._forget, 1.0 / self._mass)
        return pull.add(self._decay).neg_()

    def value(self, theta: Tensor) -> Tensor:
        """A(theta), a scalar in float64; 0 at theta0, where no example is passed for it."""
        known = self._anchor.source.evaluation.shows_outputs
        if known and torch.equal(theta, self._start):
            return torch.zeros((), dtype=widest(theta.device), device=theta.device)
        return super().value(theta)

    def sample(self, size: int, generator: torch.Generator) -> Self:
        """The objective over `size` retained examples, and a quarter as many to forget.

        At least the forget set's own share of them; its pull at theta0 stays the whole's.
        """
        if size >= self.size:
            return self
        return self._over(*self._both(size, generator))

    def hold_out(self, size: int, generator: torch.Generator) -> tuple[Self, Self]:
        """(the objective without `size` retained examples, a sample over just those)."""
        held, gone = self._both(size, generator)
        rest = self.ids[~torch.isin(self.ids, held)]
        return self._over(rest, self._forget), self._over(held, gone)

    def _both(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """`size` retained examples, and the forget examples that go with them."""
        gone = max(1, size // _FORGET_SHARE, round(size * self._share))
        return drawn(self.ids, size, generator), drawn(self._forget, gone, generator)

    def _over(self, retained: Tensor, gone: Tensor) -> Self:
        other = copy.copy(self)
        other.ids = retained
        other._sum = self._over_both(retained, gone)
        return other

    def _over_both(self, retained: Tensor, gone: Tensor) -> WeightedSum:
        source = self._anchor.source
        kept = 1.0 / source.mass(retained)
        if not source.evaluation.shows_outputs:
            terms = (Term(retained, kept, source.evaluation.total),)
        else:
            lost = source.mass(self._forget) / self._mass / source.mass(gone)
            terms = (Term(retained, kept, self._divergence), Term(gone, lost, self._removal))
        tilt = partial(self._tilt, terms, len(gone) == len(self._forget))
        return WeightedSum(source, terms, Quadratic(self._scale, self._start, tilt))

    def _tilt(self, terms: tuple[Term, ...], whole: bool) -> Tensor:
        """What is taken off the gradient so that at theta0 it is the whole forget set's pull."""
        source = self._anchor.source
        if source.evaluation.shows_outputs and whole:
            return self._decay
        surplus = terms[1:] if source.evaluation.shows_outputs else terms
        excess = WeightedSum(source, surplus, Quadratic(0.0)).gradient(self._start)
        return excess.add_(self._anchor.pull(self._forget, 1.0 / self._mass)).add_(self._decay)

    def _divergence(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Σ B_i over a batch of retained examples."""
        return self._anchor.source.evaluation.divergence(outputs, self._anchor.of(batch), batch)

    def _removal(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Σ (B_i − l_i) over a batch of forget examples, its value at theta0 subtracted."""
        return self._anchor.source.evaluation.removal(outputs, self._anchor.of(batch), batch)
