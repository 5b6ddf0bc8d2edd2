"""One micro-batch: its loss, gradient and curvature, by the cheapest order of derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import jvp, vmap

from curenu.autodiff.pieces import Pieces
from curenu.autodiff.switches import forward_mode
from curenu.errors import UnsupportedModel, UserCodeFailed
from curenu.user_code import said

__all__ = [
    "Differentiated",
    "Each",
    "Kind",
    "MicroBatch",
    "Within",
]

Kind = Literal["hessian", "gauss_newton"]

Within = Callable[[Callable[[], Any]], Any]
"""Runs some work where the model holds the parameters that it is differentiated at."""

Each = tuple[Tensor, Callable[[list[Tensor], Tensor], Tensor]]
"""Inputs `[b, ...]` and (leaves, one example's inputs) -> its outputs, where they are apart."""

_CLOSE = 1e-2  # relative gap between two orders of derivatives that is rounding, in float32
_CLOSE_LOWER = 1e-1  # in bfloat16 and float16


def _same(outputs: Tensor) -> Tensor:
    return outputs


@dataclass(frozen=True)
class MicroBatch:
    """head(forward(leaves)): the weighted loss of `count` examples; nothing computed yet.

    With `forward_mode` a product is one Jacobian-vector product by forward-mode
    differentiation and one vector-Jacobian product: no derivative of a derivative is taken,
    and nothing is kept. All of it happens `within` the parameters, backward passes too:
    checkpointed parts of a model are passed again there. `each` takes the examples one by one;
    `weight` is what `head` multiplies their losses by, `wide` brings outputs to the type in which
    the loss's value is computed.
    """

    leaves: list[Tensor]
    forward: Callable[[list[Tensor]], Tensor]
    head: Callable[[Tensor], Tensor]
    count: int
    within: Within
    kind: Kind = "hessian"
    forward_mode: bool = False
    each: Each | None = None
    weight: float = 1.0
    wide: Callable[[Tensor], Tensor] = _same

    def differentiate(self) -> Differentiated:
        """Loss and gradient, and the graph that products can be taken from again."""
        build = _by_loss if self.kind == "hessian" else _by_outputs
        return self.within(lambda: build(self))

    def product(self, pieces: Sequence[Tensor], dtype: torch.dtype | None = None) -> Pieces | None:
        """Curvature times `pieces`, in the leaves' shapes; None when all of it is zero.

        H v = Jᵀ(L J v) + ∂(slope·J v)/∂theta, L and slope the derivatives of the head; the
        Gauss-Newton product is the first term. `dtype` is that of the model's operations,
        where it is to be lower than the leaves'.
        """
        if dtype is not None:
            return self._lower_product(pieces, dtype)
        if self.kind == "hessian" and not self.forward_mode:
            once = self.differentiate()
            return once.product(pieces, keep=False) if once.curved else None
        with _derivatives():
            return self.within(lambda: self._by_jvp(pieces))

    def value(self, outputs: Tensor) -> float:
        """The weighted loss, from outputs that are known."""
        with torch.no_grad():
            return float(self.head(self.wide(outputs.detach())))

    def agrees(self, pieces: Sequence[Tensor], dtype: torch.dtype | None = None) -> bool:
        """Whether forward mode works here and gives what double backward gives."""
        try:
            found = self.product(pieces, dtype)
        except UnsupportedModel:
            return False
        wanted = replace(self, forward_mode=False).product(pieces, dtype)
        none: Pieces = [None] * len(self.leaves)
        close = _CLOSE if dtype is None else _CLOSE_LOWER
        gap = size = 0.0
        for a, b in zip(found or none, wanted or none, strict=True):
            left, right = (0.0 if piece is None else piece.double() for piece in (a, b))
            gap += float(torch.as_tensor(left - right).square().sum())
            size += float(torch.as_tensor(right).square().sum())
        return gap <= close**2 * size

    def _lower_product(self, pieces: Sequence[Tensor], dtype: torch.dtype) -> Pieces | None:
        """The model under autocast; the head, the result and its weight in the leaves' type.

        The weight comes last: slopes divided by many examples underflow in float16.
        """
        own, weight = self.leaves[0], self.weight or 1.0

        def forward(leaves: list[Tensor]) -> Tensor:
            with torch.autocast(own.device.type, dtype):
                return self.forward(leaves).to(own.dtype)

        lower = replace(self, forward=forward, head=lambda outputs: self.head(outputs) / weight)
        try:
            image = lower.product(pieces)
        except (RuntimeError, NotImplementedError, UnsupportedModel) as error:
            raise UnsupportedModel(
                f"No product in {dtype}: {str(error.__cause__ or error).splitlines()[0]}",
                "`product_dtype=None`.",
            ) from error
        if image is None:
            return None
        return [None if piece is None else weight * piece for piece in image]

    def _by_jvp(self, pieces: Sequence[Tensor]) -> Pieces | None:
        outputs, tangent = self._jvp(pieces)
        if tangent is None or not _requires_grad(outputs):
            return None
        at, slope = self._slope(outputs)
        ends, cotangents = [], []
        if _requires_grad(slope):
            ends.append(outputs)
            cotangents.append(_vjp([slope], [at], [tangent.detach()], False, False)[0])
        if self.kind == "hessian" and _requires_grad(tangent):
            ends.append(tangent)
            cotangents.append(slope.detach())
        return _vjp(ends, self.leaves, cotangents, False, False) if ends else None

    def _jvp(self, pieces: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Outputs and J·pieces, both with their graphs to the leaves."""
        if not self.forward_mode:
            outputs = self.forward(self.leaves)
            if not _requires_grad(outputs):
                return outputs, None
            cotangent = torch.zeros_like(outputs, requires_grad=True)
            rows = torch.autograd.grad(
                outputs, self.leaves, cotangent, create_graph=True, allow_unused=True
            )
            live = [i for i, row in enumerate(rows) if _requires_grad(row)]
            if not live:
                return outputs, None
            (tangent,) = _vjp(
                [rows[i] for i in live], [cotangent], [pieces[i] for i in live], True, False
            )
            return outputs, tangent
        with forward_mode(), forward_ad.dual_level():
            duals = [forward_ad.make_dual(*pair) for pair in zip(self.leaves, pieces, strict=True)]
            outputs, tangent = forward_ad.unpack_dual(self.forward(duals))
        if tangent is not None and self.kind == "gauss_newton":
            tangent = tangent.detach()  # its graph is not needed: freed before the way back
        return outputs, tangent

    def _slope(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        at = outputs.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.head(at), at, create_graph=True)
        return at, slope


@dataclass(frozen=True)
class Differentiated:
    """A micro-batch differentiated once: its weighted loss, its gradient, its products.

    `multiply(pieces, keep, columns)` is the curvature times a vector given in the leaves'
    shapes; `keep` holds the graph for another product, `columns` says that the pieces carry
    a leading dimension of independent vectors. `curved` is False where the curvature is zero.
    """

    loss: float
    leaves: list[Tensor]
    grads: Pieces
    count: int
    curved: bool
    multiply: Callable[[Sequence[Tensor], bool, bool], Pieces]
    within: Within

    def product(self, pieces: Sequence[Tensor], *, keep: bool, columns: bool = False) -> Pieces:
        """Curvature times `pieces`, one tensor a parameter (None is zero)."""
        if not self.curved:
            return [None] * len(self.leaves)
        with _derivatives():
            return self.within(lambda: self.multiply(pieces, keep, columns))

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


@contextmanager
def _derivatives() -> Iterator[None]:
    """What automatic differentiation cannot do becomes an error that says so."""
    try:
        yield
    except UserCodeFailed as error:  # of torch's own, where an operation has no derivative
        if not isinstance(error.__cause__, RuntimeError):
            raise
        raise _once(said(error.__cause__)) from error
    except RuntimeError as error:
        raise _once(said(error)) from error


def _once(reason: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"The loss cannot be differentiated twice: {reason}",
        "an implementation with a second derivative (no fused or once-differentiable "
        "operation, the model before `torch.compile`), or a first-order method such as "
        "`FineTune`.",
    )


def _by_loss(batch: MicroBatch) -> Differentiated:
    """For products with the full Hessian: the gradient with its graph, bent once more."""
    leaves = batch.leaves
    outputs = batch.forward(leaves)
    loss = batch.head(outputs)
    if not _requires_grad(loss):
        return _unreached(batch, outputs)
    with _derivatives():
        grads = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
    live = [index for index, gradient in enumerate(grads) if _requires_grad(gradient)]

    def multiply(pieces: Sequence[Tensor], keep: bool, columns: bool) -> Pieces:
        return _vjp([grads[i] for i in live], leaves, [pieces[i] for i in live], keep, columns)

    value = batch.value(outputs)
    return Differentiated(value, leaves, grads, batch.count, bool(live), multiply, batch.within)


def _unreached(batch: MicroBatch, outputs: Tensor) -> Differentiated:
    """Of a micro-batch that no moving parameter has a part in."""
    none: Pieces = [None] * len(batch.leaves)
    return Differentiated(
        batch.value(outputs), batch.leaves, none, batch.count, False, lambda *_: none, batch.within
    )


def _by_outputs(batch: MicroBatch) -> Differentiated:
    """For products with the Gauss-Newton matrix Jᵀ L J, L = ∂²head/∂outputs².

    J v by forward-mode differentiation, Jᵀ u by the graph of the outputs, the only one kept.
    """
    leaves = batch.leaves
    outputs = batch.forward(leaves)
    if not _requires_grad(outputs):
        return _unreached(batch, outputs)
    detached = outputs.detach().requires_grad_()
    loss = batch.head(detached)
    (slope,) = torch.autograd.grad(loss, detached, create_graph=True)
    grads = _vjp([outputs], leaves, [slope.detach()], True, False)
    point = tuple(leaf.detach() for leaf in leaves)

    def tangent_of(pieces: list[Tensor]) -> Tensor:
        return jvp(lambda *leaves: batch.forward(list(leaves)), point, tuple(pieces))[1]

    def multiply(pieces: Sequence[Tensor], keep: bool, columns: bool) -> Pieces:
        with forward_mode():
            tangent = (vmap(tangent_of) if columns else tangent_of)(list(pieces))
        (cotangent,) = _vjp([slope], [detached], [tangent], True, columns)
        return _vjp([outputs], leaves, [cotangent], keep, columns)

    value = float(loss.detach())
    return Differentiated(
        value, leaves, grads, batch.count, _requires_grad(slope), multiply, batch.within
    )


def _vjp(
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


def _requires_grad(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.requires_grad
