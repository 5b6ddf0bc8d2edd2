"""Whether several processes are about to compute the same thing."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from curenu.data import leaves_of
from curenu.distributed import count, require_same
from curenu.risks.empirical import EmpiricalRisk

__all__ = ["require_same_problem"]

_BATCH = 256
_SPREAD = 4096  # examples that stand for a retain set which is not in memory


def require_same_problem(
    start: Tensor, retain: EmpiricalRisk, forget: EmpiricalRisk, method: str, seed: int
) -> None:
    """Raise `BadRequest` unless every process has the same data, weights, request and seed.

    All examples are compared where they are tensors in memory, otherwise the forget set and
    4,096 retained ones spread over the rest. No word is exchanged in a single process.
    """
    if count() == 1:
        return
    among = retain.ids
    if not retain.source.examples.in_memory:
        among = among[:: max(1, len(among) // _SPREAD)][:_SPREAD]
    state = retain.source.evaluation.model.state_dict()
    require_same(
        weights=start,
        other_weights_and_buffers=_hash(list(state.values())),
        retained_ids=retain.ids,
        forget_ids=forget.ids,
        retained_examples=_examples(retain, among),
        forget_examples=_examples(forget, forget.ids),
        method_and_objective=f"{method}/{retain.weight_decay}/{retain.source.evaluation.form.label}/"
        f"{retain.source.product_dtype}",
        seed=str(seed),
    )


def _examples(risk: EmpiricalRisk, ids: Tensor) -> str:
    parts = [
        _hash(list(leaves_of(risk.source.examples.batch(b).content))) for b in ids.split(_BATCH)
    ]
    return "/".join(parts)


def _hash(leaves: list[object]) -> str:
    state = hashlib.blake2b(digest_size=16)
    for leaf in leaves:
        if isinstance(leaf, Tensor):
            flat = leaf.detach().cpu().contiguous().reshape(-1)
            content: Any = flat.view(torch.uint8).numpy()
            state.update(f"{leaf.dtype}{list(leaf.shape)}".encode())
            state.update(content)
        else:
            state.update(repr(leaf).encode())
    return state.hexdigest()
