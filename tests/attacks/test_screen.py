"""On digits: the attack does harm where nobody looks; the screen tells it from random requests."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Subset, TensorDataset

from curenu import unlearn
from curenu.attacks import Perturbed, Screen, Verdict, perturb
from curenu.errors import BadRequest, Suspicious
from curenu.methods import WoodFisher
from curenu.risks import EmpiricalRisk
from curenu.tasks import Task, load_task
from tests.problems import generator

SIZE = 20
METHODS = [WoodFisher(damping=0.01), "stocurenu"]


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


@pytest.fixture(scope="module")
def model(task: Task) -> nn.Module:
    return task.train_model(0)


def part(task: Task, places: slice) -> TensorDataset:
    return TensorDataset(*(tensor[places] for tensor in task.test.tensors))  # type: ignore[attr-defined]


def risk_of(task: Task, model: nn.Module, data: TensorDataset | None = None) -> EmpiricalRisk:
    return EmpiricalRisk(model, task.train if data is None else data, task.loss, weight_decay=1e-3)


@pytest.fixture(scope="module")
def screen(task: Task, model: nn.Module) -> Screen:
    """Holds out the second half of the test set; the attacker aims at the first."""
    return Screen(
        risk_of(task, model), risk_of(task, model, part(task, slice(180, None))), draws=600
    )


@pytest.fixture(scope="module")
def attack(task: Task, model: nn.Module) -> Perturbed:
    aimed = Screen(risk_of(task, model), risk_of(task, model, part(task, slice(180))))
    return perturb(aimed.influence, aimed.risk.subset(genuine(7)), radius=0.2, bounds=(0.0, 1.0))


def genuine(seed: int, size: int = SIZE) -> list[int]:
    return torch.randperm(1437, generator=generator(seed))[:size].tolist()


def loss(model: nn.Module, data: TensorDataset) -> float:
    x, y = data.tensors
    with torch.no_grad():
        return float(functional.cross_entropy(model(x), y))


@pytest.mark.parametrize("method", METHODS, ids=["one step", "stocurenu"])
def test_the_attack_raises_the_loss_it_aims_at_and_a_genuine_request_does_not(
    task, model, attack, method
) -> None:
    aim = part(task, slice(180))
    positions = list(attack.positions)
    kept = Subset(task.train, [p for p in range(1437) if p not in set(positions)])
    fooled = unlearn(
        model, kept, task.loss, forget=attack.dataset, method=method, weight_decay=1e-3
    )
    honest = unlearn(
        model, task.train, task.loss, forget=positions, method=method, weight_decay=1e-3
    )
    before = loss(model, aim)
    assert loss(honest.model, aim) < 1.05 * before
    assert loss(fooled.model, aim) > 2.0 * before


def test_the_screen_flags_the_attack_by_content_and_by_what_it_would_do(screen, attack) -> None:
    found = screen(attack.dataset)
    assert found["membership"].places == tuple(range(SIZE))
    assert found["predicted change"].flagged  # though it was made for other examples
    with pytest.raises(Suspicious, match=r"membership, .*predicted change") as error:
        found.require()
    assert "override" in error.value.remedy
    assert not screen(list(attack.positions)).flagged


def test_one_perturbed_item_among_genuine_ones_is_found_by_membership(task, screen, attack) -> None:
    x, y = (tensor[list(attack.positions)].clone() for tensor in task.train.tensors)
    x[4] = attack.inputs[4]
    found = screen(TensorDataset(x, y), claimed=attack.positions)
    assert [figure.name for figure in found.flagged] == ["membership"]
    assert "1 of 20 items" in found["membership"].said
    assert found["membership"].places == (4,)


@pytest.mark.parametrize(("rate", "pool_size"), [(0.99, None), (0.8, None), (0.8, 700)])
def test_random_genuine_requests_pass_at_the_stated_rate(screen, rate, pool_size) -> None:
    trials, most = 200, 1.0 - rate
    held = Screen(screen.risk, screen.holdout, rate=rate, draws=600, seed=11, pool_size=pool_size)
    flagged = sum(bool(held(genuine(1000 + trial)).flagged) for trial in range(trials))
    noise = math.sqrt(most * (1 - most) * (1 / trials + 1 / 600 + SIZE / (pool_size or math.inf)))
    assert flagged / trials <= most + 4 * noise
    if rate < 0.9:  # three figures share what may be flagged, and go together in part
        assert flagged / trials >= most / 3 - 4 * math.sqrt(most / 3 / trials)


def test_genuine_examples_picked_to_do_harm_are_flagged_though_they_are_members(screen) -> None:
    worst = screen.pool.changes.topk(SIZE).indices.tolist()
    found = screen(worst)
    assert not found["membership"].flagged
    assert found["predicted change"].flagged


def test_a_request_in_slices_is_flagged_when_it_adds_up(screen) -> None:
    """Single examples, each within the usual, of which no random few do such harm together."""
    order = screen.pool.changes.argsort()
    slices = order[-40:-20].tolist()
    passed: list[Verdict] = []
    for one in slices:
        found = screen([one], earlier=passed)
        assert not screen([one]).flagged
        if found.flagged:
            break
        passed.append(found)
    assert [figure.name for figure in found.flagged] == ["cumulated change"]
    assert 1 <= len(passed) < len(slices)
    assert f"{len(passed) + 1} items" in found["cumulated change"].said
    total = float(screen.pool.changes[slices[: len(passed) + 1]].sum())
    assert found["cumulated change"].value == pytest.approx(total, rel=1e-4)


def test_random_slices_of_a_session_are_not_flagged_for_adding_up(screen) -> None:
    order, passed = genuine(5, 60), []
    for start in range(0, 60, 10):
        found = screen(order[start : start + 10], earlier=passed)
        assert not found.flagged
        passed.append(found)


def test_a_sample_that_is_too_small_for_the_request_is_refused(screen) -> None:
    few = Screen(screen.risk, screen.holdout, rate=0.8, pool_size=300, draws=600)
    assert len(few.pool.norms) == 300
    few(genuine(3))
    with pytest.raises(BadRequest, match="322 or more"):
        few(genuine(3, 23))
    with pytest.raises(BadRequest, match="400 or more"):
        few(genuine(3), earlier=[few(genuine(4))])
    few = Screen(screen.risk, screen.holdout, rate=0.99, pool_size=1436, draws=600)
    with pytest.raises(BadRequest, match="sample of 1436"):
        few(genuine(3))


def test_verdicts_are_json_and_say_every_figure_in_a_sentence(screen, attack) -> None:
    found = screen(attack.dataset, earlier=[screen(genuine(4))])
    told = json.loads(json.dumps(found.to_json()))
    names = ["membership", "gradient norm", "influence", "predicted change", "cumulated change"]
    assert [figure["name"] for figure in told["figures"]] == names
    for figure in found.figures:
        assert figure.said.endswith(".")
        assert figure.flagged == (figure.value > figure.threshold)
    assert told["size"] == SIZE
    with pytest.raises(KeyError):
        found["length"]


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_rate_that_is_no_share_is_refused(screen, rate) -> None:
    with pytest.raises(BadRequest):
        Screen(screen.risk, screen.holdout, rate=rate)


def test_positions_that_were_erased_or_claim_to_be_others_are_refused(screen) -> None:
    retained = Screen(screen.risk.subset(range(100, 1437)), screen.holdout, draws=600)
    with pytest.raises(BadRequest, match="already erased"):
        retained([3, 200])
    with pytest.raises(BadRequest, match="claim"):
        screen([3, 4], claimed=[4, 3])


def test_ids_name_the_examples_of_a_request(screen) -> None:
    names = [f"person {place}" for place in range(1437)]
    named = Screen(screen.risk, screen.holdout, draws=600, ids=names)
    expected: Tensor = torch.tensor([one.value for one in screen([5, 9]).figures])
    found = torch.tensor([one.value for one in named(["person 9", "person 5"]).figures])
    torch.testing.assert_close(found, expected)
