"""What goes wrong in the caller's own code is an error that names the part and the examples."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

import curenu
from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import BadRequest, CurenuError, IllPosed, UnsupportedModel, UserCodeFailed
from curenu.methods import FineTune
from curenu.newton import target
from tests.problems import classes, initialised, inputs

SIZE = 24
X, Y = inputs(SIZE, 4), classes(SIZE, 3)
TIME = curenu.TrainingTime(20.0)


class Broken(Exception):
    """The user's own kind of error."""


def net() -> nn.Module:
    return initialised(lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)))


def ask(**changes: Any) -> curenu.Unlearned:
    given: dict[str, Any] = {
        "model": net(),
        "dataset": TensorDataset(X, Y),
        "loss": "cross_entropy",
        "forget": [1, 2],
        "training": TIME,
        "micro_batch_size": 8,
    } | changes
    before = copy.deepcopy(given["model"].state_dict())
    try:
        return curenu.unlearn(**given)
    finally:
        for name, tensor in given["model"].state_dict().items():
            assert torch.equal(tensor, before[name])


def failed(words: str, kind: type[CurenuError] = UserCodeFailed, **changes: Any) -> CurenuError:
    """The request ends in that error, whose cause is the user's own."""
    with pytest.raises(kind, match=words) as caught:
        ask(**changes)
    assert isinstance(caught.value.__cause__, Broken)
    assert caught.value.remedy
    return caught.value


def raised(*_: Any, **__: Any) -> Any:
    raise Broken("the disk is full\nand more")


class After:
    """`usual` for so many calls, then `then`."""

    def __init__(self, calls: int, usual: Callable[..., Any], then: Callable[..., Any]) -> None:
        self.left, self.usual, self.then = calls, usual, then

    def __call__(self, *given: Any) -> Any:
        self.left -= 1
        return (self.usual if self.left >= 0 else self.then)(*given)


def mean(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets)


def calls_of(ask_with: Callable[[After], Any]) -> int:
    """How often a function is called in a whole erasure."""
    counted = After(10**6, mean, mean)
    ask_with(counted)
    return 10**6 - counted.left


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6, 0.9])
def test_a_loss_that_fails_early_or_late_is_named(share: float) -> None:
    calls = int(share * calls_of(lambda loss: ask(loss=loss)))
    error = failed("^The loss failed on example", loss=After(calls, mean, raised))
    assert "Broken: the disk is full." in error.problem


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda z, y: 3.0, "The loss returned a float"),
        (lambda z, y: (mean(z, y),), "The loss returned a tuple"),
        (lambda z, y: torch.tensor(1), r"The loss returned a tensor of torch\.int64"),
        (lambda z, y: z.argmax(1) == y, r"The loss returned a tensor of torch\.bool"),
        (lambda z, y: mean(z, y) * 1j, r"The loss returned a tensor of torch\.complex128"),
        (lambda z, y: z, r"has shape \[\d+, 3\]"),
    ],
)
def test_a_loss_that_returns_something_else(loss: Any, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        ask(loss=loss)


@pytest.mark.parametrize("method", ["stocurenu", FineTune(epochs=1)])
def test_a_loss_that_is_cut_off_from_the_outputs(method: Any) -> None:
    with pytest.raises(UnsupportedModel, match="does not depend on the model's outputs"):
        ask(loss=lambda z, y: mean(z, y).detach(), method=method)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    ("then", "words"),
    [
        (lambda z, y: z, r"The loss of \d+ examples has shape \[\d+, 3\]"),
        (lambda z, y: None, "The loss returned a NoneType"),
    ],
)
def test_a_loss_that_returns_something_else_later(share: float, then: Any, words: str) -> None:
    calls = int(share * calls_of(lambda loss: ask(loss=loss)))
    with pytest.raises(BadRequest, match=words):
        ask(loss=After(calls, mean, then))


def test_a_loss_of_model_and_batch_is_named() -> None:
    rows = [{"x": x, "y": y} for x, y in zip(X, Y, strict=True)]

    def usual(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return mean(model(batch["x"]), batch["y"])

    counted = After(10**6, usual, usual)
    ask(dataset=rows, loss=counted)
    for share in (0.2, 0.5, 0.9):
        calls = int(share * (10**6 - counted.left))
        failed(
            "^The loss, or the model that it calls, failed on example",
            dataset=rows,
            loss=After(calls, usual, raised),
        )


class Data(Dataset[Any]):
    """Fails at one position, or gives something else there."""

    def __init__(self, place: int, then: Callable[[int], Any], size: int = SIZE) -> None:
        self.place, self.then, self.size = place, then, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: int) -> Any:
        return self.then(place) if place == self.place else (X[place % SIZE], Y[place % SIZE])


@pytest.mark.parametrize("place", [0, 5, SIZE - 1])
def test_an_item_that_fails_is_named(place: int) -> None:
    failed(f"^The data set failed on example {place}: Broken", dataset=Data(place, raised))


@pytest.mark.parametrize("error", [IndexError, KeyError, StopIteration])
def test_an_item_that_is_not_there_is_named(error: type[Exception]) -> None:
    def absent(place: int) -> Any:
        raise error("x")

    with pytest.raises(BadRequest, match="24 examples and fails at example 5") as caught:
        ask(dataset=Data(5, absent))
    assert isinstance(caught.value.__cause__, error)


def test_an_item_of_another_kind_is_named() -> None:
    with pytest.raises(BadRequest, match="tuple, and str at 5, do not make a batch"):
        ask(dataset=Data(5, lambda place: "abc"))


