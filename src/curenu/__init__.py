"""Make a trained network forget chosen examples, close to what retraining would give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curenu.cost import Cost
from curenu.erasure import Certificate, Erasure, ErasureProblem, StepRecord
from curenu.facade import Unlearned, unlearn
from curenu.losses import TokenCrossEntropy
from curenu.parameters import ParameterSpace
from curenu.recorder import TrainingRecorder
from curenu.risks import AnchoredRisk, EmpiricalRisk, TrainingTime
from curenu.status import Status

if TYPE_CHECKING:
    from curenu.session import Session
    from curenu.tasks import Recipe, Task

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
    "TrainingRecorder",
    "TrainingTime",
    "Unlearned",
    "unlearn",
]

__version__ = "0.1.0"

_LATER = {"Recipe": "curenu.tasks", "Session": "curenu.session", "Task": "curenu.tasks"}


def __getattr__(name: str) -> Any:
    """Names that bring the ledger and the audits with them, imported when first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
