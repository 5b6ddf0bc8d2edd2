"""How far is the loss from the oracles'?"""

from __future__ import annotations

import numpy as np
from torch.nn import functional

from curenu.audits.finding import Finding, mean_interval
from curenu.audits.outputs import Outputs

__all__ = ["loss_gap"]


def loss_gap(name: str, outputs: Outputs, oracles: list[Outputs]) -> Finding:
    """Mean cross-entropy minus the oracles' mean, in nats; 0 is the aim, either sign counts."""

    def losses(o: Outputs) -> np.ndarray:
        values = functional.cross_entropy(o.logits.double(), o.targets, reduction="none")
        return values.cpu().numpy()

    gaps = losses(outputs) - np.mean([losses(oracle) for oracle in oracles], axis=0)
    return Finding(name, float(gaps.mean()), mean_interval(gaps), 0.0, gaps)
