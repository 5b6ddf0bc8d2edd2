"""The figures of a report are those of the released weights: computed again they are the same."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy, linear

from curenu.atomic import replace_file
from curenu.compare import evaluate
from curenu.desk import models, queue, releasing, running, solving
from curenu.desk.home import Desk
from curenu.desk.looking import weights_of
from curenu.desk.policy import Bar
from curenu.desk.statement import verify_report
from curenu.errors import RunBroken
from curenu.runs.session import Session
from tests.desk.desks import TASK, approved, policy_for

GONE = range(12)
NAMES = {"R": "Rf", "G": "G margin", "membership_attack": "RMIA AUC", "holdout_loss": "loss gap t"}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The released run of 80 people, of whom all figures exist, and its verified statement."""
    folder = tmp_path_factory.mktemp("eighty")
    (folder / "small.py").write_text(TASK.replace("24", "80"))
    Session.create(folder / "run", f"{folder / 'small.py'}:small")
    desk = Desk.create(folder / "desk")
    bars = dict.fromkeys(NAMES, Bar(low=-1e9, high=1e9))
    told = {"method": "fine-tune", "settings": {"epochs": "1"}, "bars": bars}
    policy = policy_for(folder / "run").model_copy(update=told)
    models.register(desk, "people", folder / "run", policy)
    approved(desk, *GONE)
    order = queue.take(desk, queue.seal(desk, "people"), "w-here")
    place = desk.attempt_folder(order.batch, order.attempt)
    place.mkdir(parents=True)
    found = solving.solve(running.told_of(desk, order))
    replace_file(place / solving.RESULT, json.dumps(found).encode())
    assert queue.commit(desk, order, found) == "awaiting_release"
    digest = releasing.release(desk, order.batch, "bea")
    report = releasing.report(desk, order.batch)
    run = weights_of(desk, digest).parents[1]
    desk.close()
    return run, verify_report(report, desk.keys.root, datetime.now(UTC))


def _figures(statement: dict[str, Any]) -> dict[str, float]:
    return {one["name"]: one["value"] for one in statement["predicate"]["measured"]["figures"]}


def _again(run: Path) -> dict[str, float]:
    """The four figures, measured anew on that run, in another process of the operator's."""
    session = Session.open(run, f"{run.parents[4] / 'small.py'}:small")
    row = evaluate(session, 2, lambda _: nullcontext(lambda done, total: None)).rows[-1]
    found = {name: row.finding(there) for name, there in NAMES.items()}
    return {name: one.value for name, one in found.items() if one is not None}


def test_measured_anew_on_the_released_weights_they_are_the_same(
    released: tuple[Path, dict[str, Any]],
) -> None:
    run, statement = released
    (weights,) = run.glob(f"weights/{statement['subject'][0]['digest']['sha256']}*")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert statement["subject"][0]["digest"]["sha256"] == digest
    assert _figures(statement).keys() == NAMES.keys()
    shutil.rmtree(run / "oracles")  # the retrained networks too are made again
    assert _again(run) == pytest.approx(_figures(statement), rel=1e-5, abs=1e-6)


def test_two_of_them_by_their_definitions_from_the_files_alone(
    released: tuple[Path, dict[str, Any]],
) -> None:
    run, statement = released
    _again(run)  # trains the retrained networks where there are none
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 3, generator=generator)
    y = (x[:, 0] > 0).long()
    (weights,) = run.glob(f"weights/{statement['subject'][0]['digest']['sha256']}*")
    own, *oracles = (_logits(path, x) for path in (weights, *sorted(run.glob("oracles/*"))))
    gap = cross_entropy(own, y) - sum(cross_entropy(one, y) for one in oracles) / len(oracles)
    gone = list(GONE)
    apart = _jsd(oracles[0][gone], oracles[1][gone])
    distance = sum(_jsd(own[gone], one[gone]) for one in oracles) / len(oracles)
    said = _figures(statement)
    assert len(oracles) == 2
    assert said["holdout_loss"] == pytest.approx(float(gap), rel=1e-4, abs=1e-6)
    assert said["R"] == pytest.approx(float(distance / apart), rel=1e-4)


def _logits(path: Path, x: torch.Tensor) -> torch.Tensor:
    kept = load_file(path)
    return linear(x, kept["weight"], kept["bias"]).double()


def _jsd(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The mean Jensen-Shannon divergence of two networks' class probabilities."""
    p, q = one.softmax(1), other.softmax(1)
    mean = (p + q) / 2
    return ((p * (p / mean).log() + q * (q / mean).log()).sum(1) / 2).mean()


def test_weights_that_were_exchanged_are_found_out(
    released: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    run, statement = released
    shutil.copytree(run.parents[4], tmp_path / "copy")
    copy = tmp_path / "copy" / run.relative_to(run.parents[4])
    (weights,) = copy.glob(f"weights/{statement['subject'][0]['digest']['sha256']}*")
    kept = load_file(weights)
    save_file({name: value + 0.1 for name, value in kept.items()}, weights)
    with pytest.raises(RunBroken):
        _again(copy)
