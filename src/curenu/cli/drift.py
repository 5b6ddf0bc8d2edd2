"""Where a sequence of requests stands, in lines for a person."""

from __future__ import annotations

from curenu.records import DriftRecord

__all__ = ["drift_lines"]


def drift_lines(drift: DriftRecord) -> list[str]:
    """The drift meter, then every reason to retrain."""
    cost = "" if drift.ratio is None else f", {drift.ratio:.2g} of a retraining's time"
    many = "request" if drift.requests == 1 else "requests"
    lines = [
        f"Sequence: {drift.requests} {many} since training, {drift.share:.2%} of the examples"
        f"{cost}; path {drift.path:.3g}, distance {drift.distance:.3g}."
    ]
    if drift.aim is not None:
        aim = drift.aim
        lines.append(
            f"Aim: objective lower by {aim.gain:.3g} ± {aim.gain_error:.1g}, |gradient| "
            f"{aim.gradient_norm:.3g} ± {aim.gradient_error:.1g} (before: "
            f"{aim.first_gradient_norm:.3g}), on {aim.examples} examples."
        )
    if drift.check is not None:
        check = drift.check
        lines.append(
            f"Against erasing at once: distance {check.distance:.3g} of {check.first_distance:.3g}"
            + (
                ""
                if check.divergence is None
                else f", divergence {check.divergence:.3g} of {check.first_divergence:.3g}"
            )
            + f"; it took {check.cost.seconds:.1f} s."
        )
    return lines + [str(advice) for advice in drift.advice]
