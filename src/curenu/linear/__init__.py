"""Linear solves for the methods of one Newton step."""

from curenu.linear.lissa import lissa
from curenu.linear.solve import (
    LinearStep,
    damped_solve,
    low_rank_solve,
    pseudo_inverse_solve,
)

__all__ = ["LinearStep", "damped_solve", "lissa", "low_rank_solve", "pseudo_inverse_solve"]
