"""Requests that follow on one another: where they are anchored, what one hands to the next."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from curenu.cubic import LanczosSolver
from curenu.errors import BadRequest
from curenu.facade import erase
from curenu.methods import CuReNU, FineTune, Retrain, StoCuReNU
from curenu.runs.session import Session
from tests.runs.runs import SHORT, SIZE, state_of, vector

STEP = StoCuReNU(single_step=False, max_steps=1, sample_size=64)


def test_anchored_at_the_first_model_a_request_takes_all_that_went_before(folder: Path) -> None:
    session = Session.open(folder)
    first = vector(session.model)
    assert session.unlearn(range(20), CuReNU(max_steps=1)).record.granted
    asked = session.prepare(range(20, 30), STEP, anchor="first")
    assert asked.problem.forget.ids.tolist() == list(range(30))
    assert asked.problem.retain.size == SIZE - 30
    assert asked.positions == tuple(range(20, 30))
    assert asked.problem.anchor is not None
    torch.testing.assert_close(asked.problem.anchor, first, rtol=0, atol=0)
    torch.testing.assert_close(asked.problem.start, vector(session.model), rtol=0, atol=0)
    last = session.prepare(range(20, 30), STEP)
    assert last.problem.forget.ids.tolist() == list(range(20, 30))
    torch.testing.assert_close(last.problem.theta0, last.problem.start, rtol=0, atol=0)


def test_the_anchor_changes_the_second_request_and_not_the_first(
    folder: Path, tmp_path: Path
) -> None:
    runs = {"last": folder, "first": Path(shutil.copytree(folder, tmp_path / "other"))}
    method = CuReNU(max_steps=1)
    for anchor, place in runs.items():
        session = Session.open(place)
        for wanted in (range(40), range(40, 80)):
            session.unlearn(wanted, method, anchor=anchor)  # type: ignore[arg-type]
    (one, two), (other_one, other_two) = (Session.open(place).records for place in runs.values())
    assert one.after == other_one.after
    assert two.after != other_two.after
    assert (two.anchor, other_two.anchor) == ("last", "first")


def test_the_first_anchor_is_for_the_anchored_objective_and_for_what_moved(folder: Path) -> None:
    session = Session.open(folder)
    before = state_of(folder)
    for method in (FineTune(), CuReNU(objective="retain")):
        with pytest.raises(BadRequest, match="does not minimise the anchored objective"):
            session.unlearn([1], method, anchor="first")
    with pytest.raises(BadRequest, match="check_drift"):
        session.unlearn([1], STEP, check_drift=-1)
    assert state_of(folder) == before
    session.unlearn([1], SHORT)
    name = list(dict(session.model.named_parameters()))[-1]
    with pytest.raises(BadRequest, match="parameters that `only` leaves out"):
        session.unlearn([2], STEP, anchor="first", only=name)


def test_a_request_starts_from_the_penalty_of_one_made_the_same_way(folder: Path) -> None:
    session = Session.open(folder)
    first = session.unlearn(range(10), STEP).record
    assert first.penalty_before is None
    assert first.penalty is not None
    second = session.unlearn(range(10, 20), STEP).record
    assert second.penalty_before == first.penalty
    other = session.unlearn(
        range(20, 30), StoCuReNU(single_step=False, max_steps=1, sample_size=65)
    ).record
    assert other.penalty_before is None
    assert session.unlearn([40], StoCuReNU(penalty=5.0, max_steps=1)).record.penalty is None
    assert session.unlearn([41], STEP).record.penalty_before is None


def test_a_penalty_handed_on_saves_measuring_one(folder: Path) -> None:
    """The measured start takes a gradient and a product."""
    method = CuReNU(max_steps=1, solver=LanczosSolver(max_products=3))
    session = Session.open(folder)
    session.unlearn(range(10), method)
    warm = session.prepare(range(10, 20), method).problem
    assert warm.penalty is not None
    one, other = (
        erase(problem, method, seed=0).cost for problem in (replace(warm, penalty=None), warm)
    )
    assert (one.gradients - other.gradients, one.hvps - other.hvps) == (1, 1)


def test_retraining_ends_a_sequence_and_begins_one(folder: Path) -> None:
    session = Session.open(folder)
    session.unlearn(range(10), STEP)
    retrained = session.unlearn(range(10, 20), Retrain())
    assert retrained.record.drift is None
    assert session.base == 2
    torch.testing.assert_close(vector(session.base_model), vector(retrained.model), rtol=0, atol=0)
    with pytest.raises(BadRequest, match="Nothing was erased since"):
        session.drift()
    asked = session.prepare(range(20, 30), STEP, anchor="first")
    assert asked.problem.forget.ids.tolist() == list(range(20, 30))
    drift = session.unlearn(range(20, 30), STEP, anchor="first").record.drift
    assert drift is not None
    assert drift.requests == 1
    assert drift.share == 10 / (SIZE - 20)
