"""Five kinds of clothes, then five others without losing the first, then an erasure from the first.

One body, a head for each task. Learning the second task spoils the body for the first, unless a
penalty holds it where the first task feels it. Then half of one class of the first task is
erased from the body and the first head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import curenu
from curenu.continual import CurvaturePenalty
from curenu.risks import EmpiricalRisk
from curenu.tasks import load_task

RATE, EPOCHS, BATCH, EXAMPLES = 0.1, 5, 50, 4000
STRENGTH, TURNS = 1.0, 10
Data = tuple[Tensor, Tensor]


def part(data: TensorDataset, first: int) -> Data:
    """Images of the five classes from `first` on, and which of the five."""
    x, y = data.tensors
    own = (y >= first) & (y < first + 5)
    return x[own].flatten(1), y[own] - first


def learn(
    network: nn.Module, data: Data, penalty: CurvaturePenalty | None = None
) -> curenu.TrainingTime:
    """Descent on the mean loss and on the penalty, where there is one."""
    x, y = data
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    recorder = curenu.TrainingRecorder(optimizer)
    generator = torch.Generator().manual_seed(0)
    steps = EPOCHS * -(-len(y) // BATCH)
    for step in range(steps):
        rows = torch.randint(len(y), (BATCH,), generator=generator)
        loss = functional.cross_entropy(network(x[rows]), y[rows])
        if penalty is not None:
            if step and step % TURNS == 0:
                penalty.turn(penalty.vector_of(network) - penalty.anchor)
            loss = loss + penalty.loss(network)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return recorder.training_time()


def accuracy(network: nn.Module, data: Data) -> float:
    """The share of images that are named rightly."""
    with torch.no_grad():
        return float((network(data[0]).argmax(1) == data[1]).float().mean())


def fresh() -> tuple[nn.Module, nn.Module, nn.Module]:
    """A body and two heads, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = nn.Sequential(nn.Linear(784, 40), nn.Tanh(), nn.Linear(40, 20), nn.Tanh())
        return body, nn.Linear(20, 5), nn.Linear(20, 5)


def main() -> dict[str, dict[str, float]]:
    """Accuracies on the test images of both tasks: without the penalty, with it, after erasing."""
    task = load_task("fashion-mnist", examples=EXAMPLES)
    train, test = ([part(data, first) for first in (0, 5)] for data in (task.train, task.test))
    members = torch.nonzero(train[0][1] == 3).flatten()
    gone = members[: len(members) // 2].tolist()
    found: dict[str, dict[str, float]] = {}

    def note(name: str, first: nn.Module, second: nn.Module) -> None:
        x, y = (part[gone] for part in train[0])
        with torch.no_grad():
            loss = float(functional.cross_entropy(first(x), y))
        found[name] = {
            "first": accuracy(first, test[0]),
            "second": accuracy(second, test[1]),
            "forget loss": loss,
        }
        print(name, *(f"{key} {value:.3f}" for key, value in found[name].items()), sep=", ")

    for name in ("plain", "penalty"):
        body, one, two = fresh()
        first, second = nn.Sequential(body, one), nn.Sequential(body, two)
        time = learn(first, train[0])
        print(f"the first task alone, first {accuracy(first, test[0]):.3f}")
        penalty = None
        if name == "penalty":
            risk = EmpiricalRisk(first, TensorDataset(*train[0]), "cross_entropy", only="0.*")
            penalty = CurvaturePenalty(risk, strength=STRENGTH)
            other = EmpiricalRisk(second, TensorDataset(*train[1]), "cross_entropy", only="0.*")
            penalty.turn(other.gradient(other.start))
        learn(second, train[1], penalty)
        note(name, first, second)
    result = curenu.unlearn(
        first, TensorDataset(*train[0]), "cross_entropy", forget=gone, training=time, seed=0
    )
    note("erased", result.model, nn.Sequential(result.model[0], two))
    return found


if __name__ == "__main__":
    main()
