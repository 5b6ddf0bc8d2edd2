"""Every input the library refuses, each with an error that names the remedy."""

from __future__ import annotations

import copy
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset, IterableDataset, TensorDataset

import curenu
from curenu.errors import (
    BadRequest,
    IllPosed,
    NotDeterministic,
    UnsupportedModel,
    UserCodeFailed,
)
from curenu.methods import FineTune
from tests.problems import classes, generator, initialised, inputs, mlp, regression


def ask(**changes: Any) -> curenu.Unlearned:
    problem = mlp()
    arguments: dict[str, Any] = {
        "model": problem.model,
        "dataset": problem.dataset,
        "loss": "cross_entropy",
        "forget": [1, 2],
    } | changes
    model, before = arguments["model"], copy.deepcopy(arguments["model"].state_dict())
    try:
        return curenu.unlearn(**arguments)
    finally:  # refused or not, the model that was given is as it was
        for name, tensor in model.state_dict().items():
            torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("forget", "words"),
    [
        ([], "empty"),
        ([1, 1], "repeated"),
        ([17], "unknown"),
        ([-1], "unknown"),
        (["a"], "no position"),
        ([True], "mask of 1 entries for 17"),
        ([0.5], "no position"),
        (range(17), "no example to retain"),
        (torch.arange(17), "no example to retain"),
    ],
)
def test_requests_that_cannot_be_meant(forget: Any, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        ask(forget=forget)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": ["x"]}, "1 ids for 17"),
        ({"ids": ["x"] * 17}, "share an id"),
        ({"ids": list("abcdefghijklmnopq"), "forget": ["z"]}, "unknown"),
        ({"method": "magic"}, "stocurenu"),
        ({"method": FineTune}, "FineTune"),
        ({"method": "retrain"}, "recipe"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"micro_batch_size": 0}, "micro_batch_size"),
        ({"micro_batch_size": "large"}, r"'large'.*auto"),
        ({"product_dtype": "bfloat16"}, "torch.bfloat16, torch.float16"),
        ({"product_dtype": torch.float64}, "torch.bfloat16, torch.float16"),
        ({"product_dtype": torch.bfloat16}, "a model in torch.float64"),
        ({"only": "nowhere"}, "matches no parameter"),
        ({"loss": "hinge"}, "No loss is named"),
        ({"loss": 3}, "The loss is a int"),
        ({"loss": nn.CrossEntropyLoss(torch.ones(2))}, "2 class weights for 3 classes"),
        ({"loss": "mse"}, "differ in shape"),
    ],
)
def test_arguments_that_cannot_be_meant(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        ask(**changes)


def test_names_of_examples_are_understood() -> None:
    named = ask(ids=list("abcdefghijklmnopq"), forget=["c", "b"])
    torch.testing.assert_close(named.theta, ask(forget=[1, 2]).theta)


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter([])


@pytest.mark.parametrize("dataset", [Stream(), TensorDataset(torch.zeros(0, 4))])
def test_data_without_addressable_examples_is_refused(dataset: Any) -> None:
    with pytest.raises(BadRequest):
        ask(dataset=dataset)


class Augmented(Dataset[tuple[Tensor, int]]):
    def __init__(self) -> None:
        self.noise = generator()

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.randn(4, generator=self.noise, dtype=torch.float64), index % 3


def test_data_that_changes_between_reads_is_refused() -> None:
    with pytest.raises(NotDeterministic, match="augmentation"):
        ask(dataset=Augmented())


class LeftOn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(functional.dropout(x, 0.5))  # `training` is True by default


def test_dropout_that_ignores_eval_is_refused() -> None:
    with torch.random.fork_rng(), pytest.raises(NotDeterministic, match="dropout"):
        torch.manual_seed(0)
        ask(model=initialised(LeftOn))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("method", ["curenu", "stocurenu", "fine-tune", "damped-newton"])
def test_broken_weights_data_and_losses_are_named(value: float, method: str) -> None:
    broken = mlp().model
    with torch.no_grad():
        broken[0].bias[0] = value  # type: ignore[index]
    with pytest.raises(IllPosed, match="weights of 0.bias"):
        ask(model=broken, method=method)
    x = inputs(17, 4)
    x[9, 0] = value
    with pytest.raises(IllPosed, match="Example 9: NaN or Inf in the data"):
        ask(dataset=TensorDataset(x, classes(17, 3)), method=method)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        each = functional.cross_entropy(outputs, targets, reduction="none")
        return torch.where(outputs.argmax(1) == 2, each * value, each)

    with pytest.raises(IllPosed, match="loss is NaN or Inf at example"):
        ask(loss=loss, method=method)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * grad


def once(outputs: Tensor, targets: Tensor) -> Tensor:
    return Once.apply(outputs).mean(1)  # type: ignore[no-any-return]


def rooted(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - outputs.detach()).abs().pow(1.5).sum(1) + outputs.sum(1)


def linear(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.gather(1, targets[:, None])[:, 0]


@pytest.mark.parametrize("method", ["curenu", "stocurenu", "pseudo-inverse-newton"])
def test_losses_without_a_second_derivative_are_refused(method: str) -> None:
    with pytest.raises(UnsupportedModel, match="twice"):
        ask(loss=once, method=method)
    with pytest.raises(IllPosed, match="not twice differentiable"):
        ask(loss=rooted, method=method)
    flat = initialised(lambda: nn.Linear(4, 3))
    with pytest.raises(UnsupportedModel, match="piecewise linear"):
        ask(model=flat, loss=linear, method=method)


def test_first_order_methods_do_not_ask_for_a_second_derivative() -> None:
    assert ask(loss=once, method=FineTune(epochs=1)).theta.isfinite().all()


def test_fine_tuning_that_diverges_says_so() -> None:
    problem = regression()
    method = FineTune(learning_rate=1e9, epochs=50)
    with pytest.raises(IllPosed, match="learning_rate"):
        ask(model=problem.model, dataset=problem.dataset, loss="mse", method=method)


def test_a_frozen_model_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="unfreeze"):
        ask(model=mlp().model.requires_grad_(False))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("micro_batch_size", [2.5, 8.0, None, True, math.nan, [8], 2**70, math.inf]),
        ("data_memory", ["a", 1.5, -1, None, True, math.nan]),
        ("weight_decay", ["1e-2", True, math.nan, None, math.inf, 1j]),
        ("seed", [2**70, 1.0, "1", None, True]),
    ],
)
def test_numbers_of_another_kind_are_refused_by_name(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(BadRequest, match=f"^{name}=") as caught:
            ask(**{name: value})
        assert caught.value.remedy


def test_scalars_of_numpy_are_numbers() -> None:
    scalars = {
        "weight_decay": np.float64(1e-2),
        "seed": np.int64(3),
        "micro_batch_size": np.int32(8),
        "data_memory": np.int64(0),
    }
    plain = {name: scalar.item() for name, scalar in scalars.items()}
    assert torch.equal(ask(**scalars).theta, ask(**plain).theta)


@pytest.mark.parametrize(
    ("only", "kind"),
    [
        (3, "int"),
        (1.5, "float"),
        (True, "bool"),
        ([1], "int"),
        ([None], "NoneType"),
        (b"0", "int"),
        (torch.tensor([0]), "Tensor"),
        (nn.Linear(2, 2), "Linear"),
        ([nn.Parameter(torch.ones(1))], "Parameter"),
    ],
)
def test_selections_that_name_no_parameter_are_refused(only: Any, kind: str) -> None:
    with pytest.raises(BadRequest, match=f"only= has a {kind}, which names no parameter"):
        ask(only=only)


def test_names_in_any_container_and_functions_of_them_select_the_same() -> None:
    wanted = ask(only="2").theta
    for only in (["2"], ("2.*",), {"2": 1}, np.array(["2"]), lambda name: re.match("2", name)):
        assert torch.equal(ask(only=only).theta, wanted)
    with pytest.raises(UserCodeFailed, match="^`only` failed: ZeroDivisionError"):
        ask(only=lambda name: 1 / 0)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("a", "Weights of type str make no tensor"),
        (["a"] * 17, "Weights of type list make no tensor"),
        ([None] * 17, "Weights of type list make no tensor"),
        ({0: 1.0}, "Weights of type dict make no tensor"),
        (np.array([1] * 17, dtype=object), "Weights of type ndarray make no tensor"),
        (torch.ones(17, dtype=torch.complex64), r"Weights of torch\.complex64"),
        (torch.ones(17, device="meta"), "Weights on the meta device"),
        (torch.ones(17, 1), r"Weights \[17, 1\] for 17 examples"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(weights: Any, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        ask(weights=weights)


def test_weights_in_any_container_are_the_same_numbers() -> None:
    plain = [1.0 + place % 3 for place in range(17)]
    wanted = ask(weights=plain).theta
    exact = torch.tensor(plain)
    for weights in (exact, np.array(plain), exact.int(), exact.clone().requires_grad_()):
        torch.testing.assert_close(ask(weights=weights).theta, wanted, rtol=0, atol=0)


def test_what_has_no_content_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match=r"meta device, without content: 0\.weight, 0\.bias"):
        curenu.unlearn(mlp().model.to("meta"), mlp().dataset, "cross_entropy", forget=[1])
    x, y = inputs(17, 4), classes(17, 3)
    for data in (TensorDataset(x.to("meta"), y), TensorDataset(x, y.to("meta"))):
        with pytest.raises(BadRequest, match="meta device"):
            ask(dataset=data)
    with pytest.raises(BadRequest, match="forget is on the meta device"):
        ask(forget=torch.tensor([1], device="meta"))


@pytest.mark.parametrize("named", [False, True])
def test_a_mask_of_numbers_is_not_read_as_positions(named: bool) -> None:
    changes: dict[str, Any] = {"ids": list(range(100, 117))} if named else {}
    mask = torch.zeros(17, dtype=torch.uint8)
    mask[1:3] = 1
    for forget in (mask, mask.numpy(), mask[:2], torch.tensor([1, 2], dtype=torch.uint8)):
        with pytest.raises(BadRequest, match=r"forget is of uint8.*forget\.bool\(\)"):
            ask(forget=forget, **changes)
    for other in (mask.long(), mask.int().tolist(), mask.float(), mask.numpy().astype(np.int64)):
        with pytest.raises(BadRequest, match=r"a mask of numbers.*forget\.bool\(\)"):
            ask(forget=other, **changes)
    assert torch.equal(ask(forget=mask.bool(), **changes).theta, ask(forget=[1, 2]).theta)


def test_two_entries_that_may_be_the_targets_are_refused() -> None:
    x, y = inputs(17, 4), classes(17, 3)
    rows: Any = [{"input": a, "labels": b, "y": b} for a, b in zip(x, y, strict=True)]
    with pytest.raises(BadRequest, match="entries labels and y, each of which may be the targets"):
        ask(dataset=rows)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_loss_that_is_nan_names_itself_and_the_example(reduction: str) -> None:
    targets = classes(17, 3)

    def loss(outputs: Tensor, given: Tensor) -> Tensor:
        each = functional.cross_entropy(outputs, given, reduction="none")
        each = torch.where(given == targets[16], each * math.nan, each)
        return each if reduction == "none" else each.mean()

    first = int((targets == targets[16]).nonzero()[0])
    with pytest.raises(IllPosed, match=f"The loss is NaN or Inf at example {first}\\."):
        ask(loss=loss, dataset=TensorDataset(inputs(17, 4), targets))
