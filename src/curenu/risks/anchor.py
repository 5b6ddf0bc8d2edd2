"""A fixed model beside the one that moves: its outputs, and the pull of examples on it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from curenu.memory import OUTPUT_MEMORY
from curenu.risks.source import Source
from curenu.risks.weighted_sum import Quadratic, Term, WeightedSum

__all__ = ["Anchor"]


class Anchor:
    """What is known at theta0: outputs, once an example while they fit, and the pull."""

    def __init__(self, source: Source, start: Tensor, memory_budget: int = OUTPUT_MEMORY) -> None:
        self.source, self._start = source, start
        self._named = source.parameters.unflatten(start)
        self._budget = memory_budget
        self._kept: Tensor | None = None
        self._known = torch.zeros(source.examples.size, dtype=torch.bool)
        self._tokens: dict[int, Tensor] = {}  # of examples with so many outputs each
        self._used = 0
        self._pull: Tensor | None = None

    def of(self, batch: Any, ids: Tensor) -> Tensor:
        """Outputs at theta0 of the examples `ids`, `[b, ...]`, without a graph.

        For a loss of target tokens they are the logits of those, `[m, v]`.
        """
        if self.source.evaluation.tokens is not None:
            return self._of_tokens(batch, ids, self.source.evaluation.tokens.counts(batch))
        if self._kept is not None and self._known[ids].all():
            return self._kept[ids]
        made = self._made(batch, ids)
        needed = len(self._known) * made[0].numel() * made.element_size()
        if needed <= self._budget:
            if self._kept is None:
                self._kept = made.new_empty(len(self._known), *made.shape[1:])
            self._kept[ids] = made
            self._known[ids] = True
        return made

    def _of_tokens(self, batch: Any, ids: Tensor, counts: list[int]) -> Tensor:
        """Kept example by example while the budget lasts, whatever batch they come in."""
        places = ids.tolist()
        if all(place in self._tokens for place in places):
            return torch.cat([self._tokens[place] for place in places])
        made = self._made(batch, ids)
        for place, rows in zip(places, made.split(counts), strict=True):
            size = rows.numel() * rows.element_size()
            if place not in self._tokens and self._used + size <= self._budget:
                self._tokens[place] = rows.clone()  # a view would hold the whole batch
                self._used += size
        return made

    def _made(self, batch: Any, ids: Tensor) -> Tensor:
        with torch.no_grad():
            made = self.source.outputs(self._named, batch).detach()
        self.source.meter.passed(len(ids))
        return made

    def pull(self, forget: Tensor, weight: float) -> Tensor:
        """weight · Σ ∇l_i(theta0) over the forget set, `[d]`; computed once."""
        if self._pull is None:
            total = self.source.evaluation.total
            term = Term(forget, weight, lambda outputs, batch, _: total(outputs, batch))
            whole = WeightedSum(self.source, (term,), Quadratic(0.0))
            self._pull = whole.gradient(self._start)
        return self._pull
