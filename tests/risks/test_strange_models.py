"""Models, losses and collates that would be erased wrongly in silence: seen, and refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import ConcatDataset, Subset, TensorDataset

import curenu
from curenu import TrainingTime
from curenu.errors import BadRequest, UnsupportedModel
from curenu.risks import EmpiricalRisk
from tests.problems import classes, inputs

TIME = TrainingTime(5.0)


def rows(count: int = 40) -> TensorDataset:
    return TensorDataset(inputs(count, 4), classes(count, 3))


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


class Sequences(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Sequences of 2 to 6 numbers, none as long as its neighbours."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        made = torch.Generator().manual_seed(index)
        steps = 2 + (3 * index) % 5
        return torch.randn(steps, 2, generator=made), torch.tensor(index % 3)


def padded(items: list[tuple[Tensor, Tensor]]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    lengths = torch.tensor([len(sequence) for sequence, _ in items])
    sequences = pad_sequence([sequence for sequence, _ in items], batch_first=True)
    return (sequences, lengths), torch.stack([target for _, target in items])


def by_length(items: list[tuple[Tensor, Tensor]]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    return padded(sorted(items, key=lambda item: -len(item[0])))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.head = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(sequences, lengths, batch_first=True, enforce_sorted=False)
        return self.head(self.cell(packed)[1][0])


class Sorting(Recurrent):
    """Sorts inside, and does not put back."""

    def forward(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        order = lengths.argsort(descending=True, stable=True)
        return super().forward(sequences[order], lengths[order])


def test_a_collate_that_sorts_its_batch_is_refused() -> None:
    EmpiricalRisk(Recurrent(), Sequences(), "cross_entropy", collate=padded)
    with pytest.raises(UnsupportedModel, match="in another order"):
        EmpiricalRisk(Recurrent(), Sequences(), "cross_entropy", collate=by_length)
    with pytest.raises(UnsupportedModel, match="in another order"):
        EmpiricalRisk(Sorting(), Sequences(), "cross_entropy", collate=padded)


class TimeFirst(nn.Module):
    """`[t, b, 3]` of sequences `[b, t]`."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.line = nn.Linear(1, 3)

    def forward(self, sequences: Tensor) -> Tensor:
        return self.line(sequences.T.unsqueeze(2))


def last_step(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs[-1], targets)


@pytest.mark.parametrize("size", [1, 2, 8, 32, 64])
def test_outputs_whose_first_axis_is_time_give_the_same_value_at_any_size(size: int) -> None:
    data = TensorDataset(inputs(48, 32).float(), classes(48, 3))
    model = TimeFirst()
    risk = EmpiricalRisk(model, data, last_step, micro_batch_size=size)
    expected = last_step(model(data.tensors[0]), data.tensors[1]).detach()
    assert float(risk.value(risk.start)) == pytest.approx(float(expected), rel=1e-5)


class Table(nn.Module):
    def __init__(self, max_norm: float | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(10, 4, max_norm=max_norm)
        self.line = nn.Linear(4, 3)

    def forward(self, words: Tensor) -> Tensor:
        return self.line(self.table(words))


class Counting(Table):
    """Counts its passes in a weight that does not move."""

    def __init__(self) -> None:
        super().__init__(None)
        self.passes = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, words: Tensor) -> Tensor:
        self.passes.data += 1
        return super().forward(words)


def test_weights_that_stay_are_the_same_to_the_bit_afterwards() -> None:
    data = TensorDataset(torch.arange(30) % 10, classes(30, 3))
    model = Table(max_norm=0.5)
    before = copy.deepcopy(model.state_dict())
    result = curenu.unlearn(
        model, data, "cross_entropy", forget=[3, 4], only=["line"], training=TIME
    )
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not torch.equal(result.model.state_dict()["line.weight"], before["line.weight"])


def test_a_pass_that_writes_into_a_weight_that_stays_is_refused_and_undone() -> None:
    data = TensorDataset(torch.arange(30) % 10, classes(30, 3))
    model = Counting()
    with pytest.raises(UnsupportedModel, match=r"writes into 'passes'"):
        EmpiricalRisk(model, data, "cross_entropy")
    assert float(model.passes) == 0.0


class Itself(nn.Linear):
    def __deepcopy__(self, memo: dict[int, Any]) -> Itself:
        return self


