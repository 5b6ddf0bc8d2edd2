"""The drift meter: figures against what they stand for, and a reason for every advice."""

from __future__ import annotations

import dataclasses
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset

from curenu.cost import Cost
from curenu.cubic import LanczosSolver
from curenu.errors import BadRequest
from curenu.losses import Loss
from curenu.methods import CuReNU, FineTune
from curenu.risks import AnchoredRisk, EmpiricalRisk
from curenu.runs.drift import (
    COST_LIMIT,
    DRIFT_LIMIT,
    NOISE_LIMIT,
    Chain,
    advise,
    chain_of,
    measure,
)
from curenu.runs.ledger import Since
from curenu.runs.records import AimReached, DriftCheck, DriftRecord
from curenu.runs.session import Session
from curenu.status import SHARE_LIMIT, Advice
from curenu.tasks import Recipe, Task, random_positions
from tests.problems import generator

AIM = AimReached(
    gradient_norm=0.1,
    gradient_error=0.01,
    first_gradient_norm=0.5,
    gain=0.01,
    gain_error=0.001,
    examples=1024,
)
CHECK = DriftCheck(
    distance=0.5,
    first_distance=1.0,
    divergence=0.001,
    first_divergence=0.01,
    examples=9,
    cost=Cost(),
)
ORDINARY = DriftRecord(
    requests=3, share=0.05, path=1.0, distance=0.8, ratio=0.3, aim=AIM, check=CHECK
)


def with_aim(**changes: float) -> DriftRecord:
    return ORDINARY.model_copy(update={"aim": AIM.model_copy(update=changes)})


def with_check(**changes: float | None) -> DriftRecord:
    return ORDINARY.model_copy(update={"check": CHECK.model_copy(update=changes)})


def test_an_ordinary_sequence_is_given_no_advice() -> None:
    assert advise(ORDINARY) == ()
    bare = ORDINARY.model_copy(update={"aim": None, "check": None, "ratio": None})
    assert advise(bare) == ()


@pytest.mark.parametrize(
    ("drift", "stuck", "advice"),
    [
        (ORDINARY.model_copy(update={"ratio": COST_LIMIT}), 0, Advice.COST),
        (ORDINARY.model_copy(update={"share": SHARE_LIMIT + 0.01}), 0, Advice.SHARE),
        (ORDINARY, 2, Advice.STUCK),
        (with_aim(gain=0.9 * NOISE_LIMIT * AIM.gain_error), 0, Advice.NOISE),
        (with_aim(gain=0.0, gain_error=0.0), 0, Advice.NOISE),
        (with_check(divergence=1.1 * DRIFT_LIMIT * 0.01), 0, Advice.DRIFTED),
        (
            with_check(divergence=None, first_divergence=None, distance=1.1 * DRIFT_LIMIT),
            0,
            Advice.DRIFTED,
        ),
    ],
)
def test_each_reason_gives_its_advice_alone(drift: DriftRecord, stuck: int, advice: Advice) -> None:
    assert advise(drift, stuck=stuck) == (advice,)
    assert str(advice).startswith("Retrain: ")


def test_just_below_its_limit_no_reason_is_given() -> None:
    below = with_aim(gain=1.1 * NOISE_LIMIT * AIM.gain_error).model_copy(
        update={"ratio": 0.99 * COST_LIMIT, "share": SHARE_LIMIT}
    )
    assert advise(below, stuck=1) == ()
    assert advise(with_check(divergence=0.99 * DRIFT_LIMIT * 0.01)) == ()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return Session.create(tmp_path_factory.mktemp("trained") / "run", "digits")


@pytest.fixture(scope="module")
def session(trained: Session, tmp_path_factory: pytest.TempPathFactory) -> Session:
    place = shutil.copytree(trained.store.folder, tmp_path_factory.mktemp("drift") / "run")  # type: ignore[attr-defined]
    made = Session.open(place)
    union = random_positions(made.task, 0.04, generator())
    for number in range(2):
        made.unlearn(union[number::2], CuReNU(max_steps=1))
    return made


def chain(session: Session) -> Chain:
    return chain_of(session, session.model, session.training)


def test_path_and_distance_are_those_of_the_weights(session: Session) -> None:
    drift = session.records[-1].drift
    assert drift is not None
    risk = session.risk(session.first_model)
    theta = [risk.parameters.flatten(dict(m.named_parameters())) for m in (
        session.first_model, session.load(session.records[0].after), session.model)]  # fmt: skip
    steps = [float((b - a).norm()) for a, b in pairwise(theta)]
    assert drift.path == pytest.approx(sum(steps), rel=1e-5)
    assert drift.distance == pytest.approx(float((theta[2] - theta[0]).norm()), rel=1e-5)
    assert drift.distance < drift.path
    assert drift.requests == 2
    assert drift.share == len(session.erased) / session.description.examples
    seconds = sum(record.cost.seconds for record in session.records)
    assert drift.ratio == pytest.approx(seconds / session.description.seconds)


def test_the_aim_is_estimated_within_its_standard_errors(session: Session) -> None:
    """Against the objective on all examples, from four standard errors on."""
    made = chain(session)
    problem = made.at_once
    whole = AnchoredRisk(problem.retain, problem.forget, problem.start)
    aim = measure(made, anchored=True).aim
    assert aim is not None
    gain = float(whole.value(problem.start) - whole.value(made.theta))
    assert abs(aim.gain - gain) < 4 * aim.gain_error
    before = float(whole.gradient(problem.start).norm())
    assert aim.first_gradient_norm == pytest.approx(before, rel=1e-3)
    left = float(whole.gradient(made.theta).norm())
    assert abs(aim.gradient_norm - left) < 4 * aim.gradient_error
    assert aim.examples == 1024


