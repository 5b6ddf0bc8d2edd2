"""Evaluations of what is no classifier, of requests that no attack fits, and what they say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from torch import nn
from torch.utils.data import TensorDataset

from curenu.audits import Finding
from curenu.compare import Assessment, cheaper, conclusions, evaluate, membership
from curenu.compare.predictions import PredictionReferences, Predictions, Sets, predictions_of
from curenu.methods import FineTune
from curenu.networks import Networks
from curenu.report import Report, Row, Section, columns_for
from curenu.runs.session import Session
from curenu.tasks import Recipe, Task, load_task
from tests.runs.runs import SHORT


@contextmanager
def stage(_: str) -> Iterator[Callable[[int, int], None]]:
    yield lambda done, total: None


def diabetes(loss: Any = "mse") -> Task:
    """A network that predicts the progress of diabetes: a regression."""
    x, y = load_diabetes(return_X_y=True)
    inputs = torch.from_numpy(x * 20).float()
    targets = torch.from_numpy((y - y.mean()) / y.std()).float()[:, None]
    return Task(
        name="diabetes",
        build=lambda: nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 1)),
        train=TensorDataset(inputs[:300], targets[:300]),
        test=TensorDataset(inputs[300:], targets[300:]),
        loss=loss,
        recipe=Recipe(30, 30, 0.05, weight_decay=1e-3),
    )


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, Assessment]:
    session = Session.create(tmp_path_factory.mktemp("diabetes") / "run", diabetes())
    session.unlearn(range(40), FineTune(epochs=1))
    return session, evaluate(session, 3, stage)


def test_a_regression_is_compared_by_losses_and_outputs(
    regression: tuple[Session, Assessment],
) -> None:
    session, found = regression
    nothing, oracle, current = found.rows
    x, y = session.task.train[:40]  # type: ignore[misc]
    oracles = [session.oracle(number).model(x).detach() for number in range(3)]
    own = session.model(x).detach()
    loss = current.finding("loss f")
    assert loss is not None
    assert loss.value == pytest.approx(float((own - y).square().mean()), rel=1e-5)
    losses = [float((each - y).square().mean()) for each in oracles]
    assert loss.reference == pytest.approx(np.mean(losses), rel=1e-5)
    floor = np.mean([float((oracles[a] - oracles[b]).square().mean())
                     for a, b in ((0, 1), (0, 2), (1, 2))])  # fmt: skip
    ratio = np.mean([float((own - each).square().mean()) for each in oracles]) / floor
    assert current.finding("Df").value == pytest.approx(ratio, rel=1e-4)  # type: ignore[union-attr]
    assert oracle.finding("Df").value == pytest.approx(1.0)  # type: ignore[union-attr]
    before = float((session.first_model(x).detach() - y).square().mean())
    goal = float(np.mean(losses))
    share = 1 - abs(loss.value - goal) / abs(before - goal)
    assert current.finding("G loss").value == pytest.approx(share, abs=1e-3)  # type: ignore[union-attr]
    assert nothing.finding("G loss").value == 0.0  # type: ignore[union-attr]
    attack = current.finding("loss attack AUC")
    assert attack is not None
    assert 0 <= attack.value <= 1
    assert attack.reference is not None
    assert "Df" in [column.figure for column in columns_for(found.rows)]
    assert "Rf" not in [column.figure for column in columns_for(found.rows)]
    models = tuple(row.model() for row in found.rows)
    section = Section("s", models=models, featured=current.name, conclusions=found.conclusions)
    page = Report("Diabetes", "", (section,)).html()
    assert ">Df</a>" in page
    assert "loss f" in page
    assert "What may be concluded" in page


def test_what_does_not_apply_is_said(regression: tuple[Session, Assessment]) -> None:
    _, found = regression
    assert "does not decide between classes" in found.missing[0]
    assert any("attack by loss" in sentence for sentence in found.conclusions)
    assert "no guarantee" in found.conclusions[-1].replace("Nothing here is a", "no")


def of_loss(loss: float) -> Sets:
    """A model whose outputs are hidden, with that loss on every set."""
    return {letter: Predictions(np.array([loss]), None) for letter in "frt"}


def test_a_gap_within_the_oracles_noise_is_none() -> None:
    """Losses of 1, 1.2 and 1.4 for oracles: 1.44 is .24 away, less than their mean gap, .267."""
    oracles = tuple(of_loss(loss) for loss in (1.0, 1.2, 1.4))

    def shares(before: float, own: float = 1.34, others: tuple[Sets, ...] = oracles) -> list[float]:
        findings = PredictionReferences(others, of_loss(before)).findings(of_loss(own))
        return [finding.value for finding in findings if finding.name == "G loss"]

    assert shares(1.44) == []
    assert shares(1.48) == [pytest.approx(0.5)]  # .14 of .28 is left
    assert shares(0.92, own=0.99) == [pytest.approx(0.25)]
    assert shares(1.44, others=oracles[:1] * 2) == [pytest.approx(1 - 0.34 / 0.44)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gap_that_rounding_makes_is_none(dtype: torch.dtype) -> None:
    """Of float32 outputs a relative 1e-7 is rounding; of float64 outputs it is a gap."""
    task = diabetes()
    task = dataclasses.replace(
        task,
        train=TensorDataset(*(t.to(dtype) for t in task.train.tensors)),  # type: ignore[attr-defined]
        test=TensorDataset(*(t.to(dtype) for t in task.test.tensors)),  # type: ignore[attr-defined]
    )
    model, moved = task.initialise(0).to(dtype), task.initialise(0).to(dtype)
    with torch.no_grad():
        moved[2].weight.mul_(1 + 1e-7)  # type: ignore[index]
        moved[2].bias.mul_(1 + 1e-7)  # type: ignore[index]
    before, oracle = (predictions_of(task, range(40), range(40, 300), m) for m in (model, moved))
    x, y = task.train[:40]  # type: ignore[misc]
    outputs = model(x).detach().double()
    steps = 4 * torch.finfo(dtype).eps * outputs.abs() * (2 * (outputs - y.double())).abs()
    assert before["f"].rounding == pytest.approx(float(steps.mean()), rel=1e-4)
    found = PredictionReferences((oracle, oracle), before).findings(oracle)
    assert ("G loss" in [finding.name for finding in found]) == (dtype == torch.float64)


def test_one_number_an_example_is_compared_as_a_row_of_one_is() -> None:
    """Outputs `[n]` beside outputs `[n, 1]` of the same models."""
    rows = diabetes()
    x, y = rows.train.tensors  # type: ignore[attr-defined]
    flat = dataclasses.replace(
        rows,
        train=TensorDataset(x, y[:, 0]),
        test=TensorDataset(rows.test.tensors[0], rows.test.tensors[1][:, 0]),  # type: ignore[attr-defined]
    )
    found = []
    for task, last in ((rows, nn.Identity()), (flat, nn.Flatten(0))):
        models = [nn.Sequential(task.initialise(seed), last) for seed in range(3)]
        sets = [predictions_of(task, range(40), range(40, 300), model) for model in models]
        found.append(PredictionReferences((sets[0], sets[1]), sets[2]).findings(sets[2]))
    assert [finding.name for finding in found[0]] == [finding.name for finding in found[1]]
    assert "Df" in [finding.name for finding in found[1]]
    for first, second in zip(*found, strict=True):
        assert second.value == pytest.approx(first.value, rel=1e-6)


def mean_absolute(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs - targets).square().mean()


def test_a_loss_that_comes_averaged_is_taken_example_by_example(tmp_path: Path) -> None:
    task = diabetes(mean_absolute)
    task = dataclasses.replace(task, recipe=Recipe(2, 30, 0.05))
    session = Session.create(tmp_path / "run", task)
    session.unlearn(range(10), SHORT)
    row = evaluate(session, 2, stage).rows[0]
    x, y = task.train[:10]  # type: ignore[misc]
    each = (session.first_model(x).detach() - y).square()[:, 0].double()
    found = row.finding("loss f")
    assert found is not None
    assert found.per_example is not None
    np.testing.assert_allclose(found.per_example, each, rtol=1e-5)


def test_attacks_that_cannot_be_made_are_known_before_any_oracle_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = dataclasses.replace(load_task("digits"), recipe=Recipe(1, 64, 0.1))
    x, y = task.test[:]  # type: ignore[misc]
    kept = y != 3
    task = dataclasses.replace(task, test=TensorDataset(x[kept], y[kept]))
    session = Session.create(tmp_path / "run", task)
    session.unlearn([int(p) for p in (task.classes == 3).nonzero()[:20, 0]], SHORT)
    order: list[str] = []
    get = Networks.get
    monkeypatch.setattr(Networks, "get", lambda *a, **k: [order.append("trained"), get(*a, **k)][1])
    monkeypatch.setattr("curenu.compare.evaluation.membership", _told(order))
    found = evaluate(session, 2, stage)
    assert order == ["attacked", "trained", "trained"]
    assert "No stranger is of the members' classes" in found.missing[0]
    assert found.rows[-1].finding("RMIA AUC") is None
    assert found.conclusions[0].startswith("No membership attack was made")


def _told(order: list[str]) -> Callable[..., Any]:
    def told(*arguments: Any) -> Any:
        order.append("attacked")
        return membership(*arguments)

    return told


def row(auc: float, low: float, high: float, **others: Any) -> Row:
    attack = Finding("RMIA AUC", auc, (low, high), 0.5)
    return Row("own", (attack, Finding("Rf", 1.25), Finding("G loss", 0.8)), **others)


SEEN, UNSEEN = row(0.8, 0.7, 0.9), row(0.55, 0.45, 0.65)
"""The trained model, where the attack finds the examples, and where it does not."""


@pytest.mark.parametrize(
    ("made", "before", "words"),
    [
        (row(0.7, 0.6, 0.8), SEEN, "still finds the erased examples"),
        (row(0.52, 0.45, 0.6), SEEN, "no longer shows that they were in the training set"),
        (row(0.52, 0.45, 0.6), UNSEEN, "(AUC 0.55): this attack cannot see them, and an auditor "
         "may conclude nothing from its silence"),
        (row(0.3, 0.2, 0.4), SEEN, "in the other direction"),
        (Row("own"), Row("before"), "No membership attack was made"),
    ],
)  # fmt: skip
def test_conclusions_follow_the_attacks_interval(made: Row, before: Row, words: str) -> None:
    said = conclusions(made, before, erased=100, oracles=3)
    assert words in said[0]
    assert "What this does not show" in said[-1]
    assert not any("Only 100" in sentence for sentence in said)


def test_conclusions_name_cost_and_small_requests() -> None:
    said = " ".join(
        conclusions(row(0.5, 0.4, 0.6, seconds=3.0, ratio=6.0), SEEN, erased=3, oracles=2)
    )
    assert cheaper(3.0, 0.5) in said
    assert "it takes 0.5 s, the erasure took 3 s" in said
    assert "Only 3 examples" in said
    assert "80% of the gap" in said
    assert "1.25 times as far" in said
