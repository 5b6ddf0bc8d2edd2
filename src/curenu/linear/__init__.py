"""Linear solves for the methods of one Newton step."""

from curenu.linear.lissa import lissa
from curenu.linear.solve import (
    LinearStep,
    damped_solve,
    low_rank_solve,
    pseudo_inverse_solve,
)
from curenu.linear.trust_region import RegionModel, RegionStep, region_model, solve_region

__all__ = [
    "LinearStep",
    "RegionModel",
    "RegionStep",
    "damped_solve",
    "lissa",
    "low_rank_solve",
    "pseudo_inverse_solve",
    "region_model",
    "solve_region",
]
