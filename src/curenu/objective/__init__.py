"""What is minimised: value, gradient and products of a mean over examples."""

from curenu.objective.anchored import AnchoredRisk
from curenu.objective.empirical import EmpiricalRisk
from curenu.objective.examples import Examples
from curenu.objective.linearisation import Linearisation, check_dense
from curenu.objective.loss import Loss, Reduction, mean_loss
from curenu.objective.protocol import Linearised, Objective

__all__ = [
    "AnchoredRisk",
    "EmpiricalRisk",
    "Examples",
    "Linearisation",
    "Linearised",
    "Loss",
    "Objective",
    "Reduction",
    "check_dense",
    "mean_loss",
]
