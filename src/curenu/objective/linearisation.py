"""The curvature at one point as an operator, streamed and kept within a byte budget."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import jvp, vmap

from curenu.checks import available_memory
from curenu.cost import Meter
from curenu.errors import UnsupportedModel

__all__ = [
    "Kind",
    "Linearisation",
    "MicroBatch",
    "accumulate",
    "check_dense",
    "differentiate_loss",
    "differentiate_outputs",
    "graph_bytes",
]

_COLUMNS = 16384  # columns times examples differentiated at once for the dense Hessian


Kind = Literal["hessian", "gauss_newton"]

Pieces = Sequence[Tensor | None]


@dataclass(frozen=True)
class MicroBatch:
    """One micro-batch differentiated once: its weighted loss, its gradient, its products.

    `bend(pieces, keep, columns)` is the curvature times a vector given in the leaves'
    shapes; `keep` holds the graph for another product, `columns` says that the pieces carry
    a leading dimension of independent vectors.
    """

    loss: float
    leaves: list[Tensor]
    grads: Pieces
    count: int
    bend: Callable[[Sequence[Tensor], bool, bool], Pieces]

    def product(self, pieces: Sequence[Tensor], *, keep: bool, columns: bool = False) -> Pieces:
        """Curvature times `pieces`, one tensor a parameter (None is zero)."""
        try:
            return self.bend(pieces, keep, columns)
        except (RuntimeError, NotImplementedError) as error:
            raise _once(str(error).splitlines()[0]) from error

    def check_twice_differentiable(self) -> None:
        """Raise `UnsupportedModel` if an operation in the gradient's graph ends it."""
        nodes = [gradient.grad_fn for gradient in self.grads if gradient is not None]
        seen: set[object] = set()
        while nodes:
            node = nodes.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if node.name().rsplit("::")[-1] in {"Error", "NotImplemented", "DelayedError"}:
                raise _once("an operation of it has no second derivative.")
            nodes.extend(following for following, _ in node.next_functions)


def _once(reason: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"The loss cannot be differentiated twice: {reason}",
        "an implementation with a second derivative (no fused or once-differentiable "
        "operation), or a first-order method such as `FineTune`.",
    )


def differentiate_loss(
    outputs: Tensor, head: Callable[[Tensor], Tensor], leaves: list[Tensor], count: int
) -> MicroBatch:
    """For products with the full Hessian: the gradient with its graph, bent once more."""
    loss = head(outputs)
    grads = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
    live = [index for index, gradient in enumerate(grads) if _bends(gradient)]

    def bend(pieces: Sequence[Tensor], keep: bool, columns: bool) -> Pieces:
        if not live:
            return [None] * len(leaves)
        return _pull([grads[i] for i in live], leaves, [pieces[i] for i in live], keep, columns)

    return MicroBatch(float(loss.detach()), leaves, grads, count, bend)


def differentiate_outputs(
    forward: Callable[[list[Tensor]], Tensor],
    head: Callable[[Tensor], Tensor],
    leaves: list[Tensor],
    count: int,
) -> MicroBatch:
    """For products with the Gauss-Newton matrix Jᵀ L J, L = ∂²head/∂outputs².

    J v by forward-mode differentiation, Jᵀ u by the graph of the outputs, the only one kept.
    """
    _warm_forward_mode()
    outputs = forward(leaves)
    detached = outputs.detach().requires_grad_()
    loss = head(detached)
    (slope,) = torch.autograd.grad(loss, detached, create_graph=True)
    grads = _pull([outputs], leaves, [slope.detach()], True, False)
    flat = not _bends(slope)  # linear in the outputs
    point = [leaf.detach() for leaf in leaves]

    def push(pieces: list[Tensor]) -> Tensor:
        return jvp(lambda *leaves: forward(list(leaves)), tuple(point), tuple(pieces))[1]

    def bend(pieces: Sequence[Tensor], keep: bool, columns: bool) -> Pieces:
        if flat:
            return [None] * len(leaves)
        pushed = (vmap(push) if columns else push)(list(pieces))
        (curved,) = _pull([slope], [detached], [pushed], True, columns)
        return _pull([outputs], leaves, [curved], keep, columns)

    return MicroBatch(float(loss.detach()), leaves, grads, count, bend)


