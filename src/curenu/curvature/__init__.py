"""Curvature known through products: Lanczos, extreme eigenvalues, spectral density."""

from curenu.curvature.krylov import KrylovSpace, LanczosStep, lanczos
from curenu.curvature.operator import (
    Curvature,
    dense_symmetric,
    inner,
    length,
    product,
    random_direction,
)
from curenu.curvature.spectrum import (
    Extremes,
    RitzValue,
    SpectralDensity,
    Spectrum,
    extreme_eigenvalues,
    numerical_rank,
    spectral_density,
)

__all__ = [
    "Curvature",
    "Extremes",
    "KrylovSpace",
    "LanczosStep",
    "RitzValue",
    "SpectralDensity",
    "Spectrum",
    "dense_symmetric",
    "extreme_eigenvalues",
    "inner",
    "lanczos",
    "length",
    "numerical_rank",
    "product",
    "random_direction",
    "spectral_density",
]
