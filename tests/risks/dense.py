"""Dense autograd in float64 on the whole data at once: what the table's cells must equal."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.risks.built import Bag, Built, Net
from tests.risks.given_losses import Case


@dataclass(frozen=True)
class Dense:
    """F(theta) = Σ l_i / mass + (decay/2)|theta|², and the anchored objective, term by term."""

    net: Net
    inputs: tuple[Tensor, ...]
    targets: Tensor
    case: Case
    decay: float

    @classmethod
    def of(cls, cell: Built, case: Case, decay: float) -> Dense:
        targets = cell.targets.double() if cell.targets.is_floating_point() else cell.targets
        net = copy.deepcopy(cell.net).double()
        for module in net.modules():
            if isinstance(module, Bag):
                module.by_hand = True
        return cls(net, cell.inputs, targets, case, decay)

    @property
    def start(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self.net.parameters()])

    def outputs(self, theta: Tensor) -> Tensor:
        named, offset = {}, 0
        for name, parameter in self.net.named_parameters():
            end = offset + parameter.numel()
            named[name], offset = theta[offset:end].view(parameter.shape), end
        with sdpa_kernel(SDPBackend.MATH):
            return functional_call(self.net, named, self.inputs)

    def value(self, theta: Tensor) -> Tensor:
        z = self.outputs(theta)
        mean = self.case.total(z, self.targets) / self.case.mass(z, self.targets)
        return mean + 0.5 * self.decay * theta.square().sum()

    def gradient(self, theta: Tensor) -> Tensor:
        at = theta.clone().requires_grad_()
        return torch.autograd.grad(self.value(at), at)[0]

    def hessian_product(self, theta: Tensor, vector: Tensor) -> Tensor:
        at = theta.clone().requires_grad_()
        (slope,) = torch.autograd.grad(self.value(at), at, create_graph=True)
        return torch.autograd.grad(slope @ vector, at)[0]

    def gauss_newton_product(self, theta: Tensor, vector: Tensor) -> Tensor:
        """Jᵀ L J v + decay v, with the matrix L of the loss's second derivatives in the outputs."""
        at = theta.clone().requires_grad_()
        z = self.outputs(at)
        along = torch.zeros_like(z, requires_grad=True)
        (pulled,) = torch.autograd.grad(z, at, along, create_graph=True)
        (tangent,) = torch.autograd.grad(pulled @ vector, along, retain_graph=True)
        mass = self.case.mass(z, self.targets)
        middle = _second(
            lambda flat: self.case.total(flat.view(z.shape), self.targets) / mass, z.flatten()
        )
        bent = (middle @ tangent.flatten()).view(z.shape)
        return torch.autograd.grad(z, at, bent)[0] + self.decay * vector

    def anchored_gradient(self, theta: Tensor, forget: list[int], limit: float) -> Tensor:
        """Of (1/c_r)[Σ_r B_i + Σ_f (B_i − l_i)] and its quadratics, B_i written out."""
        start = self.start
        keep = [place for place in range(len(self.targets)) if place not in forget]
        before = self.outputs(start).detach()
        kept = self.case.mass(before[keep], self.targets[keep])
        gone = self.case.mass(before[forget], self.targets[forget])
        at = theta.clone().requires_grad_()
        if self.case.hidden:
            risen = self._sum(at, keep) - self._slope(start, keep) @ at
            data = (risen - self._slope(start, forget) @ at) / kept
        else:
            data = (
                self._divergence(at, before, keep)
                + self._divergence(at, before, forget)
                - self._sum(at, forget)
            ) / kept
        moved = (at - start).square().sum()
        quadratic = 0.5 * self.decay * ((1 + gone / kept) * moved - gone / kept * at.square().sum())
        return torch.autograd.grad(data + quadratic + 0.5 * limit * moved, at)[0]

    def _sum(self, theta: Tensor, places: list[int]) -> Tensor:
        return self.case.total(self.outputs(theta)[places], self.targets[places])

    def _slope(self, theta: Tensor, places: list[int]) -> Tensor:
        at = theta.clone().requires_grad_()
        return torch.autograd.grad(self._sum(at, places), at)[0]

    def _divergence(self, theta: Tensor, before: Tensor, places: list[int]) -> Tensor:
        own = before[places].requires_grad_()
        there = self.case.total(own, self.targets[places])
        (slope,) = torch.autograd.grad(there, own)
        z = self.outputs(theta)[places]
        return self.case.total(z, self.targets[places]) - there - (slope * (z - own)).sum()


def _second(function: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    """The matrix of second derivatives, a row at a time."""
    at = point.detach().requires_grad_()
    (slope,) = torch.autograd.grad(function(at), at, create_graph=True)
    return torch.stack([torch.autograd.grad(one, at, retain_graph=True)[0] for one in slope])
