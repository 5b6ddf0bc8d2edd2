"""Data, targets and models that cannot be meant: each its own error before anything is computed."""

from __future__ import annotations

import hashlib
from collections import UserDict
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils.data import (
    DataLoader,
    Dataset,
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
from curenu.methods import StoCuReNU
from curenu.risks import EmpiricalRisk
from tests.problems import classes, generator, initialised, inputs, mlp

SIZE = 17


class Untouched(StoCuReNU):
    """A method that must not be reached."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("something was computed before the request was refused")


def fingerprint(model: nn.Module) -> tuple[Any, ...]:
    """Every bit of the state, and the flags."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    modes = tuple(module.training for module in model.modules())
    return digest.hexdigest(), modes, tuple(p.requires_grad for p in model.parameters())


def refused(error: type[CurenuError], words: str, **changes: Any) -> None:
    """The request ends in that error, with a remedy, and nothing happened to the model."""
    problem = mlp()
    given: dict[str, Any] = {
        "model": problem.model,
        "dataset": problem.dataset,
        "loss": "cross_entropy",
        "forget": [1, 2],
        "method": Untouched(),
    } | changes
    before = None if _odd(given["model"]) else fingerprint(given["model"])
    with pytest.raises(error, match=words) as caught:
        curenu.unlearn(**given)
    assert caught.value.remedy
    if before is not None:
        assert fingerprint(given["model"]) == before


def _odd(model: nn.Module) -> bool:
    return any(isinstance(p, nn.UninitializedParameter) for p in model.parameters())


class Items(Dataset[Any]):
    """Items made by a function of their position."""

    def __init__(self, make: Callable[[int], Any], size: int = SIZE) -> None:
        self.make, self.size = make, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, place: int) -> Any:
        return self.make(place)


X, Y = inputs(SIZE, 4), classes(SIZE, 3)


def pair(place: int) -> tuple[Tensor, Tensor]:
    return X[place], Y[place]


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


def test_scripted_and_lazy_modules_are_refused() -> None:
    traced = torch.jit.trace(mlp().model, X) if _traces() else None
    if traced is not None:
        refused(UnsupportedModel, "before `torch.jit", model=traced)
    refused(UnsupportedModel, "one batch through the model", model=nn.LazyLinear(3))


def _traces() -> bool:
    try:
        torch.jit.trace(nn.Linear(1, 1), torch.zeros(1, 1))
    except Exception:
        return False
    return True


class Several(nn.Module):
    def __init__(self, pack: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.linear, self.pack = nn.Linear(4, 3), pack

    def forward(self, x: Tensor) -> Any:
        return self.pack(self.linear(x))


@pytest.mark.parametrize(
    "pack",
    [lambda z: (z, z), lambda z: [z, z], lambda z: {"scores": z}],
    ids=["tuple", "list", "dict"],
)
def test_several_outputs_need_a_loss_that_picks(pack: Any) -> None:
    model = initialised(lambda: Several(pack))
    refused(UnsupportedModel, "needs one", model=model)

    def picks(made: Any, y: Tensor) -> Tensor:
        z = made["scores"] if isinstance(made, dict) else made[0]
        return functional.cross_entropy(z, y)

    risk = EmpiricalRisk(model, TensorDataset(X, Y), picks)
    plain = EmpiricalRisk(
        initialised(lambda: nn.Linear(4, 3)), TensorDataset(X, Y), "cross_entropy"
    )
    torch.testing.assert_close(risk.gradient(risk.start), plain.gradient(plain.start))


@pytest.mark.parametrize("pack", [lambda z: {"logits": z}, lambda z: SimpleNamespace(logits=z)])
def test_logits_are_taken_of_several_named_outputs(pack: Any) -> None:
    risk = EmpiricalRisk(initialised(lambda: Several(pack)), TensorDataset(X, Y), "cross_entropy")
    plain = EmpiricalRisk(
        initialised(lambda: nn.Linear(4, 3)), TensorDataset(X, Y), "cross_entropy"
    )
    assert torch.equal(risk.gradient(risk.start), plain.gradient(plain.start))
    assert any("logits" in note for note in risk.notes)


def test_hessian_products_of_weight_norm_are_refused() -> None:
    """Torch's kernel has a wrong second derivative in either order of derivatives."""
    model = initialised(
        lambda: nn.Sequential(
            parametrizations.weight_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)
        )
    )
    risk = EmpiricalRisk(model, TensorDataset(X, Y), "cross_entropy")
    theta = risk.start
    vector = torch.randn(len(theta), generator=generator(5), dtype=theta.dtype)
    for _ in range(2):  # a refusal is not remembered as a success
        with pytest.raises(UnsupportedModel, match="weight_norm"):
            risk.hvp(theta, vector)
    assert risk.gradient(theta).isfinite().all()


def test_a_penalty_on_the_weights_inside_the_loss_is_refused() -> None:
    """It would be a constant: it sees the weights of the model given, not those tried."""
    model = initialised(lambda: nn.Linear(4, 3))

    def penalised(outputs: Tensor, targets: Tensor) -> Tensor:
        penalty = sum(p.square().sum() for p in model.parameters())
        return functional.cross_entropy(outputs, targets) + 0.01 * penalty

    refused(BadRequest, "weight_decay=lambda", model=model, loss=penalised)


def test_batch_norm_that_measures_every_batch_is_refused() -> None:
    model = initialised(
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))
    )
    refused(UnsupportedModel, "keeps no running statistics", model=model)


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


def scaled(made: Any, weight: Tensor) -> Any:
    return made * weight.mean()


class Held(nn.Module):
    """A weight that is used a second time, by something that holds the tensor."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 3)
        weight = self.first.weight
        self.function = {
            "closure": lambda h: functional.linear(h, weight),
            "partial": partial(functional.linear, weight=weight),
        }.get(how)
        self.weights = [weight]
        if how == "hook":
            self.last.register_forward_hook(lambda module, given, made: scaled(made, weight))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        if self.function is not None:
            h = self.function(h)
        elif len(self.weights) > 1:
            h = h @ self.weights[1].mT
        return self.last(h)


@pytest.mark.parametrize("how", ["closure", "partial", "hook", "list"])
def test_weights_that_are_used_by_another_way_are_refused(how: str) -> None:
    """Derivatives would lack that part: the gradient was off by a third to nine tenths."""
    model = initialised(lambda: Held(how))
    if how == "list":
        model.weights = [None, model.first.weight]  # type: ignore[assignment, union-attr]
    refused(UnsupportedModel, "'first.weight' by another way", model=model)


def test_a_forward_pass_without_a_gradient_is_refused() -> None:
    class Without(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)

        @torch.no_grad()
        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x)

    refused(UnsupportedModel, "no_grad", model=initialised(Without))


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
