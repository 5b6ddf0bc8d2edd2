"""How far apart are the margins of many unlearned models and of many oracles?

KL divergence of margins (KLoM): Georgiev et al., "Attribute-to-Delete: Machine Unlearning via
Datamodel Matching", 2024.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curenu.audits.finding import Finding
from curenu.audits.margins import ensemble

__all__ = ["klom", "klom_findings", "margin_divergence"]

Floats = NDArray[np.float64]

_BINS, _CLIP, _FLOOR = 20, 100.0, 1e-5
_LEVELS = (0.5, 0.95)


def margin_divergence(unlearned: Floats, oracles: Floats) -> Floats:
    """KL(unlearned ‖ oracle) of each example's histograms, `[n]`, from margins `[models, n]`.

    Margins clipped to ±100; 20 equal bins from the least to the largest of both sides;
    shares below 1e-5 lifted to it and normalised again, so that it is never negative.
    """
    unlearned, oracles = ensemble(unlearned, oracles, least=1)
    sides = [np.clip(margins, -_CLIP, _CLIP) for margins in (unlearned, oracles)]
    both = np.concatenate(sides)
    low, width = both.min(0), np.ptp(both, axis=0)
    shares = [_histogram(margins, low, np.where(width > 0, width, 1.0)) for margins in sides]
    return np.sum(shares[0] * np.log(shares[0] / shares[1]), axis=0)


def klom(models: Floats, oracles: Floats) -> Floats:
    """Divergence of half as many models as there are oracles from half the oracles.

    `[rotations, n]`: a histogram of few models is far from any other, so only equal numbers
    compare. The oracles are halved in every rotation; each half meets as many `models`,
    rotated alike. `klom(oracles, oracles)` is the calibration: what oracles have against
    each other.

    Raises `BadRequest` for fewer than two models or oracles.
    """
    models, oracles = ensemble(models, oracles, least=2)
    count = len(oracles)
    half = min(count // 2, len(models))
    found = [
        margin_divergence(
            models[(start + np.arange(half)) % len(models)],
            oracles[(start + half + np.arange(half)) % count],
        )
        for start in range(count)
    ]
    return np.stack(found)


def klom_findings(letter: str, models: Floats, oracles: Floats) -> list[Finding]:
    """Median and 95th percentile over examples of one set; "KLoM 95 %" is the forget set's.

    `letter` is f, r or t. Percentiles are taken in each rotation; value and interval are
    their mean and their range, the reference is the calibration's mean. `per_example` holds
    the means over rotations.
    """
    values, floor = klom(models, oracles), klom(oracles, oracles)
    prefix = "KLoM" if letter == "f" else f"KLoM {letter}"
    return [
        Finding(
            f"{prefix} {round(100 * level)} %",
            float(found.mean()),
            (float(found.min()), float(found.max())),
            float(np.quantile(floor, level, axis=1).mean()),
            values.mean(0),
        )
        for level, found in zip(_LEVELS, np.quantile(values, _LEVELS, axis=1), strict=True)
    ]


def _histogram(margins: Floats, low: Floats, width: Floats) -> Floats:
    """Shares `[bins, n]` of the models in each bin."""
    examples = margins.shape[1]
    bins = np.minimum(((margins - low) / width * _BINS).astype(int), _BINS - 1)
    places = bins * examples + np.arange(examples)
    counts = np.bincount(places.ravel(), minlength=_BINS * examples)
    shares = np.maximum(counts.reshape(_BINS, examples) / len(margins), _FLOOR)
    return shares / shares.sum(0)
