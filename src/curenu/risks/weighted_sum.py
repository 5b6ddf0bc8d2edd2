"""Value, gradient and products of a weighted sum over examples: the one place with a scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from curenu.autodiff.linearisation import Kind, Linearisation
from curenu.autodiff.micro_batch import (
    MicroBatch,
    Pieces,
    accumulate,
    graph_bytes,
    pieces_of,
)
from curenu.checks import check_curvature, floating_tensors
from curenu.cost import Meter
from curenu.distributed import dealt, least, reduced
from curenu.errors import IllPosed, UnsupportedModel
from curenu.memory import GRAPH_MEMORY
from curenu.parameters import ParameterSpace
from curenu.risks.source import Named, Source, one_arithmetic

__all__ = [
    "Head",
    "Quadratic",
    "Term",
    "WeightedSum",
]

Head = Callable[[Tensor, Any, Tensor], Tensor]
"""(outputs on a batch, the batch, its ids) -> Σ f_i over it."""


@dataclass(frozen=True)
class Term:
    """weight · Σ_i f_i over the examples at `ids`, f_i by its `head`."""

    ids: Tensor
    weight: float
    head: Head


@dataclass(frozen=True)
class Quadratic:
    """(lambda/2)|theta|² − tilt·theta: the part of an objective that is not a sum.

    `linear` makes the tilt `[d]` when it is first needed: it may cost a pass.
    """

    weight_decay: float
    linear: Callable[[], Tensor] | None = None

    @cached_property
    def tilt(self) -> Tensor | None:
        return None if self.linear is None else self.linear()

    def value(self, theta: Tensor) -> float:
        wide = theta.double()
        value = 0.5 * self.weight_decay * float(wide.square().sum())
        return value if self.tilt is None else value - float(torch.dot(self.tilt.double(), wide))

    def add_gradient(self, theta: Tensor, total: Tensor) -> Tensor:
        total.add_(theta, alpha=self.weight_decay)
        return total if self.tilt is None else total.sub_(self.tilt)


class WeightedSum:
    """F(theta) = Σ_t w_t Σ_{i in t} f_{t,i}(theta) + (lambda/2)|theta|² − tilt·theta.

    Examples are streamed in micro-batches, so memory does not grow with their number, and
    weights are applied once per term, so nothing depends on the micro-batch size.
    """

    def __init__(self, source: Source, terms: tuple[Term, ...], quadratic: Quadratic) -> None:
        self.source = source
        self._terms = terms
        self._quadratic = quadratic

    @property
    def parameters(self) -> ParameterSpace:
        """Which parameters move, and their order in the vector."""
        return self.source.parameters

    @property
    def meter(self) -> Meter:
        """Counts the work of this objective and of all drawn from the same source."""
        return self.source.meter

    @property
    def dimension(self) -> int:
        """d: how many parameters move."""
        return self.parameters.dimension

    @property
    def weight_decay(self) -> float:
        """lambda of the decay term, in value, gradient and product."""
        return self._quadratic.weight_decay

    def value(self, theta: Tensor) -> Tensor:
        """F(theta), a float64 scalar `[]`; one forward pass over the examples."""
        named = self.parameters.unflatten(theta)
        total = torch.zeros((), dtype=torch.float64, device=theta.device)
        with torch.no_grad(), one_arithmetic():
            for term, batch, ids in self._stream():
                total += term.weight * self._sum(term, named, batch, ids).double()
                self.meter.passed(len(ids))
        self._check_sum(reduced(total), theta)
        return total + self._quadratic.value(theta)

    def gradient(self, theta: Tensor) -> Tensor:
        """∇F(theta), `[d]`; one forward and one backward pass over the examples."""
        self.meter.gradients += 1
        total = torch.zeros_like(theta)
        with one_arithmetic():
            for term, batch, ids in self._stream():
                named = self._leaves(theta)
                leaves = list(named.values())
                accumulate(total, self._slopes(term, named, batch, ids), leaves)
                self.meter.passed(len(ids))
        self._check_sum(reduced(total), theta)
        return self._quadratic.add_gradient(theta, total)

    def hvp(self, theta: Tensor, vector: Tensor) -> Tensor:
        """∇²F(theta)·vector, `[d]`; about three gradients' time."""
        self.parameters.check(vector)
        return self.linearise(theta, memory_budget=0) @ vector

    def linearise(
        self,
        theta: Tensor,
        *,
        curvature: Kind = "hessian",
        memory_budget: int | None = None,
        full_precision: bool = False,
    ) -> Linearisation:
        """The curvature at theta as an operator that keeps its graphs within a byte budget.

        `curvature` is the full `"hessian"` or the positive semi-definite `"gauss_newton"`,
        Jᵀ(∂²f/∂outputs²)J. Hessian micro-batches whose graphs fit in `memory_budget` (default
        1 GiB) are differentiated once and reused by every product; the rest are recomputed,
        and so are all of Gauss-Newton, to which a kept graph brings nothing, and all in a lower
        precision, which is for products alone. `full_precision` takes these in theta's own.
        """
        self.parameters.check(theta)
        budget = GRAPH_MEMORY if memory_budget is None else memory_budget
        lower = None if full_precision else self.source.product_dtype
        keeps = curvature == "hessian" and budget > 0 and lower is None

        def stream(first: int) -> Iterator[MicroBatch]:
            return self._micro_batches(theta, curvature, first, lower=lower)

        return Linearisation(
            stream,
            theta,
            quadratic_value=self._quadratic.value(theta),
            quadratic_gradient=lambda total: self._quadratic.add_gradient(theta, total),
            weight_decay=self.weight_decay,
            meter=self.meter,
            kept=self._kept(theta, budget) if keeps else 0,
            product_dtype=lower,
            positive_semidefinite=self._is_semidefinite(curvature),
        )

    def _is_semidefinite(self, curvature: Kind) -> bool:
        """Whether no eigenvalue can be negative: a loss in closed form is convex in the outputs."""
        closed = self.source.evaluation.bregman is not None
        return curvature == "gauss_newton" and closed and self.weight_decay >= 0.0

    def check_twice_differentiable(self, theta: Tensor, vector: Tensor) -> None:
        """Raise unless the product with a random `vector` is there, finite and not all zero.

        The loss is multiplied by a one that asks for a gradient: only then do operations that
        can be differentiated once leave a mark in the graph, instead of passing for constants.
        """
        one = torch.ones((), dtype=theta.dtype, device=theta.device, requires_grad=True)
        gradient, product = torch.zeros_like(theta), torch.zeros_like(theta)
        pieces = list(self.parameters.unflatten(vector).values())
        for lazy in self._micro_batches(theta, "hessian", 0, one):
            batch = lazy.differentiate()
            batch.check_twice_differentiable()
            accumulate(gradient, batch.grads, batch.leaves)
            accumulate(product, batch.product(pieces, keep=False), batch.leaves)
            self.meter.passed(2 * batch.count)
        self._check_sum(reduced(gradient), theta)
        check_curvature(gradient, reduced(product))

    def _micro_batches(
        self,
        theta: Tensor,
        curvature: Kind,
        first: int,
        one: Tensor | None = None,
        lower: torch.dtype | None = None,
    ) -> Iterator[MicroBatch]:
        """Each micro-batch, nothing computed yet."""
        for term, batch, ids in self._stream(first):
            if curvature != "hessian" and not self.source.evaluation.shows_outputs(batch):
                raise UnsupportedModel(
                    "The Gauss-Newton product needs outputs, and a loss on mappings hides them.",
                    'curvature="hessian", `curenu.TokenCrossEntropy`, or (input, target) pairs.',
                )
            yield replace(
                self._micro_batch(term, theta, batch, ids, one),
                kind=curvature,
                forward_mode=self._forward_mode(theta, lower),
            )

    def _micro_batch(
        self, term: Term, theta: Tensor, batch: Any, ids: Tensor, one: Tensor | None = None
    ) -> MicroBatch:
        """A term on a batch as a function of its parameters; no fused attention."""
        named = self._leaves(theta)

        def within(work: Callable[[], Any]) -> Any:
            with one_arithmetic(), sdpa_kernel(SDPBackend.MATH):
                return self.source.under(named, work)

        def forward(pieces: list[Tensor]) -> Tensor:
            return self.source.outputs(dict(zip(named, pieces, strict=True)), batch)

        def head(outputs: Tensor) -> Tensor:
            loss = term.weight * term.head(outputs, batch, ids)
            return loss if one is None else one * loss

        def one_by_one(pieces: list[Tensor], row: Tensor) -> Tensor:
            return self.source.outputs(
                dict(zip(named, pieces, strict=True)), (row.unsqueeze(0),)
            ).squeeze(0)

        apart = not isinstance(batch, Mapping) and isinstance(batch[0], Tensor)
        each = (batch[0], one_by_one) if apart else None
        return MicroBatch(
            list(named.values()), forward, head, len(ids), within, each=each, weight=term.weight
        )

    def _forward_mode(self, theta: Tensor, lower: torch.dtype | None = None) -> bool:
        """Whether products go by forward mode: tried once, on the first example.

        Not where an operation has no forward derivative, or a wrong one; in lower precision
        batch norm has none.
        """
        known = self.source.measured
        key = "forward mode" if lower is None else ("forward mode", lower)
        if key not in known:
            term = self._terms[0]
            ids = term.ids[:1]
            batch = self._micro_batch(term, theta, self.source.examples.batch(ids), ids)
            trial = torch.linspace(-1.0, 1.0, len(theta)).to(theta)
            pieces = pieces_of(trial, batch.leaves)
            pushing = replace(batch, forward_mode=True)
            known[key] = (lower is None or self._forward_mode(theta)) and pushing.agrees(
                pieces, lower
            )
        return known[key]

    def _kept(self, theta: Tensor, budget: int) -> int:
        """How many micro-batches' graphs fit in a budget, by the size of the first one's."""
        key = "graph", min(self.source.micro_batch_size, len(self._terms[0].ids))
        known = self.source.measured
        if key not in known:
            batch = next(self._micro_batches(theta, "hessian", 0), None)
            known[key] = 0 if batch is None else graph_bytes(batch.differentiate)
        return least(budget // max(1, known[key]))

    def _slopes(self, term: Term, named: Named, batch: Any, ids: Tensor) -> Pieces:
        """Derivatives of a term on a batch by the named leaves."""

        def work() -> Pieces:
            loss = term.weight * self._sum(term, named, batch, ids)
            return torch.autograd.grad(loss, list(named.values()), allow_unused=True)

        return self.source.under(named, work)

    def _sum(self, term: Term, named: Named, batch: Any, ids: Tensor) -> Tensor:
        return term.head(self.source.outputs(named, batch), batch, ids)

    def _stream(self, first: int = 0) -> Iterator[tuple[Term, Any, Tensor]]:
        for term in self._terms:
            parts = dealt(term.ids, self.source.micro_batch_size)
            for ids in parts[first:]:
                yield term, self.source.examples.batch(ids), ids
            first = max(0, first - len(parts))

    def _leaves(self, theta: Tensor) -> Named:
        named = self.parameters.unflatten(theta.detach())
        return {name: piece.detach().requires_grad_() for name, piece in named.items()}

    def _check_sum(self, total: Tensor, theta: Tensor) -> None:
        """Raise `IllPosed`, naming the first example at fault, if `total` is not finite."""
        if total.isfinite().all():
            return
        self.parameters.check_finite(theta)
        named = self.parameters.unflatten(theta)
        for term in self._terms:
            for example in term.ids.split(1):
                batch = self.source.examples.batch(example)
                place = f"at example {int(example)}"
                if not all(tensor.isfinite().all() for tensor in floating_tensors(batch)):
                    raise IllPosed(f"NaN or Inf in the data {place}.", "cleaning or removing it.")
                with torch.no_grad():
                    if not self._sum(term, named, batch, example).isfinite():
                        raise IllPosed(
                            f"The loss is NaN or Inf {place}.",
                            "a loss bounded on this data, smaller weights, or float64.",
                        )
        raise IllPosed(
            "The gradient holds NaN or Inf although every loss is finite.",
            "a loss whose derivative is finite everywhere (no square root or norm at zero).",
        )
