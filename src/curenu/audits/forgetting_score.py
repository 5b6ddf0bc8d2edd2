"""How small an epsilon do threshold attacks leave to each forget example?

The score of the NeurIPS 2023 unlearning challenge: Triantafillou et al., "Are we making
progress in unlearning?", 2024, and its evaluation report of 2023. Differs from the
challenge in: thresholds are all cuts between observed values, not a grid of 0.01; every
interval between two cuts is a double-threshold attack, in either direction; an example that
no surviving attack tells apart has epsilon 0.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from curenu.audits.finding import Finding, share_finding
from curenu.audits.margins import ensemble
from curenu.errors import BadRequest

__all__ = ["example_epsilons", "forgetting_score"]

Floats = NDArray[np.float64]

_DELTA, _CAP, _WIDTH = 1e-5, 50.0, 0.5
_ARRANGEMENTS = 4000
_ENTRIES = 2_000_000  # of a table of attacks by examples held at once


def example_epsilons(unlearned: Floats, oracles: Floats) -> Floats:
    """The largest epsilon that an attack proves for each example, `[n]`, in [0, 50].

    An attack takes the model for unlearned if its margin is in an interval, or outside it:
    max(log((1 − delta − FPR)/FNR), log((1 − delta − FNR)/FPR)), delta 1e-5. Perfect
    separation has epsilon 50; an attack with exactly one rate at zero is left out: it says
    that models are few. Largest finite value with N models: about log(N − 1).

    Margins `[N, n]`, the same number on both sides. Raises `BadRequest` when a side has no
    spread over models: a deterministic method on one original is always told apart.
    """
    unlearned, oracles = ensemble(unlearned, oracles, least=2)
    if len(unlearned) != len(oracles):
        raise BadRequest(f"{len(unlearned)} models, {len(oracles)} oracles.", "as many of both.")
    for side, name in ((unlearned, "Unlearned models"), (oracles, "Oracles")):
        if not (np.ptp(side, axis=0) > 0).any():
            raise BadRequest(
                f"{name} agree to the last digit: a deterministic method on one original has "
                "no spread.",
                "models unlearned from originals of different seeds.",
            )
    size = max(1, _ENTRIES // (2 * len(oracles) + 1) ** 2)
    parts = range(0, unlearned.shape[1], size)
    return np.concatenate([_epsilons(unlearned[:, i : i + size], oracles[:, i : i + size])
                           for i in parts])  # fmt: skip


def forgetting_score(unlearned: Floats, oracles: Floats) -> Finding:
    """F = mean over forget examples of 2^−b, b = floor(epsilon / 0.5); 1 is best.

    Epsilons of ceil(log(N − 1)) or more score 0. The score depends on N: its reference is
    the mean over the arrangements of N + N values in order, the score of models that are
    distributed alike. The interval is over examples, for these models.

    Raises `BadRequest` as `example_epsilons`, and for fewer than four models a side.
    """
    unlearned, oracles = ensemble(unlearned, oracles, least=4)
    points = _points(example_epsilons(unlearned, oracles), len(oracles))
    return share_finding("forgetting score", points, _by_chance(len(oracles)))


def _epsilons(unlearned: Floats, oracles: Floats) -> Floats:
    """Of some examples: shares of both sides in every interval of the sorted values."""
    models = len(oracles)
    both = np.concatenate([unlearned, oracles])
    order = both.argsort(0, kind="stable")
    values = np.take_along_axis(both, order, 0)
    start = np.zeros((1, both.shape[1]))
    own = np.concatenate([start, (order < models).cumsum(0) / models])  # [2N + 1, n]
    other = np.concatenate([start, (order >= models).cumsum(0) / models])
    edge = np.full(start.shape, True)
    cut = np.concatenate([edge, values[1:] > values[:-1], edge])  # none between equal values
    low, high = np.triu_indices(len(own), 1)
    valid = cut[low] & cut[high]
    inside, taken = own[high] - own[low], other[high] - other[low]
    found = [_proved(taken, 1 - inside), _proved(1 - taken, inside)]
    return np.where(valid, np.maximum(*found), 0.0).max(0)


def _proved(false: Floats, missed: Floats) -> Floats:
    """Epsilon of attacks with these rates of false positives and false negatives."""
    zero = [np.isclose(rate, 0, atol=1e-9) for rate in (false, missed)]
    kept = ~(zero[0] | zero[1])
    rates = [np.where(kept, rate, 0.5) for rate in (false, missed)]
    logs = [np.log(np.maximum(1 - _DELTA - a, 1e-300) / b) for a, b in (rates, rates[::-1])]
    finite = np.where(kept, np.clip(np.maximum(*logs), 0.0, _CAP), 0.0)
    return np.where(zero[0] & zero[1], _CAP, finite)


def _points(epsilons: Floats, models: int) -> Floats:
    most = math.ceil(math.log(models - 1))
    return np.where(epsilons < most, 2.0 ** -np.floor(epsilons / _WIDTH), 0.0)


@cache
def _by_chance(models: int) -> float:
    """Expected score of two sides distributed alike: only the order of values matters."""
    places = np.arange(2 * models)
    if math.comb(2 * models, models) <= _ARRANGEMENTS:
        own = np.array(list(combinations(places, models))).T
    else:
        generator = torch.Generator().manual_seed(0)
        keys = torch.rand(2 * models, _ARRANGEMENTS, generator=generator, dtype=torch.float32)
        own = keys.argsort(0)[:models].numpy()
    mine = np.zeros((2 * models, own.shape[1]), dtype=bool)
    np.put_along_axis(mine, own, True, 0)
    ranked = np.broadcast_to(places[:, None], mine.shape).astype(np.float64)
    sides = [ranked.T[m.T].reshape(-1, models).T for m in (mine, ~mine)]
    return float(_points(example_epsilons(*sides), models).mean())
