"""What `torch.compile` and float16 would bring to gradients and products on this machine.

Neither is an option of the library: the first is not known to derivatives of derivatives nor to
forward mode, so a whole product is written out here for it, as plainly as it can be; a model
under float16 is taken by autocast.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from race import cnn, images, race, ratios
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp
from torch.utils.data import TensorDataset

from curenu.risks import EmpiricalRisk

__all__ = ["measure"]

_BATCH = 256

Pieces = Sequence[Tensor]


def measure(*, smoke: bool) -> dict[str, Any]:
    size, rounds = (1024, 3) if smoke else (8192, 7)
    try:
        return {"examples": size, "rounds": rounds, **_compiled(size, rounds)}
    except torch._dynamo.exc.BackendCompilerFailed as failed:  # no compiler on the machine
        return {"left_out": str(failed).splitlines()[0]}


def _compiled(size: int, rounds: int) -> dict[str, Any]:
    torch.manual_seed(0)
    model = cnn()
    data = TensorDataset(*images(size))
    risk = EmpiricalRisk(model, data, "cross_entropy", micro_batch_size=_BATCH)
    theta = risk.start
    vector = torch.linspace(-1, 1, len(theta))
    ours = risk.linearise(theta, curvature="gauss_newton")
    start = time.perf_counter()
    gradient = _summed(torch.compile(_gradient(model)), size)
    product = _summed(torch.compile(_product(model)), size)
    at, along = (list(risk.parameters.unflatten(each).values()) for each in (theta, vector))
    found, slope = product(at, along), gradient(at)
    compiling = time.perf_counter() - start
    torch.testing.assert_close(found, ours @ vector, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(slope, risk.gradient(theta), rtol=1e-3, atol=1e-6)
    gradients = {"ours": lambda: risk.gradient(theta), "compiled": lambda: gradient(at)}
    products = {"ours": lambda: ours @ vector, "compiled": lambda: product(at, along)}
    return {
        "compiling_seconds": compiling,
        "gradient": ratios(race(gradients, rounds), "ours")["compiled"],
        "gauss_newton": ratios(race(products, rounds), "ours")["compiled"],
        "float16": ratios(race(_precisions(model, size), rounds), "float32")["float16"],
    }


def _summed(part: Callable[..., Pieces], size: int) -> Callable[..., Tensor]:
    """`part` of every micro-batch, added up and flat."""
    batches = [each.split(_BATCH) for each in images(size)]

    def whole(*args: Pieces) -> Tensor:
        total: Tensor | None = None
        for inputs, labels in zip(*batches, strict=True):
            flat = torch.cat([p.flatten() for p in part(*args, inputs, labels)])
            total = flat if total is None else total.add_(flat)
        assert total is not None
        return total.div_(size)

    return whole


def _outputs(model: nn.Module, inputs: Tensor) -> Callable[..., Tensor]:
    """The model on `inputs` as a function of its parameters."""
    names = [name for name, _ in model.named_parameters()]

    def outputs(*pieces: Tensor) -> Tensor:
        return functional_call(model, dict(zip(names, pieces, strict=True)), (inputs,))

    return outputs


def _gradient(model: nn.Module) -> Callable[..., Pieces]:
    def gradient(at: list[Tensor], inputs: Tensor, labels: Tensor) -> Pieces:
        outputs = _outputs(model, inputs)

        def loss(*pieces: Tensor) -> Tensor:
            return nn.functional.cross_entropy(outputs(*pieces), labels, reduction="sum")

        value, pull = vjp(loss, *at)
        return pull(torch.ones_like(value))

    return gradient


def _product(model: nn.Module) -> Callable[..., Pieces]:
    """Jᵀ(diag(p) − ppᵀ)J times a vector, on one micro-batch."""

    def product(at: list[Tensor], along: list[Tensor], inputs: Tensor, _: Tensor) -> Pieces:
        outputs = _outputs(model, inputs)
        logits, pushed = jvp(outputs, tuple(at), tuple(along))
        p = logits.softmax(1)
        curved = p * (pushed - (p * pushed).sum(1, keepdim=True))
        _, pull = vjp(outputs, *at)
        return pull(curved)

    return product


def _precisions(model: nn.Module, size: int) -> dict[str, Callable[[], Any]]:
    """Gradients of one micro-batch after the other, the model in one precision or the other."""
    inputs, labels = (each.split(_BATCH) for each in images(size))

    def passed(dtype: torch.dtype) -> None:
        for x, y in zip(inputs, labels, strict=True):
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                loss = nn.functional.cross_entropy(model(x).float(), y)
            torch.autograd.grad(loss, list(model.parameters()))

    return {
        "float32": lambda: passed(torch.float32),
        "float16": lambda: passed(torch.float16),
    }
