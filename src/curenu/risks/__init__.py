"""What is minimised: value, gradient and products of a weighted sum over examples."""

from curenu.risks.agreement import require_same_problem
from curenu.risks.anchor import Anchor
from curenu.risks.anchored import AnchoredRisk, forget_beside
from curenu.risks.empirical import EmpiricalRisk
from curenu.risks.heads import (
    combined,
    cross_entropy_to,
    distilled,
    mixed_batches,
    need_classes,
    preference,
)
from curenu.risks.protocol import Linearised, Objective
from curenu.risks.squares import gradient_rows, squared_gradients
from curenu.risks.training_loss import training_loss
from curenu.risks.training_time import Limit, OracleProtocol, TrainingTime
from curenu.risks.unit_responses import UnitResponses
from curenu.risks.units import Units
from curenu.risks.weighted_sum import WeightedSum

__all__ = [
    "Anchor",
    "AnchoredRisk",
    "EmpiricalRisk",
    "Limit",
    "Linearised",
    "Objective",
    "OracleProtocol",
    "TrainingTime",
    "UnitResponses",
    "Units",
    "WeightedSum",
    "combined",
    "cross_entropy_to",
    "distilled",
    "forget_beside",
    "gradient_rows",
    "mixed_batches",
    "need_classes",
    "preference",
    "require_same_problem",
    "squared_gradients",
    "training_loss",
]
