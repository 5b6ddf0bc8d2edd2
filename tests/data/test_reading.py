"""Data as users have them: how often they are read, what is kept, how they may be given."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

import curenu
from curenu import TrainingTime
from curenu.data import Examples
from curenu.risks import AnchoredRisk, EmpiricalRisk
from tests.problems import classes, generator, initialised, inputs

SIZE, FORGET = 20, [1, 2, 7]
X, Y = inputs(SIZE, 4), classes(SIZE, 3)
CPU = torch.device("cpu")


class Counted(Dataset[Any]):
    """Counts how often each item is read, and makes it in one buffer, as some readers do."""

    def __init__(self, size: int = SIZE) -> None:
        self.reads, self.size, self.buffer = [0] * size, size, torch.empty(4).double()

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        self.reads[place] += 1
        self.buffer.copy_(X[place % SIZE])
        return self.buffer, Y[place % SIZE]


class Plain(Counted):
    """The same with a tensor of its own for every item."""

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        self.reads[place] += 1
        return X[place].clone(), Y[place]


def net() -> nn.Module:
    return initialised(lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))


def asked(dataset: Any, **changes: Any) -> Tensor:
    given: dict[str, Any] = {
        "forget": FORGET,
        "weight_decay": 1e-2,
        "training": TrainingTime(20.0),
        "micro_batch_size": 8,
    } | changes
    return curenu.unlearn(net(), dataset, "cross_entropy", **given).theta


def test_a_default_erasure_reads_every_item_three_times_at_most() -> None:
    data = Plain()
    found = asked(data)
    assert max(data.reads) <= 3
    assert min(data.reads) >= 1
    assert torch.equal(found, asked(TensorDataset(X, Y)))


def test_what_is_kept_stays_within_the_bytes_allowed() -> None:
    one = 64 + 4 * 8 + 8  # an item: its tensors' bytes, and what holding it takes
    data = Plain()
    examples = Examples(data, CPU, memory_budget=7 * one)
    for _ in range(3):
        for ids in torch.arange(SIZE).split(5):
            examples.batch(ids)
    assert sorted(data.reads) == [1] * 7 + [3] * (SIZE - 7)
    assert examples.reads == sum(data.reads)
    found = asked(Plain(), data_memory=7 * one)
    assert torch.equal(found, asked(TensorDataset(X, Y)))
    assert torch.equal(asked(Plain(), data_memory=0), found)


def test_items_made_in_one_buffer_are_not_mixed_up() -> None:
    examples = Examples(Counted(), CPU)
    for _ in range(2):
        x, y = examples.batch(torch.tensor([3, 0, 8])).content
        assert torch.equal(x, X[[3, 0, 8]])
        assert torch.equal(y, Y[[3, 0, 8]])


def test_what_a_user_does_to_an_item_later_reaches_nothing_kept() -> None:
    x = X.clone()

    class Views(Plain):
        def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
            return x[place], Y[place]

    examples = Examples(Views(), CPU)
    before = examples.batch(torch.arange(4)).content[0].clone()
    x.zero_()
    assert torch.equal(examples.batch(torch.arange(4)).content[0], before)


@pytest.mark.parametrize("loss", ["cross_entropy", "own"])
def test_a_weight_of_two_is_an_example_twice_and_of_zero_none(loss: str) -> None:
    given: Any = loss
    if loss == "own":
        given = lambda z, y: functional.cross_entropy(z, y, reduction="none")  # noqa: E731
    weights = torch.ones(SIZE, dtype=torch.float64)
    weights[3], weights[2], weights[5] = 2.0, 2.0, 0.0  # 2 is among those to forget
    places = [*range(5), *range(6, SIZE), 3, 2]
    gone = [1, 2, 6, SIZE]  # 7 is at 6 without the fifth; the last is the second copy of 2
    for size in (1, 7, 64):
        kind: dict[str, Any] = {"weight_decay": 1e-2, "micro_batch_size": size}
        risk = EmpiricalRisk(net(), TensorDataset(X, Y), given, weights=weights, **kind)
        other = EmpiricalRisk(net(), TensorDataset(X[places], Y[places]), given, **kind)
        theta = risk.start
        step = torch.randn(len(theta), generator=generator(8), dtype=theta.dtype)
        torch.testing.assert_close(risk.value(theta), other.value(theta))
        torch.testing.assert_close(risk.gradient(theta), other.gradient(theta))
        torch.testing.assert_close(risk.hvp(theta, step), other.hvp(theta, step))
        one, two = (
            AnchoredRisk(*part.split(forget), theta, limit=0.02)
            for part, forget in ((risk, FORGET), (other, gone))
        )
        for point in (theta, theta + 0.2 * step):
            torch.testing.assert_close(one.gradient(point), two.gradient(point))


def test_data_sets_of_their_own_equal_positions_in_both_together() -> None:
    keep = [place for place in range(SIZE) if place not in FORGET]
    whole = TensorDataset(X, Y)
    retain, forget = Subset(whole, keep), Subset(whole, FORGET)
    wanted = asked(ConcatDataset([retain, forget]), forget=range(len(keep), SIZE))
    assert torch.equal(asked(retain, forget=forget), wanted)
    loaders = [DataLoader(part, batch_size=4, shuffle=True) for part in (retain, forget)]
    assert torch.equal(asked(loaders[0], forget=loaders[1]), wanted)


def test_a_mask_equals_positions() -> None:
    whole = TensorDataset(X, Y)
    wanted = asked(whole)
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[FORGET] = True
    for one in (mask, mask.numpy(), mask.tolist(), mask.nonzero(), set(FORGET)):
        assert torch.equal(asked(whole, forget=one), wanted)


def test_two_workers_give_the_same_bits() -> None:
    wanted = asked(TensorDataset(X, Y))
    assert torch.equal(asked(DataLoader(Plain(), batch_size=4, num_workers=2)), wanted)
    # one request of more items than a worker reads in a row
    examples = Examples(DataLoader(_Repeated(130), num_workers=2), CPU)
    examples.prefetch(torch.arange(130))
    x, _ = examples.batch(torch.arange(130)).content
    assert torch.equal(x, X.repeat(7, 1)[:130])
    assert examples.reads == 130


class _Repeated(Counted):
    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        return X[place % SIZE], Y[place % SIZE]