def test_an_item_that_fails_in_a_worker_is_named() -> None:
    loader = DataLoader(Data(70, raised, size=80), batch_size=8, num_workers=1)
    words = "^The data set, in a worker of its loader, failed: Broken: the disk"
    failed(words, dataset=loader, loss=mean)


class Many(Data):
    """Items in one call."""

    def __getitems__(self, places: list[int]) -> Any:
        return self.then(len(places))


@pytest.mark.parametrize("give", [lambda n: None, lambda n: [(X[0], Y[0])] * (n - 1)])
def test_items_given_together_are_counted(give: Any) -> None:
    with pytest.raises(CurenuError, match="data set failed on examples 0|gives 7 items for 8"):
        ask(dataset=Many(0, give))
    failed("^The data set failed on examples 0, ", dataset=Many(0, raised))


class WithoutLength(Data):
    """Does not know how long it is."""

    def __len__(self) -> int:
        raise Broken


def test_a_length_that_fails_is_named() -> None:
    failed("^`__len__` of the data set failed", dataset=WithoutLength(0, raised))


@pytest.mark.parametrize("calls", [0, 1, 2, 5, 12])
def test_a_collate_that_fails_early_or_late_is_named(calls: int) -> None:
    failed("^`collate` failed on example", collate=After(calls, default_collate, raised))


def test_a_collate_that_fails_in_the_metric_is_no_reason_to_leave_it_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collate, usual = After(10**6, default_collate, raised), target.kronecker_metric

    def metric(*given: Any, **named: Any) -> Any:
        collate.left = 0
        return usual(*given, **named)

    monkeypatch.setattr(target, "kronecker_metric", metric)
    failed("^`collate` failed on example", collate=collate)


class Tires(nn.Module):
    """Fails after so many passes."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.linear, self.passes = nn.Linear(4, 3), [passes]

    def forward(self, x: Tensor) -> Tensor:
        self.passes[0] -= 1
        return self.linear(x) if self.passes[0] >= 0 else raised()


@pytest.mark.parametrize("passes", [0, 5, 12, 20, 30])
def test_a_model_that_fails_is_named(passes: int) -> None:
    kind = UserCodeFailed if passes else UnsupportedModel
    model = initialised(lambda: Tires(passes))
    failed("^The model failed on example", kind, model=model, loss=mean)


class Changes(Tires):
    """Returns something else after so many passes."""

    def __init__(self, passes: int, then: Callable[[Tensor], Any]) -> None:
        super().__init__(passes)
        self.then = then

    def forward(self, x: Tensor) -> Any:
        self.passes[0] -= 1
        outputs = self.linear(x)
        return outputs if self.passes[0] >= 0 else self.then(outputs)


@pytest.mark.parametrize("passes", [1, 8, 14, 20, 26])
@pytest.mark.parametrize(
    ("then", "words"),
    [
        (lambda z: (z,), "returned tuple"),
        (lambda z: None, "returned NoneType"),
        (lambda z: z.long(), r"returned torch\.int64 \[\d+, 3\]"),
        (lambda z: z[:-1], r"returned torch\.float64 \[\d+, 3\]"),
        (lambda z: z[:, :2], r"returned torch\.float64 \[\d+, 2\]"),
        (lambda z: z.flatten(), r"returned torch\.float64 \[\d+\]"),
    ],
)
def test_outputs_of_another_kind_later_name_the_model(passes: int, then: Any, words: str) -> None:
    model = initialised(lambda: Changes(passes, then))
    with pytest.raises(UnsupportedModel, match=f"^The model {words} on example"):
        ask(model=model)


def test_a_retraining_that_fails_or_returns_no_model() -> None:
    failed("^`retrain` failed: Broken", method="retrain", retrain=raised)
    for made in (None, net().state_dict(), 3):
        with pytest.raises(BadRequest, match="`retrain` returned a"):
            ask(method="retrain", retrain=lambda *_, made=made: made)
    broken = net()
    with torch.no_grad():
        broken[0].bias[0] = float("nan")  # type: ignore[index]
    with pytest.raises(IllPosed, match="`retrain` returned a model with NaN"):
        ask(method="retrain", retrain=lambda *_: broken)


def test_a_retrained_model_may_be_wrapped() -> None:
    made = initialised(lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), seed=1)
    plain = ask(method="retrain", retrain=lambda *_: made).theta
    assert torch.equal(ask(method="retrain", retrain=lambda *_: nn.DataParallel(made)).theta, plain)


def test_a_listener_that_fails_is_named() -> None:
    failed("^`on_step` failed: Broken", on_step=raised)


@pytest.mark.parametrize("name", ["retrain", "on_step", "collate"])
def test_what_cannot_be_called_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadRequest, match=f"^{name}=3 cannot be called"):
        ask(**{name: 3})


class Odd:
    """A method of the user's that returns something else."""

    def __init__(self, plan: Any, made: Any) -> None:
        self.planned, self.made = plan, made

    def plan(self, problem: ErasureProblem) -> Any:
        return self.planned

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Any:
        return raised() if self.made is raised else self.made


def test_a_method_that_returns_something_else() -> None:
    with pytest.raises(BadRequest, match=r"Odd returned a NoneType for a Plan.*erasure\.Plan"):
        ask(method=Odd(None, None))
    with pytest.raises(BadRequest, match="Odd returned a NoneType for a Erasure"):
        ask(method=Odd(Plan(0, 0), None))
    failed("^Odd failed: Broken", method=Odd(Plan(0, 0), raised))
    result = ask(method=FineTune(epochs=1)).erasure
    short = Erasure(result.theta[:-1], result.status, result.cost)
    with pytest.raises(BadRequest, match=r"A vector of shape \[50\]"):
        ask(method=Odd(Plan(0, 0), short))
