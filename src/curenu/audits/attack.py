"""How well do an attacker's scores tell members from strangers?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from curenu.audits.finding import Finding, share_interval
from curenu.audits.outputs import Outputs
from curenu.errors import BadRequest, IllPosed

__all__ = ["Attack", "attack_findings", "auc_interval", "peers"]

Floats = NDArray[np.float64]

_LOW = 0.01  # the false positive rate at which the true one is reported
_SHAPED = 20  # scores on a side, below which their variance is not taken from them
_TO_TELL = 100  # strangers of whom one is that share
_AT_ONCE = 16  # bootstrap samples counted together: bounds the memory


@dataclass(frozen=True)
class Attack:
    """Scores of members `[n]` and of strangers `[m]`, or of each in several models `[k, n]`.

    A higher score says "member". With two dimensions rows are models and columns examples.
    `paired`: both hold the same examples in models made in pairs, and are resampled together.

    Raises `BadRequest` for empty scores or shapes that differ, `IllPosed` for scores that
    are not finite.
    """

    members: Floats
    strangers: Floats
    paired: bool = False

    def __post_init__(self) -> None:
        for name in ("members", "strangers"):
            scores = np.atleast_2d(np.asarray(getattr(self, name), dtype=np.float64))
            if scores.ndim != 2 or scores.size == 0:
                raise BadRequest(f"Scores of {name} {scores.shape}.", "one or more, [k, n].")
            broken = np.argwhere(~np.isfinite(scores))
            if len(broken):
                raise IllPosed(
                    f"Scores of {name} are not finite, first that of example {broken[0][1]}.",
                    "a model that did not diverge.",
                )
            object.__setattr__(self, name, scores)
        if self.paired and self.members.shape != self.strangers.shape:
            raise BadRequest(
                f"Pairs of {self.members.shape} and {self.strangers.shape}.", "equal shapes."
            )

    @cached_property
    def rates(self) -> tuple[Floats, Floats]:
        """False and true positive rates over all thresholds, from (0, 0) to (1, 1)."""
        both = np.concatenate([self.members.ravel(), self.strangers.ravel()])
        distinct, ranks = np.unique(both, return_inverse=True)
        parts = ranks[: self.members.size], ranks[self.members.size :]
        true, false = (
            np.append(0, np.bincount(part, minlength=len(distinct))[::-1].cumsum()) / part.size
            for part in parts
        )
        return false, true

    @cached_property
    def auc(self) -> float:
        """P(member's score > stranger's), a tie counted half."""
        return float(self.placements().mean())

    @cached_property
    def true_positive_rate(self) -> float:
        """Of members, at the lowest threshold that takes 1 % of strangers or fewer."""
        false, true = self.rates
        return float(true[false <= _LOW].max())

    def curve(self, points: int = 200) -> tuple[list[float], list[float]]:
        """The ROC thinned to `points`, evenly on a logarithmic scale of the first rate."""
        false, true = self.rates
        if len(false) > points:
            wanted = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, points - 2)])
            kept = np.unique(np.append(0, np.searchsorted(false, wanted, side="right") - 1))
            false, true = false[kept], true[kept]
        return false.tolist(), true.tolist()

    def placements(self) -> Floats:
        """Share of strangers below each member's score, `[n]`; their mean is the AUC."""
        ordered = np.sort(self.strangers.ravel())
        below, upto = (np.searchsorted(ordered, self.members, side=s) for s in ("left", "right"))
        return ((below + upto) / (2 * ordered.size)).mean(0)


def attack_findings(
    name: str, attack: Attack, generator: torch.Generator, expected: Sequence[Attack] = ()
) -> list[Finding]:
    """Findings `name` AUC and TPR (at 1 % FPR) with intervals of 95 %.

    The wider at each end of two. A bootstrap: members and strangers are resampled apart, models
    and examples both when there are several models (two-way: rather wide than narrow), widened
    to what Student's t gives so few models. And what the number of examples alone allows,
    `auc_interval` and `share_interval`: a bootstrap of one member, or of scores that do not
    overlap, has no width. Fewer than 100 strangers cannot tell a rate of 1 %: the TPR has no
    interval then. References are the means of the `expected` attacks: the same ones on models
    that never saw the members. `per_example` of the AUC is the share of strangers each member
    outscores.
    """
    samples = np.concatenate(list(_resampled(attack, generator)), axis=1)
    widening = _widening(len(attack.members))
    found = []
    for place, (what, value, kept) in enumerate(
        [
            ("AUC", attack.auc, attack.placements()),
            ("TPR", attack.true_positive_rate, None),
        ]
    ):
        reference = None
        if expected:
            values = [e.true_positive_rate if place else e.auc for e in expected]
            reference = float(np.mean(values))
        low, high = np.quantile(samples[place], [0.025, 0.975])
        counts = attack.members.shape[1], attack.strangers.shape[1]
        alone = share_interval(value, counts[0]) if place else auc_interval(attack)
        interval = (
            max(0.0, min(alone[0], float(value - widening * (value - low)))),
            min(1.0, max(alone[1], float(value + widening * (high - value)))),
        )
        if place and counts[1] < _TO_TELL:
            interval = None
        found.append(Finding(f"{name} {what}", value, interval, reference, kept))
    return found


