"""The real data sets where they are installed: their known counts, and networks that learn."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch

from curenu.errors import MissingData
from curenu.networks import fingerprint, split_of
from curenu.runs.run import objective_of
from curenu.tasks import Task, load_task
from tests.problems import generator

# The package exports functions under the modules' names, so the modules are asked for by path.
adult, cifar10, movielens, newsgroups = (
    importlib.import_module(f"curenu.tasks.{name}")
    for name in ("adult", "cifar10", "movielens", "newsgroups")
)


def load(name: str, **options: Any) -> Task:
    try:
        return load_task(name, **options)
    except MissingData as error:
        pytest.skip(str(error))


def accuracy(task: Task, model: torch.nn.Module) -> float:
    part = split_of(task, [0], [1], model).test
    return float((part.logits.argmax(1) == part.targets).double().mean())


def sizes(task: Task) -> tuple[int, int]:
    return len(task.train), len(task.test)  # type: ignore[arg-type]


def test_adult_is_its_official_split() -> None:
    task = load("adult")
    assert sizes(task) == (32_561, 16_281)
    assert task.classes.bincount().tolist() == [24_720, 7_841]
    assert task.test.tensors[1].sum() == 3_846  # type: ignore[attr-defined]


def test_movielens_has_its_people_films_and_ratings() -> None:
    task = load("movielens")
    assert sum(sizes(task)) == 100_000
    assert len(set(task.groups or ())) == 943
    everything = torch.cat([part.tensors[0] for part in (task.train, task.test)])  # type: ignore[attr-defined]
    assert everything.amax(0).tolist() == [942, 1681]
    liked = sum(part.tensors[1].sum().item() for part in (task.train, task.test))  # type: ignore[attr-defined]
    assert liked == 34_174 + 21_201  # ratings of four and of five stars


@pytest.mark.slow
def test_newsgroups_are_twenty_with_their_known_counts() -> None:
    task = load("newsgroups")
    assert sizes(task) == (11_293, 7_528)
    counts = task.classes.bincount().tolist()
    assert (len(counts), min(counts), max(counts)) == (20, 377, 600)


def test_cifar10_has_as_many_of_each_class() -> None:
    task = load("cifar10", examples=2_000, test_examples=10)
    assert task.train.tensors[0].shape == (2_000, 3, 32, 32)  # type: ignore[attr-defined]
    counts = task.classes.bincount(minlength=10)
    expected, deviation = 200.0, (2_000 * 0.1 * 0.9) ** 0.5
    assert bool(((counts - expected).abs() < 4 * deviation).all())
    one = task.train.tensors[0].float()  # type: ignore[attr-defined]
    mean = one.mean(dim=(0, 2, 3)) / 255
    torch.testing.assert_close(mean, torch.tensor([0.491, 0.482, 0.447]), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        ("adult", {}, [adult._data]),
        ("movielens", {}, [movielens._data]),
        pytest.param(
            "newsgroups",
            {"network": "transformer"},
            [newsgroups._tables, newsgroups._words],
            marks=pytest.mark.slow,
        ),
        ("cifar10", {"examples": 100, "test_examples": 10}, [cifar10._data]),
    ],
)
def test_data_are_the_same_at_every_reading(
    name: str, options: dict[str, Any], kept: list[Any]
) -> None:
    first = load(name, **options)
    for function in kept:
        function.cache_clear()
    second = load(name, **options)
    for before, after in zip(first.train.tensors, second.train.tensors, strict=True):  # type: ignore[attr-defined]
        assert before is not after
        assert torch.equal(before, after)
    assert fingerprint(first, name) == fingerprint(second, name)


LEARNS: dict[str, tuple[str, dict[str, Any], float]] = {
    "adult": ("adult", {"epochs": 3}, 0.83),
    "factorisation": ("movielens", {"epochs": 6}, 0.65),
    "neural": ("movielens", {"network": "ncf", "epochs": 5}, 0.65),
    "stars": ("movielens", {"target": "rating", "epochs": 8}, 0.65),
    "TF-IDF": ("newsgroups", {"epochs": 5}, 0.70),
    "transformer": ("newsgroups", {"network": "transformer", "examples": 3_000, "epochs": 5}, 0.4),
    "LeNet": ("fashion-mnist", {"network": "lenet", "examples": 6_000, "epochs": 5}, 0.75),
    "ResNet": ("cifar10", {"examples": 500, "test_examples": 300, "epochs": 6}, 0.17),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", LEARNS)
def test_a_small_form_learns(case: str) -> None:
    name, options, least = LEARNS[case]
    task = load(name, **options)
    assert accuracy(task, task.train_model(0)) > least


@pytest.mark.slow
@pytest.mark.parametrize("case", ["adult", "factorisation", "neural", "transformer", "ResNet"])
def test_second_derivatives_exist_and_are_symmetric(case: str) -> None:
    """Through embeddings, attention and batch norm: u·Hv = v·Hu, and not zero."""
    name, options, _ = LEARNS[case]
    small = {"users": 20} if name == "movielens" else {"examples": 100}
    task = load(name, **(options | small))
    risk = objective_of(task, task.initialise(0).eval()).subset(list(range(32)))
    u, v = (torch.randn(risk.dimension, generator=generator(seed)) for seed in (1, 2))
    left, right = (a @ risk.hvp(risk.start, b) for a, b in ((u, v), (v, u)))
    scale = u.norm() * risk.hvp(risk.start, v).norm()
    assert scale > 0
    assert abs(left - right) < 1e-4 * scale
