"""Data and targets that cannot be meant: each its own error before anything is computed."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
)

import curenu
from curenu.errors import (
    BadRequest,
    CurenuError,
    IllPosed,
    NotDeterministic,
    UnsupportedModel,
)
from curenu.risks import EmpiricalRisk
from tests.problems import generator, initialised, mlp
from tests.refusing import SIZE, Items, X, Y, pair, refused


@pytest.mark.parametrize("in_memory", [True, False])
def test_nan_in_one_example_names_it(in_memory: bool) -> None:
    x = X.clone()
    x[13, 2] = float("nan")
    data: Any = TensorDataset(x, Y)
    refused(
        IllPosed,
        "Example 13: NaN or Inf in the data",
        dataset=data if in_memory else Items(lambda place: (x[place], Y[place])),
    )


@pytest.mark.parametrize(("label", "words"), [(3, "class 3"), (-1, "class -1")])
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_label_outside_the_classes_names_its_example(
    label: int, words: str, in_memory: bool
) -> None:
    y = Y.clone()
    y[11] = label
    data: Any = TensorDataset(X, y)
    refused(
        BadRequest,
        f"Example 11: A target is {words}",
        dataset=data if in_memory else Items(lambda place: (X[place], y[place])),
    )


@pytest.mark.parametrize(
    ("targets", "loss", "words"),
    [
        (Y.double(), "cross_entropy", "whole-number classes"),
        (Y[:, None], "cross_entropy", r"whole-number classes \[17\]"),
        (Y > 0, "cross_entropy", r"targets\.long"),
        (Y, "mse", "differ in shape"),
        (functional.one_hot(Y, 3), "mse", r"targets\.float"),
        (functional.one_hot(Y, 3), "bce_with_logits", r"targets\.float"),
        (X[:, :3], "bce_with_logits", "values from 0 to 1"),
        (-functional.one_hot(Y, 3).double(), "cross_entropy", "probability is negative"),
        (functional.one_hot(Y, 3).double(), nn.NLLLoss(), "no probabilities|no log-prob"),
        (
            functional.one_hot(Y, 3).double(),
            nn.CrossEntropyLoss(ignore_index=0),
            "leaves out a class",
        ),
    ],
)
def test_targets_of_another_kind_are_named(targets: Tensor, loss: Any, words: str) -> None:
    refused(BadRequest, words, dataset=TensorDataset(X, targets), loss=loss)


def test_targets_that_torch_takes_work() -> None:
    risks = [
        EmpiricalRisk(mlp().model, TensorDataset(X, y), "cross_entropy")
        for y in (Y, Y.int(), Y.to(torch.uint8), functional.one_hot(Y, 3).double())
    ]
    wanted = risks[0].gradient(risks[0].start)
    for risk in risks[1:]:
        torch.testing.assert_close(risk.gradient(risk.start), wanted, rtol=1e-12, atol=1e-14)


class Halved(nn.Module):
    """Returns a row for every second example."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)[::2]


def test_outputs_and_targets_of_different_length_are_refused() -> None:
    refused(UnsupportedModel, "17 examples give outputs", model=initialised(Halved))


def drops(items: list[Any]) -> Any:
    x, y = default_collate(items)
    return (x[:-1], y[:-1]) if len(items) > 1 else (x, y)


def empty(items: list[Any]) -> Any:
    x, y = default_collate(items)
    return x[:0], y[:0]


@pytest.mark.parametrize("collate", [drops, empty])
def test_a_collate_that_loses_examples_is_refused(collate: Any) -> None:
    refused(CurenuError, r"17 examples|collate", collate=collate)


def test_a_collate_that_loses_examples_of_a_later_batch_is_refused() -> None:
    """Rows that cannot be used are often dropped where they come up."""

    def without_the_tenth(items: list[Any]) -> Any:
        kept = [item for item in items if not torch.equal(item[0], X[9])]
        return default_collate(kept or items)

    refused(CurenuError, "collate", collate=without_the_tenth, micro_batch_size=3)


