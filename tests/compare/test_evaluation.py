"""Models against retraining, what a method will take, and the diagnosis of degeneracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from curenu.audits import accuracy
from curenu.compare import PROBES, compare, diagnose, diagnose_dense, distance, estimate, evaluate
from curenu.erasure import Plan
from curenu.errors import BadRequest
from curenu.methods import CuReNU
from curenu.risks import EmpiricalRisk
from curenu.runs.session import Session
from curenu.tasks import class_positions
from tests.problems import generator, mlp

STAGES: list[str] = []


@contextmanager
def stage(name: str) -> Iterator[Callable[[int, int], None]]:
    STAGES.append(name)
    yield lambda done, total: None


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    made = Session.create(tmp_path_factory.mktemp("evaluated") / "run", "digits")
    made.unlearn(class_positions(made.task, (0, 1), 0.9, generator()), CuReNU())
    return made


def test_the_rows_are_nothing_oracle_and_the_current_model(session: Session) -> None:
    STAGES.clear()
    nothing, oracle, current = evaluate(session, 2, stage).rows
    assert STAGES == ["oracle 1 of 2", "oracle 2 of 2", "auditing"]
    assert [nothing.name, current.name] == ["do nothing", "curenu"]
    assert (nothing.update_norm, oracle.ratio) == (0.0, 1.0)
    assert current.update_norm == pytest.approx(distance(session.model, session.first_model))
    assert current.products == session.records[0].cost.hvps
    assert current.ratio == pytest.approx(
        session.records[0].cost.seconds / (oracle.seconds or 0), rel=1e-6
    )
    names = [finding.name for finding in current.findings]
    assert {"Rf", "Rr", "Rt", "G accuracy", "G loss", "G margin", "ToW", "JSD f"} <= set(names)
    assert {"RMIA AUC", "RMIA TPR", "both models AUC", "distance"} <= set(names)
    attack = current.finding("RMIA AUC")
    assert attack is not None
    references = [oracle.finding("RMIA AUC"), attack]
    assert references[0].value == pytest.approx(attack.reference)  # type: ignore[union-attr]
    assert [finding.name for finding in oracle.findings] == names
    for letter in "frt":
        assert oracle.finding(f"R{letter}").value == pytest.approx(1.0)  # type: ignore[union-attr]
    assert nothing.finding("G loss").value == 0.0  # type: ignore[union-attr]
    ratio = current.finding("Rf")
    assert ratio is not None
    assert ratio.interval is not None
    assert ratio.interval[0] < ratio.value < ratio.interval[1]


def asked(place: Path, keep: Literal["all", "current"]) -> Session:
    """A session with one small request, of which the model before is kept or not."""
    made = Session.create(place / keep, "digits", keep=keep)
    made.unlearn([4, 8, 15], CuReNU(max_steps=1))
    return made


def test_without_the_model_before_what_needs_it_is_left_out_and_named(tmp_path: Path) -> None:
    whole, bare = (evaluate(asked(tmp_path, keep), 2, stage) for keep in ("all", "current"))
    assert [row.name for row in bare.rows] == ["oracle (retrained)", "curenu"]
    assert any("disposed of" in sentence for sentence in bare.missing)
    assert not any("disposed of" in sentence for sentence in whole.missing)
    kept, left = whole.rows[-1], bare.rows[-1]
    assert left.update_norm is None
    names = {finding.name for finding in left.findings}
    gone = {finding.name for finding in kept.findings} - names
    assert gone >= {"both models AUC"}
    assert all(name.startswith(("G ", "both models")) for name in gone)
    for name in names:
        assert left.finding(name).value == kept.finding(name).value  # type: ignore[union-attr]
    assert any("cannot be known" in sentence for sentence in bare.conclusions)


def test_a_retrained_model_is_no_erasure(tmp_path: Path) -> None:
    """What was asked before it was trained anew is neither its method nor its cost."""
    made = asked(tmp_path, "all")
    made.retrain()
    found = evaluate(made, 2, stage)
    assert found.rows[-1].name == "the run's own retraining"
    assert found.rows[-1].seconds is found.rows[-1].ratio is None
    assert not any("Retraining is cheaper" in sentence for sentence in found.conclusions)
    made.unlearn([16], CuReNU(max_steps=1))
    row = evaluate(made, 2, stage).rows[-1]
    assert row.name == "curenu"
    assert row.seconds == made.records[-1].seconds


def test_unlearning_is_closer_to_the_oracle_than_doing_nothing(session: Session) -> None:
    nothing, oracle, current = evaluate(session, 2, stage).rows
    floor, before, after = (row.finding("JSD f") for row in (oracle, nothing, current))
    assert floor is not None
    assert before is not None
    assert after is not None
    assert floor.value < after.value < before.value
    assert before.reference == after.reference == floor.value


def test_outputs_are_the_models_own(session: Session) -> None:
    oracles = [session.oracle(number) for number in range(2)]
    comparison = compare(
        session.task, session.erased, session.retained, session.first_model, oracles
    )
    split = comparison.split(session.model)
    x, y = session.task.train[list(session.erased)]  # type: ignore[misc]
    torch.testing.assert_close(split.forget.logits, session.model(x).detach())
    assert torch.equal(split.forget.targets, y)
    assert len(split.retain.targets) == len(session.retained)
    right = (session.model(x).argmax(1) == y).double().mean()
    assert accuracy("FA", split.forget).value == pytest.approx(float(right))


def test_an_evaluation_needs_an_erasure_and_two_oracles(session: Session, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no spread"):
        evaluate(session, 1, stage)
    with pytest.raises(BadRequest, match="no spread"):
        compare(session.task, [1], [2], session.model, [session.oracle(0)])
    fresh = Session.create(tmp_path / "run", session.task)
    with pytest.raises(BadRequest, match="Nothing has been erased"):
        evaluate(fresh, 2, stage)


def test_an_estimate_grows_with_the_plan_and_knows_its_vectors() -> None:
    problem = mlp()
    risk = EmpiricalRisk(problem.model, problem.dataset, problem.loss)
    small = estimate(risk, Plan(examples=100, vectors=2, curvature="hessian"))
    large = estimate(risk, Plan(examples=100_000, vectors=2, curvature="hessian"))
    assert large.seconds > 20 * small.seconds > 0
    more = estimate(risk, Plan(examples=100, vectors=12, curvature="hessian"))
    assert more.bytes - small.bytes == 10 * risk.dimension * 8
    dense = estimate(risk, Plan(examples=100, vectors=2, matrices=3, curvature="hessian"))
    assert dense.bytes - small.bytes == 3 * 8 * risk.dimension**2
    first_order = estimate(risk, Plan(examples=100, vectors=2))
    assert first_order.bytes < small.bytes


def test_a_plan_is_an_upper_bound_of_what_a_full_budget_passes(session: Session) -> None:
    """In examples; the seconds of an estimate depend on the machine's load and are not compared."""
    asked = session.prepare([session.retained[0]], CuReNU(max_steps=2, tolerance=0.0))
    plan = asked.method.plan(asked.problem)
    assert estimate(asked.risk, plan).seconds > 0
    with asked.risk.meter.measure() as spent:
        asked.method(asked.problem, generator=generator())
    assert 0 < spent().examples / plan.examples <= 1


def test_krylov_and_dense_diagnoses_agree_on_the_ends() -> None:
    problem = mlp()
    risk = EmpiricalRisk(problem.model, problem.dataset, problem.loss)
    dense = diagnose_dense(risk, risk.start)
    found = diagnose(risk, risk.start, products=risk.dimension, generator=generator())
    assert dense.exact
    assert not found.exact
    assert len(dense.nodes) == risk.dimension
    assert found.weights.sum() == pytest.approx(1.0)
    for end in ("smallest", "largest"):
        value = getattr(dense.ends, end).value
        assert getattr(found.ends, end).value == pytest.approx(value, rel=1e-6)
    assert found.spectrum.nonpositive_share == pytest.approx(
        dense.spectrum.nonpositive_share, abs=3 / np.sqrt(PROBES * risk.dimension)
    )
    assert dense.spectrum.lambda_min < 0 < dense.spectrum.lambda_max
