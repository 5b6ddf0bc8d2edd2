"""What a default run may cost, in products and examples: a rise is a decision, not an accident."""

from __future__ import annotations

import pytest
import torch

from curenu.erasure import Erasure, ErasureProblem
from curenu.methods import StoCuReNU
from curenu.risks import EmpiricalRisk
from curenu.tasks import class_positions, load_task
from tests.problems import generator

# Examples passed, forward only or more, over those of one pass of all training data. The one
# place to change when the defaults do.
PASSES = 37.5


@pytest.fixture(scope="module")
def problem() -> ErasureProblem:
    task = load_task("digits")
    risk = EmpiricalRisk(
        task.train_model(0), task.train, task.loss, weight_decay=task.recipe.weight_decay
    )
    retain, forget = risk.split(class_positions(task, [3, 8], 0.5, generator()))
    return ErasureProblem(risk.start, retain, forget)


@pytest.fixture(scope="module")
def erasure(problem) -> Erasure:
    return StoCuReNU()(problem, generator=torch.Generator().manual_seed(0))


def test_the_products_of_a_default_run_are_those_of_its_steps(erasure) -> None:
    """Per step the solver's budget; once, one product for the first penalty."""
    method = StoCuReNU()
    solver = method.solver
    assert not isinstance(solver, str)
    rounds = max(1, -(-len(erasure.trace) // method.max_steps))  # samples may have grown
    budget = solver.budget(2410).products
    assert erasure.cost.hvps <= rounds * (method.max_steps * budget + 1)


def test_a_default_run_passes_no_more_examples_than_it_did(problem, erasure) -> None:
    everything = problem.retain.size + problem.forget.size
    assert erasure.cost.examples <= PASSES * everything


def test_the_plan_bounds_what_a_default_run_passes(problem, erasure) -> None:
    if len(erasure.trace) > StoCuReNU().max_steps:
        pytest.skip("samples were grown, which comes on top of the plan")
    assert erasure.cost.examples <= StoCuReNU().plan(problem).examples
