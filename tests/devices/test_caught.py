"""The tests' second device: what a card would refuse is caught, and no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.devices.second_device import THERE, WrongDevice, second_device
from tests.problems import generator

WRONG: dict[str, Callable[[Tensor, Tensor], object]] = {
    "sum": lambda here, there: here + there,
    "in place": lambda here, there: there.add_(here),
    "product": lambda here, there: there.unsqueeze(0) @ here,
    "list": lambda here, there: torch.cat([here, there]),
    "number there": lambda here, there: here * there.sum(),
    "positions there": lambda here, there: here[there.long()],
    "gather": lambda here, there: there.gather(0, here.long()),
    "made here": lambda here, there: there + torch.zeros(len(there)),
    "drawn here": lambda here, there: there + torch.randn(len(there), generator=generator()),
    "generator": lambda here, there: torch.randn(4, device=there.device, generator=generator()),
    "drawn in place": lambda here, there: there.normal_(generator=generator()),
    "array": lambda here, there: there.numpy(),
    "backward": lambda here, there: torch.autograd.grad(
        there.clone().requires_grad_(), there.clone().requires_grad_(), here
    ),
    "vectorised": lambda here, there: torch.func.vmap(lambda x: x + here)(there.repeat(2, 1)),
    "tangent": lambda here, there: torch.func.jvp(torch.tanh, (there,), (here,)),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's, of its first tangent
@pytest.mark.parametrize("name", WRONG)
def test_what_a_second_device_would_refuse_is_caught(name: str) -> None:
    with second_device() as device:
        here, there = torch.ones(4), device.tensor(torch.ones(4))
        with pytest.raises((WrongDevice, RuntimeError), match="devices|there|differentiated"):
            WRONG[name](here, there)


def test_what_a_second_device_allows_is_let_through() -> None:
    with second_device() as device:
        here, there = torch.ones(4), device.tensor(torch.ones(4))
        assert there.device == THERE
        assert here.device != THERE
        assert device.is_there(there * torch.tensor(2.0) + 1.0)
        assert device.is_there(there[torch.tensor([0, 2])])
        assert device.is_there(here.to(there) + there)
        assert device.is_there(torch.zeros(4, device=there.device) + there)
        assert not device.is_there(there.cpu() + here)
        assert device.is_there(there.view(2, 2)[1].double())
        assert device.is_there(torch.func.grad(lambda x: x.square().sum())(there))
        assert there.copy_(torch.zeros(4)).sum() == 0.0
