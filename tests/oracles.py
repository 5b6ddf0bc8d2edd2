"""Independent answers, in NumPy, that share no code with the package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = ["brute_force_cubic", "cubic_change", "solve_cubic", "trust_region_step"]

Vector = NDArray[np.float64]


def cubic_change(g: Vector, H: Vector, M: float, s: Vector) -> float:
    return float(g @ s + 0.5 * s @ H @ s + M / 6 * np.linalg.norm(s) ** 3)


def solve_cubic(g: Vector, H: Vector, M: float) -> Vector:
    """Global minimiser: geometric bisection on the distance of the damping from its pole."""
    eigenvalues, U = np.linalg.eigh(H)
    c = U.T @ g
    pole = max(0.0, -eigenvalues[0])
    gaps = eigenvalues + pole

    def step(distance: float) -> Vector:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(c == 0, 0.0, -c / (gaps + distance))

    def too_short(distance: float) -> bool:
        return bool(np.linalg.norm(step(distance)) < 2 * (pole + distance) / M)

    scale = max(np.abs(eigenvalues).max(), np.sqrt(M * np.linalg.norm(g)))
    if scale == 0.0:
        return np.zeros_like(g)
    low, high = 1e-30 * scale, 10 * scale
    if too_short(low):  # hard case, or no gradient at all
        s = step(low)
        missing = max(0.0, (2 * pole / M) ** 2 - s @ s)
        s[0] += -np.sign(c[0] or 1.0) * np.sqrt(missing)
        return U @ s
    for _ in range(400):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if too_short(middle) else (middle, high)
    return U @ step(high)


def brute_force_cubic(g: Vector, H: Vector, M: float, starts: int = 40) -> float:
    """Lowest m(s) of many local searches: for a few dimensions only."""
    rng = np.random.default_rng(0)
    length = (np.abs(H).sum() + np.sqrt(np.abs(H).sum() ** 2 + 2 * M * np.linalg.norm(g))) / M
    found = [
        minimize(
            lambda s: cubic_change(g, H, M, s),
            length * rng.normal(size=len(g)),
            jac=lambda s: g + H @ s + M / 2 * np.linalg.norm(s) * s,
            method="BFGS",
            options={"gtol": 1e-12},
        ).fun
        for _ in range(starts)
    ]
    return float(min(found))


def trust_region_step(g: Vector, H: Vector, radius: float) -> Vector:
    """Minimiser of g·s + ½ s·Hs over |s| ≤ radius, by SciPy's exact method, first step.

    SciPy lets |s| miss the radius by a tenth, so the step is put back into the ball.
    """
    answer = minimize(
        lambda s: g @ s + 0.5 * s @ H @ s,
        np.zeros_like(g),
        jac=lambda s: g + H @ s,
        hess=lambda s: H,
        method="trust-exact",
        options={
            "initial_trust_radius": radius,
            "max_trust_radius": radius * (1 + 1e-12),
            "maxiter": 1,
        },
    )
    return answer.x * min(1.0, radius / float(np.linalg.norm(answer.x)))
