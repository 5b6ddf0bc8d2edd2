"""Value, gradient and products of a weighted sum over examples: the one place with a scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from curenu.autodiff.linearisation import Kind, Linearisation
from curenu.autodiff.micro_batch import MicroBatch
from curenu.autodiff.pieces import Pieces, accumulate, graph_bytes, pieces_of
from curenu.budgets import GRAPH_MEMORY
from curenu.checks import check_curvature
from curenu.cost import FORWARD, GRADIENT, PRODUCT, Meter
from curenu.data import Batch
from curenu.distributed import added, dealt, least, reduced
from curenu.errors import IllPosed, UnsupportedModel
from curenu.losses.form import widest
from curenu.parameters import ParameterSpace
from curenu.risks.source import Named, Source
from curenu.risks.terms import Measured, Quadratic, Term

__all__ = ["WeightedSum"]


class WeightedSum:
    """F(theta) = Σ_t w_t Σ_{i in t} f_{t,i}(theta) + a quadratic in theta.

    Examples are streamed in micro-batches, so memory does not grow with their number, and
    weights are applied once per term, so nothing depends on the micro-batch size.
    """

    def __init__(self, source: Source, terms: tuple[Term, ...], quadratic: Quadratic) -> None:
        self.source = source
        self.terms = terms
        self.quadratic = quadratic

    @property
    def parameters(self) -> ParameterSpace:
        """Which parameters move, and their order in the vector."""
        return self.source.parameters

    @property
    def meter(self) -> Meter:
        """Counts the work of this sum and of all drawn from the same source."""
        return self.source.meter

    def value(self, theta: Tensor) -> Tensor:
        """F(theta), a float64 scalar `[]`; one forward pass over the examples."""
        total = self._forward(theta, lambda term, outputs, batch: term.head(outputs, batch))
        return total + self.quadratic.value(theta)

    def measure(self, theta: Tensor) -> Measured:
        """F(theta) and its rounding: the outputs' own, carried through each head's derivative.

        An output z is known to eps|z|; independent errors of that size change Σ w f by
        w eps |z ∘ f'(z)|. Sums and heads are in float64 and add nothing to it.
        """
        eps = torch.finfo(theta.dtype).eps
        squares = 0.0

        def head(term: Term, outputs: Tensor, batch: Batch) -> Tensor:
            nonlocal squares
            with torch.enable_grad():
                at = outputs.detach().requires_grad_()
                value = term.head(at, batch)
                slope = torch.autograd.grad(value, at)[0] if value.requires_grad else None
            if slope is not None:
                squares += float((term.weight * eps * slope * outputs).square().sum())
            return value.detach()

        total = self._forward(theta, head)
        return Measured(total + self.quadratic.value(theta), added(squares) ** 0.5)

    def gradient(self, theta: Tensor) -> Tensor:
        """∇F(theta), `[d]`; one forward and one backward pass over the examples."""
        self.meter.gradients += 1
        total = torch.zeros_like(theta)
        with self.source.arithmetic():
            for term, batch in self._stream():
                named = self._leaves(theta)
                accumulate(total, self._slopes(term, named, batch), list(named.values()))
                self.meter.passed(batch.size)
        self._check_sum(reduced(total), theta)
        return self.quadratic.add_gradient(theta, total)

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
            return self.micro_batches(theta, curvature, first, lower=lower)

        return Linearisation(
            stream,
            theta,
            quadratic_value=self.quadratic.value(theta),
            quadratic_gradient=lambda total: self.quadratic.add_gradient(theta, total),
            weight_decay=self.quadratic.scale,
            meter=self.meter,
            kept=self._kept(theta, budget) if keeps else 0,
            kind=curvature,
            product_dtype=lower,
            positive_semidefinite=self._is_semidefinite(curvature),
        )

    def _is_semidefinite(self, curvature: Kind) -> bool:
        """Whether no eigenvalue can be negative: where the loss is convex in the outputs."""
        convex = self.source.evaluation.form.convex
        return curvature == "gauss_newton" and convex and self.quadratic.scale >= 0.0

    def check_twice_differentiable(self, theta: Tensor, vector: Tensor) -> None:
        """Raise unless the product with a random `vector` is there, finite and not all zero.

        The loss is multiplied by a one that asks for a gradient: only then do operations that
        can be differentiated once leave a mark in the graph, instead of passing for constants.
        """
        one = torch.ones((), dtype=theta.dtype, device=theta.device, requires_grad=True)
        gradient, product = torch.zeros_like(theta), torch.zeros_like(theta)
        pieces = list(self.parameters.unflatten(vector).values())
        for lazy in self.micro_batches(theta, "hessian", one=one):
            batch = lazy.differentiate()
            batch.check_twice_differentiable()
            accumulate(gradient, batch.grads, batch.leaves)
            accumulate(product, batch.product(pieces, keep=False), batch.leaves)
            self.meter.passed(2 * batch.count, (GRADIENT + PRODUCT["hessian"]) // 2)
        self._check_sum(reduced(gradient), theta)
        check_curvature(gradient, reduced(product))

    def _forward(self, theta: Tensor, head: Callable[[Term, Tensor, Batch], Tensor]) -> Tensor:
        """Σ_t w_t Σ head over all micro-batches, the head in the widest type."""
        self.parameters.check(theta)
        total = torch.zeros((), dtype=widest(theta.device), device=theta.device)
        with self.source.arithmetic(), torch.no_grad():
            named = self.source.named(theta)
            for term, batch in self._stream():
                outputs = self.source.wide(self.source.outputs(named, batch))
                total += term.weight * head(term, outputs, batch).to(total)
                self.meter.passed(batch.size, FORWARD)
        self._check_sum(reduced(total), theta)
        return total

    def micro_batches(
        self,
        theta: Tensor,
        curvature: Kind,
        first: int = 0,
        *,
        one: Tensor | None = None,
        lower: torch.dtype | None = None,
    ) -> Iterator[MicroBatch]:
        """Each micro-batch from the `first` on, nothing computed yet."""
        if curvature != "hessian":
            self.check_outputs_shown()
        for term, batch in self._stream(first):
            yield replace(
                self._micro_batch(term, theta, batch, one),
                kind=curvature,
                forward_mode=self._forward_mode(theta, curvature, lower),
            )

    def _micro_batch(
        self, term: Term, theta: Tensor, batch: Batch, one: Tensor | None = None
    ) -> MicroBatch:
        """A term on a batch as a function of its parameters; no fused attention."""
        named = self._leaves(theta)

        def within(work: Callable[[], Any]) -> Any:
            with self.source.bending():
                return self.source.under(named, work)

        def forward(pieces: list[Tensor]) -> Tensor:
            return self.source.outputs(dict(zip(named, pieces, strict=True)), batch)

        def head(outputs: Tensor) -> Tensor:
            loss = term.weight * term.head(outputs, batch)
            return loss if one is None else one * loss

        def one_by_one(pieces: list[Tensor], row: Tensor) -> Tensor:
            alone = replace(batch, ids=batch.ids[:1], content=(row.unsqueeze(0), None))
            return self.source.outputs(dict(zip(named, pieces, strict=True)), alone).squeeze(0)

        content = batch.content
        apart = isinstance(content, list | tuple) and isinstance(content[0], Tensor)
        each = (content[0], one_by_one) if apart and self.source.evaluation.shows_outputs else None
        return MicroBatch(
            list(named.values()),
            forward,
            head,
            batch.size,
            within,
            each=each,
            weight=term.weight,
            wide=self.source.wide,
        )

    def check_outputs_shown(self) -> None:
        """Raise `UnsupportedModel` where the loss hides the outputs."""
        if not self.source.evaluation.shows_outputs:
            raise UnsupportedModel(
                "The Gauss-Newton product needs outputs, and a loss on mappings hides them.",
                'curvature="hessian", `curenu.TokenCrossEntropy`, or (input, target) pairs.',
            )

    def _forward_mode(
        self, theta: Tensor, curvature: Kind, lower: torch.dtype | None = None
    ) -> bool:
        """Whether products go by forward mode: as `check_products` found, or tried on an example.

        Not where an operation has no forward derivative, or a wrong one; in lower precision
        batch norm has none.
        """
        known = self.source.measured
        if lower is None and ("forward mode", curvature) in known:
            return known["forward mode", curvature]
        key = ("forward mode", lower)
        if key not in known:
            term = self.terms[0]
            batch = self._micro_batch(term, theta, self.source.batch(term.ids[:1]))
            trial = torch.linspace(-1.0, 1.0, len(theta)).to(theta)
            pieces = pieces_of(trial, batch.leaves)
            tangent = replace(batch, forward_mode=True)
            usual = lower is None or self._forward_mode(theta, curvature)
            known[key] = usual and tangent.agrees(pieces, lower)
        return known[key]

    def _kept(self, theta: Tensor, budget: int) -> int:
        """How many micro-batches' graphs fit in a budget, by the size of the first one's."""
        key = "graph", min(self.source.micro_batch_size, len(self.terms[0].ids))
        known = self.source.measured
        if not known.get(("backward mode", "hessian"), True):
            return 0  # a kept graph is differentiated backward once more, which is wrong here
        if key not in known:
            batch = next(self.micro_batches(theta, "hessian"), None)
            known[key] = 0 if batch is None else graph_bytes(batch.differentiate)
        return least(budget // max(1, known[key]))

    def _slopes(self, term: Term, named: Named, batch: Batch) -> Pieces:
        """Derivatives of a term on a batch by the named leaves."""

        def work() -> Pieces:
            loss = term.weight * term.head(self.source.outputs(named, batch), batch)
            if not loss.requires_grad:  # no parameter was reached: an expert, a dead branch
                return [None] * len(named)
            return torch.autograd.grad(loss, list(named.values()), allow_unused=True)

        return self.source.under(named, work)

    def _stream(self, first: int = 0) -> Iterator[tuple[Term, Batch]]:
        for term in self.terms:
            parts = dealt(term.ids, self.source.micro_batch_size)
            if parts[first:]:
                self.source.examples.prefetch(torch.cat(parts[first:]))
            for ids in parts[first:]:
                yield term, self.source.batch(ids)
            first = max(0, first - len(parts))

    def _leaves(self, theta: Tensor) -> Named:
        named = self.source.named(theta.detach())
        return {name: piece.detach().requires_grad_() for name, piece in named.items()}

    def _check_sum(self, total: Tensor, theta: Tensor) -> None:
        """Raise `IllPosed`, naming the first example at fault, if `total` is not finite."""
        if total.isfinite().all():
            return
        self.parameters.check_finite(theta)
        named = self.source.named(theta)
        for term in self.terms:
            for example in term.ids.split(1):
                batch = self.source.batch(example)
                with self.source.arithmetic(), torch.no_grad():
                    outputs = self.source.outputs(named, batch)
                    values = [term.head(o, batch) for o in (outputs, self.source.wide(outputs))]
                    if not all(value.isfinite() for value in values):
                        raise IllPosed(
                            f"The loss is NaN or Inf at example {int(example)}.",
                            "a loss bounded on this data, smaller weights, or float64.",
                        )
        raise IllPosed(
            "The gradient holds NaN or Inf although every loss is finite.",
            "a loss whose derivative is finite everywhere (no square root or norm at zero).",
        )
