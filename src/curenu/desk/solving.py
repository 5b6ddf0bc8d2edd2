"""The erasure of one batch in a process of its own: reads its order from stdin, keeps no id.

It works on a copy of the model's run folder. What it leaves is the copy with one more record, whose
subjects are deleted, and `result.json`, which names requests by their ids and nobody else.
"""

from __future__ import annotations

import json
import shutil
import sys
import traceback
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from curenu.atomic import LOCK, replace_file
from curenu.compare import evaluate
from curenu.desk.policy import Policy, passes
from curenu.errors import BadRequest
from curenu.method_choice import make_method
from curenu.runs.session import Session
from curenu.version import __version__

__all__ = ["RESULT", "solve"]

RESULT = "result.json"
_FIGURES = {
    "R": ("Rf",),
    "G": ("G margin", "G loss"),
    "membership_attack": ("RMIA AUC", "loss attack AUC"),
    "holdout_loss": ("loss gap t",),
}
"""Of each figure of a statement, what it is called among the findings; the first that is there."""


def solve(order: dict[str, Any]) -> dict[str, Any]:
    """Do what `order` says and return what came of it.

    `folder` is the attempt's own, `run` what is copied, `head` what its ledger must be at, `way`
    "erase" or "retrain", `policy` the model's, `requests` the example ids of each request.
    """
    started = _now()
    folder, policy = Path(order["folder"]), Policy.model_validate(order["policy"])
    shutil.copytree(order["run"], folder / "run", ignore=shutil.ignore_patterns(LOCK))
    session = Session.open(folder / "run", policy.task)
    if session.head.hash != order["head"]:
        raise BadRequest("The model's run folder is at another record.", "the folder as it was.")
    outcomes, going = _sorted_out(session, order["requests"])
    found: dict[str, Any] = {
        "base": order["head"], "before": session.current, "started": started, "outcomes": outcomes,
        "oracles": 0, "examples": len(going), "curenu": __version__,
        "torch": str(torch.__version__),
    }  # fmt: skip
    if going:
        retrain = order["way"] == "retrain"
        method = "retrain" if retrain else make_method(policy.method, policy.settings)
        result = session.unlearn(going, method, request=f"desk-{order['batch']}")
        record = result.record
        found |= {"status": record.outcome.name, "granted": record.granted}
        found |= {"method": record.method, "figures": []}
        if record.granted:
            found["figures"] = _measured(session, policy)
            found["oracles"] = policy.oracles
            session.purge("base", subjects=True)
    found |= {"after": session.current, "head": session.head.hash, "finished": max(started, _now())}
    return found


def _sorted_out(session: Session, wanted: dict[str, list[str]]) -> tuple[dict[str, str], list[Any]]:
    """What each request comes to, and the examples that are to go, in their order."""
    place = {str(session.id_of(p)): p for p in range(session.description.examples)}
    erased, going, outcomes = session.ledger.erased, set(), {}
    for name, ids in wanted.items():
        known = [place[one] for one in ids if one in place]
        going.update(p for p in known if p not in erased)
        left = any(p not in erased for p in known)
        outcomes[name] = "erased" if left else "already" if known else "not_in_model"
    return outcomes, [session.task_id(p) for p in sorted(going)]


def _measured(session: Session, policy: Policy) -> list[dict[str, Any]]:
    """The figures of the new model, each beside its bar and the retrained networks' value."""
    found = evaluate(session, policy.oracles, _silent)
    row, oracle = found.rows[-1], found.rows[-2]
    told = []
    for name, names in _FIGURES.items():
        own = next((f for f in map(row.finding, names) if f is not None), None)
        if own is None:
            continue
        theirs, bar = oracle.finding(own.name), policy.bars.get(name)  # type: ignore[arg-type]
        if bar is None:
            continue
        told.append(
            {"name": name, "value": own.value, "low": bar.low, "high": bar.high,
             "oracle": None if theirs is None else theirs.value, "passed": passes(own.value, bar)}
        )  # fmt: skip
    return told


def _silent(_: str) -> Any:
    return nullcontext(lambda done, total: None)


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0).isoformat()


def main() -> None:
    """One order from stdin; its result in the attempt's folder."""
    order = json.loads(sys.stdin.read())
    try:
        found = solve(order)
    except Exception as error:  # whose text may hold an id; where it came from holds none
        sys.stderr.write("".join(traceback.format_tb(error.__traceback__)) + type(error).__name__)
        sys.exit(1)
    replace_file(Path(order["folder"]) / RESULT, json.dumps(found, allow_nan=False).encode())


if __name__ == "__main__":
    main()
