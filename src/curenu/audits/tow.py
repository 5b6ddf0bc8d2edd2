"""Do all three accuracies agree with the oracle's?"""

from __future__ import annotations

import math

from curenu.audits.accuracy import accuracy
from curenu.audits.finding import Finding, spread
from curenu.audits.outputs import Split

__all__ = ["tow"]


def tow(model: Split, oracles: list[Split]) -> Finding:
    """ToW = Π_{S in f, r, t} (1 − |acc_S(model) − acc_S(oracle)|), mean over oracles; 1 is best.

    The interval is from the least to the most favourable oracle; none with one.
    """

    def against(oracle: Split) -> float:
        return math.prod(
            1.0 - abs(accuracy(s, part).value - accuracy(s, oracle.parts[s]).value)
            for s, part in model.parts.items()
        )

    values = [against(oracle) for oracle in oracles]
    return Finding("ToW", sum(values) / len(values), spread(values), 1.0)
