"""How far is the loss from the oracles'?"""

from __future__ import annotations

import torch

from curenu.audits.finding import Finding, mean_interval
from curenu.audits.gap_closed import QUANTITIES
from curenu.audits.outputs import Outputs, require_same_examples

__all__ = ["loss_gap"]


def loss_gap(name: str, outputs: Outputs, oracles: list[Outputs]) -> Finding:
    """Mean cross-entropy minus the oracles' mean, in nats; 0 is the aim, either sign counts."""
    require_same_examples(outputs, oracles)
    loss = QUANTITIES["loss"]
    goal = torch.stack([loss(oracle) for oracle in oracles]).mean(0)
    gaps = (loss(outputs) - goal).cpu().numpy()
    return Finding(name, float(gaps.mean()), mean_interval(gaps), 0.0, gaps)
