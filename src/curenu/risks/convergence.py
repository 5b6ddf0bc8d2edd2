"""Whether a model had converged: the gradient of its training objective beside the pull."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from curenu.risks.empirical import EmpiricalRisk

__all__ = ["converged", "convergence_examples"]

_LEFTOVER = 0.01  # |∇F_D| beside |pull| up to which the model counts as converged
_ROUNDINGS = 16  # of the mean gradient of one example: what counts as zero
_ALONE = 16  # examples that this mean is measured on
_FIRST, _GROWTH, _GROUP = 1024, 4, 64  # retained examples looked at first, then; a group's
_DEVIATIONS = 5  # standard errors that chance is trusted to stay within


def converged(
    retain: EmpiricalRisk, forget: EmpiricalRisk, theta: Tensor, generator: torch.Generator
) -> bool:
    """Whether theta minimises F_D as far as erasing `forget` can tell.

    |∇F_D(theta)| ≤ .01 |pull|, with pull = (1/n)(Σ_{D_f} ∇l_i + n_f lambda theta), or
    ∇F_D zero to rounding of the examples' own gradients. The retained gradient is
    ∇F_r = (n/n_r)(∇F_D − pull), and the anchored objective keeps −(n/n_r) pull of it, so
    what it leaves out is |∇F_D|/|pull| of the step: .01 is a hundredth of the way.

    Samples can only say no: a sum over all examples says yes. A sample says no where its mean
    gradient, or its part along theta, is further from zero than 5 standard errors.
    """
    share = forget.mass / (retain.mass + forget.mass)
    pull = forget.gradient(theta).mul_(share)
    if _excluded(retain, 1.0 - share, theta, pull, generator):
        return False
    leftover = _norm(retain.gradient(theta).mul_(1.0 - share).add_(pull))
    if leftover <= _LEFTOVER * _norm(pull):
        return True
    alone = [_norm(retain.sample(1, generator).gradient(theta)) for _ in range(_ALONE)]
    scale = sum(alone) / _ALONE + retain.weight_decay * _norm(theta)
    return leftover <= _ROUNDINGS * torch.finfo(theta.dtype).eps * scale


def convergence_examples(retained: int, gone: int) -> int:
    """How many examples `converged` passes at most."""
    return gone + retained + retained // 2 + _ALONE


@dataclass
class _Moments:
    """Sums over vectors, and over their parts along `unit`, for mean and standard error."""

    unit: Tensor
    total: Tensor
    count: int = 0
    squares: float = 0.0
    part: float = 0.0
    part_squares: float = 0.0

    def add(self, vector: Tensor) -> None:
        part = float(torch.dot(vector.double(), self.unit.double()))
        self.count += 1
        self.total += vector
        self.squares += _norm(vector) ** 2
        self.part += part
        self.part_squares += part**2

    def beyond(self, allowed: float) -> bool:
        """Whether the true mean is longer than `allowed`, chance set aside."""
        return self._apart(_norm(self.total), self.squares, allowed) or self._apart(
            abs(self.part), self.part_squares, allowed
        )

    def _apart(self, total: float, squares: float, allowed: float) -> bool:
        spread = max(0.0, squares - total**2 / self.count)
        error = math.sqrt(spread / (self.count * (self.count - 1)))
        return total / self.count > _DEVIATIONS * error + allowed


def _excluded(
    retain: EmpiricalRisk, weight: float, theta: Tensor, pull: Tensor, generator: torch.Generator
) -> bool:
    """Whether samples, at most half of the retained examples, show that |∇F_D| is too long.

    ∇F_D = weight ∇F_r + pull. Groups of examples are drawn independently, so their
    differences are the noise of their mean. The part along theta is looked at by itself: in a
    classifier that is still learning every example would have the weights longer, and the
    noise of one number is small.
    """
    allowed = _LEFTOVER * _norm(pull)
    sums = _Moments(
        theta / max(_norm(theta), torch.finfo(theta.dtype).tiny), torch.zeros_like(pull)
    )
    size = _FIRST
    while size <= retain.size // 2:
        while sums.count * _GROUP < size:
            sums.add(retain.sample(_GROUP, generator).gradient(theta).mul_(weight).add_(pull))
        if sums.beyond(allowed):
            return True
        size *= _GROWTH
    return False


def _norm(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector, dtype=torch.float64))
