"""The attack: inputs of a request changed a little, so that unlearning them does harm.

Sources: Qian et al., "Towards Understanding and Enhancing Robustness of Deep Learning Models
against Malicious Unlearning Attacks" (KDD 2023); Huang et al., "Unlearn and Burn: Adversarial
Machine Unlearning Requests Destroy Model Accuracy" (ICLR 2025).
Differs from both in: the effect of the unlearning is taken to first order, by one solve, where they
differentiate through its steps; white box only; labels stay; no random start.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, grad_and_value, vmap
from torch.utils.data import TensorDataset

from curenu.attacks.influence import HoldoutInfluence
from curenu.budgets import SINGLE_GRADIENT_MEMORY
from curenu.data import Batch, mapped
from curenu.errors import BadRequest, UnsupportedModel
from curenu.risks import EmpiricalRisk

__all__ = ["Perturbed", "perturb"]

Slope = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Perturbed:
    """A malicious request: changed inputs `[m, ...]`, the labels `[m, ...]` they always had.

    `positions` are the examples they were made from. `before` and `after` `[m]`, in float64, are
    the parts of the first-order change of the holdout loss that depend on the inputs,
    (1/M) q·g_i: no example's is lower after than before, and their sum is what was gained.
    """

    positions: tuple[int, ...]
    inputs: Tensor = field(repr=False)
    targets: Tensor = field(repr=False)
    before: Tensor = field(repr=False)
    after: Tensor = field(repr=False)

    @property
    def dataset(self) -> TensorDataset:
        """What is handed in: pairs of input and label."""
        return TensorDataset(self.inputs, self.targets)


def perturb(
    influence: HoldoutInfluence,
    examples: EmpiricalRisk,
    *,
    radius: float,
    steps: int = 20,
    step_size: float | None = None,
    bounds: tuple[float, float] | None = None,
) -> Perturbed:
    """x ← clip(x + step_size · sign ∇_x q·∇_theta l(x, y)), |x − x_0|_∞ ≤ radius.

    `influence` says which holdout examples are to lose, `examples` which training examples the
    request is made of. `step_size` None is 2.5 radius/steps; inputs also stay within `bounds`.
    Of every example the best of all iterates is kept, the first of which is the example itself.

    Cost: two backward passes an example and step. Raises `BadRequest` for numbers that cannot be
    meant, `UnsupportedModel` for inputs that are not one tensor of real numbers: words and
    indices have no gradient.
    """
    length = _checked(radius, steps, step_size, bounds)
    slope = _slope_of(influence, examples)
    size = SINGLE_GRADIENT_MEMORY // (4 * influence.theta.numel() * influence.theta.element_size())
    size = max(1, min(size, examples.source.micro_batch_size))
    made: list[tuple[Tensor, ...]] = []
    for ids in examples.ids.split(size):
        batch = examples.source.batch(ids)
        inputs, targets = _pair(batch)
        weights = torch.ones(batch.size) if batch.weights is None else batch.weights
        with examples.source.bending():
            found = _climbed(slope, inputs, targets, (radius, length, steps), bounds)
        scale = weights.cpu().double() / influence.risk.mass
        made.append((found[0], targets, found[1] * scale, found[2] * scale))
    parts = (torch.cat(column) for column in zip(*made, strict=True))
    return Perturbed(tuple(examples.ids.tolist()), *parts)


def _checked(
    radius: float, steps: int, step_size: float | None, bounds: tuple[float, float] | None
) -> float:
    """The step size; `BadRequest` for what cannot be meant."""
    length = 2.5 * radius / max(steps, 1) if step_size is None else step_size
    if not 0 <= radius < math.inf or steps < 1 or not 0 <= length < math.inf:
        raise BadRequest(
            f"radius={radius}, steps={steps}, step_size={step_size}.",
            "a radius and a step size of 0 or more, and one step or more.",
        )
    if bounds is not None and not bounds[0] < bounds[1]:
        raise BadRequest(f"bounds={bounds}.", "the least and the largest value of an input.")
    return length


def _pair(batch: Batch) -> tuple[Tensor, Tensor]:
    content = batch.content
    pair = isinstance(content, list | tuple) and len(content) == 2
    if not pair or not all(isinstance(part, Tensor) for part in content):
        raise UnsupportedModel(
            "Items are not a pair of one input tensor and one target tensor.",
            "examples of (input, target) pairs.",
        )
    if not content[0].is_floating_point():
        raise UnsupportedModel(
            f"Inputs are {content[0].dtype}: a small change of them means nothing.",
            "inputs of real numbers, such as pixels or embeddings.",
        )
    return content[0], content[1]


def _slope_of(influence: HoldoutInfluence, examples: EmpiricalRisk) -> Slope:
    """(inputs `[b, ...]`, targets) -> (∇_x of q·∇l `[b, ...]`, q·∇l `[b]`), l not yet weighed."""
    source = examples.source
    named = {name: tensor.detach() for name, tensor in source.named(influence.theta).items()}
    along = source.parameters.unflatten(influence.response)

    def loss(at: dict[str, Tensor], one: Any) -> Tensor:
        alone = mapped(one, lambda part: part.unsqueeze(0))
        batch = Batch(examples.ids[:1], alone)
        return source.evaluation.total(source.outputs(at, batch), batch)

    def pull(x: Tensor, y: Tensor) -> Tensor:
        slopes = grad(loss)(named, (x, y))
        return torch.stack([(slope * along[name]).sum() for name, slope in slopes.items()]).sum()

    return vmap(grad_and_value(pull))


def _climbed(
    slope: Slope,
    inputs: Tensor,
    targets: Tensor,
    limits: tuple[float, float, int],
    bounds: tuple[float, float] | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The best inputs of all iterates, and the pull before and after, `[b]` in float64."""
    radius, length, steps = limits
    low, high = inputs - radius, inputs + radius
    if bounds is not None:  # an input that lies outside stays where it is
        low = torch.maximum(low, inputs.clamp(max=bounds[0]))
        high = torch.minimum(high, inputs.clamp(min=bounds[1]))
    at, best = inputs, inputs.clone()
    first, most = None, None
    for step in range(steps + 1):
        uphill, pull = slope(at, targets)
        if first is None or most is None:
            first, most = pull, pull.clone()
        better = pull > most
        best[better], most[better] = at[better], pull[better]
        if step < steps:
            at = (at + length * uphill.sign()).clamp(low, high)
    assert first is not None
    assert most is not None
    return best, first.cpu().double(), most.cpu().double()