def test_a_length_that_lies_is_refused() -> None:
    def short(place: int) -> Any:
        if place >= SIZE - 3:
            raise IndexError(place)
        return pair(place)

    refused(BadRequest, "says it has 17 examples", dataset=Items(short))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": ["a", "a", *range(2, SIZE)]}, "share an id"),
        ({"forget": torch.ones(5, dtype=torch.bool)}, "mask of 5 entries for 17"),
        ({"forget": [True] * 16}, "mask of 16 entries for 17"),
        ({"forget": 3}, r"forget=3 is one id.*forget=\[3\]"),
        ({"forget": "b", "ids": list("abcdefghijklmnopq")}, r"forget=\['b'\]"),
        ({"forget": [[1, 2]]}, "names nothing"),
        ({"ids": [[i] for i in range(SIZE)]}, "names nothing"),
        ({"forget": torch.ones(2, 2)}, "one axis"),
    ],
)
def test_requests_in_containers_of_another_kind(changes: dict[str, Any], words: str) -> None:
    refused(BadRequest, words, **changes)


class Sized(IterableDataset[Any]):
    def __len__(self) -> int:
        return SIZE

    def __iter__(self) -> Any:
        return map(pair, range(SIZE))


@pytest.mark.parametrize(
    "dataset", [Sized(), DataLoader(Sized(), batch_size=4)], ids=["data set", "loader"]
)
def test_data_that_only_iterate_are_refused(dataset: Any) -> None:
    refused(BadRequest, "map-style", dataset=dataset)


@pytest.mark.parametrize("in_memory", [True, False])
def test_items_of_three_parts_are_refused(in_memory: bool) -> None:
    whole = TensorDataset(X, Y, torch.ones(SIZE))
    data: Any = whole if in_memory else Items(lambda place: whole[place])
    refused(BadRequest, r"3 parts.*weights=", dataset=data)


def test_a_weight_of_an_example_that_cannot_be_meant_is_refused() -> None:
    refused(BadRequest, "one number an example", weights=torch.ones(3))
    refused(BadRequest, "negative", weights=-torch.ones(SIZE))
    loss: Any = lambda z, y: functional.cross_entropy(z, y)  # noqa: E731
    refused(UnsupportedModel, "one value per example", weights=torch.ones(SIZE), loss=loss)


def test_randomness_inside_a_user_dict_is_seen() -> None:
    noise = generator()

    def collate(items: list[Any]) -> Any:
        x = torch.stack([item[0] for item in items])
        x = x + 0.1 * torch.randn(x.shape, generator=noise, dtype=x.dtype)
        return UserDict({"x": x, "y": torch.stack([item[1] for item in items])})

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return functional.cross_entropy(model(batch["x"]), batch["y"], reduction="none")

    refused(NotDeterministic, "augmentation", collate=collate, loss=loss)


def test_arrays_that_are_no_data_set_are_refused() -> None:
    refused(BadRequest, r"TensorDataset\(inputs, targets\)", dataset=(X, Y))
    refused(BadRequest, r"TensorDataset\(inputs, targets\)", dataset=(X.numpy(), Y.numpy()))
    refused(BadRequest, "to_dense", dataset=TensorDataset(X.to_sparse(), Y))


def test_the_mean_over_a_batch_of_a_divergence_is_a_mean_over_examples() -> None:
    soft = X[:, :3].softmax(1)

    def by_hand(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.KLDivLoss(reduction="none")(outputs, targets).sum(1)

    risks = [
        EmpiricalRisk(
            initialised(lambda: nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1))),
            TensorDataset(X, soft),
            loss,
        )
        for loss in (nn.KLDivLoss(reduction="batchmean"), by_hand)
    ]
    first, second = (risk.gradient(risk.start) for risk in risks)
    torch.testing.assert_close(first, second)


def test_a_mask_or_a_subset_marks_places_whatever_the_examples_are_called() -> None:
    """Their places were looked up as names once more: with whole numbers other people went."""
    problem = mlp()
    size = len(problem.dataset)  # type: ignore[arg-type]
    mask = torch.zeros(size, dtype=torch.bool)
    mask[:3] = True

    def erased(forget: Any, ids: Any) -> Tensor:
        return curenu.unlearn(
            problem.model, problem.dataset, "cross_entropy", forget=forget, ids=ids, seed=0
        ).theta

    plain = erased([0, 1, 2], None)
    backwards = list(range(size))[::-1]
    words = [f"person {place}" for place in range(size)]
    subset = Subset(problem.dataset, [0, 1, 2])
    for ids in (backwards, words, torch.tensor(backwards)):
        for forget in (mask, mask.tolist(), mask.numpy(), list(mask.numpy()), subset):
            assert torch.equal(erased(forget, ids), plain)
    assert torch.equal(erased(backwards[:3], backwards), plain)
    refused(BadRequest, "mask of 2 entries", forget=[True, False], ids=words)
