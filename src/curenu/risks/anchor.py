"""A fixed model beside the one that moves: its outputs, and the pull of examples on it."""

from __future__ import annotations

import torch
from torch import Tensor

from curenu.budgets import OUTPUT_MEMORY
from curenu.cost import FORWARD
from curenu.data import Batch
from curenu.risks.source import Source
from curenu.risks.terms import Quadratic, Term
from curenu.risks.weighted_sum import WeightedSum

__all__ = ["Anchor"]


class Anchor:
    """What is known at theta0: outputs, made once an example while there is room, and the pull."""

    def __init__(self, source: Source, start: Tensor, memory_budget: int = OUTPUT_MEMORY) -> None:
        self.source, self._start = source, start
        self._left = memory_budget
        self._rows: dict[int, Tensor] = {}  # outputs of one example, whatever batch it came in
        self._pull: Tensor | None = None

    def of(self, batch: Batch) -> Tensor:
        """Outputs at theta0 of the examples in `batch`, `[b, ...]`, without a graph.

        For a loss of target tokens they are the logits of those, `[m, v]`.
        """
        places = batch.ids.tolist()
        together = torch.stack if self.source.evaluation.tokens is None else torch.cat
        if all(place in self._rows for place in places):
            return together([self._rows[place] for place in places])
        made = self._made(batch)
        for place, rows in zip(places, self._apart(batch, made), strict=True):
            size = rows.numel() * rows.element_size()
            if place not in self._rows and size <= self._left:
                self._rows[place] = rows.clone()  # a view would hold the whole batch
                self._left -= size
        return made

    def pull(self, forget: Tensor, weight: float) -> Tensor:
        """weight · Σ ∇l_i(theta0) over the forget set, `[d]`; computed once."""
        if self._pull is None:
            term = Term(forget, weight, self.source.evaluation.total)
            self._pull = WeightedSum(self.source, (term,), Quadratic(0.0)).gradient(self._start)
        return self._pull

    def _made(self, batch: Batch) -> Tensor:
        with self.source.arithmetic(), torch.no_grad():
            made = self.source.outputs(self.source.named(self._start), batch).detach()
        self.source.meter.passed(batch.size, FORWARD)
        return made

    def _apart(self, batch: Batch, made: Tensor) -> tuple[Tensor, ...]:
        tokens = self.source.evaluation.tokens
        return made.unbind() if tokens is None else made.split(tokens.token_counts(batch.content))
