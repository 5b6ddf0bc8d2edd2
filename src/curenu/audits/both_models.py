"""Can someone who holds the model before and after tell what was erased?

The setting of Chen et al., "When Machine Unlearning Jeopardizes Privacy", CCS 2021, with
scores that need no attack model to be trained.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from curenu.audits.attack import Attack, peers
from curenu.audits.gap_closed import margin
from curenu.audits.outputs import Outputs, Split
from curenu.errors import BadRequest

__all__ = ["both_models", "change"]

Kind = Literal["loss", "posterior"]


def both_models(before: Split, after: Split, kind: Kind = "loss") -> Attack:
    """Attack by what changed: members are the forget set, strangers test examples like them.

    Aim at the figure of an oracle in the place of `after`, not at 0.5: retraining itself
    raises the loss of what is gone. A model that did not change has 0.5 and forgot nothing.
    """
    others = [peers(split.test, split.forget) for split in (before, after)]
    return Attack(change(before.forget, after.forget, kind), change(others[0], others[1], kind))


def change(before: Outputs, after: Outputs, kind: Kind = "loss") -> NDArray[np.float64]:
    """Change of each example, `[n]`: the rise of its loss, or |sort p' − sort p|_2.

    `"posterior"` compares the sorted class probabilities: it needs no label.
    Raises `BadRequest` for other examples or classes.
    """
    if before.logits.shape != after.logits.shape or not torch.equal(before.targets, after.targets):
        raise BadRequest("Before and after are of different examples.", "the same ones.")
    if kind == "loss":
        known = [functional.logsigmoid(margin(o)) for o in (before, after)]
        return (known[0] - known[1]).cpu().numpy()
    if kind != "posterior":
        raise BadRequest(f"kind={kind!r}.", "'loss' or 'posterior'.")
    ordered = [o.logits.double().softmax(1).sort(1).values for o in (before, after)]
    return (ordered[1] - ordered[0]).norm(dim=1).cpu().numpy()
