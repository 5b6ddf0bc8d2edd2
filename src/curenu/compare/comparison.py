"""Models compared with retraining: their outputs, audited, as rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from curenu.audits import Finding, Split
from curenu.compare.membership import membership
from curenu.compare.references import References, mean_findings
from curenu.errors import BadRequest
from curenu.networks import TrainedNetwork, split_of
from curenu.report import NOTHING, ORACLE, Row
from curenu.tasks import Task

__all__ = ["Comparison", "Stage", "compare", "distance"]

Stage = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Opens a stage of work by name; inside, progress is told (done, total)."""


@dataclass(frozen=True)
class Comparison:
    """A trained network, what was erased from it, and the oracles to compare with.

    `first` is the trained model before any erasure, `distance` how far the oracles' weights
    are from it, both None where it is no longer kept; with `attacks` membership attacks are
    among the findings.
    """

    references: References
    first: nn.Module | None
    distance: float | None
    attacks: bool = False

    @property
    def task(self) -> Task:
        """What the networks were trained on."""
        return self.references.task

    @property
    def forget(self) -> tuple[int, ...]:
        """Positions of what went."""
        return self.references.forget

    @property
    def retain(self) -> tuple[int, ...]:
        """Positions of what stays."""
        return self.references.retain

    @cached_property
    def before(self) -> Split | None:
        """The outputs of the trained model."""
        return None if self.first is None else self.split(self.first)

    def split(self, model: nn.Module) -> Split:
        """The outputs of `model` on forget, retain and test set."""
        return split_of(self.task, self.forget, self.retain, model)

    def nothing(self) -> Row | None:
        """The trained model as it was; None where it is no longer kept."""
        if self.before is None:
            return None
        return Row(NOTHING, self._findings(self.before), update_norm=0.0, seconds=0.0, ratio=0.0)

    def oracle(self) -> Row:
        """The retrained models against each other: the mean of each quantity."""
        found = self.references.oracles_findings(self.before)
        if self.attacks:
            found += self._attacks_on_oracles()
        return Row(
            ORACLE,
            tuple(found),
            update_norm=self.distance,
            seconds=self.references.seconds,
            ratio=1.0,
        )

    def row(self, name: str, model: nn.Module, seconds: float | None, **others: Any) -> Row:
        """A model that was unlearned; `others` are further fields of the row."""
        return Row(
            name,
            self._findings(self.split(model)),
            update_norm=None if self.first is None else distance(model, self.first),
            seconds=seconds,
            ratio=None if seconds is None else seconds / self.references.seconds,
            **others,
        )

    def _findings(self, found: Split) -> tuple[Finding, ...]:
        closeness = self.references.findings(found, self.before)
        if self.attacks:
            closeness += membership(found, self.references.oracles, self.before)[0]
        return tuple(closeness)

    def _attacks_on_oracles(self) -> list[Finding]:
        places = range(len(self.references.oracles))
        return mean_findings(
            [
                membership(
                    self.references.oracles[place], self.references.others(place), self.before
                )[0]
                for place in places
            ]
        )


def compare(
    task: Task,
    forget: Sequence[int],
    retain: Sequence[int],
    first: nn.Module | None,
    oracles: Sequence[TrainedNetwork],
    *,
    attacks: bool = False,
) -> Comparison:
    """The comparison with two or more `oracles`, models retrained on `retain` alone."""
    if len(oracles) < 2:
        raise BadRequest(f"{len(oracles)} oracles have no spread.", "two oracles or more.")
    references = References(
        task,
        tuple(forget),
        tuple(retain),
        tuple(split_of(task, forget, retain, oracle.model) for oracle in oracles),
        float(np.mean([oracle.seconds for oracle in oracles])),
    )
    if first is None:
        return Comparison(references, None, None, attacks)
    apart = float(np.mean([distance(oracle.model, first) for oracle in oracles]))
    return Comparison(references, first, apart, attacks)


def distance(model: nn.Module, other: nn.Module) -> float:
    """|theta − theta'| over all parameters, in float64."""
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    squares = [float((a.detach().double() - b.detach().double()).square().sum()) for a, b in pairs]
    return sum(squares) ** 0.5
