"""Retrain: train from initialisation on the retain set; the oracle."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import BadRequest
from curenu.settings import Settings
from curenu.status import Status

__all__ = ["Retrain"]


@dataclass(frozen=True)
class Retrain(Settings):
    """The training recipe on D_r from a new initialisation: what erasure is measured against.

    Raises `BadRequest` when the problem holds no training recipe.
    """

    def plan(self, problem: ErasureProblem) -> Plan:
        """Unknown here: the recipe's own."""
        return Plan(examples=0, vectors=0)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by never having seen."""
        if problem.retrain is None:
            raise BadRequest(
                "Retraining needs the training recipe.",
                "`retrain=`, a function of (retained ids, seed) that returns a trained model, "
                "or a task, which has its own.",
            )
        with problem.retain.meter.measure() as spent:
            theta = problem.retrain(generator)
        return Erasure(theta, Status.SCHEDULE_DONE, spent())
