"""StoCuReNU holds a fixed number of vectors of length d, whatever the data's size."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import TensorDataset

from curenu.cubic import DescentSolver, LanczosSolver
from curenu.erasure import ErasureProblem
from curenu.methods import StoCuReNU
from curenu.risks import EmpiricalRisk, TrainingTime
from tests.problems import classes, generator, initialised, inputs


class LiveVectors(TorchDispatchMode):
    """Counts the storages of d elements or more that are alive at once."""

    def __init__(self, dimension: int, itemsize: int) -> None:
        super().__init__()
        self.smallest = dimension * itemsize
        self.alive: set[int] = set()
        self.peak = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, list | tuple) else [made]:
            if isinstance(tensor, Tensor):
                self._watch(tensor)
        return made

    def _watch(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if storage.nbytes() < self.smallest or key in self.alive:
            return
        self.alive.add(key)
        self.peak = max(self.peak, len(self.alive))
        weakref.finalize(storage, self.alive.discard, key)


def live_vectors(size: int, method: StoCuReNU) -> int:
    model = initialised(lambda: nn.Sequential(nn.Linear(40, 60), nn.Tanh(), nn.Linear(60, 3)))
    data = TensorDataset(inputs(size, 40).float(), classes(size, 3))
    risk = EmpiricalRisk(model.float(), data, "cross_entropy", micro_batch_size=8)
    retain, forget = risk.split(range(40))  # more than any sample of them
    # short enough a training that no sample has to grow, in whose rounds one more vector lives
    problem = ErasureProblem(risk.start, retain, forget, training=TrainingTime(0.5))
    gc.collect()
    with LiveVectors(risk.dimension, 4) as live:
        method(problem, generator=generator())
    return live.peak


TWO_PASS = LanczosSolver(max_products=12, tolerance=0.0, memory_budget=0)


SHORT, DESCENT = LanczosSolver(max_products=6, tolerance=0.0), DescentSolver()


@pytest.mark.parametrize(
    ("solver", "aim"),
    [
        (TWO_PASS, "retain"),
        (SHORT, "retain"),
        (DESCENT, "retain"),
        (SHORT, "anchored"),
        pytest.param(TWO_PASS, "anchored", marks=pytest.mark.slow),
        pytest.param(DESCENT, "anchored", marks=pytest.mark.slow),
    ],
)
def test_working_vectors_do_not_depend_on_the_data_size(solver: Any, aim: Any) -> None:
    method = StoCuReNU(
        objective=aim, solver=solver, preconditioner="none", sample_size=16, max_steps=2
    )
    few, many = live_vectors(80, method), live_vectors(800, method)
    assert few == many > 0