def peers(outputs: Outputs, like: Outputs) -> Outputs:
    """The examples of `outputs` whose class occurs in `like`.

    Strangers of other classes than the members' would be told apart by class, which says
    nothing of membership. Raises `BadRequest` when there are none.
    """
    chosen = torch.isin(outputs.targets, like.targets)
    if not bool(chosen.any()):
        raise BadRequest("No stranger is of the members' classes.", "a test set that has them.")
    return outputs.chosen(chosen)


def auc_interval(attack: Attack) -> tuple[float, float]:
    """What the examples on the two sides leave open of the AUC, with 95 % confidence.

    `share_interval` of as many trials as the examples are worth, AUC (1 − AUC)/V. V is the
    larger of the variance of the placements of both sides (DeLong et al., 1988) and that of
    exponential scores (Hanley and McNeil, 1982; with both numbers at their mean N where they
    are factors, as Newcombe's method 5 of 2006), for n members and m strangers

        V = AUC (1 − AUC) (1 + (N − 1)((1 − AUC)/(2 − AUC) + AUC/(1 + AUC))) / (n m).

    Not fewer than the smaller side, which any scores are worth (van Dantzig, 1951), and just
    those with fewer than 20 on a side or no overlap: then nothing is known of their shape.
    Several models count as one, with the mean of their placements.
    """
    sides = attack.placements(), Attack(attack.strangers, attack.members).placements()
    counts = [len(side) for side in sides]
    auc, least = attack.auc, float(min(counts))
    variance = sum(float(side.var(ddof=1)) / len(side) for side in sides if len(side) > 1)
    if least < _SHAPED or variance == 0.0:
        return share_interval(auc, least)
    others = sum(counts) / 2 - 1
    inner = 1 + others * ((1 - auc) / (2 - auc) + auc / (1 + auc))
    worth = min(counts[0] * counts[1] / inner, auc * (1 - auc) / variance)
    return share_interval(auc, max(least, worth))


def _widening(models: int) -> float:
    """√(k/(k−1)) t_{k−1} / z: few models resampled are less spread than models are.

    Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, section 4. 1 for one
    model: the interval is of its examples.
    """
    if models == 1:
        return 1.0
    ratio = stats.t.ppf(0.975, models - 1) / stats.norm.ppf(0.975)
    return float(ratio * np.sqrt(models / (models - 1)))


def _resampled(attack: Attack, generator: torch.Generator, count: int = 400) -> Iterator[Floats]:
    """AUC and TPR `[2, b]` of bootstrap samples, some at a time.

    A sample is a number of times that each score occurs; scores are sorted once.
    """
    both = np.concatenate([attack.members.ravel(), attack.strangers.ravel()])
    distinct, ranks = np.unique(both, return_inverse=True)
    own, other = ranks[: attack.members.size], ranks[attack.members.size :]
    for start in range(0, count, _AT_ONCE):
        size = min(_AT_ONCE, count - start)
        times = _times(attack.members.shape, size, generator)
        again = times if attack.paired else _times(attack.strangers.shape, size, generator)
        # from the highest score down, so that cumulated counts are those above a threshold
        true = _counts(own, times, len(distinct))[:, ::-1]
        false = _counts(other, again, len(distinct))[:, ::-1]
        above = true.cumsum(1) / true.sum(1, keepdims=True)
        taken = false.cumsum(1) / false.sum(1, keepdims=True)
        share = false / false.sum(1, keepdims=True)
        halves = above - 0.5 * true / true.sum(1, keepdims=True)
        few = (taken <= _LOW).sum(1)
        at = np.where(few > 0, above[np.arange(size), np.maximum(few - 1, 0)], 0.0)
        yield np.stack([(halves * share).sum(1), at])


def _times(shape: tuple[int, ...], count: int, generator: torch.Generator) -> Floats:
    """How often each of `[k, n]` scores occurs in `count` samples, `[count, k n]`."""
    by_model, by_example = (_occurrences(size, count, generator) for size in shape)
    return (by_model[:, :, None] * by_example[:, None, :]).reshape(count, -1)


def _occurrences(size: int, count: int, generator: torch.Generator) -> Floats:
    drawn = torch.randint(size, (count, size), generator=generator).numpy()
    places = drawn + size * np.arange(count)[:, None]
    return np.bincount(places.ravel(), minlength=count * size).reshape(count, size).astype(float)


def _counts(ranks: NDArray[np.intp], times: Floats, size: int) -> Floats:
    count = len(times)
    places = ranks[None, :] + size * np.arange(count)[:, None]
    found = np.bincount(places.ravel(), times.ravel(), count * size)
    return found.astype(np.float64).reshape(count, size)
