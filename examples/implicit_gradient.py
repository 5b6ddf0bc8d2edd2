"""The gradient of meta-learning through an inner training, by one solve (iMAML).

Source: Rajeswaran, Finn, Kakade and Levine, "Meta-Learning with Implicit Gradients" (NeurIPS 2019).
With w(m) = argmin L_train(w) + (lam/2)|w − m|², the gradient of L_test(w(m)) with respect to the
start m is (I + H/lam)^{-1} ∇L_test, H the Hessian of L_train at w(m).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu.linear import damped_solve
from curenu.risks import EmpiricalRisk

LAM = 0.5


def objective(seed: int, size: int) -> EmpiricalRisk:
    """Logistic regression on some points of two noisy classes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, 4, generator=generator, dtype=torch.float64)
    noise = torch.randn(size, generator=generator, dtype=torch.float64)
    y = (x[:, 0] - x[:, 1] + noise > 0).long()
    return EmpiricalRisk(nn.Linear(4, 2).double(), TensorDataset(x, y), "cross_entropy")


def trained(train: EmpiricalRisk, start: Tensor) -> Tensor:
    """argmin of L_train(w) + (LAM/2)|w − start|², by Newton steps."""
    w = start.clone()
    for _ in range(20):
        slope = train.gradient(w) + LAM * (w - start)
        w += damped_solve(train.linearise(w), slope, LAM).step
    return w


def main() -> tuple[float, float]:
    """The derivative along one direction of the start, implicitly and by a finite difference."""
    train, test = objective(0, 60), objective(1, 200)
    start = torch.zeros(train.dimension, dtype=torch.float64)
    w = trained(train, start)
    solved = damped_solve(train.linearise(w), test.gradient(w), LAM, max_products=10)
    gradient = -LAM * solved.step  # lam (H + lam I)^{-1} g = (I + H/lam)^{-1} g
    way = torch.linspace(-1.0, 1.0, train.dimension, dtype=torch.float64)
    implicit = float(gradient @ way)
    ends = [float(test.value(trained(train, start + h * way))) for h in (1e-4, -1e-4)]
    difference = (ends[0] - ends[1]) / 2e-4
    print(f"implicit {implicit:.6f}, finite difference {difference:.6f}")
    return implicit, difference


if __name__ == "__main__":
    main()
