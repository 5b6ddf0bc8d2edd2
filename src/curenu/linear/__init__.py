"""Linear solves for the Newton baselines."""

from curenu.linear.solve import LinearStep, damped_solve, pseudo_inverse_solve

__all__ = ["LinearStep", "damped_solve", "pseudo_inverse_solve"]
