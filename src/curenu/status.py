"""Why a computation ended, as a sentence with advice."""

from __future__ import annotations

from enum import Enum

__all__ = ["SHARE_LIMIT", "Advice", "Status", "share_advice"]

SHARE_LIMIT = 0.2
"""Share of the examples erased. The largest erasure that the benchmarks compare with retraining
is 18 % (90 % of two of ten classes); beyond it nothing is known of the anchored objective."""


class Status(Enum):
    """Why a solver or a method stopped; the value is the sentence to show a person."""

    CONVERGED = "Converged: the tolerance was met, or no step lowers the objective beyond rounding."
    SINGLE_STEP = "The method makes this one step by definition; compare the result before use."
    SCHEDULE_DONE = "The planned number of steps was made; compare the result before use."
    STEP_LIMIT = "The step budget was used before the tolerance; raise max_steps to go further."
    PRODUCT_LIMIT = (
        "The budget of Hessian-vector products was used before the residual tolerance; "
        "raise max_products or loosen tolerance."
    )
    AWAY = (
        "The step budget was used, and the gradient is longer than it was before the first step: "
        "the steps led away from the trained model, to no minimum. Try a loss of outputs and "
        "targets, of which more is known than of one of the model and a batch, `StoCuReNU`, or "
        "retrain."
    )
    STALLED = (
        "No step lowered the objective at any tried penalty; the point is stationary to "
        "rounding or the sample is too noisy: raise the sample size or stop here."
    )
    UNMOVED = (
        "No weight moved although the examples pull at the model: nothing was erased. Try float64 "
        "weights, another method, or retrain."
    )
    ROUNDED_AWAY = (
        "Rounding to the model's own type undid most of the erasure: keep the result in float32 "
        "(`result.theta`), or retrain."
    )
    NO_GAIN = (
        "On examples set aside the result was no closer to its aim than the trained model, "
        "which is returned as it was: raise the sample size, or retrain."
    )
    COST_LIMIT = (
        "Half of what retraining costs was used before the erasure was done; the best that was "
        "found is returned: retrain."
    )
    DIVERGED = (
        "On examples that stay the result is far worse than the model before it: a smaller step, "
        "another method, or retrain."
    )

    @property
    def ok(self) -> bool:
        """Whether the result may be used as it is."""
        return self not in (
            Status.AWAY,
            Status.STALLED,
            Status.NO_GAIN,
            Status.COST_LIMIT,
            Status.UNMOVED,
            Status.ROUNDED_AWAY,
            Status.DIVERGED,
        )

    def __str__(self) -> str:
        return self.value


class Advice(Enum):
    """Why to retrain now instead of going on; the value is the sentence to show a person."""

    COST = "Retrain: the requests so far have taken as long as retraining does."
    SHARE = "Retrain: more of the data is gone than erasure was ever compared with retraining on."
    BENDS = (
        "Retrain if you can: the forget set's loss did not answer as that of a small change does, "
        "and such erasures, of whole classes mostly, ended far from retrained models."
    )
    STUCK = "Retrain: two requests ended where they began, no step being closer to their aim."
    NOISE = (
        "Retrain: on a sample the requests together are not measurably closer to their aim than "
        "the model before them."
    )
    DRIFTED = (
        "Retrain: the model is further from erasing the same examples at once than that is from "
        "erasing nothing."
    )

    def __str__(self) -> str:
        return self.value


def share_advice(erased: float, examples: float) -> Advice | None:
    """`Advice.SHARE` where more than `SHARE_LIMIT` of the `examples` are `erased`, else None."""
    return Advice.SHARE if erased > SHARE_LIMIT * examples else None
