"""Make a trained network forget chosen examples, close to what retraining would give."""

from curenu.version import __version__ as __version__

TYPE_CHECKING = False  # as in `typing`, whose import takes long enough to be interrupted
if TYPE_CHECKING:
    from typing import Any

    from curenu.checkpoints import Checkpoint
    from curenu.cost import Cost
    from curenu.erasure import Certificate, Erasure, ErasureProblem, StepRecord
    from curenu.facade import Unlearned, unlearn
    from curenu.losses import TokenCrossEntropy
    from curenu.parameters import ParameterSpace
    from curenu.recorder import TrainingRecorder
    from curenu.risks import AnchoredRisk, EmpiricalRisk, TrainingTime
    from curenu.runs.session import Session
    from curenu.status import Status
    from curenu.tasks import Recipe, Task

__all__ = [
    "AnchoredRisk",
    "Certificate",
    "Checkpoint",
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

# Where each name lives: loaded when it is first asked for, so that the command line can show
# its help without torch.
_HOMES = {
    "curenu.checkpoints": ("Checkpoint",),
    "curenu.cost": ("Cost",),
    "curenu.erasure": ("Certificate", "Erasure", "ErasureProblem", "StepRecord"),
    "curenu.facade": ("Unlearned", "unlearn"),
    "curenu.losses": ("TokenCrossEntropy",),
    "curenu.parameters": ("ParameterSpace",),
    "curenu.recorder": ("TrainingRecorder",),
    "curenu.risks": ("AnchoredRisk", "EmpiricalRisk", "TrainingTime"),
    "curenu.runs.session": ("Session",),
    "curenu.status": ("Status",),
    "curenu.tasks": ("Recipe", "Task"),
}

# Modules that documentation names as `curenu.methods` and the like.
_MODULES = ("attacks", "audits", "errors", "losses", "methods", "risks", "tasks")


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(home), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
