"""Sequences of 5, 10 and 20 requests, anchored at the last release and at the first model.

The same examples go in every sequence, so that one set of oracles and one erasure of the union
serve all: the "random 10 %" of `curenu bench anchored-TASK`, whose oracles are taken from its
folder of networks. Written as JSON: after every request the drift meter; at the end closeness to
the oracles of sequence and one-shot erasure, their difference, and the drift between the two.

    python benchmarks/quality/sequence.py --out sequence.json            # Fashion-MNIST, 30 min
    python benchmarks/quality/sequence.py --smoke --out sequence.json    # digits, seconds

The first model is trained here, for its seconds are what those of the requests are held against.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from reference import compared, made_by, opened, parser_of, stage, weighed

from curenu.bench.request import draw
from curenu.bench.workshop import Workshop
from curenu.compare import Comparison
from curenu.report import Row, document
from curenu.runs.records import Anchoring
from curenu.runs.session import Session

UNION = "random 10 %"
SMOKE_ROUNDS = [2]
ANCHORS: tuple[Anchoring, ...] = get_args(Anchoring)
COMPARED = ("Rf", "Rr", "Rt", "G accuracy", "G loss")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, nargs="+", default=[5, 10, 20])
    given = parser.parse_args()
    shop = opened(given, (UNION,))
    with tempfile.TemporaryDirectory() as folder:
        results = run(shop, SMOKE_ROUNDS if given.smoke else given.rounds, Path(folder))
    given.out.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n")


def run(shop: Workshop, rounds: Sequence[int], folder: Path) -> dict[str, Any]:
    task, seed = shop.config.task, shop.config.trained[0]
    with stage("training"):
        trained = Session.create(folder / "trained", task.name, options=task.options, seed=seed)
    comparison = compared(shop, UNION, trained.first_model)
    references = [comparison.nothing(), comparison.oracle()]
    at_once: list[dict[str, Any]] = []
    sequences: list[dict[str, Any]] = []
    for seed in shop.config.seeds:
        union = (comparison.forget,)
        once = erased(comparison, copied(folder, f"once-{seed}"), union, "last", seed)
        at_once.append({"seed": seed, **once})
        for count, anchor in itertools.product(rounds, ANCHORS):
            request = draw(shop.task, shop.erasure(UNION).model_copy(update={"rounds": count}))
            session = copied(folder, f"{count}-{anchor}-{seed}")
            found = erased(comparison, session, request.rounds, anchor, seed)
            about = {"rounds": count, "anchor": anchor, "seed": seed}
            sequences.append({**about, **found, "difference": difference(found, once)})
    context = {
        "task": task.name,
        "erasure": UNION,
        "trained": list(shop.config.trained),
        "oracles": list(shop.config.oracles),
        "seeds": list(shop.config.seeds),
    }
    return (
        document([], context)
        | made_by("stocurenu")
        | {
            "rows": [weighed(comparison, reference) for reference in references],
            "at once": at_once,
            "sequences": sequences,
        }
    )


def copied(folder: Path, name: str) -> Session:
    """A run of its own that starts from the trained model."""
    return Session.open(shutil.copytree(folder / "trained", folder / name))


def erased(
    comparison: Comparison,
    session: Session,
    parts: Sequence[Sequence[int]],
    anchor: Anchoring,
    seed: int,
) -> dict[str, Any]:
    """Every part one after the other; only the end of two or more is checked for drift.

    The row with what the requests cost in all, and their records without what names examples.
    """
    check = len(parts) if len(parts) > 1 else 0
    with stage(f"{len(parts)} requests, anchor {anchor}, seed {seed}"):
        for number, part in enumerate(parts, start=1):
            # seeded as `curenu bench` seeds the rounds of its own sequences
            session.unlearn(part, seed=seed * 1000 + number, anchor=anchor, check_drift=check)
    work = sum(record.cost.weighted for record in session.records)
    found = weighed(comparison, row(comparison, session), weighted=work)
    requests = [
        json.loads(record.model_dump_json(exclude={"positions", "ids", "trace"}))
        for record in session.records
    ]
    return {**found, "requests": requests}


def row(comparison: Comparison, session: Session) -> Row:
    return comparison.row(
        "stocurenu",
        session.model,
        sum(record.cost.seconds for record in session.records),
        products=sum(record.cost.hvps for record in session.records),
        examples=sum(record.cost.examples for record in session.records),
        status=session.records[-1].status.name,
    )


def difference(found: dict[str, Any], once: dict[str, Any]) -> dict[str, float]:
    """Sequence minus one-shot erasure of the same seed, in R and G."""
    now, then = ({f["name"]: f["value"] for f in row["findings"]} for row in (found, once))
    return {name: now[name] - then[name] for name in COMPARED if name in now and name in then}


if __name__ == "__main__":
    main()
