"""`docs/large_models.md` from the JSON files of the runs; every figure comes from there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["text"]

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "large_models.md"

_HEAD = """# Large models

Made from `benchmarks/large/results` by `python benchmarks/large/page.py`. Each file is one run of
`benchmarks/large/run.py` (`make large-data` installs the weights): a network is trained a little
on a slice of real data, half of one class (of TOFU: two authors) is erased by `StoCuReNU`, and
networks trained again without it, from other seeds, are what it is compared with. The trainings
are short and the slices small: the figures show that an erasure of this size runs, what it takes
and whether it goes the way of retraining, not how well it would do on a model trained to its end,
nor what it saves: so short a training is cheaper than any erasure.
"""

_NOTES = """
Seconds are processor seconds of one thread, on a machine that others used too. The peak is the
resident memory of the whole process (code and data included), after training and after the
erasure; networks of the comparison are trained later. A product passes every example of its
sample once; so do a gradient and a value, and all are counted as examples. R is 1 where a model
is as far from a retrained one as those are from one another; G is 1 where the mean margin of the
forget set is the retrained ones'. In brackets 95 % intervals over examples: of one erasure. A
language model's decisions are between tokens, and those of one answer depend on each other: its
intervals are too narrow.

## Gradient checkpointing and attention

Parts of a model that `torch.utils.checkpoint` (with `use_reentrant=False`) passes again on the way
back find the parameters of the product there, and the plain attention kernel, which has second
derivatives; values and gradients are free to use a fused one. Forward mode cannot pass a part
again: such a model's products go by double backward. `memory_budget=` of `CuReNU` and `StoCuReNU`
bounds what is kept between products.
"""


_EMPTY = """# Large models

No run has been made in full yet, so there is nothing to report. `make bench-large NAME=lite0-head`
makes one (`make large-data` installs the weights), and this page from what it found.
"""


def text(results: Path = RESULTS) -> str:
    """The page, from the results that are there."""
    found = [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]
    if not found:
        return _EMPTY
    parts = [_HEAD, _costs(found), _closeness(found), _settings(found), _NOTES]
    parts += [_language(record) for record in found if "findings" in record]
    return "\n".join(parts)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _costs(found: list[dict[str, Any]]) -> str:
    rows = [
        [
            record["title"],
            f"{record['moving']:,} of {record['parameters']:,}",
            *(f"{seconds:.0f} s" for seconds in _seconds(record)),
            f"{record['cost']['gradients']}, {record['cost']['products']}",
            f"{record['cost']['examples']:,}",
            f"{record['peak GiB']['trained']:.2f}, {record['peak GiB']['erased']:.2f}",
        ]
        for record in found
    ]
    head = ["network", "parameters that move", "training", "retraining", "erasure"]
    head += ["gradients, products"]
    return "## What it takes\n\n" + _table([*head, "examples passed", "peak, GiB"], rows)


def _seconds(record: dict[str, Any]) -> tuple[float, float, float]:
    """Of training, of one retraining, of the erasure."""
    spent = record["processor seconds"]
    again = [seconds for stage, seconds in spent.items() if stage.startswith("retraining")]
    return spent["training"], sum(again) / len(again), spent["erasure"]


def _closeness(found: list[dict[str, Any]]) -> str:
    rows = []
    for record in found:
        for part in ("forget", "retain", "test"):
            ratio, right = record["R"][part], record["accuracy"][part]
            rows.append(
                [
                    record["title"] if part == "forget" else "",
                    part,
                    *(f"{right[who]:.3f}" for who in ("before", "after", "retrained")),
                    *(_bracketed(ratio[who]) for who in ("before", "after")),
                    _bracketed(record["G margin"]) if part == "forget" else "",
                ]
            )
    head = ["network", "examples", "accuracy before", "after", "retrained"]
    return "## Where it leads\n\n" + _table([*head, "R before", "R after", "G margin"], rows)


def _bracketed(value: list[float] | None) -> str:
    if value is None:  # no gap to close
        return "–"
    middle, low, high = value
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _settings(found: list[dict[str, Any]]) -> str:
    lines = []
    for record in found:
        sizes, seeds = record["examples"], record["seeds"]
        lines.append(
            f"- {record['title']}: {record['data']}"
            + (f", size {record['size']}" if record["size"] else "")
            + f"; {sizes['train']:,} to train, {sizes['forget']} of them to forget, "
            f"{sizes['test']} to test; compared on "
            f"{' + '.join(map(str, sizes['decisions'].values()))} decisions; "
            f"{record['epochs']} epochs; {record['oracles']} retrained "
            f"(seeds {', '.join(map(str, seeds['oracles']))}); `{_settings_of(record['method'])}`; "
            f"{', '.join(record['notes'])}; {record['status']}."
        )
    return "\n".join(lines) + "\n"


def _settings_of(method: str) -> str:
    """The settings of a method that these runs choose."""
    shown = ("sample_size", "max_steps", "preconditioner")
    given = dict(part.split("=", 1) for part in method[:-1].split(", ") if "=" in part)
    return f"StoCuReNU({', '.join(f'{name}={given[name]}' for name in shown)})"


def _language(record: dict[str, Any]) -> str:
    names = [finding["name"] for finding in record["findings"]["before"]]
    by_name = {
        who: {finding["name"]: finding["value"] for finding in findings}
        for who, findings in record["findings"].items()
    }
    rows = [
        [name, *(f"{by_name[who][name]:.3f}" for who in ("before", "after", "retrained"))]
        for name in names
    ]
    options = ", ".join(f"`{name}={value}`" for name, value in record["options"].items())
    return f"""## {record["title"]}: what it says

Questions on the training authors, on real authors and on facts of the world; the columns are the
figures of [language models](language_models.md#what-is-measured), where retrained is the first of
{record["oracles"]}. Adapters of rank 8; the task's options {options}.

{_table(["", "before", "after", "retrained"], rows)}"""


if __name__ == "__main__":
    PAGE.write_text(text())
