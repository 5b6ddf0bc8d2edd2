"""Make a trained network forget chosen examples, close to what retraining would give."""

from curenu.cost import Cost
from curenu.erasure import Certificate, Erasure, ErasureProblem, StepRecord
from curenu.facade import Unlearned, unlearn
from curenu.objective import EmpiricalRisk
from curenu.parameters import ParameterSpace
from curenu.status import Status

__all__ = [
    "Certificate",
    "Cost",
    "EmpiricalRisk",
    "Erasure",
    "ErasureProblem",
    "ParameterSpace",
    "Status",
    "StepRecord",
    "Unlearned",
    "unlearn",
]

__version__ = "0.1.0"
