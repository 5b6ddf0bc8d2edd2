"""LCODEC: what is chosen, and the full removal step where all of it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curenu.errors import BadRequest, UnsupportedModel
from curenu.methods import LCODEC
from curenu.newton.dependence import dependence, select
from curenu.risks import UnitResponses
from tests.methods.dense import hessian_of, loss_of
from tests.methods.test_rivals import problem_of
from tests.problems import PROBLEMS, generator


def columns(size: int = 400) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(size, 6))


def test_a_function_of_one_column_picks_that_column_first_and_noise_picks_none() -> None:
    x = columns()
    assert select(np.sin(2 * x[:, 3]), x, 6)[0] == 3
    assert select(x[:, 1] ** 2, 1e6 * x, 1) == [1]
    assert select(np.ones(len(x)), x, 6) == []


def test_a_sum_of_two_needs_both() -> None:
    x = columns()
    assert set(select(2 * x[:, 0] + x[:, 4], x, 2)) == {0, 4}


def test_the_coefficient_is_near_one_for_a_function_and_near_zero_for_independence() -> None:
    x = columns(2000)
    assert dependence(x[:, 0] ** 3, x[:, [0]]) > 0.99
    assert abs(dependence(x[:, 0], x[:, [1]])) < 0.06
    both = x[:, 0] + x[:, 1]
    assert dependence(both, x[:, [1]], x[:, [0]]) > 0.85
    assert abs(dependence(both, x[:, [2]], x[:, [0]])) < 0.1


def test_the_coefficient_by_counting() -> None:
    """Equation 2.2 on five points, pair by pair."""
    y, x = np.array([3.0, 1.0, 2.0, 5.0, 4.0]), np.array([0.0, 1.0, 2.5, 3.0, 7.0])
    nearest = [1, 0, 3, 2, 3]
    ranks = [int(sum(y <= one)) for one in y]
    above = [int(sum(y >= one)) for one in y]
    gained = sum(5 * min(ranks[i], ranks[nearest[i]]) - above[i] ** 2 for i in range(5))
    possible = sum(a * (5 - a) for a in above)
    assert dependence(y, x[:, None]) == pytest.approx(gained / possible)


def test_with_every_unit_and_all_products_it_is_the_full_removal_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "curenu.methods.l_codec.select", lambda values, units, limit: list(range(units.shape[1]))
    )
    problem, given = problem_of("mlp", [4]), PROBLEMS["mlp"]()
    hessian = hessian_of(loss_of(given, problem.retain.ids, 1e-2), problem.start)
    pull = torch.func.grad(loss_of(given, problem.forget.ids))(problem.start)
    shifted = hessian + 0.05 * torch.eye(len(pull), dtype=torch.float64)
    expected = torch.linalg.solve(shifted, pull) / problem.retain.size
    method = LCODEC(damping=0.05, hvp_size=None, max_products=51)
    step = method(problem, generator=generator()).theta - problem.start
    torch.testing.assert_close(step, expected, rtol=1e-6, atol=1e-9)


def test_only_the_rows_of_chosen_units_move() -> None:
    problem = problem_of("mlp", [4])
    seen = UnitResponses(problem.forget)
    values, units = seen(problem.start, 4, 50, 0.1, generator())
    assert values.shape == (50,)
    assert units.shape == (50, 9)  # six hidden, three outputs
    chosen = select(values, units, 2)
    places = seen.units.places(chosen)
    step = LCODEC(max_units=2, perturbations=50)(problem, generator=generator()).theta
    moved = torch.nonzero(step != problem.start).flatten()
    assert torch.equal(moved, places)
    hidden = seen.units.places([2])
    assert hidden.tolist() == [8, 9, 10, 11, 26]  # its four weights, its bias
    assert seen.units.places([6]).tolist() == [30, 31, 32, 33, 34, 35, 48]


def test_activations_are_those_of_the_perturbed_inputs() -> None:
    problem = problem_of("cnn", [1])
    values, units = UnitResponses(problem.forget)(problem.start, 1, 7, 1e-12, generator())
    assert units.shape == (7, 10)  # three and four channels, three outputs
    loss = problem.forget.subset([1])
    without = float(loss.value(problem.start)) - 0.5e-2 * float(problem.start.square().sum())
    assert values == pytest.approx(np.full(7, without), rel=1e-6)
    assert np.ptp(units, axis=0).max() < 1e-9


def test_inputs_without_noise_and_models_without_layers_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="floating tensor"):
        LCODEC()(problem_of("mapping", [1]), generator=generator())
    with pytest.raises(BadRequest):
        LCODEC(perturbations=2)
