"""Small convolutional networks for grey images of 28 × 28 pixels."""

from __future__ import annotations

from torch import nn

__all__ = ["LeNet", "SmallCNN"]


class SmallCNN(nn.Sequential):
    """Two strided convolutions and a linear layer: 20,490 parameters for ten classes."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1568, classes),
        )


class LeNet(nn.Sequential):
    """LeCun et al. (1998) with ReLU and maximum pooling: 61,706 parameters for ten classes."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, classes),
        )
