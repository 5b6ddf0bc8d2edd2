"""Models of other tasks than classification: losses and predictions beside the oracles'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from curenu.audits import (
    Attack,
    Finding,
    Outputs,
    attack_findings,
    beyond_noise,
    closed_share,
)
from curenu.audits.finding import mean_interval
from curenu.compare.references import mean_findings
from curenu.errors import BadRequest, UnsupportedModel
from curenu.losses import form_of
from curenu.networks import outputs_on
from curenu.risks import EmpiricalRisk
from curenu.tasks import Task

__all__ = ["PredictionReferences", "Predictions", "decides", "predictions_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """One model on one set of examples: the loss of each `[n]`, and its outputs `[n, ...]`.

    For a loss that hides its outputs they are None, and `losses` is their mean alone, `[1]`.
    `rounding` is what rounding may have done to the mean loss.
    """

    losses: Floats
    outputs: Tensor | None
    rounding: float = 0.0


Sets = dict[str, Predictions]
"""By the letters of the metrics: f, r, t."""


def decides(task: Task, model: nn.Module, forget: Sequence[int]) -> bool:
    """Whether the task's outputs are decisions between classes; asked of two examples."""
    try:
        Outputs(*task.decided(*outputs_on(task, model, task.train, list(forget)[:2])))
    except (BadRequest, UnsupportedModel, IndexError):
        return False
    return True


def predictions_of(
    task: Task, forget: Sequence[int], retain: Sequence[int], model: nn.Module
) -> Sets:
    """Losses and outputs of `model` on forget, retain and test set."""
    return {
        "f": _predicted(task, model, task.train, forget),
        "r": _predicted(task, model, task.train, retain),
        "t": _predicted(task, model, task.test, None),
    }


@dataclass(frozen=True)
class PredictionReferences:
    """The oracles' losses and predictions, two or more, and those of the trained network.

    `before` is None where that is no longer kept: then there is no gap to measure.
    """

    oracles: tuple[Sets, ...]
    before: Sets | None

    @cached_property
    def spread(self) -> dict[str, float]:
        """Mean squared distance between two oracles' outputs, over all pairs; 0 if hidden."""
        return {
            letter: float(
                np.mean([_apart(a[letter], b[letter]).mean() for a, b in self._pairs])
                if self.oracles[0][letter].outputs is not None
                else 0.0
            )
            for letter in self.oracles[0]
        }

    @property
    def _pairs(self) -> list[tuple[Sets, Sets]]:
        return list(combinations(self.oracles, 2))

    def findings(self, found: Sets, *, without: int | None = None) -> list[Finding]:
        """Losses, D and G against the oracles, and the attack by loss, for one model.

        D is the mean squared distance of outputs to the oracles' over that between oracles: 1
        is as close as two retrainings are to each other. G is the part of the gap in mean
        forget loss, between the trained network and the oracles, that was closed. What has no
        spread, no gap beyond noise or no outputs is left out.
        """
        others = [sets for place, sets in enumerate(self.oracles) if place != without]
        findings = []
        for letter, own in found.items():
            means = [sets[letter].losses.mean() for sets in others]
            findings.append(
                Finding(
                    f"loss {letter}",
                    float(own.losses.mean()),
                    mean_interval(own.losses),
                    float(np.mean(means)),
                    own.losses,
                )
            )
            if own.outputs is not None and self.spread[letter] > 0:
                values = np.mean([_apart(own, sets[letter]) for sets in others], axis=0)
                scaled = values / self.spread[letter]
                findings.append(
                    Finding(f"D{letter}", float(scaled.mean()), mean_interval(scaled), 1.0, scaled)
                )
        findings += self._gap(found, others)
        return findings + self._attack(found, others)

    def oracles_findings(self) -> list[Finding]:
        """Each oracle against the others, the mean of each figure."""
        return mean_findings(
            [self.findings(sets, without=place) for place, sets in enumerate(self.oracles)]
        )

    def _gap(self, found: Sets, others: Sequence[Sets]) -> list[Finding]:
        """G by the forget loss; nothing where the gap is noise, as `has_gap` has it for classes."""
        if self.before is None:
            return []
        before = self.before["f"].losses
        means = [float(sets["f"].losses.mean()) for sets in others]
        rounding = max(sets["f"].rounding for sets in (self.before, *others))
        if not beyond_noise(float(before.mean()), means, rounding):
            return []
        goal = np.mean([sets["f"].losses for sets in others], axis=0)
        return [closed_share("loss", found["f"].losses - goal, before - goal)]

    def _attack(self, found: Sets, others: Sequence[Sets]) -> list[Finding]:
        """How well erased examples are told from test examples by the loss they should have.

        score(x) = mean loss of models that never saw x − loss of the attacked model (Watson et
        al., "On the Importance of Difficulty Calibration", ICLR 2022).
        """
        if found["f"].outputs is None:
            return []
        generator = torch.Generator().manual_seed(0)
        expected = [
            _by_loss(sets, rest)
            for sets in others
            if (rest := [other for other in others if other is not sets])
        ]
        return attack_findings("loss attack", _by_loss(found, others), generator, expected)


def _by_loss(found: Sets, others: Sequence[Sets]) -> Attack:
    def scores(letter: str) -> Floats:
        return np.mean([sets[letter].losses for sets in others], axis=0) - found[letter].losses

    return Attack(scores("f"), scores("t"))


def _predicted(
    task: Task, model: nn.Module, dataset: Dataset, positions: Sequence[int] | None
) -> Predictions:
    try:
        outputs, targets = outputs_on(task, model, dataset, positions)
    except UnsupportedModel:  # a loss that hides its outputs
        risk = EmpiricalRisk(model, dataset, task.loss)
        chosen = risk if positions is None else risk.subset(torch.as_tensor(positions))
        value = float(chosen.value(risk.start))
        return Predictions(np.array([value]), None, _units(risk.start) * abs(value))
    rounding = _rounding(task, outputs, targets)
    return Predictions(_losses(task, outputs, targets), outputs.double(), rounding)


def _losses(task: Task, outputs: Tensor, targets: Tensor) -> Floats:
    """The loss of every example, each taken alone where the loss only comes summed."""
    form = form_of(task.loss)
    try:
        each = form.each(outputs, targets)
    except UnsupportedModel:
        pairs = zip(outputs.split(1), targets.split(1), strict=True)
        each = torch.stack([form.sum(o, t).reshape(()) for o, t in pairs])
    return each.detach().double().cpu().numpy()


def _rounding(task: Task, outputs: Tensor, targets: Tensor) -> float:
    """Mean over examples of Σ_k |∂l/∂z_k| times four units in the last place of max_k |z_k|."""
    with torch.enable_grad():
        leaf = outputs.detach().requires_grad_()
        (slope,) = torch.autograd.grad(form_of(task.loss).sum(leaf, targets), leaf)
    largest, slopes = (part.abs().double().reshape(len(part), -1) for part in (outputs, slope))
    return _units(outputs) * float((largest.amax(1) * slopes.sum(1)).mean())


def _units(numbers: Tensor) -> float:
    """Four units in the last place of 1 in the type of `numbers`."""
    return 4 * torch.finfo(numbers.dtype).eps


def _apart(one: Predictions, other: Predictions) -> Floats:
    """Mean squared distance of two models' outputs on each example, `[n]`."""
    if one.outputs is None or other.outputs is None:
        raise BadRequest("The loss hides its outputs.", "comparing losses.")
    squares = (one.outputs - other.outputs).square()
    return squares.reshape(len(squares), -1).mean(1).cpu().numpy()
