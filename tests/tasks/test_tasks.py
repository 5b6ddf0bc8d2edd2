"""Built-in and user tasks, their data, recipes and selections."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset

from curenu.errors import BadRequest, IllPosed, MissingData
from curenu.risks import EmpiricalRisk
from curenu.tasks import (
    TASKS,
    Recipe,
    Task,
    build_task,
    class_positions,
    find_fashion_mnist,
    ids_at,
    load_task,
    named_group_positions,
    random_positions,
    train,
)
from tests.problems import generator, inputs, mlp, regression


def test_digits_are_split_once_and_for_all() -> None:
    task = load_task("digits")
    assert (len(task.train), len(task.test)) == (1437, 360)  # type: ignore[arg-type]
    assert task.classes.bincount().tolist() == [142, 146, 142, 146, 145, 145, 145, 143, 139, 144]
    assert sum(p.numel() for p in task.initialise(0).parameters()) == 2410


def test_the_same_seed_trains_the_same_network() -> None:
    task = load_task("digits")
    ids = list(range(100))
    first, second = (task.train_model(3, ids=ids).state_dict() for _ in range(2))
    other = task.train_model(4, ids=ids).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_training_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    load_task("digits").train_model(0, ids=list(range(32)))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_training_lowers_the_objective_that_erasure_uses() -> None:
    task = load_task("digits")
    start, end = task.initialise(0), task.train_model(0)
    decay = task.recipe.weight_decay
    values = []
    for model in (start, end):
        risk = EmpiricalRisk(model, task.train, task.loss, weight_decay=decay)
        values.append(float(risk.value(risk.start)))
    assert values[1] < 0.1 * values[0]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_full_batch_steps_follow_the_gradient_of_the_objective(optimizer: Any) -> None:
    """One step without momentum: theta − rate · ∇F, or its sign under Adam."""
    problem = mlp()
    recipe = Recipe(1, 1000, 1e-3, optimizer, momentum=0.0, schedule="constant", weight_decay=0.5)
    risk = EmpiricalRisk(problem.model, problem.dataset, problem.loss, weight_decay=0.5)
    gradient = risk.gradient(risk.start)
    train(problem.model, problem.dataset, problem.loss, recipe, generator=generator())
    moved = risk.parameters.flatten(dict(problem.model.named_parameters())) - risk.start
    expected = -1e-3 * (gradient if optimizer == "sgd" else gradient.sign())
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-9)


def test_progress_counts_every_step() -> None:
    problem, told = mlp(), []
    recipe = Recipe(2, 5, 1e-2)
    train(
        problem.model, problem.dataset, problem.loss, recipe,
        generator=generator(), ids=list(range(12)),
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(step, 6) for step in range(1, 7)]


def test_a_loss_that_sums_without_saying_so_trains_as_its_mean_does() -> None:
    """Undeclared, the reduction is measured: the decay would otherwise weigh n times less."""
    losses = (
        lambda outputs, targets: functional.cross_entropy(outputs, targets, reduction="sum"),
        lambda outputs, targets: functional.cross_entropy(outputs, targets),
    )
    recipe = Recipe(2, 16, 0.1, weight_decay=0.5)
    found = []
    for loss in losses:
        data = TensorDataset(inputs(40, 3), torch.arange(40) % 2)
        model = nn.Linear(3, 2, dtype=torch.float64)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.1)
        train(model, data, loss, recipe, generator=generator())
        found.append(model.weight.detach())
    torch.testing.assert_close(found[0], found[1])


def test_training_that_diverges_says_so() -> None:
    problem = regression()
    recipe = Recipe(50, 4, 1e9)
    with pytest.raises(IllPosed, match="training loss"):
        train(problem.model, problem.dataset, "mse", recipe, generator=generator())


def test_training_on_broken_data_names_the_example() -> None:
    problem = mlp()
    x = inputs(17, 4)
    x[3] = float("nan")
    data = TensorDataset(x, problem.dataset.tensors[1])  # type: ignore[attr-defined]
    with pytest.raises(IllPosed, match="Example 3: NaN"):
        train(problem.model, data, "cross_entropy", Recipe(1, 4, 0.1), generator=generator())


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"momentum": 1.0},
        {"weight_decay": -1.0},
        {"optimizer": "sophia"},
        {"schedule": "step"},
    ],
)
def test_recipes_that_cannot_be_meant_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        Recipe(**({"epochs": 1, "batch_size": 1, "learning_rate": 0.1} | changes))


def test_selections_are_shares_of_the_set_or_of_classes() -> None:
    task = load_task("digits")
    assert len(random_positions(task, 0.1, generator())) == 144
    chosen = class_positions(task, [3, 8], 0.9, generator())
    assert sorted(set(task.classes[chosen].tolist())) == [3, 8]
    assert len(chosen) == round(0.9 * 146) + round(0.9 * 139)
    inside = random_positions(task, 0.5, generator(), among=range(10))
    assert len(inside) == 5
    assert max(inside) < 10


@pytest.mark.parametrize(
    "ask",
    [
        lambda task: random_positions(task, 0.0, generator()),
        lambda task: random_positions(task, 1.5, generator()),
        lambda task: class_positions(task, [11], 1.0, generator()),
        lambda task: class_positions(task, [], 1.0, generator()),
    ],
)
def test_selections_that_cannot_be_meant_are_refused(ask: Any) -> None:
    with pytest.raises(BadRequest):
        ask(load_task("digits"))


class Unlabelled(Dataset[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return inputs(4), inputs(2)


def test_a_task_without_classes_says_so() -> None:
    data = Unlabelled()
    task = Task("none", lambda: nn.Linear(4, 2), data, data, functional.mse_loss, Recipe(1, 1, 0.1))
    with pytest.raises(BadRequest, match="no classes"):
        _ = task.classes


OWN = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from curenu.tasks import Recipe, Task

def task(size: int = 8):
    data = TensorDataset(torch.zeros(size, 2), torch.zeros(size, dtype=torch.long))
    return Task("own", lambda: nn.Linear(2, 2), data, data, "cross_entropy", Recipe(1, 4, 0.1))

def nothing():
    return 3
"""


