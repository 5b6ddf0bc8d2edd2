"""What a graphics card shows: the tests marked `gpu`, and erasing beside training on it, as JSON.

Two networks on synthetic images: a small one for 20,000 of 28 x 28, and a residual one of 11
million parameters for 20,000 of 32 x 32. Each is trained for two epochs by a plain loop, the
default erasure forgets a hundredth of the examples, and a value, a gradient and a product are
timed, the product in float32 and in bfloat16. No data package, no network, no writing. Usage:

    python benchmarks/device/run.py [--small] [--skip-tests]

`--small` is for a try on a processor: few images, narrow networks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.data import TensorDataset  # noqa: E402

CLASSES = 10
EPOCHS = 2
ROUNDS = 3
_TESTS = 200  # seconds that the tests may take


class Block(nn.Module):
    """Two convolutions beside a shortcut, as in ResNet-18."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outside)
        shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False)
        self.shortcut = nn.Identity() if inside == outside else shortcut

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


def residual(width: int) -> nn.Module:
    """ResNet-18 for 32 x 32; of 11.2 million parameters at a width of 64."""
    widths = [width, width, 2 * width, 2 * width, 4 * width, 4 * width, 8 * width, 8 * width]
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU()]
    for inside, outside in zip([width, *widths], widths, strict=False):
        layers.append(Block(inside, outside, 1 if inside == outside else 2))
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, CLASSES)]
    return nn.Sequential(*layers, *tail)


def convolutional(width: int) -> nn.Module:
    """Of 20,000 parameters at a width of 16."""
    return nn.Sequential(
        nn.Conv2d(1, width, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * width * 49, CLASSES),
    )


def images(count: int, *shape: int) -> tuple[Tensor, Tensor]:
    """A pattern of each class under noise, one label in twenty wrong."""
    draw = torch.Generator().manual_seed(0)
    patterns = torch.randn(CLASSES, *shape, generator=draw)
    y = torch.randint(CLASSES, (count,), generator=draw)
    x = patterns[y] + 2.0 * torch.randn(count, *shape, generator=draw)
    wrong = torch.rand(count, generator=draw) < 0.05
    return x, torch.where(wrong, torch.randint(CLASSES, (count,), generator=draw), y)


def train(model: nn.Module, x: Tensor, y: Tensor) -> list[float]:
    """Seconds of each epoch, after a batch that warms up."""
    from curenu.cost import clock

    rule = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def step(some: Tensor) -> None:
        rule.zero_grad()
        functional.cross_entropy(model(x[some]), y[some]).backward()
        rule.step()

    model.train()
    step(torch.arange(min(128, len(x)), device=x.device))
    seconds = []
    for _ in range(EPOCHS):
        start = clock()
        for some in torch.randperm(len(x), device=x.device).split(128):
            step(some)
        seconds.append(clock() - start)
    model.eval()
    return seconds


def timed(work: Callable[[], object]) -> float:
    """The least of some rounds, after one that warms up."""
    from curenu.cost import clock

    work()
    found = []
    for _ in range(ROUNDS):
        start = clock()
        work()
        found.append(clock() - start)
    return min(found)


def measure(build: Callable[[], nn.Module], x: Tensor, y: Tensor, device: Any) -> dict[str, Any]:
    """Training, an erasure and its parts for one network."""
    torch.manual_seed(0)
    model = build().to(device)
    x, y = x.to(device), y.to(device)
    epochs = train(model, x, y)
    data = TensorDataset(x, y)
    result: dict[str, Any] = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "examples": len(x),
        "epoch_seconds": epochs,
    }
    for name, dtype in (("float32", None), ("bfloat16", torch.bfloat16)):
        try:
            result[f"products in {name}"] = {
                **erasing(model, data, dtype, epochs),
                **parts(model, data, dtype),
            }
        except Exception as error:  # one part that fails leaves the others to be read
            result[f"products in {name}"] = {"failed": f"{type(error).__name__}: {error}"}
    return result


def erasing(
    model: nn.Module, data: TensorDataset, dtype: torch.dtype | None, epochs: list[float]
) -> dict[str, Any]:
    """The default erasure of a hundredth, beside the training that a new start would take."""
    import curenu
    from curenu.cost import clock

    size = len(data)
    start = clock()
    found = curenu.unlearn(
        model, data, "cross_entropy", forget=range(0, size, 100), product_dtype=dtype
    )
    seconds = clock() - start
    return {
        "erasure_seconds": seconds,
        "over_one_epoch": seconds / min(epochs),
        "over_training": seconds / sum(epochs),
        "examples": found.cost.examples,
        "examples_over_one_epoch": found.cost.examples / size,
        "examples_over_training": found.cost.examples / (EPOCHS * size),
        "products": found.cost.hvps,
        "gradients": found.cost.gradients,
        "device_peak_bytes": found.cost.device_peak_bytes,
        "status": found.status.name,
        "notes": found.notes,
    }


def parts(model: nn.Module, data: TensorDataset, dtype: torch.dtype | None) -> dict[str, float]:
    """Seconds of a value, a gradient and a Gauss-Newton product on some examples, and ratios."""
    from curenu import EmpiricalRisk

    whole = EmpiricalRisk(model, data, "cross_entropy", product_dtype=dtype)
    risk = whole.subset(range(min(2048, len(data))))
    theta = risk.start
    vector = torch.linspace(-1.0, 1.0, len(theta)).to(theta)
    operator = risk.linearise(theta, curvature="gauss_newton", memory_budget=0)
    value = timed(lambda: risk.value(theta))
    gradient = timed(lambda: risk.gradient(theta))
    product = timed(lambda: operator @ vector)
    return {
        "value_seconds": value,
        "gradient_seconds": gradient,
        "product_seconds": product,
        "gradient_over_value": gradient / value,
        "product_over_gradient": product / gradient,
    }


def tests() -> dict[str, Any]:
    """The tests marked `gpu`, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/gpu"]
    command += ["-o", "filterwarnings=default", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=_TESTS, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        said = late.stdout if isinstance(late.stdout, str) else (late.stdout or b"").decode()
        return {"passed": False, "late": f"after {_TESTS} s", "output": said[-6000:]}
    return {"passed": done.returncode == 0, "output": (done.stdout + done.stderr)[-6000:]}


def part(name: str, work: Callable[[], Any]) -> dict[str, Any]:
    """What a part found and its seconds, or why it was left out."""
    start = time.perf_counter()
    try:
        found = work()
    except ModuleNotFoundError as missing:
        print(f"{name}: left out, {missing}", flush=True)
        found = {"left_out": str(missing)}
    except Exception as error:  # the other parts are still worth having
        found = {"failed": f"{type(error).__name__}: {error}"}
    made = {"part": name, "seconds": time.perf_counter() - start, "result": found}
    print(json.dumps(made, indent=1, default=str), flush=True)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="few images, narrow networks")
    parser.add_argument("--skip-tests", action="store_true", help="timings only")
    arguments = parser.parse_args()
    small = arguments.small
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    environment = {"card": card, "torch": torch.__version__, "python": platform.python_version()}
    print(json.dumps(environment), flush=True)
    few = 400 if small else 20_000
    if not arguments.skip_tests:
        part("tests", tests)
    part(
        "convolutional",
        lambda: measure(lambda: convolutional(4 if small else 16), *images(few, 1, 28, 28), device),
    )
    part(
        "residual",
        lambda: measure(lambda: residual(4 if small else 64), *images(few, 3, 32, 32), device),
    )


if __name__ == "__main__":
    main()
