"""Weights that training passed through: kept while it runs, read where an erasure follows them."""

from curenu.checkpoints.checkpoint import Checkpoint, spans
from curenu.checkpoints.keeping import Checkpoints

__all__ = ["Checkpoint", "Checkpoints", "spans"]