def test_a_users_own_task_is_loaded_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    assert load_task(f"{path}:task").name == "own"
    assert len(load_task(f"{path}:task", size=5).train) == 5  # type: ignore[arg-type]
    task, options = build_task(f"{path}:task", {"size": "6"})
    assert (len(task.train), options) == (6, {"size": 6})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("digit", {}, "digits"),
        ("zebra", {}, "file.py:function"),
        ("{folder}/none.py:task", {}, "no file"),
        ("{folder}/own.py:missing", {}, "no function"),
        ("{folder}/own.py:nothing", {}, "returned a int"),
        ("{folder}/own.py:task", {"colour": 1}, "size"),
        ("{folder}/broken.py:task", {}, "SyntaxError"),
        ("digits", {"examples": 5}, "takes no arguments"),
        ("{folder}/own.py:task", {"size": "many"}, "does not fit"),
    ],
)
def test_tasks_that_cannot_be_loaded_say_why(
    tmp_path: Path, name: str, options: dict[str, Any], words: str
) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("def task(:")
    with pytest.raises(BadRequest) as caught:
        load_task(name.format(folder=tmp_path), **options)
    assert words in str(caught.value)


def test_builtin_names_are_listed() -> None:
    assert list(TASKS)[:3] == ["digits", "fashion-mnist", "cifar10"]
    assert {"newsgroups", "adult", "movielens", "tofu"} <= set(TASKS)


def write_idx(path: Path, data: np.ndarray) -> None:
    sizes = b"".join(int(size).to_bytes(4, "big") for size in data.shape)
    path.write_bytes(gzip.compress(bytes([0, 0, 8, data.ndim]) + sizes + data.tobytes(), 1))


def test_missing_images_name_the_package(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="dataset-fashion-mnist"):
        load_task("fashion-mnist", folder=str(tmp_path))


def test_images_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.zeros(count, np.uint8))
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", np.zeros((5, 28, 28), np.uint8))
    with pytest.raises(BadRequest, match="60000 items"):
        load_task("fashion-mnist", folder=str(tmp_path))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"not gzip")
    with pytest.raises(BadRequest, match="cannot be read"):
        load_task("fashion-mnist", folder=str(tmp_path))


def test_fashion_mnist_is_read_where_it_is_installed() -> None:
    try:
        find_fashion_mnist()
    except MissingData as error:
        pytest.skip(str(error))
    task = load_task("fashion-mnist", examples=500)
    images, labels = task.train.tensors  # type: ignore[attr-defined]
    assert images.shape == (500, 1, 28, 28)
    assert labels.unique().tolist() == list(range(10))
    assert sum(p.numel() for p in task.initialise(0).parameters()) == 20_490
    with pytest.raises(BadRequest, match="examples"):
        load_task("fashion-mnist", examples=0)


@pytest.mark.parametrize("name", ["ids", "labels", "groups"])
def test_a_task_has_one_id_label_and_group_an_example(name: str) -> None:
    task = load_task("digits")
    with pytest.raises(BadRequest, match=f"has 1437 training examples and 5 {name}"):
        replace(task, **{name: [0, 1, 2, 3, 4]})


def test_labels_may_be_a_list_and_must_be_whole_numbers() -> None:
    task = load_task("digits")
    labels = task.classes.tolist()
    assert torch.equal(replace(task, labels=labels).classes, task.classes)
    with pytest.raises(BadRequest, match="one whole number an example"):
        replace(task, labels=task.classes.double())
    with pytest.raises(BadRequest, match="cannot be made a tensor"):
        replace(task, labels=["a"] * len(labels))


def test_ids_at_positions_are_those_that_a_session_is_asked_with() -> None:
    """Whole numbers as ids, in another order than the examples."""
    task = load_task("digits")
    turned = replace(task, ids=list(range(1436, -1, -1)), groups=["a", "b", "b"] + ["c"] * 1434)
    positions = named_group_positions(turned, ["b"])
    assert positions == [1, 2]
    assert ids_at(turned, positions) == [1435, 1434]
    assert ids_at(task, positions) == [1, 2]
    with pytest.raises(BadRequest, match="Position 1437 of 1437 examples"):
        ids_at(task, [1437])
