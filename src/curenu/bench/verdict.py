"""What a method did on an erasure, in one plain sentence."""

from __future__ import annotations

from collections.abc import Sequence

from curenu.bench.cell import NOTHING, ORACLE
from curenu.bench.summary import Figure, Line
from curenu.report import number

__all__ = ["verdict"]


def verdict(lines: Sequence[Line], method: str) -> str:
    """How near to the oracles `method` came, what the attack says, and what it cost.

    `lines` are those of one erasure. A method that failed, or that is further from the oracles
    than doing nothing by more than both intervals, is said to be.
    """
    found = {line.method: line for line in lines}
    own, nothing, oracle = (found.get(name) for name in (method, NOTHING, ORACLE))
    if own is None or nothing is None or oracle is None or not own.figures:
        reason = own.failed[0] if own is not None and own.failed else "it has no figures"
        return f"{method} failed: {reason}"
    parts = [_near(own.figures.get("Rf"), nothing.figures.get("Rf"))]
    attack = [line.figures.get("RMIA AUC") for line in (nothing, own, oracle)]
    if all(attack):
        before, after, aim = (number(figure.mean, 2) for figure in attack if figure)
        parts.append(
            f"a membership attack scores {before} before, {after} after and {aim} on retrained "
            "networks"
        )
    cost = own.figures.get("ratio")
    if cost is not None:
        dear = ": retraining would have been cheaper" if cost.mean >= 1 else ""
        parts.append(f"it took {number(cost.mean, 2)} of the time of a retraining{dear}")
    return f"{method}: " + "; ".join(part for part in parts if part) + "."


def _near(own: Figure | None, nothing: Figure | None) -> str:
    """Where the method stands between doing nothing and a retraining, by R on the forget set."""
    if own is None or nothing is None:
        return ""
    here, there = (number(figure.mean, 2) for figure in (own, nothing))
    apart = f"its outputs on what was erased are {here} times as far from retrained networks as "
    apart += f"these are from each other, {there} times without erasing"
    (low, _), (_, high) = (figure.interval or (figure.mean,) * 2 for figure in (own, nothing))
    if low > max(high, 1.0):
        return apart + ", so it did harm"
    return apart
