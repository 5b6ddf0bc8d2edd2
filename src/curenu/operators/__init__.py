"""Symmetric operators known through products or rows: Lanczos, spectra, the K-FAC metric."""

from curenu.operators.block import Block
from curenu.operators.complement import ComplementSpace
from curenu.operators.coordinates import Coordinates
from curenu.operators.krylov import KrylovSpace, LanczosStep, kept_vectors, lanczos
from curenu.operators.metric import Metric, kronecker_metric
from curenu.operators.operator import (
    Curvature,
    Shifted,
    dense_symmetric,
    inner,
    is_semidefinite,
    length,
    product,
    random_direction,
)
from curenu.operators.rows import RowMatrix
from curenu.operators.spectrum import (
    Extremes,
    Recurrence,
    RitzValue,
    SpectralDensity,
    Spectrum,
    extreme_eigenvalues,
    numerical_rank,
    spectral_density,
)

__all__ = [
    "Block",
    "ComplementSpace",
    "Coordinates",
    "Curvature",
    "Extremes",
    "KrylovSpace",
    "LanczosStep",
    "Metric",
    "Recurrence",
    "RitzValue",
    "RowMatrix",
    "Shifted",
    "SpectralDensity",
    "Spectrum",
    "dense_symmetric",
    "extreme_eigenvalues",
    "inner",
    "is_semidefinite",
    "kept_vectors",
    "kronecker_metric",
    "lanczos",
    "length",
    "numerical_rank",
    "product",
    "random_direction",
    "spectral_density",
]
