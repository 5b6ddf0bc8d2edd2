"""What the tests of runs share."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from curenu.methods import FineTune
from curenu.tasks import Task, load_task

SIZE = 1437
SHORT = FineTune(epochs=1)


def vector(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def sample_task(**changes: Any) -> Task:
    return dataclasses.replace(load_task("digits"), **changes)


def state_of(folder: Path) -> dict[str, str]:
    """Every file of a folder and the hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
