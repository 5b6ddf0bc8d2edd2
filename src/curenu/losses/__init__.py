"""What is minimised on one example: losses by name, by object and by a user's function."""

from curenu.losses.loss import Evaluation, Loss, Reduction, mean_loss
from curenu.losses.tokens import TokenCrossEntropy

__all__ = ["Evaluation", "Loss", "Reduction", "TokenCrossEntropy", "mean_loss"]
