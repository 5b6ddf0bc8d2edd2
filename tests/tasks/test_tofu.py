"""Fictitious authors: data, the small Llama, what is measured of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from curenu.errors import BadRequest, CurenuError, MissingData
from curenu.risks import AnchoredRisk, EmpiricalRisk
from curenu.tasks import group_positions, load_task
from curenu.tasks.tofu import find_tofu
from tests.problems import generator


def there() -> str:
    """Why the tests cannot run; empty if they can."""
    if importlib.util.find_spec("transformers") is None:
        return "needs the extra `llm`"
    try:
        find_tofu()
    except CurenuError as error:
        return str(error)
    return ""


needs_tofu = pytest.mark.skipif(bool(there()), reason=there() or "there")


@pytest.fixture(scope="module")
def task() -> Any:
    return load_task("tofu", authors=4, epochs=1, length=96, probes=1)


@needs_tofu
def test_items_are_mappings_of_one_length_with_the_answer_alone_as_target(task: Any) -> None:
    item = task.train[7]
    assert {k: v.shape for k, v in item.items()} == dict.fromkeys(
        ("input_ids", "labels", "attention_mask"), (96,)
    )
    asked = item["labels"] != -100
    assert torch.equal(item["labels"][asked], item["input_ids"][asked])
    assert 0 < int(asked.sum()) < int(item["attention_mask"].sum())
    first = int(asked.nonzero()[0])
    assert not asked[:first].any()
    assert item["attention_mask"][asked].all()


@needs_tofu
def test_authors_are_groups_of_twenty_and_class_one_is_the_forget_set(task: Any) -> None:
    assert len(task.train) == 80
    assert task.classes.tolist() == [0] * 40 + [1] * 40
    gone = group_positions(task, 1, generator(), among=range(40, 80))
    assert len(gone) == 20
    assert len({task.groups[i] for i in gone}) == 1


@needs_tofu
def test_forget_sets_are_nested_and_strangers_are_tested_on(task: Any) -> None:
    wide = load_task("tofu", authors=12, forget="forget05")
    last = {wide.groups[i] for i in range(240) if wide.classes[i] == 1}
    assert len(last) == 10
    assert {task.groups[i] for i in range(40, 80)} <= last
    rows = {tuple(row.tolist()) for row in task.train.input_ids}
    assert not rows & {tuple(row.tolist()) for row in task.test.input_ids}


@needs_tofu
@pytest.mark.slow
def test_the_small_llama_is_curved_and_its_gauss_newton_matrix_positive(task: Any) -> None:
    model = task.initialise(0)
    assert sum(p.numel() for p in model.parameters()) == 147_776
    few = Subset(task.train, range(38, 42))
    risk = EmpiricalRisk(model, few, task.loss, micro_batch_size=2)
    retain, forget = risk.split([3])
    objective = AnchoredRisk(retain, forget, risk.start)
    share = forget.size / retain.size
    pull, start = -share * forget.gradient(risk.start), risk.start
    torch.testing.assert_close(objective.gradient(start), pull, rtol=1e-3, atol=1e-6)
    vector = torch.randn(risk.dimension, generator=generator())
    kept = objective.linearise(start, curvature="gauss_newton", memory_budget=0)
    assert float(vector @ (kept @ vector)) > 0
    assert objective.hvp(start, vector).isfinite().all()


@needs_tofu
def test_what_is_measured_is_what_the_loss_says(task: Any) -> None:
    model = task.initialise(0).eval()
    found = task.measure(model)
    assert found["train/position"].tolist() == [0, 20, 40, 60]
    assert found["train/perturbed"].shape == (4, 5)
    risk = EmpiricalRisk(model, task.train, task.loss)
    losses = [float(risk.subset([i]).value(risk.start)) for i in (0, 20, 40, 60)]
    np.testing.assert_allclose(-found["train/answer"], losses, rtol=1e-5)
    lengths = (task.train.labels[[0, 20, 40, 60]] != -100).sum(1)
    assert (~np.isnan(found["train/right"])).sum(1).tolist() == lengths.tolist()


@needs_tofu
@pytest.mark.slow
def test_a_few_answers_are_learnt_by_heart_and_said() -> None:
    task = load_task("tofu", authors=3, epochs=200, length=128, probes=1)
    found = task.measure(task.train_model(0, ids=list(range(3))))
    assert found["train/said"][0] == found["train/reference"][0]
    assert found["train/answer"][0] > -0.1
    assert found["train/answer"][1:].max() < -1.0  # authors that it never read of
    assert np.nanmin(found["train/right"][0]) == 1.0


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"forget01_perturbed\.jsonl"):
        find_tofu(str(tmp_path))


@needs_tofu
@pytest.mark.parametrize(
    "options",
    [
        {"model": "huge"},
        {"forget": "forget99"},
        {"authors": 2},
        {"authors": 201},
        {"probes": 0},
        {"said": 0},
        {"adapted": 31},
        {"length": 8},
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        load_task("tofu", **({"authors": 3} | options))


@needs_tofu
def test_damaged_files_are_refused(tmp_path: Path) -> None:
    for file in find_tofu().glob("*.jsonl"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "full.jsonl").write_text('{"question": "Who?"\n')
    with pytest.raises(BadRequest, match=r"full\.jsonl"):
        load_task("tofu", folder=str(tmp_path))
