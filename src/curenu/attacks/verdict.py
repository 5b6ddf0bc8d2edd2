"""What a screen says of a request: figure by figure, with a threshold and a sentence each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curenu.errors import Suspicious

__all__ = ["Figure", "Verdict"]


@dataclass(frozen=True)
class Figure:
    """One measured figure: flagged where `value` is above `threshold`; `said` is a sentence.

    `places` are the places in the request of items that are not the data set's.
    """

    name: str
    value: float
    threshold: float
    said: str
    places: tuple[int, ...] = ()

    @property
    def flagged(self) -> bool:
        """Whether the figure is out of the usual; only harm is, never a lower loss."""
        return self.value > self.threshold

    def to_json(self) -> dict[str, Any]:
        """Name, value, threshold, whether it is flagged, places and sentence."""
        return {
            "name": self.name,
            "value": self.value,
            "threshold": self.threshold,
            "flagged": self.flagged,
            "places": list(self.places),
            "said": self.said,
        }


@dataclass(frozen=True)
class Verdict:
    """All figures of a request of `size` examples; `change` is its part of the holdout loss.

    The changes of several requests at one model add up: that is what `Screen` does with those
    it is given as `earlier`.
    """

    figures: tuple[Figure, ...]
    size: int
    change: float

    @property
    def flagged(self) -> tuple[Figure, ...]:
        """The figures that are out of the usual; none of a request that passes."""
        return tuple(figure for figure in self.figures if figure.flagged)

    def __getitem__(self, name: str) -> Figure:
        """The figure of that name; `KeyError` where it was not measured."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)

    def require(self) -> None:
        """Raise `Suspicious`, naming every flagged figure, unless the request passes."""
        if self.flagged:
            names = ", ".join(figure.name for figure in self.flagged)
            said = " ".join(figure.said for figure in self.flagged)
            raise Suspicious(
                f"The request is out of the usual in {names}. {said}",
                "asking who made it; where it is genuine, an override by a person, or retraining, "
                "which needs nothing that the request brought along.",
            )

    def to_json(self) -> dict[str, Any]:
        """Size, change and every figure, as JSON can hold them."""
        return {
            "size": self.size,
            "change": self.change,
            "figures": [figure.to_json() for figure in self.figures],
        }
