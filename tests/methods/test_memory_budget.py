"""What a byte budget changes of a cubic method: what is kept and what is passed, not the step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from curenu.autodiff.linearisation import Linearisation
from curenu.cubic import EigenSolver, LanczosSolver
from curenu.erasure import Erasure, ErasureProblem
from curenu.errors import BadRequest, UnsupportedModel
from curenu.methods import CuReNU, StoCuReNU
from curenu.risks import EmpiricalRisk
from tests.problems import generator, inputs, mlp

ARGUMENTS: dict[type, dict[str, Any]] = {
    CuReNU: {
        "max_steps": 1,
        "certificate_products": 0,
        "solver": LanczosSolver(20, hidden_products=0),
    },
    StoCuReNU: {
        "max_steps": 2,
        "sample_size": 30,
        "solver": LanczosSolver(max_products=12, hidden_products=0),
    },
}
BOTH = pytest.mark.parametrize("method", list(ARGUMENTS))


def problem() -> ErasureProblem:
    """Labels that can be learnt: a step from a sample then holds on other examples."""
    x = inputs(60, 4)
    data = TensorDataset(x, x[:, :3].argmax(1))
    risk = EmpiricalRisk(mlp().model, data, "cross_entropy", micro_batch_size=16)
    return ErasureProblem(risk.start, *risk.split([0, 3, 8]))


def run(method: Any, **more: Any) -> Erasure:
    made = method(**ARGUMENTS[method], **more)
    return made(problem(), generator=generator())


@BOTH
@pytest.mark.parametrize("aim", ["anchored", "retain"])
@pytest.mark.parametrize("preconditioner", ["none", "auto"])
def test_the_step_does_not_depend_on_the_budget(method: Any, aim: Any, preconditioner: Any) -> None:
    options = {"objective": aim, "preconditioner": preconditioner}
    large, small = (run(method, memory_budget=budget, **options) for budget in (None, 0))
    assert not torch.equal(large.theta, problem().start)
    torch.testing.assert_close(small.theta, large.theta, rtol=1e-6, atol=1e-8)
    assert [record.accepted for record in small.trace] == [r.accepted for r in large.trace]


@BOTH
def test_a_small_budget_takes_more_products_and_fewer_vectors(method: Any) -> None:
    large, small = (method(**ARGUMENTS[method], memory_budget=budget) for budget in (None, 0))
    saved = ARGUMENTS[method]["solver"].max_products  # a basis of k vectors and four, or four
    plans = [made.plan(problem()) for made in (large, small)]
    assert plans[0].vectors - plans[1].vectors == saved
    assert plans[1].examples > plans[0].examples
    counts = [made(problem(), generator=generator()).cost.hvps for made in (large, small)]
    assert counts[1] > counts[0]


def test_the_basis_is_kept_from_the_budget_on_that_holds_it() -> None:
    kept = 12 * problem().retain.dimension * 4  # bytes of twelve vectors in float32
    vectors = {
        budget: StoCuReNU(
            solver=LanczosSolver(max_products=12, hidden_products=0),
            preconditioner="none",
            memory_budget=budget,
        )
        .plan(problem())
        .vectors
        for budget in (None, 9 * kept // 4 + 9, 9 * kept // 4 - 9, 0)
    }
    assert list(vectors.values()) == [vectors[None]] * 2 + [vectors[None] - 12] * 2


def test_a_basis_of_up_to_eight_vectors_is_kept_on_any_budget() -> None:
    for products, doubled in ((3, False), (8, False), (9, True)):
        method = StoCuReNU(
            solver=LanczosSolver(products, tolerance=0.0, hidden_products=0),
            max_steps=1,
            sample_size=30,
            penalty=1.0,
            memory_budget=0,
        )
        hvps = method(problem(), generator=generator()).cost.hvps
        assert hvps == products * (1 + doubled)


@BOTH
def test_graphs_and_outputs_are_kept_within_the_budget(
    method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs: list[int] = []
    product = Linearisation.__matmul__

    def spied(self: Linearisation, vector: torch.Tensor) -> torch.Tensor:
        image = product(self, vector)
        graphs.append(self.kept_graphs)
        return image

    monkeypatch.setattr(Linearisation, "__matmul__", spied)
    options: Any = {"curvature": "hessian", "preconditioner": "none"}
    large = run(method, **options)
    assert min(graphs) > 0
    graphs.clear()
    small = run(method, memory_budget=0, **options)
    assert graphs
    assert max(graphs) == 0
    per_product = [made.cost.examples / made.cost.hvps for made in (large, small)]
    assert per_product[1] > per_product[0]  # outputs at theta0 are passed for again


def test_the_smaller_of_two_budgets_holds() -> None:
    whole = CuReNU(solver="eigen", objective="retain", preconditioner="none")
    assert run_with(whole).trace
    narrow: tuple[CuReNU, ...] = (
        CuReNU(solver=EigenSolver(memory_budget=10), memory_budget=2**30),
        CuReNU(solver=EigenSolver(), memory_budget=10),
    )
    for method in narrow:
        with pytest.raises(UnsupportedModel, match="more than"):
            run_with(method)


def run_with(method: CuReNU) -> Erasure:
    return method(problem(), generator=generator())


@BOTH
@pytest.mark.parametrize("budget", [-1, 0.5, "1 GiB", True])
def test_a_budget_that_is_no_number_of_bytes_is_refused(method: Any, budget: Any) -> None:
    with pytest.raises(BadRequest, match="memory_budget"):
        method(memory_budget=budget)
