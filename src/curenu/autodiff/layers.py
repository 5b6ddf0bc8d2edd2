"""The dense curvature of a network of linear layers: a pass per unit, not one per weight.

A weight matrix enters the loss by z = W x + b only. With a shift e added to every layer's z, x
a layer's inputs (a one appended for b) and ' marking a layer before or the same, an example has

    ∂²f / ∂W'[o', i'] ∂W[o, i] = x'[i'] (D[o', o] x[i] + δ[o] E[o', i])

with D = ∂²f/∂e'∂e, δ = ∂f/∂e and E = ∂x/∂e'. Gauss-Newton has D = Gᵀ B G, G = ∂outputs/∂e,
B = ∂²f/∂outputs², and no second term. Summed over examples, a row of blocks is one matrix
product. Section 1 of `docs/theory.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from curenu.autodiff.jacobian import head_curvature
from curenu.autodiff.micro_batch import MicroBatch

__all__ = ["add_by_layers"]

_MEMORY = 2**26  # bytes of what one matrix product, or the passes on a micro-batch, give


@dataclass(frozen=True)
class _Layer:
    """One call of a linear layer, an example a row: inputs `[b, i]`, shift e `[b, o]`.

    `weight` and `bias` are where they begin in theta, None if they do not move. `cotangent`
    `[b, i]` is zero: (cotangent · inputs) added to the loss makes E a second derivative like D.
    """

    weight: int | None
    bias: int | None
    inputs: Tensor
    shift: Tensor
    cotangent: Tensor


@dataclass(frozen=True)
class _Row:
    """What unit `unit` of layer `place` has with itself and the units after it, per example.

    `second` is D by layer, `[b, o]`, in its own layer from itself on; `inner` E by layer
    `[b, i]`, None where it is zero.
    """

    place: int
    unit: int
    second: list[Tensor]
    inner: list[Tensor | None]


def add_by_layers(total: Tensor, batch: MicroBatch) -> int | None:
    """Add a micro-batch's curvature to `total` `[d, d]`; how many passes that took, or None.

    Only (total + totalᵀ)/2 has a meaning afterwards. None, and nothing added, unless every
    parameter is seen to enter by one call of one linear layer with an example a row, and this
    takes fewer passes than d products: Σ o_l for the Hessian, one per output for
    Gauss-Newton, backward to the layers' outputs only; and b d² multiplications.

    That a parameter does not enter elsewhere too, and that examples do not see each other,
    cannot be seen here: compare with a product.
    """
    try:
        return batch.within(lambda: _add(total, batch))
    except (RuntimeError, NotImplementedError):  # products say what cannot be differentiated
        return None


def _add(total: Tensor, batch: MicroBatch) -> int | None:
    points = [leaf.detach() for leaf in batch.leaves]
    with _Watch(points, batch.count) as watch:
        outputs = batch.forward(points)
    layers = watch.layers
    known = sorted(at for layer in layers for at in (layer.weight, layer.bias) if at is not None)
    if known != sorted(watch.places.values()):
        return None
    if not outputs.requires_grad or (batch.kind != "hessian" and len(outputs) != batch.count):
        return None
    units = sum(layer.shift.shape[1] for layer in layers)
    width = 0 if batch.kind == "hessian" else outputs[0].numel()
    held = batch.count * width * (width + 2 * units) * outputs.element_size()
    passes = width or units
    if passes + 1 >= len(total) or held > max(_MEMORY, 8 * len(total) ** 2):
        return None
    slopes, rows = (_gauss_newton if width else _hessian)(batch, layers, outputs)
    for row in rows:
        _add_row(total, layers, slopes, row)
    return passes


class _Watch(TorchFunctionMode):
    """Sees the calls of linear layers whose parameters are among `points`, and shifts them."""

    def __init__(self, points: list[Tensor], count: int) -> None:
        super().__init__()
        self.layers: list[_Layer] = []
        self.places: dict[int, int] = {}
        self._count = count
        at = 0
        for point in points:
            self.places[id(point)] = at
            at += point.numel()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if func is not functional.linear:
            return made
        given = dict(zip(("input", "weight", "bias"), args, strict=False)) | (kwargs or {})
        weight, bias = (self.places.get(id(given.get(name))) for name in ("weight", "bias"))
        if (weight is None and bias is None) or made.ndim != 2 or len(made) != self._count:
            return made
        inputs = given["input"]
        shift = torch.zeros_like(made, requires_grad=True)
        cotangent = torch.zeros_like(inputs, requires_grad=True)
        self.layers.append(_Layer(weight, bias, inputs, shift, cotangent))
        return made + shift


_Curves = tuple[list[Tensor | None], Iterator[_Row]]
"""(δ by layer, None where no E meets it; the rows)."""


def _hessian(batch: MicroBatch, layers: list[_Layer], outputs: Tensor) -> _Curves:
    loss = batch.head(outputs)
    for layer in layers:
        if layer.inputs.requires_grad:
            loss = loss + (layer.cotangent * layer.inputs).sum()
    shifts = [layer.shift for layer in layers]
    slopes = _derivatives(loss, shifts, create_graph=True)

    def rows() -> Iterator[_Row]:
        for place, slope in enumerate(slopes):
            later = layers[place:]
            ends = [layer.shift for layer in later] + [layer.cotangent for layer in later]
            for unit in range(slope.shape[1]):
                if not slope.requires_grad:
                    break
                found = _derivatives(slope[:, unit].sum(), ends)
                second = found[: len(later)]
                second[0] = second[0][:, unit:]
                inner: list[Tensor | None] = [None, *found[len(later) + 1 :]]
                yield _Row(place, unit, second, inner)

    return [slope.detach() for slope in slopes], rows()


def _gauss_newton(batch: MicroBatch, layers: list[_Layer], outputs: Tensor) -> _Curves:
    heads = head_curvature(batch, outputs)
    none: list[Tensor | None] = [None] * len(layers)
    if heads is None:
        return none, iter(())
    sizes = [layer.shift.shape[1] for layer in layers]
    shifts = [layer.shift for layer in layers]
    ends = outputs.flatten(1).unbind(1)
    slants = torch.stack([torch.cat(_derivatives(end.sum(), shifts), 1) for end in ends], 1)
    bent = heads @ slants

    def rows() -> Iterator[_Row]:
        start = 0
        for place, size in enumerate(sizes):
            for unit in range(size):
                column = slants[:, :, start + unit].unsqueeze(1)
                second = (column @ bent[:, :, start + unit :]).squeeze(1)
                parts = second.split([size - unit, *sizes[place + 1 :]], 1)
                yield _Row(place, unit, list(parts), none[place:])
            start += size

    return none, rows()


def _derivatives(end: Tensor, by: list[Tensor], *, create_graph: bool = False) -> list[Tensor]:
    """∂end/∂by, zeros where it does not depend on it; the graph stays."""
    if not end.requires_grad:
        return [torch.zeros_like(one) for one in by]
    found = torch.autograd.grad(
        end, by, retain_graph=True, create_graph=create_graph, allow_unused=True
    )
    return [
        torch.zeros_like(one) if part is None else part for one, part in zip(by, found, strict=True)
    ]


def _add_row(total: Tensor, layers: list[_Layer], slopes: list[Tensor | None], row: _Row) -> None:
    """Rows of `total` for a unit's weights and bias: twice what it has with units after it."""
    own = layers[row.place]
    left, starts = _left(own, row.unit)
    later = range(row.place, len(layers))
    for place, second, inner in zip(later, row.second, row.inner, strict=True):
        layer, slope = layers[place], slopes[place]
        twice = 2.0 * second
        first = row.unit if place == row.place else 0
        if place == row.place:
            twice[:, 0] *= 0.5
        if layer.bias is not None:
            _put(total, starts, layer.bias + first, left.mT @ twice)
        if layer.weight is None:
            continue
        inputs = layer.inputs.detach()
        size = inputs.shape[1]
        block = total.new_zeros((), dtype=left.dtype)
        step = max(1, _MEMORY // max(1, twice.shape[1] * size * twice.element_size()))
        for part in torch.arange(len(left)).split(step):
            some = slice(int(part[0]), int(part[-1]) + 1)
            right = twice[some, :, None] * inputs[some, None, :]
            if inner is not None and slope is not None:
                right += (2.0 * slope[some, :, None]) * inner[some, None, :]
            block = block + left[some].mT @ right.flatten(1)
        _put(total, starts, layer.weight + first * size, block)


def _left(layer: _Layer, unit: int) -> tuple[Tensor, list[tuple[int, int]]]:
    """Inputs, and ones for a bias, `[b, rows]`; where in theta the unit's rows begin, how many."""
    inputs, parts, starts = layer.inputs.detach(), [], []
    if layer.weight is not None:
        parts.append(inputs)
        starts.append((layer.weight + unit * inputs.shape[1], inputs.shape[1]))
    if layer.bias is not None:
        parts.append(torch.ones_like(inputs[:, :1]))
        starts.append((layer.bias + unit, 1))
    return torch.cat(parts, 1), starts


def _put(total: Tensor, starts: list[tuple[int, int]], column: int, block: Tensor) -> None:
    row = 0
    for start, size in starts:
        total[start : start + size, column : column + block.shape[1]] += block[row : row + size]
        row += size
