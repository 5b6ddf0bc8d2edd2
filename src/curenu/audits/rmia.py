"""Does the model know the forget examples better than models that never saw them do?

Zarifzadeh, Liu, Shokri, "Low-Cost High-Power Membership Inference Attacks", ICML 2024.
Differs from the paper in: gamma 1 instead of 2. With one target and offline references the
pairwise test ranks examples by Pr(x | model)/Pr(x) whatever gamma is; a larger one only ties
those that lie below the population together. The softmax is the plain one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from curenu.audits.attack import Attack, peers
from curenu.audits.gap_closed import margin
from curenu.audits.outputs import Outputs, Split
from curenu.errors import BadRequest, IllPosed

__all__ = ["rmia", "rmia_scores"]

_POPULATION = 2000


def rmia(
    model: Split, references: Sequence[Split], *, offline: float = 0.3, gamma: float = 1.0
) -> Attack:
    """RMIA, offline: members are the forget set, strangers test examples of their classes.

    `references` are models that never saw the forget set, one to four. Every second test
    example, 2,000 at most and evenly spaced, is the population z; the others are the
    strangers, so that none is on both sides.

    Raises `BadRequest` without references or with fewer than two test examples of those
    classes, `IllPosed` for outputs that are not finite.
    """
    parts = [peers(split.test, split.forget) for split in (model, *references)]
    size = len(parts[0].targets)
    if size < 2:
        raise BadRequest("One test example of the members' classes.", "a larger test set.")
    population = np.arange(0, size, 2)
    places = torch.as_tensor(np.setdiff1d(np.arange(size), population))
    spaced = np.linspace(0, len(population) - 1, min(_POPULATION, len(population)))
    population = torch.as_tensor(population[spaced.astype(int)])
    drawn = [part.chosen(population) for part in parts]
    others = [part.chosen(places) for part in parts]

    def scores(outputs: Outputs, known: list[Outputs]) -> NDArray[np.float64]:
        return rmia_scores((outputs, known), (drawn[0], drawn[1:]), offline=offline, gamma=gamma)

    return Attack(
        scores(model.forget, [reference.forget for reference in references]),
        scores(others[0], others[1:]),
    )


def rmia_scores(
    examples: tuple[Outputs, Sequence[Outputs]],
    population: tuple[Outputs, Sequence[Outputs]],
    *,
    offline: float = 0.3,
    gamma: float = 1.0,
) -> NDArray[np.float64]:
    """Score(x) = P_z( r(x) / r(z) >= gamma ), r = Pr(. | model) / Pr(.), `[n]` in [0, 1].

    Each pair is (the model's outputs, the references' outputs). Pr(.) is the references'
    mean probability q of the class, which no member entered, lifted to what it would be on
    average had half of them seen x: ((1 + a) q + (1 − a)) / 2, a = `offline`. One sort of
    the population and one search: O((n + m) log m).
    """
    if not population[1] or len(examples[1]) != len(population[1]):
        raise BadRequest(
            f"{len(examples[1])} and {len(population[1])} reference models.",
            "the same ones for both, one at least.",
        )
    if not 0 <= offline <= 1 or not gamma >= 1:
        raise BadRequest(f"offline={offline}, gamma={gamma}.", "0 to 1, and 1 or more.")
    ratios = np.sort(_log_ratio(*population, offline))
    wanted = _log_ratio(*examples, offline) - np.log(gamma)
    return np.searchsorted(ratios, wanted, side="right") / len(ratios)


def _log_ratio(
    model: Outputs, references: Sequence[Outputs], offline: float
) -> NDArray[np.float64]:
    if any(not torch.equal(reference.targets, model.targets) for reference in references):
        raise BadRequest("References were asked about other examples.", "the same ones.")
    mean = np.mean([_probability(reference) for reference in references], axis=0)
    expected = ((1 + offline) * mean + (1 - offline)) / 2
    found = _log_probability(model) - np.log(np.maximum(expected, 1e-300))
    if not np.isfinite(found).all():
        raise IllPosed("Probabilities are not finite.", "models that did not diverge.")
    return found


def _log_probability(outputs: Outputs) -> NDArray[np.float64]:
    """log p of the class as −log(1 + e^−margin): exact where p is next to 1."""
    return functional.logsigmoid(margin(outputs)).cpu().numpy()


def _probability(outputs: Outputs) -> NDArray[np.float64]:
    return np.exp(_log_probability(outputs))
