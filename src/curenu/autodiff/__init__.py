"""Derivatives of a sum over micro-batches: gradients, Hessian and Gauss-Newton products."""

from curenu.autodiff.linearisation import Kind, Linearisation, check_dense
from curenu.autodiff.micro_batch import MicroBatch
from curenu.autodiff.pieces import graph_bytes

__all__ = ["Kind", "Linearisation", "MicroBatch", "check_dense", "graph_bytes"]
