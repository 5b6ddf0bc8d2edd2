"""What is minimised on one example: losses by name, by torch's object, by a user's function."""

from curenu.losses.binary import BinaryCrossEntropy
from curenu.losses.classes import CrossEntropy
from curenu.losses.form import Form, Reduction
from curenu.losses.function import FunctionOfModel, FunctionOfOutputs, checked_loss
from curenu.losses.recognise import LOSSES, Loss, form_of, is_log_likelihood
from curenu.losses.tokens import TokenCrossEntropy, Tokens
from curenu.losses.values import Huber, SquaredError

__all__ = [
    "LOSSES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Form",
    "FunctionOfModel",
    "FunctionOfOutputs",
    "Huber",
    "Loss",
    "Reduction",
    "SquaredError",
    "TokenCrossEntropy",
    "Tokens",
    "checked_loss",
    "form_of",
    "is_log_likelihood",
]
