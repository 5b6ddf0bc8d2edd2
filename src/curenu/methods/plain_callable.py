"""PlainCallable: a function `unlearning(net, retain, forget, validation)` as a method.

Source: the starting kit of the NeurIPS 2023 machine unlearning challenge. Differs from it in: the
loaders are shuffled by the method's generator, and torch's global one, which dropout uses, is
seeded from it while the function runs; an erasure here moves parameters only, so a function that
also moves batch-norm statistics is refused unless `keep_statistics` says to go without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from curenu.erasure import Erasure, ErasureProblem, Plan
from curenu.errors import BadRequest, CurenuError, IllPosed, UnsupportedModel
from curenu.settings import Count, Settings
from curenu.status import Status

__all__ = ["PlainCallable"]


@dataclass(frozen=True)
class PlainCallable(Settings):
    """The parameters of function(net, retain_loader, forget_loader, validation_loader, ...).

    `net` is a copy of the trained model in training mode; loaders give collated batches and
    may be passed over any number of times. The validation loader is over the problem's
    `holdout` where it has one and over the retain set otherwise; a note says which. The
    function returns the network. `arguments` are given to it by name. Cost: its own; only
    seconds are counted.

    Raises `BadRequest` when it fails or returns anything but a network of the same
    parameters, `IllPosed` when these hold NaN or Inf, `UnsupportedModel` when frozen
    parameters or buffers changed; with `keep_statistics` buffers stay the trained model's
    instead, and a note says so.
    """

    function: Callable[..., Any]
    batch_size: Count = 128
    keep_statistics: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.function):
            raise BadRequest(f"{self.function!r} cannot be called.", "a function.")

    def plan(self, problem: ErasureProblem) -> Plan:
        """Unknown here: the function's own, beside a copy of the network and its gradient."""
        return Plan(examples=0, vectors=2)

    def __call__(self, problem: ErasureProblem, *, generator: torch.Generator) -> Erasure:
        """Erase: hand over, and read the parameters of what comes back."""
        retain, holdout = problem.retain, problem.holdout
        net = retain.module_at(problem.start)
        names = [name for name, _ in net.named_parameters()]
        before = _unmoved(net, retain.parameters.names)
        with retain.meter.measure() as spent:
            loaders = [
                risk.loader(self.batch_size, generator)
                for risk in (retain, problem.forget, retain if holdout is None else holdout)
            ]
            with _seeded(generator, problem.start.device), torch.enable_grad():
                made = self._called(net, loaders)
            named = _parameters(made, names)
            theta = retain.parameters.flatten(named)
            if not theta.isfinite().all():
                raise IllPosed(
                    "The function returned a network with NaN or Inf in it.",
                    "a smaller learning rate, or fewer steps, in the function.",
                )
            notes = (
                f"validation on {'the retain set' if holdout is None else 'the holdout set'}",
                "passes through the network not counted",
                *self._dropped(before, _unmoved(made, retain.parameters.names), names),
            )
        return Erasure(theta, Status.SCHEDULE_DONE, spent(), notes=notes)

    def _called(self, net: Any, loaders: list[DataLoader[Any]]) -> Any:
        """What the function returns; what goes wrong in it becomes an error of this package."""
        try:
            return self.function(net, *loaders, **self.arguments)
        except CurenuError:
            raise
        except Exception as error:
            raise BadRequest(
                f"The unlearning function failed: {type(error).__name__}: {error}.",
                "mending it; it is called with (net, retain_loader, forget_loader, "
                "validation_loader).",
            ) from error

    def _dropped(
        self, before: dict[str, Tensor], after: dict[str, Tensor], parameters: list[str]
    ) -> list[str]:
        """A note on buffers that changed, if they may; an error on what may not."""
        changed = [
            name
            for name in sorted(before.keys() | after.keys())
            if name not in before or name not in after or not torch.equal(before[name], after[name])
        ]
        if not changed:
            return []
        if set(changed) & set(parameters) or not self.keep_statistics:
            raise UnsupportedModel(
                f"The function changed {', '.join(changed[:3])}: an erasure does not move these.",
                "batch-norm layers in eval mode and frozen parameters left alone, or "
                "`keep_statistics=True`, which keeps the trained model's buffers.",
            )
        return [f"changed buffers dropped: {', '.join(changed)}"]


def _parameters(made: Any, names: list[str]) -> dict[str, Tensor]:
    """The named parameters of what the function returned, if they are the network's own."""
    if not hasattr(made, "named_parameters"):
        raise BadRequest(
            f"The function returned {type(made).__name__}.", "a function that returns the network."
        )
    named = dict(made.named_parameters())
    if list(named) != names:
        different = sorted(set(named) ^ set(names)) or list(named)
        raise BadRequest(
            f"The returned network has other parameters, first {different[0]}.",
            "a function that returns a network of the same architecture.",
        )
    return named


def _unmoved(net: Any, moving: tuple[str, ...]) -> dict[str, Tensor]:
    """Copies of the buffers of a network and of its parameters that do not move."""
    named = dict(net.named_parameters()) | dict(net.named_buffers())
    return {
        name: tensor.detach().to("cpu", copy=True)
        for name, tensor in named.items()
        if name not in moving
    }


@contextmanager
def _seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Torch's global generators, the network's device's too, in states of their own meanwhile."""
    seed = int(torch.randint(2**62, (), generator=generator))
    cards = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cards):
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        for card in cards:
            own = torch.Generator(device=card).manual_seed(seed)
            torch.cuda.set_rng_state(own.get_state(), card)
        yield
