"""Membership attacks on one model, each beside the same attack on the oracles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from curenu.audits import Attack, Finding, Split, attack_findings, both_models, rmia

__all__ = ["membership"]

_REFERENCES = 4  # oracles used: more hardly help RMIA (Zarifzadeh et al., 2024)

_BOTH: dict[str, Literal["loss", "posterior"]] = {
    "both models": "loss",
    "both models, no label": "posterior",
}

Curve = tuple[list[float], list[float]]


def membership(
    found: Split, oracles: Sequence[Split], before: Split | None
) -> tuple[list[Finding], Curve]:
    """RMIA and the attacker with both models: AUC and TPR at 1 % FPR, and RMIA's ROC.

    `before` is the trained model that the request was made of, None where it is no longer kept:
    then nobody can have both models. The first four oracles are
    RMIA's reference models; the findings' references are the same attacks on each of them,
    with the others as its references. The ROC is (false, true) positive rates.
    """
    generator, oracles = torch.Generator().manual_seed(0), oracles[:_REFERENCES]
    attack = rmia(found, oracles)
    findings = attack_findings("RMIA", attack, generator, _among(oracles))
    if before is None:
        return findings, attack.curve()
    for name, kind in _BOTH.items():
        findings += attack_findings(
            name,
            both_models(before, found, kind),
            generator,
            [both_models(before, oracle, kind) for oracle in oracles],
        )
    return findings, attack.curve()


def _among(oracles: Sequence[Split]) -> list[Attack]:
    """RMIA on every oracle; none if there is no other to be its reference."""
    rest = [[other for other in oracles if other is not oracle] for oracle in oracles]
    return [rmia(oracle, others) for oracle, others in zip(oracles, rest, strict=True) if others]
