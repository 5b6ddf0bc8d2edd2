"""How close is a model to retraining: every figure of the headline table at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from curenu.audits.accuracy import accuracy
from curenu.audits.divergence import divergence
from curenu.audits.finding import Finding
from curenu.audits.gap_closed import QUANTITIES, gap_closed, has_gap
from curenu.audits.indistinguishability import indistinguishability, noise_floor, tells_apart
from curenu.audits.loss_gap import loss_gap
from curenu.audits.outputs import Split
from curenu.audits.tow import tow

__all__ = ["closeness", "noise_floors"]


def noise_floors(oracles: list[Split]) -> dict[str, float]:
    """The oracles' mean divergence from one another on f, r and t; two or more."""
    return {
        letter: noise_floor([oracle.parts[letter] for oracle in oracles])
        for letter in oracles[0].parts
    }


def closeness(
    model: Split,
    oracles: list[Split],
    floors: Mapping[str, float],
    before: Split | None = None,
) -> list[Finding]:
    """FA, RA, TA, ToW, JSD, R and loss gaps against the oracles, and G from `before`.

    An accuracy's reference is the oracles' mean, a divergence's its noise floor in `floors`.
    Intervals are over examples, the oracles and their floor taken as they are.
    G is left out where the trained model has no gap to close, R where the oracles are equal
    but for rounding: tables show a dash.
    """
    findings = []
    for letter, part in model.parts.items():
        expected = np.mean([accuracy("", oracle.parts[letter]).value for oracle in oracles])
        findings.append(accuracy(f"{letter.upper()}A", part, reference=float(expected)))
    findings.append(tow(model, oracles))
    for letter, part in model.parts.items():
        same = [oracle.parts[letter] for oracle in oracles]
        distance = divergence(f"JSD {letter}", part, same, reference=floors[letter])
        findings.append(distance)
        if tells_apart(floors[letter]):
            findings.append(indistinguishability(f"R{letter}", distance))
        findings.append(loss_gap(f"loss gap {letter}", part, same))
    if before is not None:
        forgotten = [oracle.forget for oracle in oracles]
        for quantity in QUANTITIES:
            if has_gap(quantity, before.forget, forgotten):
                findings.append(gap_closed(quantity, before.forget, model.forget, forgotten))
    return findings
