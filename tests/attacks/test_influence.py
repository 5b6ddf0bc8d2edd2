"""On ridge regression the influence of a request is the exact derivative of the holdout loss."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from curenu.attacks import HoldoutInfluence
from curenu.errors import BadRequest, UnsupportedModel
from curenu.risks import EmpiricalRisk
from tests.attacks.ridge import DECAY, Ridge
from tests.methods.dense import loss_of, single_gradients
from tests.problems import PROBLEMS

REQUEST = [1, 4, 5, 17]


def risks(ridge: Ridge) -> tuple[EmpiricalRisk, EmpiricalRisk]:
    model = ridge.model()
    risk = EmpiricalRisk(
        model, ridge.data, "mse", weight_decay=DECAY, weights=torch.from_numpy(ridge.weights)
    )
    return risk, EmpiricalRisk(model, ridge.holdout, "mse")


@pytest.fixture(params=["plain", "weighed"])
def ridge(request: pytest.FixtureRequest) -> Ridge:
    drawn = Ridge.drawn()
    plain = dataclasses.replace(drawn, weights=np.ones(len(drawn.x)))
    return plain if request.param == "plain" else drawn


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
@pytest.mark.parametrize("max_products", [None, 30])
def test_influence_is_the_derivative_of_the_exact_change(ridge, curvature, max_products) -> None:
    risk, holdout = risks(ridge)
    influence = HoldoutInfluence.of(
        risk, holdout, curvature=curvature, damping=0.0, max_products=max_products
    )
    found = influence.figures(risk.subset(REQUEST)).changes
    assert influence.residual < 1e-10
    for place, one in enumerate(REQUEST):
        exact = (ridge.change([one], 1e-4) - ridge.change([one], -1e-4)) / 2e-4
        assert float(found[place]) == pytest.approx(exact, rel=1e-6)
    exact = (ridge.change(REQUEST, 1e-4) - ridge.change(REQUEST, -1e-4)) / 2e-4
    assert float(found.sum()) == pytest.approx(exact, rel=1e-6)


def test_what_influence_misses_of_the_exact_change_is_of_second_order(ridge) -> None:
    risk, holdout = risks(ridge)
    influence = HoldoutInfluence.of(risk, holdout, damping=0.0, max_products=None)
    slope = float(influence.figures(risk.subset(REQUEST)).changes.sum())
    missed = [ridge.change(REQUEST, share) - share * slope for share in (0.02, 0.01)]
    assert missed[0] / missed[1] == pytest.approx(4.0, rel=0.05)
    assert abs(missed[1]) < 0.05 * abs(0.01 * slope)


def test_figures_of_a_network_equal_dense_ones_written_apart() -> None:
    given = PROBLEMS["mlp"]()
    ids = torch.arange(12)
    risk = EmpiricalRisk(given.model, given.dataset, given.loss, weight_decay=0.01).subset(ids)
    holdout = EmpiricalRisk(given.model, given.dataset, given.loss).subset([13, 14, 16])
    influence = HoldoutInfluence.of(
        risk, holdout, curvature="hessian", damping=2.0, max_products=None
    )
    theta = risk.start
    bent = torch.func.hessian(loss_of(given, ids, 0.01))(theta) + 2.0 * torch.eye(len(theta))
    aim = torch.func.grad(loss_of(given, torch.tensor([13, 14, 16])))(theta)
    rows = single_gradients(given, ids, theta)
    expected = (rows - rows.mean(0)) @ torch.linalg.solve(bent, aim) / 12
    found = influence.figures(risk)
    torch.testing.assert_close(found.changes, expected, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(found.norms, rows.norm(dim=1), rtol=1e-8, atol=1e-12)


def test_content_that_equals_an_example_has_its_figures(ridge) -> None:
    ridge = dataclasses.replace(ridge, weights=np.ones(len(ridge.x)))
    risk, holdout = risks(ridge)
    influence = HoldoutInfluence.of(risk, holdout)
    x, y = ridge.data.tensors
    brought = influence.figures(influence.over(TensorDataset(x[REQUEST], y[REQUEST])))
    own = influence.figures(risk.subset(REQUEST))
    torch.testing.assert_close(brought.changes, own.changes, rtol=1e-12, atol=0)
    torch.testing.assert_close(brought.norms, own.norms, rtol=1e-12, atol=0)


def test_a_holdout_objective_of_another_model_is_refused() -> None:
    given, other = PROBLEMS["mlp"](), PROBLEMS["regression"]()
    risk = EmpiricalRisk(given.model, given.dataset, given.loss)
    with pytest.raises(BadRequest, match="parameters of its own"):
        HoldoutInfluence.of(risk, EmpiricalRisk(other.model, other.dataset, other.loss))


def test_items_that_are_mappings_are_refused_by_name() -> None:
    given = PROBLEMS["mapping"]()
    risk = EmpiricalRisk(given.model, given.dataset, given.loss)
    influence = HoldoutInfluence.of(risk, risk.subset([0, 1]), curvature="hessian", damping=9.0)
    with pytest.raises(UnsupportedModel, match="pairs"):
        influence.figures(risk)
