"""Products compared with differences of what they are derivatives of, before anything uses them."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from curenu.autodiff import Kind, MicroBatch
from curenu.autodiff.pieces import accumulate, pieces_of
from curenu.checks import check_curvature
from curenu.cost import Meter
from curenu.distributed import alone
from curenu.errors import UnsupportedModel
from curenu.own_model import full_copy
from curenu.parameters import ParameterSpace
from curenu.risks.terms import Quadratic, Term
from curenu.risks.weighted_sum import WeightedSum

__all__ = ["check_products"]

_EXAMPLES = 8
_LARGEST = 20_000_000  # parameters of a model that is copied in float64 for this
_STEPS = (1e-5, 1e-7)  # of |theta|: the shorter one where the longer meets a kink
_CLOSE = 0.05  # relative; a wrong derivative is off by its own size
_SYMMETRIC = 1e-6
_ORDER = {True: "forward mode", False: "backward mode"}


def check_products(total: WeightedSum, theta: Tensor, kind: Kind, *, kept: bool) -> None:
    """Find an order of derivatives whose products are right; raise if none is.

    Forward mode is tried first, double backward where graphs are `kept` for many products. On a
    few examples in float64: a Hessian product against a difference of gradients, and its
    symmetry; a Gauss-Newton product against a difference of the loss's slopes. Torch's own second
    derivatives are wrong for some operations, and right in one of the two orders for some of
    these. What is found is kept for the model; the few passes are in no cost, and every process
    makes them for itself. Raises `UnsupportedModel`.
    """
    known = total.source.measured
    if kind != "hessian":
        total.check_outputs_shown()
    orders = (False, True) if kept else (True, False)
    decided = [known.get((_ORDER[forward], kind)) for forward in orders]
    if known.get("unseen") or decided[0] or (decided[0] is False and decided[1]):
        return
    with alone():
        shadow = _shadow(total, theta)
        if shadow is None:
            known["unseen"] = True
            note = "products not compared with differences: the model does not run in float64"
            known["notes"] = (*known.get("notes", ()), note)
            return
        _compare(total, shadow, theta, kind, orders)


def _compare(
    total: WeightedSum, shadow: WeightedSum, theta: Tensor, kind: Kind, orders: tuple[bool, bool]
) -> None:
    """Try the orders in turn and remember the first that is right; raise if none is."""
    known, point = total.source.measured, theta.double()
    drawn = torch.randn(len(theta), generator=torch.Generator().manual_seed(0), dtype=point.dtype)
    along = torch.nn.functional.normalize(drawn, dim=0).to(point.device)
    for forward in orders:
        product = _found(shadow, point, along, kind, forward)
        right = product is not None and _right(shadow, point, along, kind, forward, product)
        if product is not None and not product.isfinite().all():
            check_curvature(total.gradient(theta), product)  # names an example at fault
        if right:
            known[_ORDER[forward], kind] = True
            if forward != orders[0]:
                known[_ORDER[orders[0]], kind] = False
            return
    raise UnsupportedModel(
        "Model and loss cannot be differentiated twice: products with the "
        f"{kind.replace('_', '-')} are not what differences of first derivatives say, so an "
        "operation has a wrong second derivative, or none.",
        "the operation written out in plain torch (`weight_norm`'s kernel and "
        "`Embedding(max_norm=)` are known ones), or a first-order method such as `FineTune`.",
    )


def _shadow(total: WeightedSum, theta: Tensor) -> WeightedSum | None:
    """The same sum over a few examples, its model in float64; None where it does not run so."""
    source = total.source
    if theta.device.type == "mps" or len(theta) > _LARGEST:
        return None
    evaluation = copy.copy(source.evaluation)
    evaluation._modules = {"model": full_copy(source.evaluation.model).double()}
    evaluation.dtype = torch.float64
    pieces = source.parameters.unflatten(theta)
    space = ParameterSpace({name: piece.double() for name, piece in pieces.items()})
    keep = {k: v for k, v in source.measured.items() if k in ("count", "width", "writes", "widens")}
    keep |= {("forward mode", kind): True for kind in ("hessian", "gauss_newton")}  # said below
    other = replace(
        source,
        parameters=space,
        evaluation=evaluation,
        meter=Meter(),
        product_dtype=None,
        measured=keep,
    )
    term = total.terms[0]
    ids = term.ids[:: max(1, len(term.ids) // _EXAMPLES)][:_EXAMPLES]
    head = other.evaluation.total
    shadow = WeightedSum(other, (Term(ids, 1.0 / len(ids), head),), Quadratic(0.0))
    try:
        shadow.value(theta.double())
    except Exception:  # whatever the user's model raises in another type
        return None
    return shadow


def _found(
    shadow: WeightedSum, theta: Tensor, along: Tensor, kind: Kind, forward: bool
) -> Tensor | None:
    """The product in this order of derivatives; None where an operation lacks one of them."""
    try:
        return _product(shadow, theta, along, kind, forward)
    except UnsupportedModel:
        return None


def _right(
    shadow: WeightedSum, theta: Tensor, along: Tensor, kind: Kind, forward: bool, found: Tensor
) -> bool:
    """Whether a product is what differences of first derivatives say, and symmetric."""
    size = float(found.norm())
    if kind == "hessian":
        slack = 1e-9 * float(shadow.gradient(theta).norm())

        def wanted(step: float) -> Tensor:
            ends = (shadow.gradient(theta + s * step * along) for s in (1.0, -1.0))
            return next(ends).sub_(next(ends)).div_(2 * step)

        if _skew(shadow, theta, along, forward, found) > _SYMMETRIC * size + slack:
            return False
    else:
        slack = 1e-12

        def wanted(step: float) -> Tensor:
            return _by_outputs(shadow, theta, along, step)

    scale = max(1.0, float(theta.norm()))
    return any(
        float(wanted(step * scale).sub_(found).norm()) <= _CLOSE * size + slack / step
        for step in _STEPS
    )


def _skew(shadow: WeightedSum, theta: Tensor, along: Tensor, forward: bool, found: Tensor) -> float:
    """|wᵀHv − vᵀHw| for v = `along`, w = v backwards; `found` is Hv."""
    turned = along.flip(0)
    image = _product(shadow, theta, turned, "hessian", forward)
    return abs(float(turned @ found) - float(along @ image))


def _product(
    shadow: WeightedSum, theta: Tensor, vector: Tensor, kind: Kind, forward: bool
) -> Tensor:
    total = torch.zeros_like(theta)
    for batch in shadow.micro_batches(theta, kind):
        own = replace(batch, kind=kind, forward_mode=forward)
        image = own.product(pieces_of(vector, own.leaves))
        if image is not None:
            accumulate(total, image, own.leaves)
    return total


def _by_outputs(shadow: WeightedSum, theta: Tensor, along: Tensor, step: float) -> Tensor:
    """Jᵀ (slopes at theta + step v − slopes at theta − step v) / (2 step), slopes of the head.

    Differences of first derivatives alone: an operation that has no second one shows.
    """
    total = torch.zeros_like(theta)
    for batch in shadow.micro_batches(theta, "gauss_newton"):
        accumulate(total, batch.within(lambda b=batch: _pulled(b, along, step)), batch.leaves)
    return total


def _pulled(batch: MicroBatch, along: Tensor, step: float) -> list[Tensor | None]:
    pieces = pieces_of(along, batch.leaves)
    outputs = batch.forward(batch.leaves)
    if not outputs.requires_grad:
        return [None] * len(batch.leaves)
    slopes: list[Tensor] = []
    for sign in (1.0, -1.0):
        with torch.no_grad():
            ends = [p + sign * step * v for p, v in zip(batch.leaves, pieces, strict=True)]
            at = batch.forward(ends)
        at = at.requires_grad_()
        slopes.append(torch.autograd.grad(batch.head(at), at)[0])
    bent = (slopes[0] - slopes[1]) / (2 * step)
    return list(torch.autograd.grad(outputs, batch.leaves, bent, allow_unused=True))