def test_a_model_whose_copy_is_itself_is_refused_and_stays_in_training() -> None:
    model = nn.Sequential(Itself(4, 3)).train()
    with pytest.raises(UnsupportedModel, match=r"the same Itself at '0'"):
        EmpiricalRisk(model, rows(), "cross_entropy")
    assert model[0].training


class Remembering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.known = net(), {}

    def forward(self, x: Tensor) -> Tensor:
        key = x.detach().numpy().tobytes()
        if key not in self.known:
            self.known[key] = self.inner(x)
        return self.known[key]


def test_a_model_that_remembers_its_outputs_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="the same at other weights"):
        EmpiricalRisk(Remembering(), rows(), "cross_entropy")


def test_a_loss_that_calls_another_model_is_refused() -> None:
    outer = net()

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(outer(batch["x"]), batch["y"])

    x, y = rows().tensors
    data = [{"x": x[i], "y": y[i]} for i in range(len(x))]
    with pytest.raises(UnsupportedModel, match="the same at other weights"):
        EmpiricalRisk(outer, data, loss)  # type: ignore[arg-type]


def errors(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) != targets).float().mean()


def test_a_loss_without_a_derivative_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="does not depend on the model's outputs"):
        EmpiricalRisk(net(), rows(), errors)


def hardest(outputs: Tensor, targets: Tensor) -> Tensor:
    """A mean over few examples, one of the hardest half beyond a hundred."""
    each = nn.functional.cross_entropy(outputs, targets, reduction="none")
    return each.mean() if len(each) <= 100 else each.topk(len(each) // 2).values.mean()


class Contrasting(nn.Module):
    """Takes the mean of its outputs away where they are many."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net()

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.inner(x)
        return outputs if len(x) <= 100 else outputs - 3 * outputs.mean(0)


def test_what_depends_on_its_batch_only_where_that_is_large_is_seen() -> None:
    data = rows(300)
    EmpiricalRisk(net(), data, hardest, micro_batch_size=64)
    with pytest.raises(UnsupportedModel, match="depends on the others in its batch"):
        EmpiricalRisk(net(), data, hardest)
    with pytest.raises(UnsupportedModel, match="depends on the others in its batch"):
        EmpiricalRisk(Contrasting(), data, "cross_entropy")


def test_an_example_at_two_places_is_forgotten_at_both_or_not_at_all() -> None:
    data = rows(20)
    twice = Subset(data, [*range(20), 3])
    ask: Any = {"loss": "cross_entropy", "training": TIME}
    with pytest.raises(BadRequest, match="The example at 3 is at 20 too"):
        curenu.unlearn(net(), twice, forget=[3], **ask)
    with pytest.raises(BadRequest, match=r"2 in all: 0, 20"):
        curenu.unlearn(net(), ConcatDataset([data, data]), forget=[20], **ask)
    named = curenu.unlearn(net(), twice, forget=[3, 20], **ask)
    found = curenu.unlearn(net(), twice, forget=Subset(data, [3]), **ask)
    assert torch.equal(named.theta, found.theta)


def test_rows_of_the_retain_set_behind_subsets_are_refused() -> None:
    x, y = rows(20).tensors
    copied = TensorDataset(x[:3].clone(), y[:3].clone())
    whole = ConcatDataset([TensorDataset(x[:9], y[:9]), Subset(TensorDataset(x, y), range(9, 20))])
    with pytest.raises(BadRequest, match="has its like in the data set beside it"):
        curenu.unlearn(net(), whole, "cross_entropy", forget=Subset(copied, [0, 2]))


@pytest.mark.parametrize("method", ["stocurenu", "scrub", "fine-tune"])
def test_only_the_ratios_of_weights_matter(method: str) -> None:
    weights = torch.linspace(0.5, 2.0, 40)
    ask: Any = {"forget": [3, 4], "method": method, "weight_decay": 0.01, "training": TIME}
    one, other = (
        curenu.unlearn(net(), rows(), "cross_entropy", weights=w, **ask).theta
        for w in (weights, 8.0 * weights)
    )
    assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)


def test_the_callers_weights_are_left_as_they_were() -> None:
    weights = torch.linspace(0.5, 2.0, 40, dtype=torch.float64)
    before = weights.clone()
    EmpiricalRisk(net(), rows(), "cross_entropy", weights=weights)
    assert torch.equal(weights, before)
