"""The screen: is this request what a random genuine one could be, or does it look made to harm?

Sources: Qian et al. (KDD 2023), who find malicious requests by their gradient influence on the
unlearned model; Huang et al., "Unlearn and Burn" (ICLR 2025), who find that nobody checks
membership. Differs from both in: influence is taken to first order by one solve for all requests;
thresholds come from random genuine requests of the same size; a session is added up.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from curenu.attacks.influence import ExampleFigures, HoldoutInfluence
from curenu.attacks.membership import Membership, membership
from curenu.attacks.null import Thresholds, thresholds
from curenu.attacks.verdict import Figure, Verdict
from curenu.autodiff import Kind
from curenu.checks import positions_of
from curenu.errors import BadRequest
from curenu.risks import EmpiricalRisk

__all__ = ["Figure", "Screen", "Verdict"]

_SPARE = 10  # measured examples for each that is summed, where they are a sample themselves


@dataclass(frozen=True)
class Screen:
    """Holds requests against random genuine ones of their size, at one model and one holdout set.

    `risk` is the training objective over all that may be erased, `holdout` the same loss over
    examples that were not trained on. A random genuine request passes with a probability of at
    least `rate`, shared among the figures; it is `draws` requests, drawn with `seed`, that say
    what is usual, out of all examples, or of a sample of `pool_size`: then the rate holds about.
    The other fields are those of `HoldoutInfluence.of`; `ids` names the examples of the whole data
    set. What harms other examples than `holdout` holds is seen by `membership` alone.

    Cost, once: the solve, and one gradient an example of the pool. Then one gradient an example of
    a request. Raises `BadRequest` for a rate outside (0, 1).
    """

    risk: EmpiricalRisk
    holdout: EmpiricalRisk
    rate: float = 0.99
    draws: int = 2000
    seed: int = 0
    pool_size: int | None = None
    curvature: Kind = "gauss_newton"
    damping: float = 0.01
    max_products: int | None = 50
    ids: Sequence[Hashable] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise BadRequest(f"rate={self.rate}.", "a share of genuine requests, such as .99.")

    @cached_property
    def influence(self) -> HoldoutInfluence:
        """The one solve that all requests share."""
        return HoldoutInfluence.of(
            self.risk,
            self.holdout,
            curvature=self.curvature,
            damping=self.damping,
            max_products=self.max_products,
        )

    @cached_property
    def pool(self) -> ExampleFigures:
        """The figures of the examples that genuine requests are drawn from."""
        generator = torch.Generator().manual_seed(self.seed)
        size = self.risk.size if self.pool_size is None else self.pool_size
        return self.influence.figures(self.risk.sample(size, generator))

    def __call__(
        self, forget: Any, *, claimed: Sequence[int] | None = None, earlier: Sequence[Verdict] = ()
    ) -> Verdict:
        """What of the request `forget` is out of the usual.

        `forget` are positions in the data set (`ids`, or a mask), or a `Dataset` of what is to go
        as somebody handed it in; `claimed` `[m]` then says which positions it is said to be.
        `earlier` are the verdicts on what a session has erased before, by this screen: the
        figures of one model add up. Raises `BadRequest` for positions that cannot be erased and
        for more examples than the pool can stand for, and the errors of `EmpiricalRisk`.
        """
        content = isinstance(forget, Dataset | DataLoader)
        if claimed is not None and not content:
            raise BadRequest("Positions that claim to be others.", "`claimed` with content only.")
        asked = self.influence.over(forget) if content else self._subset(forget)
        found = membership(self.risk, asked, claimed) if content else None
        measured = self.influence.figures(asked)
        total = asked.size + sum(one.size for one in earlier)
        limits = self._thresholds(asked.size, total, 4 if earlier else 3)
        figures = [self._member(found, asked.size)]
        figures += _measured(measured, limits)
        if earlier:
            so_far = float(measured.changes.sum()) + sum(one.change for one in earlier)
            figures.append(_session(so_far, limits, total))
        return Verdict(tuple(figures), asked.size, float(measured.changes.sum()))

    def total(self, erased: Sequence[int]) -> Verdict:
        """The change by all the examples at the positions `erased`, to be given as `earlier`.

        No figure is held against anything. Raises `BadRequest` for positions not in `risk`.
        """
        changes = self.influence.figures(self.risk.subset(erased)).changes
        return Verdict((), len(changes), float(changes.sum()))

    def _subset(self, forget: Sequence[Hashable] | Tensor) -> EmpiricalRisk:
        size = self.risk.source.examples.size
        erased = set(range(size)) - set(self.risk.ids.tolist())
        return self.risk.subset(positions_of(forget, size, ids=self.ids, erased=erased))

    def _thresholds(self, size: int, total: int, count: int) -> Thresholds:
        have, level = len(self.pool.norms), 1.0 - (1.0 - self.rate) / count
        # a sample's largest of all must be rarer than what is flagged
        needed = max(math.ceil(size * level / (1.0 - level) - 1e-9), _SPARE * total)
        if have < min(needed, self.risk.size):
            raise BadRequest(
                f"{size} examples, {total} in all, are held against a sample of {have}.",
                f"`pool_size` of {needed} or more, a lower `rate`, or None for all examples.",
            )
        return thresholds(self.pool, size, total, level=level, draws=self.draws, seed=self.seed)

    def _member(self, found: Membership | None, size: int) -> Figure:
        faults = () if found is None else found.faults
        if not faults:
            said = f"All {size} items are what the data set holds."
        else:
            places = ", ".join(map(str, faults[:5])) + (", …" if len(faults) > 5 else "")
            said = (
                f"{len(faults)} of {size} items are not what the data set holds, at the places "
                f"{places} of the request."
            )
        return Figure("membership", float(len(faults)), 0.0, said, places=faults)


def _measured(of: ExampleFigures, limits: Thresholds) -> list[Figure]:
    size, share = len(of.norms), f"{limits.level:.2%} of random requests of {len(of.norms)}"
    norm, single, whole = float(of.norms.max()), float(of.changes.max()), float(of.changes.sum())
    return [
        Figure(
            "gradient norm",
            norm,
            limits.norm,
            f"The longest gradient of an item is {norm:.3g}, at place {int(of.norms.argmax())}; "
            f"{share} have at most {limits.norm:.3g}.",
        ),
        Figure(
            "influence",
            single,
            limits.change,
            f"Erasing the item at place {int(of.changes.argmax())} changes the mean holdout loss "
            f"by {single:+.3g} to first order, the most of all; {share} have at most "
            f"{limits.change:+.3g}.",
        ),
        Figure(
            "predicted change",
            whole,
            limits.request,
            f"Erasing all {size} items changes the mean holdout loss by {whole:+.3g} to first "
            f"order; {share} by at most {limits.request:+.3g}.",
        ),
    ]


def _session(value: float, limits: Thresholds, total: int) -> Figure:
    said = (
        f"With the earlier requests, {total} items, the mean holdout loss changes by {value:+.3g} "
        f"to first order; {limits.level:.2%} of random erasures of {total} change it by at most "
        f"{limits.session:+.3g}."
    )
    return Figure("cumulated change", value, limits.session, said)
