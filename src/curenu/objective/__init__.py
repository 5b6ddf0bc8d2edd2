"""What is minimised: value, gradient and products of a mean over examples."""

from curenu.objective.agreement import require_same_problem
from curenu.objective.anchor import Anchor
from curenu.objective.anchored import AnchoredRisk
from curenu.objective.coordinates import Coordinates
from curenu.objective.empirical import EmpiricalRisk
from curenu.objective.examples import Examples
from curenu.objective.head import (
    combined,
    cross_entropy_to,
    distilled,
    mixed_batches,
    need_classes,
    preference,
)
from curenu.objective.linearisation import Kind, Linearisation, check_dense
from curenu.objective.loss import Loss, Reduction, mean_loss
from curenu.objective.metric import Metric, kronecker_metric
from curenu.objective.protocol import Linearised, Objective
from curenu.objective.squares import squared_gradients
from curenu.objective.tokens import TokenCrossEntropy
from curenu.objective.training_time import TrainingTime
from curenu.objective.weighted_sum import WeightedSum

__all__ = [
    "Anchor",
    "AnchoredRisk",
    "Coordinates",
    "EmpiricalRisk",
    "Examples",
    "Kind",
    "Linearisation",
    "Linearised",
    "Loss",
    "Metric",
    "Objective",
    "Reduction",
    "TokenCrossEntropy",
    "TrainingTime",
    "WeightedSum",
    "check_dense",
    "combined",
    "cross_entropy_to",
    "distilled",
    "kronecker_metric",
    "mean_loss",
    "mixed_batches",
    "need_classes",
    "preference",
    "require_same_problem",
    "squared_gradients",
]
