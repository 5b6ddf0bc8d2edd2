"""A product against a gradient of the same micro-batches, lower precision, and two rivals."""

from __future__ import annotations

import statistics
import warnings
from typing import Any

import torch
from race import cnn, images, race, ratios
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from curenu.autodiff import Kind
from curenu.risks import EmpiricalRisk

__all__ = ["measure"]

_ALL = 2**33  # bytes: every graph is kept


def measure(*, smoke: bool) -> dict[str, Any]:
    size, rounds, batches = (1024, 3, [256]) if smoke else (8192, 7, [64, 128, 256, 512, 1024])
    return {
        "examples": size,
        "rounds": rounds,
        "micro_batches": [_by_size(size, rounds, batch) for batch in batches],
        "multiplications": _multiplications(),
        "bfloat16": [_lower(kind, size, rounds) for kind in ("hessian", "gauss_newton")],
        "rivals": _rivals(size, rounds),
    }


def _risk(size: int, batch: int, lower: torch.dtype | None = None) -> EmpiricalRisk:
    torch.manual_seed(0)
    return EmpiricalRisk(
        cnn(),
        TensorDataset(*images(size)),
        "cross_entropy",
        micro_batch_size=batch,
        product_dtype=lower,
    )


def _by_size(size: int, rounds: int, batch: int) -> dict[str, Any]:
    risk = _risk(size, batch)
    theta = risk.start
    vector = torch.linspace(-1, 1, len(theta))
    kept = risk.linearise(theta, memory_budget=_ALL)
    assert kept.kept_graphs == -(-size // batch)
    gauss_newton = risk.linearise(theta, curvature="gauss_newton")
    seconds = race(
        {
            "gradient": lambda: risk.gradient(theta),
            "value": lambda: risk.value(theta),
            "Hessian": lambda: risk.hvp(theta, vector),
            "Hessian, kept graphs": lambda: kept @ vector,
            "Gauss-Newton": lambda: gauss_newton @ vector,
        },
        rounds,
    )
    return {
        "micro_batch": batch,
        "gradient_seconds": statistics.median(seconds["gradient"]),
        "ratio_to_gradient": ratios(seconds, "gradient"),
    }


def _lower(kind: Kind, size: int, rounds: int) -> dict[str, Any]:
    """A product in bfloat16 against the same in float32, no graph kept."""
    risk = _risk(size, 256, torch.bfloat16)
    theta = risk.start
    vector = torch.linspace(-1, 1, len(theta))
    lower, full = (
        risk.linearise(theta, curvature=kind, memory_budget=0, full_precision=full)
        for full in (False, True)
    )
    seconds = race({"float32": lambda: full @ vector, "bfloat16": lambda: lower @ vector}, rounds)
    exact = (full @ vector).double()
    gap = (lower @ vector).double() - exact
    return {
        "curvature": kind,
        "ratio_to_float32": ratios(seconds, "float32")["bfloat16"],
        "relative_error": float(gap.norm() / exact.norm()),
    }


def _multiplications() -> dict[str, float]:
    """What layers multiply in a product over what they do in a gradient, counted by torch."""
    size = 512
    risk = _risk(size, 256)
    theta = risk.start
    vector = torch.linspace(-1, 1, len(theta))
    kept = risk.linearise(theta, memory_budget=_ALL)
    own = risk.linearise(theta, curvature="gauss_newton")
    hessian, _ = _curvlinops(size)
    counts = {}
    for name, run in {
        "gradient": lambda: risk.gradient(theta),
        "value": lambda: risk.value(theta),
        "Hessian": lambda: risk.hvp(theta, vector),
        "Hessian, kept graphs": lambda: kept @ vector,
        "Gauss-Newton": lambda: own @ vector,
        "Hessian by curvlinops": lambda: hessian @ vector,
    }.items():
        run()  # what is done once, a check of forward mode say, is not the product's
        with FlopCounterMode(display=False) as counter:
            run()
        counts[name] = counter.get_total_flops()
    return {name: found / counts["gradient"] for name, found in counts.items()}


def _curvlinops(size: int) -> tuple[Any, Any]:
    """Its Hessian and its Gauss-Newton matrix, on micro-batches of 256."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the package's own imports
        from curvlinops import GGNLinearOperator, HessianLinearOperator
    model = cnn()
    data = list(DataLoader(TensorDataset(*images(size)), batch_size=256))
    of = model, nn.CrossEntropyLoss(), list(model.parameters()), data
    return (
        HessianLinearOperator(*of, check_deterministic=False),
        GGNLinearOperator(*of, check_deterministic=False),
    )


def _rivals(size: int, rounds: int) -> dict[str, Any]:
    """Times of others over ours, of the same product of the mean loss over the same images.

    Torch's function takes all images at once, as it is called where it is used; curvlinops
    streams the micro-batches of 256 that ours does.
    """
    risk = _risk(size, 256)
    theta = risk.start
    vector = torch.linspace(-1, 1, len(theta))
    model, loss = cnn(), nn.CrossEntropyLoss()
    inputs, labels = images(size)

    def whole(point: Tensor) -> Tensor:
        return loss(functional_call(model, risk.parameters.unflatten(point), (inputs,)), labels)

    hessian, gauss_newton = _curvlinops(size)
    own = risk.linearise(theta, curvature="gauss_newton")
    seconds = race(
        {
            "ours": lambda: risk.hvp(theta, vector),
            "torch.autograd.functional.hvp": lambda: torch.autograd.functional.hvp(
                whole, theta, vector
            ),
            "curvlinops": lambda: hessian @ vector,
        },
        rounds,
    )
    pair = {"ours": lambda: own @ vector, "curvlinops": lambda: gauss_newton @ vector}
    return {
        "hessian": ratios(seconds, "ours"),
        "gauss_newton": ratios(race(pair, rounds), "ours"),
    }
