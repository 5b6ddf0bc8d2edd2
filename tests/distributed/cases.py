"""What the tests of this folder compute, the same in one process and in several."""

from __future__ import annotations

import copy
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Partial
from torch.func import functional_call
from torch.nn import functional
from torch.utils.data import TensorDataset

import curenu
from curenu.cubic import CubicModel, LanczosSolver
from curenu.distributed import joined, own, reduced, split_vectors
from curenu.methods import CuReNU, StoCuReNU
from curenu.operators import KrylovSpace, inner, kept_vectors, kronecker_metric, length
from curenu.risks import AnchoredRisk, EmpiricalRisk, gradient_rows, squared_gradients
from curenu.runs.session import Session
from tests.problems import PROBLEMS, classes, generator, initialised, inputs, mlp

Found = dict[str, Any]

SPLITS = {"mlp": [0, 5, 6], "cnn": [1, 7], "mapping": [2], "regression": [0, 12]}
"""Forget sets: sometimes one example, so that a process has none of it."""

SHORT = StoCuReNU(sample_size=64, max_steps=3)
SILENCE = 15.0  # seconds without an answer


def risk_of(name: str, dtype: torch.dtype = torch.float64) -> EmpiricalRisk:
    problem = PROBLEMS[name]()
    data = problem.dataset
    if isinstance(data, TensorDataset):
        cast = [t.to(dtype) if t.is_floating_point() else t for t in data.tensors]
        data = TensorDataset(*cast)
    return EmpiricalRisk(
        problem.model.to(dtype),
        data,
        problem.loss,
        weight_decay=problem.weight_decay,
        micro_batch_size=problem.micro_batch_size,
    )


def numbers_of(objective: Any, theta: Tensor, kinds: list[str]) -> Found:
    """Everything an objective offers, at a point and along a vector."""
    vector = torch.randn(len(theta), generator=generator(7), dtype=torch.float64).to(theta)
    found: Found = {"value": objective.value(theta), "gradient": objective.gradient(theta)}
    found["hvp"] = objective.hvp(theta, vector)
    for kind in kinds:
        for budget in (0, 2**30):
            curvature = objective.linearise(theta, curvature=kind, memory_budget=budget)
            found |= {
                f"{kind} {budget} product": curvature @ vector,
                f"{kind} {budget} value": torch.tensor(curvature.value),
                f"{kind} {budget} gradient": curvature.gradient,
            }
        if len(theta) < 60:
            found[f"{kind} dense"] = objective.linearise(theta, curvature=kind).dense()
    objective.check_twice_differentiable(theta, vector)
    return found


def objectives(dtype: torch.dtype = torch.float64) -> Found:
    found: Found = {}
    for name, gone in SPLITS.items():
        if name != "mlp" and dtype != torch.float64:
            continue
        risk = risk_of(name, dtype)
        theta = risk.start + 0.01
        kinds = ["hessian"] if name == "mapping" else ["hessian", "gauss_newton"]
        retain, forget = risk.split(gone)
        for what, objective in {
            "empirical": risk,
            "one example": risk.subset([3]),
            "anchored": AnchoredRisk(retain, forget, risk.start),
            "sampled": AnchoredRisk(retain, forget, risk.start).sample(5, generator()),
        }.items():
            numbers = numbers_of(objective, theta, kinds)
            found |= {f"{name}, {what}: {key}": value for key, value in numbers.items()}
        if name in ("mlp", "regression"):
            metric = kronecker_metric(risk, theta, generator(3))
            found[f"{name}: metric"] = metric.root(torch.ones_like(theta))
        if name == "mlp":
            found[f"{name}: squares"] = squared_gradients(risk, theta)
            found[f"{name}: rows"] = gradient_rows(risk, theta)
    return found


def objectives32() -> Found:
    return objectives(torch.float32)


def network(dtype: torch.dtype = torch.float64) -> tuple[nn.Module, TensorDataset]:
    model = initialised(lambda: nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 3)))
    return model.to(dtype), TensorDataset(inputs(301, 8).to(dtype), classes(301, 3))


