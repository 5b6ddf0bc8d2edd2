"""How far apart are two models' predicted distributions?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from curenu.audits.finding import Finding, mean_interval
from curenu.audits.outputs import Outputs, require_same_examples
from curenu.errors import BadRequest, IllPosed

__all__ = ["divergence", "jensen_shannon"]


def jensen_shannon(first: Tensor, second: Tensor) -> NDArray[np.float64]:
    """½KL(p‖m) + ½KL(q‖m), m = (p + q)/2, of each example, `[n]`; natural log, in [0, ln 2].

    `first` and `second` are logits `[n, k]`; summed over classes, in float64.
    """
    if first.shape != second.shape:
        raise BadRequest(
            f"Logits {list(first.shape)} and {list(second.shape)}.", "the same examples."
        )
    for logits in (first, second):
        if not logits.isfinite().all():
            example = int((~logits.isfinite().all(1)).nonzero()[0])
            raise IllPosed(
                f"Logits of example {example} are not finite.", "a model that did not diverge."
            )
    log_p, log_q = (logits.double().log_softmax(1) for logits in (first, second))
    p, q = log_p.exp(), log_q.exp()
    log_m = ((p + q) / 2).clamp_min(1e-300).log()
    total = 0.5 * (p * (log_p - log_m) + q * (log_q - log_m)).sum(1)
    return total.clamp_(0.0, float(np.log(2.0))).cpu().numpy()


def divergence(
    name: str, outputs: Outputs, oracles: list[Outputs], *, reference: float | None = None
) -> Finding:
    """Mean Jensen-Shannon divergence to the oracles: over oracles, then over examples.

    `reference` is the noise floor: the oracles' divergence from one another.
    """
    require_same_examples(outputs, oracles)
    values = np.mean([jensen_shannon(outputs.logits, o.logits) for o in oracles], axis=0)
    return Finding(name, float(values.mean()), mean_interval(values), reference, values)
