"""Weights that a model uses by another way than as its parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from curenu.data import Batch
from curenu.errors import UnsupportedModel
from curenu.risks.source import Source

__all__ = ["check_followed", "check_reached"]

_MOVED = 0.01  # of every weight, by which outputs must change


def check_followed(source: Source, theta: Tensor, batch: Batch, before: Any) -> None:
    """Raise `UnsupportedModel` where outputs are as `before`, to the bit, at other weights.

    A model that remembers what it gave for an input, and a loss that calls a model of its own,
    are seen by this.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(theta.shape, generator=generator, dtype=torch.float32).to(theta)
    usual = max(float(theta.abs().mean()), 1e-3)
    there = theta + _MOVED * (theta.abs() + usual) * noise
    after = source.outputs(source.named(there), batch)
    if isinstance(before, Tensor) and isinstance(after, Tensor) and torch.equal(before, after):
        what = "outputs are" if source.evaluation.shows_outputs else "loss is"
        raise UnsupportedModel(
            f"The model's {what} the same at other weights: from memory, from another model than "
            "the one that is called, or every unit is dead.",
            "a forward pass that computes anew, a loss that calls the model it is given, or "
            "`only=` naming weights that are used.",
        )


def check_reached(source: Source, theta: Tensor, batch: Batch) -> None:
    """Raise `UnsupportedModel` unless outputs depend on theta, and on its weights by it alone.

    A weight that a closure, a hook or a list holds is the one of the model as it was given, and
    not the one that is tried: derivatives would lack that part, in silence. It is seen in the
    graph of one forward pass, by its memory, which the given model and the copy share.
    """
    names = source.parameters.names
    own = dict(source.evaluation.model.named_parameters())
    moving = {own[name].data_ptr(): name for name in names if own[name].numel()}
    leaves = {
        name: part.detach().clone().requires_grad_()
        for name, part in source.parameters.unflatten(theta).items()
    }
    asked = [own[name] for name in names if not own[name].is_inference()]
    before = [parameter.requires_grad for parameter in asked]
    try:
        for parameter in asked:
            parameter.requires_grad_(True)
        with torch.enable_grad():
            outputs = source.outputs(leaves, batch)
    finally:
        for parameter, flag in zip(asked, before, strict=True):
            parameter.requires_grad_(flag)
    if not isinstance(outputs, Tensor):
        return
    if not outputs.requires_grad:
        raise UnsupportedModel(
            "The model's outputs do not depend on a weight that moves, as far as torch can see.",
            "a forward pass without `torch.no_grad()` and `.detach()` on its way, or `only=` "
            "naming what the outputs depend on.",
        )
    given = {leaf.data_ptr() for leaf in leaves.values()}
    for variable in _leaves_of(outputs.grad_fn):
        name = moving.get(variable.data_ptr())
        if name is not None and variable.data_ptr() not in given:
            raise UnsupportedModel(
                f"The model also uses {name!r} by another way than as its parameter: in a "
                "closure, a hook, a list or a `partial`. It would stay as it was given.",
                "the attribute of the module (`self.layer.weight`) at every call.",
            )


def _leaves_of(end: Any) -> list[Tensor]:
    """The tensors at which a graph begins."""
    waiting, seen, found = [end], {end}, []
    while waiting:
        node = waiting.pop()
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            found.append(variable)
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return found