def erasure(seed: int = 0, shift: float = 0.0, **others: Any) -> Found:
    """CuReNU and StoCuReNU with everything they have: metric, samples, held-out examples."""
    model, data = network()
    data.tensors[0][5, 0] += shift
    methods = {
        "curenu": CuReNU(max_steps=2, solver="lanczos"),
        "stocurenu": StoCuReNU(sample_size=64, max_steps=4, certificate_products=3),
    }
    found: Found = {}
    for name, method in methods.items():
        result = curenu.unlearn(
            model, data, "cross_entropy", forget=range(0, 30, 2), method=method, seed=seed,
            weight_decay=1e-3, micro_batch_size=32, **others,
        )  # fmt: skip
        found[name] = (result.theta, result.cost, result.trace, result.certificate)
    return found


def counts() -> Found:
    """The cost of one value, gradient and product of an objective."""
    risk = risk_of("mlp")
    with risk.meter.measure() as spent:
        risk.value(risk.start)
        risk.linearise(risk.start) @ risk.start
    return {"cost": spent()}


class Uneven(nn.Module):
    """A layer with a fixed time a call, where the second process is slow with many examples."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 3)
        self.most = 32 if os.environ.get("RANK") == "1" else 1000

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.002 + (0.0002 * len(x) if len(x) > self.most else 0.0))
        return self.linear(x)


def timed() -> Found:
    """The micro-batch size that is found to be the fastest."""
    data = network()[1]
    risk = EmpiricalRisk(initialised(Uneven), data, "cross_entropy", micro_batch_size="auto")
    return {"size": risk.source.micro_batch_size}


def differing() -> Found:
    """Each way in which two processes may have been given different things; the error's text."""
    rank = int(os.environ["RANK"])
    found: Found = {}
    for name, arguments in {"seed": {"seed": rank}, "examples": {"shift": 1e-9 * rank}}.items():
        try:
            erasure(**arguments)
        except curenu.errors.BadRequest as error:
            found[name] = str(error)
    return found


class Rows:
    """This process's rows of a symmetric matrix: pieces `[d_r]` to pieces."""

    def __init__(self, matrix: Tensor, place: slice) -> None:
        self.matrix, self.place = matrix, place

    def __matmul__(self, piece: Tensor) -> Tensor:
        image = reduced(self.matrix[self.place].mT @ piece)  # H is symmetric: columns are rows
        return image[self.place]


def lanczos() -> Found:
    """T_k and the cubic step of a matrix, with vectors whole or in pieces of unequal length."""
    size = 41
    matrix = inputs(size, size, seed=8)
    matrix = matrix + matrix.mT
    gradient = inputs(size, seed=9)
    place = own() if dist.is_initialized() else slice(None)
    operator = Rows(matrix, place) if dist.is_initialized() else matrix
    piece = gradient[place].clone()
    found: Found = {}
    with split_vectors():
        for name, budget in {"stored": 2**20, "twice": 0}.items():
            space = KrylovSpace(operator, piece.clone, limit=12, keep=kept_vectors(piece, budget))
            list(space.grow())
            found[f"{name}: T"] = torch.tensor([space.diagonal, space.off_diagonal])
            solver = LanczosSolver(
                max_products=41, tolerance=1e-9, memory_budget=budget, hidden_products=0
            )
            step = solver(CubicModel(piece, operator, penalty=3.0))
            found[f"{name}: step"] = joint(step.step, place, size)
            found[f"{name}: scalars"] = torch.tensor([step.damping, step.change])
        found["inner"] = torch.tensor([inner(piece, piece), length(piece)])
    return found


