"""Some examples together, as a model is given them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """The examples at positions `ids` `[b]`: their collated `content`, and what each weighs.

    How many there are is how many ids there are, whatever the shapes inside; `weights` `[b]` is
    None where all weigh the same.
    """

    ids: Tensor
    content: Any
    weights: Tensor | None = None

    @property
    def size(self) -> int:
        """b."""
        return len(self.ids)
