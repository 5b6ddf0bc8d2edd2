"""Erasures with products in lower precision: near the usual ones, and their error is told."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import curenu
from curenu.erasure import Erasure, ErasureProblem
from curenu.errors import UnsupportedModel
from curenu.methods import CuReNU, DampedNewton, StoCuReNU
from curenu.risks import EmpiricalRisk
from curenu.tasks import class_positions, load_task
from tests.problems import classes, generator, inputs, mlp


@dataclass(frozen=True)
class Both:
    """Sampled steps from one trained network, with products in either precision."""

    problem: ErasureProblem  # in bfloat16
    lower: Erasure
    full: Erasure


@pytest.fixture(scope="module")
def both() -> Both:
    return in_both(StoCuReNU(single_step=False))


def in_both(method: StoCuReNU) -> Both:
    task = load_task("digits")
    model, gone = task.train_model(0), class_positions(task, [3, 8], 0.5, generator())

    def problem(dtype: torch.dtype | None) -> ErasureProblem:
        risk = EmpiricalRisk(
            model,
            task.train,
            task.loss,
            weight_decay=task.recipe.weight_decay,
            product_dtype=dtype,
        )
        time = replace(task.training_time, passes=None)  # whatever it costs
        return ErasureProblem(risk.start, *risk.split(gone), training=time)

    problems = problem(torch.bfloat16), problem(None)
    found = [method(one, generator=generator()) for one in problems]
    return Both(problems[0], *found)


def apart(both: Both) -> float:
    """How far the two ended from one another, over how far the erasure moved."""
    moved = float((both.full.theta - both.problem.start).norm())
    return float((both.lower.theta - both.full.theta).norm()) / moved


def test_an_erasure_ends_near_the_one_in_float32(both: Both) -> None:
    assert 0.0 < apart(both) <= 0.01


def test_one_step_of_six_products_ends_near_too() -> None:
    """Less so: a larger Krylov space holds flatter directions, which rounding reaches first."""
    found = in_both(StoCuReNU())
    assert [step.products for step in found.full.trace] == [6]
    assert 0.0 < apart(found) <= 0.05


def told(notes: tuple[str, ...]) -> float:
    """How far products are off, as the notes say."""
    (note,) = [note for note in notes if note.startswith("products in bfloat16")]
    (number,) = re.findall(r", (\S+)% off", note)
    return float(number) / 100.0


def test_the_notes_tell_how_far_products_are_off(both: Both) -> None:
    assert 2.0**-12 < told(both.lower.notes) < 4 * 2.0**-8
    assert not any("products in" in note for note in both.full.notes)


def test_the_two_products_that_tell_it_are_counted_and_planned(both: Both) -> None:
    with both.problem.retain.meter.measure() as spent:
        StoCuReNU(max_steps=1)(both.problem, generator=generator())
    plan = StoCuReNU(max_steps=1).plan(both.problem)
    assert spent().examples <= plan.examples
    assert both.lower.cost.hvps == both.full.cost.hvps + 2


@dataclass(frozen=True)
class Small:
    """A small network in float32, and the labels of its data."""

    model: nn.Module
    data: TensorDataset

    def erase(self, method: Any, **options: Any) -> Erasure:
        return curenu.unlearn(
            self.model,
            self.data,
            "cross_entropy",
            forget=[0, 3, 8],
            method=method,
            product_dtype=torch.bfloat16,
            **options,
        ).erasure


def small(*more: nn.Module) -> Small:
    model = nn.Sequential(*mlp().model.float(), *more)
    return Small(model, TensorDataset(inputs(60, 4).float(), classes(60, 3)))


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
@pytest.mark.parametrize("solver", ["eigen", "lanczos", "descent"])
def test_every_solver_takes_products_in_lower_precision(solver: Any, curvature: Any) -> None:
    found = small().erase(CuReNU(solver=solver, curvature=curvature, max_steps=2))
    assert found.status.ok
    assert told(found.notes) < 4 * 2.0**-8


def test_newton_steps_tell_it_too() -> None:
    assert told(small().erase(DampedNewton(1.0, max_products=5)).notes) < 4 * 2.0**-8


class Shifted(nn.Module):
    """Adds a number and takes it off again, which eats all of bfloat16's digits."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + 1e4) - 1e4


@pytest.mark.parametrize("method", [CuReNU(), StoCuReNU(), DampedNewton(1.0, max_products=5)])
def test_products_that_are_a_tenth_off_are_refused(method: Any) -> None:
    with pytest.raises(UnsupportedModel, match=r"product_dtype=None"):
        small(Shifted()).erase(method)


def test_a_certificate_is_of_products_in_full_precision() -> None:
    """A step by a matrix, which is formed in float32, ends at the same bits in both."""
    method = CuReNU(solver="eigen", preconditioner="none", penalty=1.0, max_steps=1)
    lower = small().erase(method)
    net = small()
    full = curenu.unlearn(net.model, net.data, "cross_entropy", forget=[0, 3, 8], method=method)
    assert torch.equal(lower.theta, full.theta)
    assert lower.certificate == full.certificate
