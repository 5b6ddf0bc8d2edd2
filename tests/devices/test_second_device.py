"""Everything with the model on another device than the processor: no tensor is made on the wrong
one, and the results are the processor's to the bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset

from curenu import AnchoredRisk, EmpiricalRisk, TokenCrossEntropy, TrainingTime, unlearn
from curenu.compare import estimate
from curenu.erasure import ErasureProblem
from curenu.methods import CuReNU, FineTune, StoCuReNU
from curenu.newton.tuning import Tuning
from curenu.operators import (
    KrylovSpace,
    extreme_eigenvalues,
    kronecker_metric,
    lanczos,
    random_direction,
    spectral_density,
)
from curenu.risks import squared_gradients
from curenu.risks.anchor import Anchor
from tests.devices.second_device import SecondDevice, WrongDevice, second_device
from tests.methods.short_form import BY_NAME, short_form
from tests.problems import generator

COUNT = 64
SHORT = StoCuReNU(max_steps=1, tuning=Tuning(attempts=2, held=16, halvings=1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.last = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.cell(x)[0][:, -1])


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x).mean(1))


class Sentences(Dataset[Any]):
    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, place: int) -> dict[str, Tensor]:
        words = torch.randint(7, (5,), generator=generator(place))
        return {"words": words, "labels": words}


def small(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def mlp() -> nn.Module:
    return small(lambda: nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)))


def cnn() -> nn.Module:
    def build() -> nn.Module:
        layers = [nn.Conv2d(1, 3, 3, 2, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(48, 3))

    return small(build)


def drawn(*shape: int) -> Tensor:
    return torch.randn(COUNT, *shape, generator=generator(1))


def classes() -> Tensor:
    return torch.randint(3, (COUNT,), generator=generator(2))


def pairs() -> TensorDataset:
    return TensorDataset(drawn(5), classes())


Given = tuple[nn.Module, Dataset[Any], dict[str, Any]]


def language() -> Given:
    model = small(lambda: nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7)))
    return model, Sentences(), {"loss": TokenCrossEntropy(lambda m, b: m(b["words"]))}


CASES: dict[str, Callable[[], Given]] = {
    "mlp": lambda: (mlp(), pairs(), {}),
    "cnn": lambda: (cnn(), TensorDataset(drawn(1, 8, 8), classes()), {}),
    "recurrent": lambda: (small(Recurrent), TensorDataset(drawn(6, 3), classes()), {}),
    "attention": lambda: (small(Attending), TensorDataset(drawn(6, 4), classes()), {}),
    "language": language,
    "float64": lambda: (mlp().double(), TensorDataset(drawn(5).double(), classes()), {}),
    "bfloat16 model": lambda: (mlp().bfloat16(), pairs(), {}),
    "bfloat16 products": lambda: (mlp(), pairs(), {"product_dtype": torch.bfloat16}),
    "class weights": lambda: (
        mlp(),
        pairs(),
        {"loss": nn.CrossEntropyLoss(torch.tensor([0.2, 1.0, 3.0]), label_smoothing=0.1)},
    ),
    "positive weights": lambda: (
        mlp(),
        TensorDataset(drawn(5), functional.one_hot(classes()).float()),
        {"loss": nn.BCEWithLogitsLoss(pos_weight=torch.tensor([0.2, 1.0, 3.0]))},
    ),
    "squares": lambda: (mlp(), TensorDataset(drawn(5), drawn(3)), {"loss": "mse"}),
    "huber": lambda: (mlp(), TensorDataset(drawn(5), drawn(3)), {"loss": nn.HuberLoss()}),
    "ignored": lambda: (
        mlp(),
        TensorDataset(drawn(5), classes().index_fill(0, torch.tensor([3, 9]), -100)),
        {},
    ),
    "own function": lambda: (
        mlp(),
        pairs(),
        {"loss": lambda o, t: functional.cross_entropy(o, t, reduction="none")},
    ),
    "weights of examples": lambda: (
        mlp(),
        pairs(),
        {"weights": torch.linspace(0.5, 2.0, COUNT)},
    ),
    "items": lambda: (mlp(), [(x, int(y)) for x, y in pairs()], {}),
    "only": lambda: (mlp(), pairs(), {"only": "2"}),
}


def result(given: Given, **arguments: Any) -> Any:
    model, data, options = given
    request = {"loss": "cross_entropy", "forget": [1, 5, 8, 40], "micro_batch_size": 24}
    return unlearn(model, data, **{**request, **options, **arguments})


def brought(device: SecondDevice, given: Given, *, data: bool = False) -> Given:
    model, examples, options = given
    if data:
        assert isinstance(examples, TensorDataset)
        examples = TensorDataset(*(device.tensor(t.clone()) for t in examples.tensors))
    return device.model(copy.deepcopy(model)), examples, options


@pytest.mark.slow
def test_the_default_erasure_is_that_of_the_processor() -> None:
    alone = result(CASES["cnn"]()).theta
    with second_device() as device:
        found = result(brought(device, CASES["cnn"]()))
        assert torch.equal(found.theta.cpu(), alone)


QUICK = ("cnn", "mlp", "language", "bfloat16 model")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_an_erasure_of_one_step_is_that_of_the_processor(name: str) -> None:
    alone = result(CASES[name](), method=SHORT).theta
    with second_device() as device:
        found = result(brought(device, CASES[name]()), method=SHORT)
        assert device.is_there(found.theta)
        assert all(map(device.is_there, found.model.state_dict().values()))
        # attention takes another path of torch's where operations are watched
        near = 1e-5 if name == "attention" else 0.0
        assert float((found.theta.cpu() - alone).abs().max()) <= near


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_NAME)
def test_every_method_works_there(name: str) -> None:
    alone = result(CASES["mlp"](), method=short_form(name)).theta
    with second_device() as device:
        found = result(brought(device, CASES["mlp"]()), method=short_form(name))
        assert device.is_there(found.theta)
        assert torch.equal(found.theta.cpu(), alone)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        {"method": StoCuReNU(objective="retain", preconditioner="none")},
        {"method": StoCuReNU(curvature="hessian")},
        {"method": CuReNU(solver="eigen", preconditioner="kfac")},
        {"method": CuReNU(solver="descent", max_steps=1)},
        {"method": CuReNU.paper(1.0, max_steps=1)},
        {"method": lambda net, retain, forget, validation: net},
        {"method": FineTune(epochs=1), "forget": torch.arange(COUNT) % 9 == 0},
        {"training": TrainingTime(20.0)},
        {"micro_batch_size": "auto"},
    ],
    ids=["retain", "hessian", "eigen", "descent", "paper", "function", "mask", "time", "auto"],
)
def test_what_may_be_asked_for_works_there(arguments: dict[str, Any]) -> None:
    with second_device() as device:
        found = result(brought(device, CASES["mlp"]()), **arguments)
        assert device.is_there(found.theta)


@pytest.mark.parametrize("name", ["mlp", "class weights"])
def test_data_that_are_there_already_give_the_same(name: str) -> None:
    alone = result(CASES[name](), method=SHORT).theta
    with second_device() as device:
        given = brought(device, CASES[name](), data=True)
        assert torch.equal(result(given, method=SHORT).theta.cpu(), alone)
        asked = device.tensor(torch.tensor([1, 5, 8, 40]))
        assert torch.equal(result(given, forget=asked, method=SHORT).theta.cpu(), alone)


def everything(risk: EmpiricalRisk) -> dict[str, Tensor]:
    """What the mathematics is made of, by name."""
    theta, draw = risk.start, generator(3)
    v = random_direction(theta, draw)
    retain, forget = risk.split([1, 5, 8, 40])
    anchored = AnchoredRisk(retain, forget, theta, limit=0.1)
    moved = theta + 0.01 * v
    newton = anchored.linearise(moved, curvature="gauss_newton")
    metric = kronecker_metric(retain, theta, draw)
    ends = extreme_eigenvalues(newton, theta, 4, draw, keep=8)
    density = spectral_density(newton, theta, 1, 3, draw)
    space = KrylovSpace(newton, lambda: v.clone(), limit=3)
    rows = [
        step.vector.clone() for step, _ in zip(lanczos(newton, v.clone()), range(3), strict=False)
    ]
    list(space.grow())
    return {
        "value": risk.value(theta),
        "measured": risk.measure(theta).value,
        "gradient": risk.gradient(theta),
        "product": risk.hvp(theta, v),
        "anchored value": anchored.value(moved),
        "anchored gradient": anchored.sample(20, draw).gradient(moved),
        "anchored product": newton @ v,
        "dense": newton.dense(),
        "dense hessian": risk.linearise(theta).dense(),
        "metric": metric.root(v),
        "squares": squared_gradients(risk, theta),
        "outputs": risk.outputs(theta)[0],
        "part": risk.subset(risk.ids[:7]).gradient(theta),
        "ends": v * (ends.smallest.value + ends.largest.value),
        "density": torch.as_tensor(density.density).to(v),
        "krylov": space.combine(torch.ones(len(space), dtype=torch.float64).numpy()),
        "rows": torch.stack(rows),
    }


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_the_mathematics_is_done_there(name: str) -> None:
    model, data, _ = CASES[name]()
    alone = everything(EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=24))
    with second_device() as device:
        model, data, _ = brought(device, CASES[name]())
        found = everything(EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=24))
        for part, tensor in found.items():
            assert device.is_there(tensor), part
            assert torch.equal(tensor.cpu(), alone[part]), part


def test_an_estimate_is_made_there() -> None:
    with second_device() as device:
        model, data, _ = brought(device, CASES["mlp"]())
        risk = EmpiricalRisk(model, data, "cross_entropy")
        retain, forget = risk.split([1, 5])
        plan = StoCuReNU().plan(ErasureProblem(risk.start, retain, forget))
        assert estimate(risk, plan).bytes > 0


def test_a_line_of_the_library_that_makes_a_tensor_here_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = Anchor.of
    monkeypatch.setattr(Anchor, "of", lambda anchor, batch: right(anchor, batch).cpu())
    with second_device() as device, pytest.raises(WrongDevice):
        result(brought(device, CASES["mlp"]()))
