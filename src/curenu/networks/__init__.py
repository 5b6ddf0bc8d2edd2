"""Trained networks, kept once: what problem they are of, their weights, seconds and outputs."""

from __future__ import annotations

from curenu.networks.fingerprint import Fingerprint, fingerprint, refuse_other
from curenu.networks.networks import Networks
from curenu.networks.outputs import outputs_on, split_of
from curenu.networks.shelf import FolderShelf, MemoryShelf, Shelf
from curenu.networks.source import source_of
from curenu.networks.training import TrainedNetwork, timed_training, warm_up

__all__ = [
    "Fingerprint",
    "FolderShelf",
    "MemoryShelf",
    "Networks",
    "Shelf",
    "TrainedNetwork",
    "fingerprint",
    "outputs_on",
    "refuse_other",
    "source_of",
    "split_of",
    "timed_training",
    "warm_up",
]
