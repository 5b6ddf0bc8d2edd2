"""The low-rank step: exact on what it keeps, damped on the rest, k by the loss change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curenu.errors import BadRequest, IllPosed
from curenu.linear import low_rank_solve
from tests.cubic.kinds import KINDS, SIZE

KRYLOV = [None, SIZE]
SHARES = [0.3, 0.9, 0.999, 1.0]


def oracle(
    g: np.ndarray, H: np.ndarray, damping: float, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """(step, kept eigenvectors as columns), one eigenvector after the other."""
    values, U = np.linalg.eigh(H)
    order = [j for j in np.argsort(-values) if values[j] > 1e-12 * np.abs(values).max()]
    change = {j: 0.5 * (U[:, j] @ g) ** 2 / (values[j] + damping) for j in order}
    kept, made = [], 0.0
    while made < share * sum(change.values()) * (1 - 1e-12):
        kept.append(order[len(kept)])
        made += change[kept[-1]]
    on = U[:, kept]
    exact = -on @ (on.T @ g / values[kept])
    return exact - (g - on @ (on.T @ g)) / (values[kept[-1]] + damping), on


@pytest.mark.parametrize("products", KRYLOV)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", ["positive definite", "indefinite", "low rank"])
def test_the_step_is_exact_on_the_top_eigenvectors_and_damped_off_them(
    kind: str, share: float, products: int | None
) -> None:
    g, H = KINDS[kind]()
    found = low_rank_solve(H, g, 0.2, share=share, max_products=products)
    step, kept = oracle(g.numpy(), H.numpy(), 0.2, share)
    np.testing.assert_allclose(found.step.numpy(), step, rtol=1e-7, atol=1e-9)
    assert found.notes[0].startswith(f"{kept.shape[1]} eigenpairs make ")


def test_on_a_quadratic_the_loss_left_is_that_of_what_was_dropped() -> None:
    """A huge damping leaves the rest where it is: ½ Σ h s² over the dropped steps s = −c/h."""
    g, H = KINDS["positive definite"]()
    values, U = torch.linalg.eigh(H)
    c = U.mT @ g
    found = low_rank_solve(H, g, 1e13, share=0.6)
    kept = int(found.notes[0].split()[0])
    assert 1 < kept < SIZE - 1
    change = float(g @ found.step + 0.5 * found.step @ H @ found.step)
    most = float(-0.5 * (c.square() / values).sum())
    dropped = values[:-kept], -c[:-kept] / values[:-kept]
    left = float(0.5 * (dropped[0] * dropped[1].square()).sum())
    assert change - most == pytest.approx(left, rel=1e-9)


def test_all_of_a_positive_definite_matrix_is_the_newton_step() -> None:
    g, H = KINDS["positive definite"]()
    found = low_rank_solve(H, g, 0.5, share=1.0)
    torch.testing.assert_close(found.step, -torch.linalg.solve(H, g), rtol=1e-9, atol=1e-12)
    assert found.residual < 1e-9


def test_directions_that_curve_down_are_gone_down_and_never_up() -> None:
    """The undamped Newton step climbs to the saddle; this one does not."""
    g, H = KINDS["indefinite"]()
    values, U = torch.linalg.eigh(H)
    found = low_rank_solve(H, g, 0.0, share=1.0)
    along, slope = U.mT @ found.step, U.mT @ g
    assert (along[values < 0] * slope[values < 0] < 0).all()


@pytest.mark.parametrize("kind", ["negative definite", "zero"])
def test_a_matrix_without_positive_eigenvalues_is_ill_posed(kind: str) -> None:
    g, H = KINDS[kind]()
    with pytest.raises(IllPosed, match="No eigenvalue"):
        low_rank_solve(H, g, 0.1)


@pytest.mark.parametrize(("damping", "share"), [(-1.0, 0.9), (0.1, 0.0), (0.1, 1.1)])
def test_settings_that_cannot_be_meant_are_refused(damping: float, share: float) -> None:
    with pytest.raises(BadRequest):
        low_rank_solve(torch.eye(2), torch.ones(2), damping, share=share)