class Sharded:
    """The Hessian of a loss at DTensor parameters: gather, differentiate twice, scatter.

    Each process differentiates its share of the examples. FSDP2's own hooks cannot be
    differentiated twice, so the parameters it keeps are gathered by DTensor's redistribution.
    """

    def __init__(self, plain: nn.Module, sharded: nn.Module, data: TensorDataset) -> None:
        self.plain = plain
        self.named = {n: p.detach().requires_grad_() for n, p in sharded.named_parameters()}
        self.inputs, self.targets = (tensor[own()] for tensor in data.tensors)
        self.size = len(data)

    def loss(self) -> Tensor:
        full = {n: p.full_tensor(grad_placements=[Partial()]) for n, p in self.named.items()}
        outputs = functional_call(self.plain, full, (self.inputs,))
        return functional.cross_entropy(outputs, self.targets, reduction="sum") / self.size

    def gradients(self) -> list[Tensor]:
        leaves = list(self.named.values())
        return [g.to_local() for g in torch.autograd.grad(self.loss(), leaves, create_graph=True)]

    @property
    def gradient(self) -> Tensor:
        return torch.cat([g.detach().reshape(-1) for g in self.gradients()])

    def __matmul__(self, piece: Tensor) -> Tensor:
        gradients = self.gradients()
        parts = piece.split([g.numel() for g in gradients])
        pairs = zip(gradients, parts, strict=True)
        along = sum(((g * v.view_as(g)).sum() for g, v in pairs), piece.new_zeros(()))
        image = torch.autograd.grad(along, list(self.named.values()))
        return torch.cat([g.to_local().reshape(-1) for g in image])


def fsdp() -> Found:
    """T_k of a small network whose parameters `fully_shard` spread over the processes."""
    model, data = network()
    if not dist.is_initialized():
        risk = EmpiricalRisk(model, data, "cross_entropy")
        curvature = risk.linearise(risk.start)
        return {"T": krylov_of(curvature, curvature.gradient)}
    sharded = copy.deepcopy(model)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in (sharded[0], sharded[2], sharded):  # type: ignore[index]
        fully_shard(layer, mesh=mesh)
    operator = Sharded(model, sharded, data)
    with split_vectors():
        return {"T": krylov_of(operator, operator.gradient)}


def krylov_of(operator: Any, gradient: Tensor) -> Tensor:
    space = KrylovSpace(operator, gradient.clone, limit=6, keep=6)
    list(space.grow())
    return torch.tensor([space.diagonal, space.off_diagonal, [space.start_length] * 6])


def joint(piece: Tensor, place: slice, size: int) -> Tensor:
    whole = piece.new_zeros(size)
    whole[place] = piece
    return reduced(whole) if dist.is_initialized() else whole


def session(folder: Path | None = None) -> Found:
    """A run made and a request granted by all processes on one folder."""
    where = (folder or Path(sys.argv[2])) / "run"
    opened = Session.create(where, "digits", seed=1)
    result = opened.unlearn(range(20), SHORT, request="letter", accept=True)
    again = opened.unlearn(range(20), SHORT, request="letter", accept=True)
    assert again.repeated
    return {"record": result.record, "state": result.model.state_dict()}


def killed() -> Found:
    """The last process is killed in the middle of a request."""
    return _broken(lambda: os.kill(os.getpid(), signal.SIGKILL))


def silent() -> Found:
    """The last process does not answer any more, but does not end."""
    return _broken(lambda: time.sleep(SILENCE + 2))


def _broken(fault: Any) -> Found:
    def on_step(_: object) -> None:
        if os.environ["RANK"] == "1":
            fault()

    opened = Session.open(Path(sys.argv[2]) / "run")
    try:
        opened.unlearn(range(20, 40), SHORT, on_step=on_step)
    except curenu.errors.RunBroken as error:
        return {"error": str(error)}
    return {}


def everything() -> Found:
    """All that needs no fault, in one start of the processes."""
    every = (objectives, objectives32, erasure, counts, timed, differing, lanczos, fsdp, session)
    return {case.__name__: case() for case in every}


def small() -> Found:
    """Fewer examples than processes, in float64, with the mlp's first example alone."""
    problem = mlp()
    risk = EmpiricalRisk(problem.model, problem.dataset, problem.loss).subset([0])
    metric = kronecker_metric(risk, risk.start, generator(3))
    return {"gradient": risk.gradient(risk.start), "metric": metric.root(risk.start)}


def main() -> None:
    case, folder = sys.argv[1], Path(sys.argv[2])
    with joined(timeout=SILENCE if case == "silent" else 60.0):
        found = globals()[case]()
    torch.save(found, folder / f"{case}-{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main()
