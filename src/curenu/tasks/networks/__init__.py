"""Networks that tasks train, written here."""

from __future__ import annotations

from curenu.tasks.networks.convolutional import LeNet, SmallCNN
from curenu.tasks.networks.residual import ResNet18, ResNet20
from curenu.tasks.networks.transformer import TextTransformer

__all__ = ["LeNet", "ResNet18", "ResNet20", "SmallCNN", "TextTransformer"]