def test_measuring_leaves_the_requests_and_the_models_alone(session: Session) -> None:
    weights, records = session.current, session.records
    drift = session.drift(CuReNU(max_steps=1))
    assert drift.check is not None
    assert drift.check.cost.hvps > 0
    assert (session.current, session.records) == (weights, records)
    again = session.drift(CuReNU(max_steps=1)).check
    assert again is not None
    assert dataclasses.replace(again.cost, seconds=0.0, peak_bytes=0) == dataclasses.replace(
        drift.check.cost, seconds=0.0, peak_bytes=0
    )
    assert again.model_copy(update={"cost": Cost()}) == drift.check.model_copy(
        update={"cost": Cost()}
    )


def test_one_request_compared_with_itself_has_not_drifted(trained: Session) -> None:
    """Without a second block CuReNU draws nothing: erasing at once repeats the only request."""
    method = CuReNU(max_steps=1, solver=LanczosSolver(hidden_products=0))
    drift = trained.unlearn(range(30), method, check_drift=1).record.drift
    assert drift is not None
    check = drift.check
    assert check is not None
    assert check.distance < 1e-3 * check.first_distance
    assert check.divergence is not None
    assert check.first_divergence is not None
    assert check.divergence < 1e-3 * check.first_divergence
    assert drift.advice == ()


def test_a_method_with_another_aim_is_not_measured_by_the_anchored_one(
    session: Session, tmp_path: Path
) -> None:
    place = shutil.copytree(session.store.folder, tmp_path / "run")  # type: ignore[attr-defined]
    drift = Session.open(place).unlearn([session.retained[0]], FineTune(epochs=1)).record.drift
    assert drift is not None
    assert drift.aim is None
    assert drift.cost.examples == 0


class Named(Dataset[Any]):
    """Items that are mappings, whose loss hides what the model says."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": inputs()[index], "y": inputs()[index, :1]}


def inputs() -> torch.Tensor:
    return torch.randn(12, 3, generator=generator())


def named_loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return (model(batch["x"])[:, :1] - batch["y"]).square().flatten()


def counts_loss(outputs: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    return (outputs.sum(1).exp() - counts * outputs.sum(1)).mean()


def compared(dataset: Dataset[Any], loss: Loss, outputs: int, **task: Any) -> DriftCheck:
    """The drift check of a linear model, moved from where one request erases three examples."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(3, outputs)
    risk = EmpiricalRisk(model, dataset, loss, weight_decay=0.1)
    made = Task("t", lambda: model, dataset, dataset, loss, Recipe(1, 4, 0.1), **task)
    moved = risk.start + 0.1
    chain = Chain(
        made, risk, moved, Since(), [0, 1, 2], list(range(3, 12)), 1.0, 0, made.training_time
    )
    check = measure(chain, anchored=False, once=CuReNU(max_steps=1)).check
    assert check is not None
    return check


CLASSES = torch.arange(12) % 2


@pytest.mark.parametrize(
    ("dataset", "loss", "outputs", "task", "decides"),
    [
        (TensorDataset(inputs(), CLASSES), "cross_entropy", 2, {}, True),
        (TensorDataset(inputs(), CLASSES), functional.cross_entropy, 2, {}, True),
        (TensorDataset(inputs(), inputs()[:, :1]), "mse", 1, {}, False),
        (TensorDataset(inputs(), CLASSES), counts_loss, 1, {}, False),
        (Named(), named_loss, 1, {}, False),
        (
            TensorDataset(inputs(), inputs()[:, :1]),
            "mse",
            1,
            {"decisions": lambda o, t: (torch.cat((-o, o), 1), (t[:, 0] > 0).long())},
            True,
        ),
    ],
)
def test_outputs_are_compared_where_they_decide_between_classes(
    dataset: Dataset[Any], loss: Loss, outputs: int, task: dict[str, Any], decides: bool
) -> None:
    check = compared(dataset, loss, outputs, **task)
    assert check.distance > 0
    assert (check.divergence is not None) == (check.first_divergence is not None) == decides


def test_decisions_that_are_none_are_an_error_and_not_a_task_without_any() -> None:
    data = TensorDataset(inputs(), CLASSES)
    with pytest.raises(BadRequest, match="audits are of classifiers"):
        compared(data, "cross_entropy", 2, decisions=lambda o, t: (o[:, 0], t))


@pytest.mark.slow
@pytest.mark.parametrize("anchor", ["last", "first"])
def test_five_requests_end_close_to_erasing_all_at_once(tmp_path: Path, anchor: str) -> None:
    """Within a quarter of what there was to erase, by a method that draws no samples."""
    made = Session.create(tmp_path / "run", "digits", seed=1)
    union = np.random.default_rng(0).permutation(random_positions(made.task, 0.05, generator()))
    for part in np.array_split(union, 5):
        made.unlearn(part.tolist(), CuReNU(), anchor=anchor, check_drift=5)  # type: ignore[arg-type]
    drift = made.records[-1].drift
    assert drift is not None
    check = drift.check
    assert check is not None
    assert check.divergence is not None
    assert check.first_divergence is not None
    assert check.divergence < 0.25 * check.first_divergence
    assert Advice.DRIFTED not in drift.advice
    assert [r.drift.check is not None for r in made.records if r.drift] == [False] * 4 + [True]
