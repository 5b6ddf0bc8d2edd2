"""Make a trained network forget chosen examples, close to what retraining would give."""

from curenu.cost import Cost
from curenu.erasure import Certificate, Erasure, ErasureProblem, StepRecord
from curenu.facade import Unlearned, unlearn
from curenu.losses import TokenCrossEntropy
from curenu.parameters import ParameterSpace
from curenu.risks import AnchoredRisk, EmpiricalRisk, TrainingTime
from curenu.runs.session import Session
from curenu.status import Status
from curenu.tasks import Recipe, Task
from curenu.version import __version__ as __version__

__all__ = [
    "AnchoredRisk",
    "Certificate",
    "Cost",
    "EmpiricalRisk",
    "Erasure",
    "ErasureProblem",
    "ParameterSpace",
    "Recipe",
    "Session",
    "Status",
    "StepRecord",
    "Task",
    "TokenCrossEntropy",
    "TrainingTime",
    "Unlearned",
    "unlearn",
]
