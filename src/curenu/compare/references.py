"""What every model of one request is compared with: retrained networks, and their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from curenu.audits import Finding, Split, closeness, noise_floors
from curenu.errors import BadRequest
from curenu.tasks import Task

__all__ = ["References"]


@dataclass(frozen=True)
class References:
    """The oracles' outputs on what went and what stays, and what one retraining takes.

    `forget` and `retain` are sorted positions, `seconds` the mean of the oracles' trainings.
    Raises `BadRequest` for fewer than two oracles.
    """

    task: Task
    forget: tuple[int, ...]
    retain: tuple[int, ...]
    oracles: tuple[Split, ...]
    seconds: float

    def __post_init__(self) -> None:
        if len(self.oracles) < 2:
            raise BadRequest(f"{len(self.oracles)} oracles have no spread.", "two oracles or more.")

    @cached_property
    def floors(self) -> dict[str, float]:
        """The oracles' divergence from one another."""
        return noise_floors(list(self.oracles))

    @property
    def passes(self) -> int:
        """Examples that one retraining passes."""
        return self.task.recipe.epochs * len(self.retain)

    def others(self, place: int | None) -> list[Split]:
        """The oracles' outputs without those of the one at `place`."""
        return [split for number, split in enumerate(self.oracles) if number != place]

    def findings(
        self, found: Split, before: Split | None, *, without: int | None = None
    ) -> list[Finding]:
        """How close outputs are to the oracles', an oracle's own place left out.

        `before` are those of the trained network, from which G is measured; None leaves it out.
        """
        return closeness(found, self.others(without), self.floors, before)

    def oracles_findings(self, before: Split | None) -> list[Finding]:
        """The oracles' own figures: each against the rest, as a model would be; their mean.

        Their divergences are the noise floors themselves, so R is 1 by definition. Two oracles
        leave one to compare with: the spread of G is then that of a single retraining.
        """
        each = [
            self.findings(oracle, before, without=place)
            for place, oracle in enumerate(self.oracles)
        ]
        return mean_findings(each)


def mean_findings(each: Sequence[Sequence[Finding]]) -> list[Finding]:
    """Of the findings that all of several models have, the mean of each."""
    named = [{finding.name: finding for finding in found} for found in each]
    return [
        Finding(
            name,
            float(np.mean([found[name].value for found in named])),
            reference=_common([found[name].reference for found in named]),
        )
        for name in named[0]
        if all(name in found for found in named)
    ]


def _common(values: Sequence[float | None]) -> float | None:
    """The value that all have; None if they differ."""
    return values[0] if len(set(values)) == 1 else None
