"""Likelihood ratios of margins: was the example seen (LiRA), was it unlearned (U-LiRA)?

Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022; Hayes et al.,
"Inexact Unlearning Needs More Careful Evaluations to Avoid a False Sense of Privacy", 2024.
Differs from the papers in: U-LiRA leaves out the attacked model and its partner of the other
side from both fits, so that equally distributed models have AUC 0.5 however few they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from curenu.audits.attack import Attack
from curenu.audits.margins import ensemble
from curenu.errors import BadRequest

__all__ = ["lira_scores", "unlearning_lira"]

Floats = NDArray[np.float64]

_MANY = 64  # models from which on every example has a spread of its own (Carlini et al.)


def lira_scores(target: Floats, outside: Floats, inside: Floats | None = None) -> Floats:
    """log N(m; in) − log N(m; out) of each example's margin `target` `[n]`, `[n]`.

    `inside` and `outside` are margins `[models, n]` of shadow models that saw the example
    and that did not; their spread is per example from 64 models on, otherwise common to
    all. Offline, without `inside`: log of the probability that a model outside is below.

    Raises `BadRequest` for fewer than two shadow models a side, other shapes or no spread.
    """
    target = np.asarray(target, dtype=np.float64)
    within, outside = ensemble(outside if inside is None else inside, outside, least=2)
    ensemble(np.atleast_2d(target), outside, least=1)
    common = min(len(within), len(outside)) < _MANY
    away = (outside.mean(0), _spread(outside, common))
    if inside is None:
        return stats.norm.logcdf(target, *away)
    near = (within.mean(0), _spread(within, common))
    return stats.norm.logpdf(target, *near) - stats.norm.logpdf(target, *away)


def unlearning_lira(unlearned: Floats, oracles: Floats) -> Attack:
    """Scores of each unlearned model and each oracle, fitted on the other pairs.

    Margins are `[models, n]` on the forget set: models that saw it and unlearned it, each
    from an original of its own, and models that never saw it. The i-th of both sides are a
    pair, left out of both fits together; models beyond the shorter side are not used.

    Raises `BadRequest` for fewer than three pairs (two to fit, one to attack).
    """
    unlearned, oracles = ensemble(unlearned, oracles, least=3)
    pairs = min(len(unlearned), len(oracles))
    unlearned, oracles = unlearned[:pairs], oracles[:pairs]
    scores = [
        [
            lira_scores(attacked, np.delete(oracles, i, 0), np.delete(unlearned, i, 0))
            for attacked in (unlearned[i], oracles[i])
        ]
        for i in range(pairs)
    ]
    return Attack(
        np.stack([pair[0] for pair in scores]),
        np.stack([pair[1] for pair in scores]),
        paired=True,
    )


def _spread(margins: Floats, common: bool) -> Floats:
    variance = margins.var(0, ddof=1)
    spread = np.sqrt(np.full_like(variance, variance.mean()) if common else variance)
    if not (spread > 0).all():
        raise BadRequest(
            "Shadow models agree to the last digit: there is no spread to fit.",
            "models from different seeds.",
        )
    return spread
