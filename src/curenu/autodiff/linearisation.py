"""The curvature at one point as an operator, streamed and kept within a byte budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from curenu.autodiff.jacobian import add_by_jacobian
from curenu.autodiff.layers import add_by_layers
from curenu.autodiff.micro_batch import Differentiated, Kind, MicroBatch
from curenu.autodiff.pieces import Pieces, accumulate, pieces_of
from curenu.cost import PRODUCT, Meter
from curenu.distributed import added, least, reduced
from curenu.errors import UnsupportedModel
from curenu.memory import available_memory

__all__ = ["Kind", "Linearisation", "check_dense"]

_COLUMNS = 16384  # columns times examples differentiated at once for the dense Hessian


class Linearisation:
    """The curvature at theta as a symmetric operator `[d, d]`: `@` takes a vector to one.

    The first `kept` micro-batches keep their graphs and serve every product; the others are
    made anew for each one, so memory never grows with n. `value` and `gradient` come from
    the pass that builds the graphs, made when first asked for. A product counts every
    example once, from a kept graph or not; those whose curvature turned out to be zero by
    the form of their loss are left out from then on, and not counted. `product_dtype` is a
    lower precision of the model in products from graphs that are not kept, of nothing else.
    `positive_semidefinite` says that no eigenvalue can be negative: nobody need look for one.
    """

    def __init__(
        self,
        stream: Callable[[int], Iterator[MicroBatch]],
        theta: Tensor,
        *,
        quadratic_value: float,
        quadratic_gradient: Callable[[Tensor], Tensor],
        weight_decay: float,
        meter: Meter,
        kept: int,
        kind: Kind,
        product_dtype: torch.dtype | None = None,
        positive_semidefinite: bool = False,
    ) -> None:
        self._kind: Kind = kind
        self.positive_semidefinite = positive_semidefinite
        self._stream = stream
        self._theta = theta
        self._quadratic_value = quadratic_value
        self._quadratic_gradient = quadratic_gradient
        self._decay = weight_decay
        self._meter = meter
        self._keep = kept
        self._dtype = product_dtype
        self._graphs: list[Differentiated] = []
        self._flat: set[int] = set()  # micro-batches without curvature
        self._sums: tuple[float, Tensor] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(d, d)."""
        return (self._theta.numel(), self._theta.numel())

    @property
    def kept_graphs(self) -> int:
        """How many micro-batches are differentiated once for all products."""
        self._built()
        return len(self._graphs)

    @property
    def value(self) -> float:
        """F(theta) on the same examples."""
        return self._built()[0] + self._quadratic_value

    @property
    def gradient(self) -> Tensor:
        """∇F(theta) `[d]` on the same examples."""
        return self._quadratic_gradient(self._built()[1].clone())

    def __matmul__(self, vector: Tensor) -> Tensor:
        """The curvature times `vector`, `[d]`."""
        self._prepare()
        self._meter.hvps += 1
        total = torch.zeros_like(self._theta)
        pieces: list[Tensor] | None = None
        for index, batch in self._batches():
            pieces = pieces or pieces_of(vector, batch.leaves)
            image: Pieces | None
            if isinstance(batch, Differentiated):
                image = batch.product(pieces, keep=True)
            else:
                image = batch.product(pieces, self._dtype)
            self._meter.passed(batch.count, PRODUCT[self._kind])
            if image is None:
                self._flat.add(index)
            else:
                accumulate(total, image, batch.leaves)
        return reduced(total).add_(vector, alpha=self._decay)

    def dense(self, memory_budget: int | None = None) -> Tensor:
        """The whole matrix `[d, d]` in float64, symmetrised.

        By layers where every parameter is one of a linear layer, at a pass per unit or output,
        compared with one product; otherwise, and where they disagree, by d vectorised products.

        Raises `UnsupportedModel`, naming the bytes, when matrix and decomposition (three
        times 8 d²) exceed `memory_budget`, by default the memory now available.
        """
        dimension = self._theta.numel()
        check_dense(dimension, memory_budget, self._theta.device)
        total = torch.zeros(dimension, dimension, dtype=torch.float64, device=self._theta.device)
        agrees, passes = self._by_outputs(total)
        self._meter.hvps -= least(-passes)  # the most of any process: the same count in all
        if not least(agrees):
            self._by_columns(total.zero_())
        reduced(total).diagonal().add_(self._decay)
        return total.add_(total.mT.clone()).mul_(0.5)

    def _by_outputs(self, total: Tensor) -> tuple[bool, int]:
        """Whether `total` now holds the own examples' curvature, up to symmetry; the passes.

        What a product with a random vector confirms, at the first micro-batch and at the end.
        """
        generator = torch.Generator().manual_seed(0)
        probe = torch.randn(len(total), generator=generator, dtype=self._theta.dtype)
        probe, image = probe.to(self._theta), torch.zeros_like(self._theta)
        leaves: Sequence[Tensor] = ()
        most = 0
        for index, batch in enumerate(self._stream(0)):
            if index in self._flat:
                continue
            passes = add_by_layers(total, batch)
            if passes is None:
                passes = add_by_jacobian(total, batch)
            if passes is None:
                return False, most
            first, leaves = not leaves, batch.leaves
            part = batch.product(pieces_of(probe, leaves))
            if part is None:
                self._flat.add(index)
                self._meter.passed(batch.count)
                continue
            accumulate(image, part, leaves)
            most = max(most, passes + 1)
            self._meter.passed((passes + 1) * batch.count)
            if first and not _maps(total, probe, image, leaves):
                return False, most
        return not leaves or _maps(total, probe, image, leaves), most

    def _by_columns(self, total: Tensor) -> None:
        dimension = self._theta.numel()
        self._prepare()
        self._meter.hvps += dimension
        for _, batch in self._batches():
            self._add_columns(
                total, batch if isinstance(batch, Differentiated) else batch.differentiate()
            )
            self._meter.passed(dimension * batch.count, PRODUCT[self._kind])

    def _add_columns(self, total: Tensor, batch: Differentiated) -> None:
        dimension = self._theta.numel()
        width = max(1, min(dimension, _COLUMNS // batch.count))
        for start in range(0, dimension, width):
            columns = torch.zeros(
                min(width, dimension - start), dimension, dtype=self._theta.dtype
            ).to(self._theta.device)
            columns.diagonal(start).fill_(1.0)
            rows = batch.product(pieces_of(columns, batch.leaves), keep=True, columns=True)
            offset = 0
            for row, leaf in zip(rows, batch.leaves, strict=True):
                if row is not None:
                    block = total[start : start + width, offset : offset + leaf.numel()]
                    block += row.reshape(row.shape[0], -1)
                offset += leaf.numel()

    def _prepare(self) -> None:
        if self._keep and self._sums is None:
            self._built()

    def _batches(self) -> Iterator[tuple[int, Differentiated | MicroBatch]]:
        """Those with curvature, as far as is known, by their place in the stream."""
        first = len(self._graphs)
        for index, batch in enumerate(self._graphs):
            if index not in self._flat:
                yield index, batch
        for index, batch in enumerate(self._stream(first), first):
            if index not in self._flat:
                yield index, batch

    def _built(self) -> tuple[float, Tensor]:
        if self._sums is None:
            self._meter.gradients += 1
            loss, gradient = 0.0, torch.zeros_like(self._theta)
            for index, lazy in enumerate(self._stream(0)):
                batch = lazy.differentiate()
                loss += batch.loss
                accumulate(gradient, batch.grads, batch.leaves)
                self._meter.passed(batch.count)
                if not batch.curved:
                    self._flat.add(index)
                if index < self._keep:
                    self._graphs.append(batch)
            self._sums = added(loss), reduced(gradient)
        return self._sums


def _maps(total: Tensor, vector: Tensor, image: Tensor, leaves: Sequence[Tensor]) -> bool:
    """Whether the symmetric part of `total` takes `vector` to `image`, each leaf to rounding."""
    wide, eps = vector.double(), torch.finfo(vector.dtype).eps
    gap = 0.5 * (total @ wide + total.mT @ wide) - image.double()
    slack = 100.0 * eps * float(image.double().norm())
    pairs = zip(pieces_of(gap, leaves), pieces_of(image.double(), leaves), strict=True)
    return all(float(a.norm()) <= eps**0.5 * float(b.norm()) + slack for a, b in pairs)


def check_dense(dimension: int, memory_budget: int | None, device: torch.device) -> None:
    """Raise `UnsupportedModel` if a dense `[d, d]` decomposition exceeds the budget.

    Without one, if it exceeds what is available where it would be made.
    """
    needed = 3 * 8 * dimension**2
    limit = available_memory(device) if memory_budget is None else memory_budget
    if needed > limit:
        raise UnsupportedModel(
            f"The dense Hessian of {dimension} parameters and its decomposition take "
            f"{needed / 2**30:.3g} GiB, more than the {limit / 2**30:.3g} GiB allowed.",
            "`LanczosSolver`, which needs products only, fewer parameters by `only=`, or a "
            "larger `memory_budget`.",
        )
