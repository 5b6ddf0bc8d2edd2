"""What is minimised: value, gradient and products of a mean over examples."""

from curenu.objective.anchored import AnchoredRisk
from curenu.objective.coordinates import Coordinates
from curenu.objective.empirical import EmpiricalRisk
from curenu.objective.examples import Examples
from curenu.objective.linearisation import Kind, Linearisation, check_dense
from curenu.objective.loss import Loss, Reduction, mean_loss
from curenu.objective.metric import Metric, kronecker_metric
from curenu.objective.protocol import Linearised, Objective

__all__ = [
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
    "check_dense",
    "kronecker_metric",
    "mean_loss",
]
