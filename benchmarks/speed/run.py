"""Cost of a Hessian-vector product, side by side in one run; JSON on standard output.

Ratios, not seconds, are the result: every contender does the same work on the same examples
in turn, round after round, and the median of the rounds' ratios is kept. Usage:

    python benchmarks/speed/run.py [--smoke] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from curenu.objective import EmpiricalRisk

Contender = Callable[[], object]


def network() -> nn.Module:
    """The 20,490-parameter CNN of the Fashion-MNIST task, on images of its shape."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1568, 10),
    )


def contenders(size: int) -> dict[str, Contender]:
    """Everything that is compared, on `size` synthetic images; costs do not see the pixels."""
    torch.manual_seed(0)
    model = network()
    images, labels = torch.randn(size, 1, 28, 28), torch.randint(10, (size,))
    data = TensorDataset(images, labels)
    risk = EmpiricalRisk(model, data, "cross_entropy")
    theta = risk.start
    vector = torch.randn_like(theta)
    kept = risk.linearise(theta, memory_budget=2**33)
    assert kept.kept_graphs > 0
    loss = nn.CrossEntropyLoss()

    def whole(point: Tensor) -> Tensor:
        outputs = functional_call(model, risk.parameters.unflatten(point), (images,))
        return loss(outputs, labels)

    gauss_newton = risk.linearise(theta, curvature="gauss_newton", memory_budget=2**33)
    assert gauss_newton.kept_graphs > 0
    found: dict[str, Contender] = {
        "gradient": lambda: risk.gradient(theta),
        "product": lambda: risk.hvp(theta, vector),
        "product, kept graphs": lambda: kept @ vector,
        "Gauss-Newton, kept graphs": lambda: gauss_newton @ vector,
        "torch.autograd.functional.hvp, whole batch": lambda: torch.autograd.functional.hvp(
            whole, theta, vector
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the package's own imports
        try:
            from curvlinops import HessianLinearOperator
        except ImportError:
            return found
    batches = list(DataLoader(data, batch_size=256))
    operator = HessianLinearOperator(
        model, loss, list(model.parameters()), batches, check_deterministic=False
    )
    found["curvlinops"] = lambda: operator @ vector
    return found


def measure(size: int, rounds: int) -> dict[str, object]:
    """Median ratio to the gradient's time, with the least and the largest."""
    racing = contenders(size)
    for run in racing.values():
        run()
    ratios: dict[str, list[float]] = {name: [] for name in racing}
    seconds: list[float] = []
    for _ in range(rounds):
        times = {}
        for name, run in racing.items():
            start = time.perf_counter()
            run()
            times[name] = time.perf_counter() - start
        seconds.append(times["gradient"])
        for name in racing:
            ratios[name].append(times[name] / times["gradient"])
    return {
        "examples": size,
        "rounds": rounds,
        "gradient_seconds": statistics.median(seconds),
        "ratio_to_gradient": {
            name: {"median": statistics.median(r), "min": min(r), "max": max(r)}
            for name, r in ratios.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="few examples, two rounds")
    parser.add_argument("--out", type=Path, help="write the JSON here as well")
    arguments = parser.parse_args()
    result = {
        "curenu": version("curenu"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "seed": 0,
    } | (measure(1024, 2) if arguments.smoke else measure(8192, 7))
    text = json.dumps(result, indent=2)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
