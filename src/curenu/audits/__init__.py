"""Questions asked of an unlearned model, one a file; none knows how it was made."""

from __future__ import annotations

import numpy as np

from curenu.audits.accuracy import accuracy
from curenu.audits.divergence import divergence, jensen_shannon
from curenu.audits.finding import Finding
from curenu.audits.gap_closed import gap_closed, margin
from curenu.audits.indistinguishability import indistinguishability, noise_floor
from curenu.audits.loss_gap import loss_gap
from curenu.audits.outputs import Outputs, Split
from curenu.audits.tow import tow

__all__ = [
    "Finding",
    "Outputs",
    "Split",
    "accuracy",
    "divergence",
    "gap_closed",
    "indistinguishability",
    "jensen_shannon",
    "loss_gap",
    "margin",
    "noise_floor",
    "summarise",
    "tow",
]


def summarise(model: Split, oracles: list[Split]) -> list[Finding]:
    """FA, RA, TA, ToW and JSD on f, r, t against the oracles (two or more).

    An accuracy's reference is the oracles' mean, a divergence's the noise floor.
    """
    findings = []
    for letter, part in model.parts.items():
        expected = np.mean([accuracy("", oracle.parts[letter]).value for oracle in oracles])
        findings.append(accuracy(f"{letter.upper()}A", part, reference=float(expected)))
    findings.append(tow(model, oracles))
    for letter, part in model.parts.items():
        same = [oracle.parts[letter] for oracle in oracles]
        findings.append(divergence(f"JSD {letter}", part, same, reference=noise_floor(same)))
    return findings
