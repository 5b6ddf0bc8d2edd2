"""What the scripts beside this one compare with: requests and networks of `anchored-TASK`.

They are those of `curenu bench anchored-TASK`, kept in the same folder under the same names: a
network that either of the two trained is not trained again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from curenu.bench import load_config
from curenu.bench.config import MethodConfig
from curenu.bench.origin import origin, settings_of
from curenu.bench.workshop import Training, Workshop
from curenu.compare import Comparison, compare
from curenu.cost import GRADIENT
from curenu.report import Row

__all__ = ["compared", "made_by", "opened", "parser_of", "stage", "weighed"]

SMOKE_TASK, SMOKE_ORACLES = "digits", 2


@contextmanager
def stage(name: str) -> Iterator[Callable[[int, int], None]]:
    """Says how long the work inside took."""
    start = time.perf_counter()
    yield lambda done, total: None
    print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)


def parser_of(about: str | None) -> argparse.ArgumentParser:
    """The arguments that the scripts share."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--smoke", action="store_true", help="digits, the least there is to run")
    parser.add_argument("--task", default="fashion-mnist", help="with a benchmark anchored-TASK")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the method")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("curenu-bench/networks"),
        help="folder of trained networks, that of `curenu bench`",
    )
    return parser


def opened(given: argparse.Namespace, erasures: Sequence[str], *, every: bool = False) -> Workshop:
    """The benchmark with those `erasures`, its first trained network (or `every`), all oracles."""
    _, config = load_config(f"anchored-{SMOKE_TASK if given.smoke else given.task}")
    changes = {
        "erasures": tuple(e for e in config.erasures if e.name in erasures),
        "trained": config.trained if every else config.trained[:1],
        "oracles": config.oracles[:SMOKE_ORACLES] if given.smoke else config.oracles,
        "seeds": tuple(given.seeds[:1] if given.smoke else given.seeds),
    }
    return Workshop(config.model_copy(update=changes), given.cache)


def compared(
    shop: Workshop, erasure: str, first: nn.Module | None = None, *, seed: int | None = None
) -> Comparison:
    """The erasure's comparison with its oracles; trains what was not trained before.

    `first` is the network erased from, by default the benchmark's own of `seed` (its first).
    """
    for training in shop.trainings(shop.erasure(erasure)):
        if not shop.kept(training) and (training.round_ or first is None):
            with stage(f"{erasure}, training with seed {training.seed}"):
                shop.train(training)
    if first is None:
        start = shop.config.trained[0] if seed is None else seed
        first = shop.network(Training(erasure, 0, start)).model
    oracles = [shop.network(Training(erasure, 1, seed)) for seed in shop.config.oracles]
    request = shop.request(erasure)
    return compare(request.task, request.forgotten(1), request.retained(1), first, oracles)


def weighed(
    comparison: Comparison, row: Row, *, weighted: int | None = None, **others: Any
) -> dict[str, Any]:
    """The row as JSON, with `others` and its examples over those of one retraining.

    `weighted` are the examples that it passed by their work, a gradient each in training.
    """
    passes = comparison.references.passes
    ratio = None if row.examples is None else row.examples / passes
    work = None if weighted is None else weighted / (GRADIENT * passes)
    return {**others, **row.to_json(), "examples ratio": ratio, "weighted ratio": work}


def made_by(*methods: str) -> dict[str, Any]:
    """Date, commit, and every setting of the `methods` with its default filled in."""
    return origin() | {"settings": {m: settings_of(MethodConfig(method=m)) for m in methods}}