@cache
def _warm_forward_mode() -> None:
    """Torch warns of its own deprecated parts at the first dual number; nobody can mend it."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


def _pull(
    outputs: Pieces, leaves: list[Tensor], cotangents: Pieces, keep: bool, columns: bool
) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(
        outputs,  # type: ignore[arg-type]
        leaves,
        cotangents,  # type: ignore[arg-type]
        retain_graph=keep,
        allow_unused=True,
        is_grads_batched=columns,
    )


class Linearisation:
    """The curvature at theta as a symmetric operator `[d, d]`: `@` takes a vector to one.

    The first `kept` micro-batches keep their graphs and serve every product; the others are
    made anew for each one, so memory never grows with n. `value` and `gradient` come from
    the pass that builds the graphs, made when first asked for. A product counts every
    example once, from a kept graph or not.
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
    ) -> None:
        self._stream = stream
        self._theta = theta
        self._quadratic_value = quadratic_value
        self._quadratic_gradient = quadratic_gradient
        self._decay = weight_decay
        self._meter = meter
        self._keep = kept
        self._graphs: list[MicroBatch] = []
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
        if self._keep and self._sums is None:
            self._built()
        self._meter.hvps += 1
        total = torch.zeros_like(self._theta)
        pieces: list[Tensor] | None = None
        for batch, keep in self._batches():
            pieces = pieces or _pieces(vector, batch.leaves)
            accumulate(total, batch.product(pieces, keep=keep), batch.leaves)
            self._meter.passed(batch.count)
        return total.add_(vector, alpha=self._decay)

    def dense(self, memory_budget: int | None = None) -> Tensor:
        """The whole matrix `[d, d]` in float64, symmetrised; d vectorised products.

        Raises `UnsupportedModel`, naming the bytes, when matrix and decomposition (three
        times 8 d²) exceed `memory_budget`, by default the memory now available.
        """
        dimension = self._theta.numel()
        check_dense(dimension, memory_budget)
        if self._keep and self._sums is None:
            self._built()
        self._meter.hvps += dimension
        total = torch.zeros(dimension, dimension, dtype=torch.float64, device=self._theta.device)
        for batch, _ in self._batches():
            self._add_columns(total, batch)
            self._meter.passed(dimension * batch.count)
        total.diagonal().add_(self._decay)
        return total.add_(total.mT.clone()).mul_(0.5)

    def _add_columns(self, total: Tensor, batch: MicroBatch) -> None:
        dimension = self._theta.numel()
        width = max(1, min(dimension, _COLUMNS // batch.count))
        for start in range(0, dimension, width):
            columns = torch.zeros(
                min(width, dimension - start), dimension, dtype=self._theta.dtype
            ).to(self._theta.device)
            columns.diagonal(start).fill_(1.0)
            rows = batch.product(_pieces(columns, batch.leaves), keep=True, columns=True)
            offset = 0
            for row, leaf in zip(rows, batch.leaves, strict=True):
                if row is not None:
                    block = total[start : start + width, offset : offset + leaf.numel()]
                    block += row.reshape(row.shape[0], -1)
                offset += leaf.numel()

    def _batches(self) -> Iterator[tuple[MicroBatch, bool]]:
        for batch in self._graphs:
            yield batch, True
        for batch in self._stream(len(self._graphs)):
            yield batch, False

    def _built(self) -> tuple[float, Tensor]:
        if self._sums is None:
            self._meter.gradients += 1
            loss, gradient = 0.0, torch.zeros_like(self._theta)
            for index, batch in enumerate(self._stream(0)):
                loss += batch.loss
                accumulate(gradient, batch.grads, batch.leaves)
                self._meter.passed(batch.count)
                if index < self._keep:
                    self._graphs.append(batch)
            self._sums = loss, gradient
        return self._sums


def check_dense(dimension: int, memory_budget: int | None) -> None:
    """Raise `UnsupportedModel` if a dense `[d, d]` decomposition exceeds the budget."""
    needed = 3 * 8 * dimension**2
    limit = available_memory() if memory_budget is None else memory_budget
    if needed > limit:
        raise UnsupportedModel(
            f"The dense Hessian of {dimension} parameters and its decomposition take "
            f"{needed / 2**30:.3g} GiB, more than the {limit / 2**30:.3g} GiB allowed.",
            "`LanczosSolver`, which needs products only, fewer parameters by `only=`, or a "
            "larger `memory_budget`.",
        )


def accumulate(total: Tensor, pieces: Sequence[Tensor | None], leaves: Sequence[Tensor]) -> None:
    """Add `pieces`, shaped as `leaves` (None is zero), to the vector `total` `[d]` in place."""
    with torch.no_grad():
        for place, piece in zip(_pieces(total, leaves), pieces, strict=True):
            if piece is not None:
                place += piece


def graph_bytes(build: Callable[[], MicroBatch]) -> int:
    """Bytes that the graph of one micro-batch keeps alive; the graph is thrown away."""
    storages: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # the tensor itself would tie a cycle that is never freed

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        build()
    return sum(storages.values())


def _pieces(vector: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    lead = vector.shape[:-1]
    parts = vector.split([leaf.numel() for leaf in leaves], dim=-1)
    return [part.reshape(*lead, *leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]


def _bends(gradient: Tensor | None) -> bool:
    return gradient is not None and gradient.requires_grad
