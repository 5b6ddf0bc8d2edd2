"""SSD: selective synaptic dampening, shrinking the weights that matter to D_f above all.

Source: Foster, Schoepf and Brintrup, "Fast Machine Unlearning without Retraining through
Selective Synaptic Dampening" (AAAI 2024). Differs from its published code in: importances are
means of squared gradients of single examples, as the paper defines them, where the code squares
the gradient of a batch's mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.risks import squared_gradients
from curenu.settings import Positive, Settings
from curenu.status import Status

__all__ = ["SSD"]


@dataclass(frozen=True)
class SSD(Settings):
    """theta ← theta · min(lambda I_D/I_f, 1) where I_f > alpha I_D; the rest stays.

    I is the diagonal empirical Fisher at theta0 over D_f and over D = D_r ∪ D_f; alpha is
    `selection`, lambda `dampening`. No training and no randomness. As D holds D_f,
    I_D ≥ (|D_f|/|D|) I_f: with alpha of |D|/|D_f| or more nothing is ever selected, and a
    note says so. Cost: one gradient of every example of D.

    Raises `UnsupportedModel` for items that are mappings.
    """

    selection: Positive = 10.0
    dampening: Positive = 1.0

    def plan(self, problem: ErasureProblem) -> Plan:
        """One pass over all the data, five vectors beside the gradients of single examples."""
        return Plan(examples=problem.retain.size + problem.forget.size, vectors=5)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase by one look at importances."""
        retain, forget = problem.retain, problem.forget
        with retain.meter.measure() as spent:
            important = squared_gradients(forget, problem.start)
            share = forget.size / (retain.size + forget.size)
            overall = squared_gradients(retain, problem.start).lerp_(important, share)
            chosen = important > self.selection * overall
            factor = (self.dampening * overall / important).clamp_(max=1.0)
            theta = torch.where(chosen, problem.start * factor, problem.start)
        notes = [f"{int(chosen.sum())} of {len(theta)} weights selected"]
        if self.selection * share >= 1:
            notes.append(f"no weight can be: selection must be below {1 / share:.3g} here")
        return Erasure(theta, Status.SINGLE_STEP, spent(), notes=tuple(notes))
