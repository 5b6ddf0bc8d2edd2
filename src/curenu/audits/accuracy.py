"""How often is the model right?"""

from __future__ import annotations

from scipy import stats

from curenu.audits.finding import Finding
from curenu.audits.gap_closed import QUANTITIES
from curenu.audits.outputs import Outputs

__all__ = ["accuracy"]


def accuracy(name: str, outputs: Outputs, *, reference: float | None = None) -> Finding:
    """Share of examples whose largest logit is at their class; Wilson's 95 % interval.

    To be compared with the oracles' (`reference`) on both sides: below is not better.
    """
    right = QUANTITIES["accuracy"](outputs).cpu().numpy()
    interval = stats.binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return Finding(
        name, float(right.mean()), (float(interval.low), float(interval.high)), reference, right
    )
