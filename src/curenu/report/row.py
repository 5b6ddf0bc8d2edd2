"""One line of the table: a model, what the audits found, what it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from curenu.audits import Finding
from curenu.erasure import StepRecord
from curenu.report.figure import Figure
from curenu.report.model import Model

__all__ = ["Row", "finite"]


@dataclass(frozen=True)
class Row:
    """A model in the comparison. None stands for what does not apply to it.

    `damping` is the last gamma the method used or found, `products` and `examples` what it
    cost, `seconds` how long it took, `ratio` that over one retraining, `status` why it
    stopped, or why it failed, with advice.
    """

    name: str
    findings: tuple[Finding, ...] = ()
    update_norm: float | None = None
    damping: float | None = None
    products: int | None = None
    examples: int | None = None
    seconds: float | None = None
    ratio: float | None = None
    status: str = ""
    trace: tuple[StepRecord, ...] = ()

    def finding(self, name: str) -> Finding | None:
        """The finding of that name, if the model got as far as being audited."""
        return next((finding for finding in self.findings if finding.name == name), None)

    def model(self) -> Model:
        """The row as a report compares it; one without findings failed for what its status says."""
        figures = {f.name: Figure(f.value, f.interval) for f in self.findings}
        for name in ("update_norm", "damping", "products", "seconds", "ratio"):
            value = getattr(self, name)
            if value is not None:
                figures[name] = Figure(float(value))
        if not self.findings:
            return Model(self.name, {}, (self.status,) if self.status else ())
        return Model(self.name, figures, status=self.status)

    def to_json(self) -> dict[str, Any]:
        """Everything but the per-example values; a number that is not finite is a word."""
        return {
            "name": self.name,
            "findings": [_plain(finding.to_json()) for finding in self.findings],
            "update_norm": finite(self.update_norm),
            "damping": finite(self.damping),
            "products": self.products,
            "examples": self.examples,
            "seconds": self.seconds,
            "ratio": self.ratio,
            "status": self.status,
            "trace": [_plain(vars(record)) for record in self.trace],
        }


def finite(value: float | None) -> float | str | None:
    """The value, or its name if JSON has no number for it."""
    return value if value is None or math.isfinite(value) else str(value)


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {k: finite(v) if isinstance(v, float) else v for k, v in record.items()}
