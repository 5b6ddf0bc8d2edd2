"""A forget set that is part of the data given beside it is found there, or refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

import curenu
from curenu import TrainingTime
from curenu.data import positions_within
from curenu.errors import BadRequest
from tests.problems import classes, inputs, mlp

TIME = TrainingTime(5.0)


class Items(Dataset[tuple[Tensor, Tensor]]):
    """The same rows by another class of data set."""

    def __init__(self, data: TensorDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.data[index]  # type: ignore[return-value]


def rows(count: int = 40) -> TensorDataset:
    return TensorDataset(inputs(count, 4), classes(count, 3))


def test_subsets_and_concatenations_are_followed() -> None:
    data, other = Items(rows()), Items(rows())
    assert positions_within(Subset(data, [7, 3]), data) == [7, 3]
    assert positions_within(Subset(Subset(data, [9, 7, 3]), [2, 0]), data) == [3, 9]
    whole = ConcatDataset([other, data])
    assert positions_within(Subset(data, [1]), whole) == [41]
    assert positions_within(Subset(data, [5]), Subset(data, [6, 5])) == [1]
    assert positions_within(Subset(data, [4]), Subset(data, [6, 5])) is None
    assert positions_within(other, data) is None


def test_a_part_of_the_forget_set_in_the_retain_set_is_refused() -> None:
    data = Items(rows())
    with pytest.raises(BadRequest, match="1 of the 2 forget examples are in the retain set"):
        positions_within(Subset(data, [0, 1]), Subset(data, [1, 2, 3]))


def test_copied_rows_of_the_same_tensors_are_refused() -> None:
    x, y = rows().tensors
    copied = TensorDataset(x[:3].clone(), y[:3].clone())
    with pytest.raises(BadRequest, match="has its like in the data set beside it"):
        positions_within(copied, TensorDataset(x, y))
    assert positions_within(copied, TensorDataset(x[3:], y[3:])) is None
    low = TensorDataset(x[:3].bfloat16(), y[:3])
    assert positions_within(low, TensorDataset(x, y)) is None


def test_a_subset_of_the_data_erases_as_its_positions_do() -> None:
    data, model = Items(rows()), mlp().model
    gone = [2, 11, 30]
    by_subset, by_position, apart = (
        curenu.unlearn(model, given, "cross_entropy", forget=forget, training=TIME)
        for given, forget in (
            (data, Subset(data, gone)),
            (data, gone),
            (Subset(data, [i for i in range(40) if i not in gone]), Subset(data, gone)),
        )
    )
    assert torch.equal(by_subset.theta, by_position.theta)
    assert (
        "the forget set is 3 examples of the 40 given: the others are retained" in by_subset.notes
    )
    torch.testing.assert_close(apart.theta, by_position.theta, rtol=0.5, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        ({"training": 237.5}, r"curenu\.TrainingTime\(237\.5\)"),
        ({"training": "long"}, r"a `curenu\.TrainingTime`"),
        ({"seed": "x"}, "a whole number"),
        ({"seed": True}, "a whole number"),
        ({"weight_decay": "a"}, "zero or a positive number"),
    ],
)
def test_arguments_of_another_kind_name_what_to_give(arguments: dict, remedy: str) -> None:
    with pytest.raises(BadRequest, match=remedy):
        curenu.unlearn(mlp().model, rows(), "cross_entropy", forget=[1], **arguments)
