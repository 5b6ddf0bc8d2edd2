"""Results as JSON, with everything needed to read or repeat them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch

from curenu.report.row import Row, finite

__all__ = ["document"]


def document(rows: Sequence[Row], context: dict[str, Any]) -> dict[str, Any]:
    """Rows, what they are about, and the versions and machine they were made with."""
    return {
        "curenu": version("curenu"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "context": {k: finite(v) if isinstance(v, float) else v for k, v in context.items()},
        "rows": [row.to_json() for row in rows],
    }
