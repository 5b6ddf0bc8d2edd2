"""What an auditor may conclude from an evaluation, and what not, in plain sentences."""

from __future__ import annotations

from curenu.audits import Finding
from curenu.report import Row

__all__ = ["LIMITS", "cheaper", "conclusions"]

_FEW = 30  # erased examples below which an attack's interval says little

LIMITS = (
    "What this does not show: that nothing is left of the erased examples. A stronger attack, or "
    "one with more models, may find what these do not, and the figures are means over the erased "
    "examples: single ones may be better remembered. Nothing here is a guarantee of privacy, and "
    "copies of earlier weights, exports and backups are not looked at."
)
"""Said at the end of every evaluation."""


def conclusions(row: Row, before: Row | None, *, erased: int, oracles: int) -> tuple[str, ...]:
    """Sentences about the unlearned model of `row`, from the strongest statement to the limits.

    `before` is the row of the trained model: an attack that does not find the examples even
    there has nothing to say. None where that model is no longer kept. `erased` is the number of
    erased examples, `oracles` that of retrained models.
    """
    sentences = [*_membership(row, before), *_memory(row), *_closeness(row), *_cost(row)]
    if erased < _FEW:
        sentences.append(
            f"Only {erased} examples were erased: their intervals are wide, and an attack that "
            "finds nothing among so few is weak evidence."
        )
    sentences.append(
        f"The comparison is with {oracles} retrained models; a figure within their own spread "
        "cannot be told from retraining by it."
    )
    return (*sentences, LIMITS)


def _membership(row: Row, before: Row | None) -> list[str]:
    """What an attacker who asks "was this example in the training set?" finds."""
    for name, attack in (("RMIA", "RMIA AUC"), ("The attack by loss", "loss attack AUC")):
        found = row.finding(attack)
        if found is not None and found.interval is not None:
            earlier = None if before is None else before.finding(attack)
            return [_attacked(name, found, found.interval, earlier)]
    return ["No membership attack was made: nothing is said about what an attacker finds."]


def _attacked(
    name: str, found: Finding, interval: tuple[float, float], before: Finding | None
) -> str:
    low, high = interval
    aim = _aim(found)
    of = "blind guessing" if found.reference is None else "models that never saw them"
    figures = f"(AUC {found.value:.2f}, between {low:.2f} and {high:.2f}; {of}: {aim:.2f})"
    if low > aim:
        return (
            f"{name} still finds the erased examples {figures}: the model knows more of them "
            "than a retrained one would. An auditor may conclude that they were not erased "
            "as far as by retraining."
        )
    if high < aim:
        return (
            f"{name} tells the erased examples from strangers in the other direction {figures}: "
            "the model treats them as less known than retraining would, which is a trace too."
        )
    said = f"{name} finds the erased examples no better than in retrained models {figures}. "
    if before is None:
        return (
            f"{said}Whether it finds them in the model before erasure cannot be known: that model "
            "is not kept, and an auditor may conclude nothing from the attack's silence."
        )
    if before.interval is None or before.interval[0] <= _aim(before):
        known = f" (AUC {before.value:.2f})"
        return (
            f"{said}But it does not find them in the model before erasure either{known}: this "
            "attack cannot see them, and an auditor may conclude nothing from its silence."
        )
    return (
        f"{said}It does find them in the model before erasure (AUC {before.value:.2f}). An "
        "auditor may conclude that this attack, with these models, no longer shows that they "
        "were in the training set."
    )


def _aim(found: Finding) -> float:
    return 0.5 if found.reference is None else found.reference


def _memory(row: Row) -> list[str]:
    found = row.finding("G loss")
    if found is None:
        return []
    said = f"{found.value:.0%} of the gap in loss on the erased examples between the trained "
    return [said + "model and retraining was closed (100 % is all; below 0 is further away)."]


def _closeness(row: Row) -> list[str]:
    for figure, what in (("Rf", "predictions"), ("Df", "outputs")):
        found = row.finding(figure)
        if found is not None:
            return [
                f"On the erased examples its {what} are {found.value:.2f} times as far from "
                "retrained models' as those are from each other (1 is the aim)."
            ]
    return []


def _cost(row: Row) -> list[str]:
    if row.ratio is None or row.ratio <= 1.0:
        return []
    return [cheaper(row.seconds or 0.0, (row.seconds or 0.0) / row.ratio)]


def cheaper(erasing: float, retraining: float) -> str:
    """That retraining takes less than the erasure took, in seconds."""
    return (
        f"Retraining is cheaper here: it takes {retraining:.2g} s, the erasure took "
        f"{erasing:.2g} s, and retraining leaves nothing to audit."
    )
