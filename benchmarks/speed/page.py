"""`docs/performance.md` from the JSON files of a run; every figure comes from there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "RESULTS", "text"]

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"

_KINDS = {"hessian": "Hessian", "gauss_newton": "Gauss–Newton"}

_HEAD = """# Performance

Made from `benchmarks/speed/results/*.json` by `make bench-speed`. Contenders take turns in one
process on one thread; a ratio is the median of the rounds' ratios, with the least and the
largest. Seconds belong to the machine, ratios and counts do not.
"""


def text() -> str:
    """The page, from the results that are there."""
    parts = {
        "products": _products,
        "compiled": _compiled,
        "solvers": _solvers,
        "erasing": _erasing,
        "growth": _growth,
        "exact": _exact,
        "ranks": _ranks,
    }
    made = [_HEAD]
    for name, section in parts.items():
        file = RESULTS / f"{name}.json"
        if file.is_file():
            found = json.loads(file.read_text())
            used = ", ".join(f"{key} {value}" for key, value in found["environment"].items())
            size = "smoke run, few examples and rounds" if found["smoke"] else "full run"
            made += [section(found["result"]), f"*{size}; {used}.*\n"]
    return "\n".join(made)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _ratio(found: dict[str, float]) -> str:
    return f"{found['median']:.2f} ({found['min']:.2f} to {found['max']:.2f})"


def _products(found: dict[str, Any]) -> str:
    sizes = found["micro_batches"]
    names = [name for name in sizes[0]["ratio_to_gradient"] if name != "gradient"]
    rows = [
        [row["micro_batch"], *(_ratio(row["ratio_to_gradient"][name]) for name in names)]
        for row in sizes
    ]
    counts = found["multiplications"]
    rows.append(["*counted*", *(f"*{counts[name]:.2f}*" for name in names)])
    rivals = [
        [_KINDS[kind], name, _ratio(ratio)]
        for kind, others in found["rivals"].items()
        for name, ratio in others.items()
        if name != "ours"
    ]
    return f"""## A product in gradients

The CNN of the Fashion-MNIST task (20,490 parameters), {found["examples"]:,} images,
{found["rounds"]} rounds: time over that of a gradient of the same micro-batches.

{_table(["micro-batch", *names], rows)}
A product pushes the vector through the model by forward-mode differentiation and pulls the
result back once: 8 multiplications by a layer's weights for the Hessian, 5 for Gauss–Newton,
against a gradient's 3 (at the first layer 3, 3 and 2). *Counted* is what the
layers multiply, by torch's own count. A kept graph saves the Hessian's product the passes that
make the graph; to Gauss–Newton's it brings nothing, so none is kept.
{_lower(found["bfloat16"])}
Time of others over ours, the same product; of the Hessian curvlinops multiplies
{counts["Hessian by curvlinops"] / counts["Hessian"]:.2f} times as much:

{_table(["product", "", "÷ ours"], rivals)}"""


def _lower(found: list[dict[str, Any]]) -> str:
    rows = [
        [_KINDS[row["curvature"]], _ratio(row["ratio_to_float32"]), f"{row['relative_error']:.1e}"]
        for row in found
    ]
    head = ["in bfloat16", "time ÷ float32's", "relative error"]
    return f"""
`product_dtype=torch.bfloat16`, micro-batches of 256, no graph kept; the time depends on whether the
processor multiplies such numbers by itself:

{_table(head, rows)}"""


def _compiled(found: dict[str, Any]) -> str:
    if "left_out" in found:
        return f"## Compiled, and in float16\n\nNot measured: {found['left_out']}\n"
    rows = [
        ["gradient, `torch.compile`", _ratio(found["gradient"])],
        ["Gauss–Newton product, `torch.compile`", _ratio(found["gauss_newton"])],
        ["gradient in float16 ÷ in float32", _ratio(found["float16"])],
    ]
    return f"""## Compiled, and in float16

The same CNN and {found["examples"]:,} images in micro-batches of 256. Compiling a gradient and a
product that are written out for it took {found["compiling_seconds"]:.0f} s.

{_table(["", "÷ ours"], rows)}"""


def _solvers(found: list[dict[str, Any]]) -> str:
    counts = [entry["products"] for entry in found[0]["lanczos"]]
    rows = []
    for case in found:
        if "left_out" in case:
            continue
        for solver in ("lanczos", "descent"):
            shares = {entry["products"]: f"{entry['share']:.3f}" for entry in case[solver]}
            cells = [shares.get(count, "") for count in counts]
            case_of = [case["task"], case["metric"], f"{case['penalty']:.2g}"]
            rows.append([*case_of, solver, *cells])
    return f"""## Model decrease against products

Share of the cubic model's largest decrease after so many products, on trained networks, from
the gradient of the retained examples when half of two classes leave. The largest decrease is
by eigendecomposition ({found[0]["parameters"]:,} parameters of `digits`; that is what
`EigenSolver` finds, at as many products as parameters), or by 200 Lanczos products where that is
out of reach. Descent spends five products on its start, its step size and its answer. In the
K-FAC metric, in which `StoCuReNU` takes its steps, the penalty is the one whose step is as long as
that of the row without.

{_table(["network", "metric", "M", "solver", *(f"{count} products" for count in counts)], rows)}"""


def _growth(found: dict[str, list[dict[str, Any]]]) -> str:
    rows = [
        [
            f"{row['examples']:,}",
            f"{row['parameters']:,}",
            f"{row['sample']:,}",
            f"{row['gradient_seconds']:.3g}",
            f"{row['product_seconds']:.3g}",
            f"{row['peak_over_start_bytes'] / 2**20:.0f} MiB",
            f"{row['vector_bytes'] / 2**20:.1f} MiB",
        ]
        for name in ("examples", "parameters", "sample")
        for row in found[name]
    ]
    return f"""## Time and memory against n, d and the sample

A multilayer perceptron on images made when asked for, each row a process of its own: a gradient,
a Gauss–Newton product, and four Lanczos vectors by the two-pass recurrence. Memory is the
largest resident size above that of the loaded model.

{_table(["n", "d", "sample", "gradient, s", "product, s", "peak", "one vector"], rows)}
The budget of a sampled step is theta, the gradient, the basis (up to eight vectors always, more
where they fit `LanczosSolver(memory_budget=)`) or else four vectors of the two-pass recurrence,
and one micro-batch; nothing in it grows with n.
"""


def _exact(found: dict[str, Any]) -> str:
    ours, theirs = found["ours"], found["published"]
    rows = [
        ["Hessian", f"{ours['hessian_seconds']:.1f} s", f"{found['parameters']:,} rows of "
         f"{theirs['row_seconds']:.3g} s", f"{found['published_over_ours_hessian']:.1f}"],
        ["cubic step", f"{ours['solve_seconds']:.1f} s", f"{theirs['factorisations']} "
         f"factorisations of {theirs['factorisation_seconds']:.3g} s",
         f"{found['published_over_ours_solve']:.1f}"],
        ["both", "", "", f"{found['published_over_ours']:.1f}"],
        ["step by Lanczos on the matrix", f"{ours['krylov']['seconds']:.1f} s", "as above", ""],
        ["Hessian and that", "", "", f"{found['published_over_krylov']:.1f}"],
    ]  # fmt: skip
    krylov = ours["krylov"]
    return f"""## Exact CuReNU

One step at {found["parameters"]:,} parameters and {found["examples"]:,} images. Ours: the
matrix by layers, one eigendecomposition in float64, or Lanczos on the matrix to a residual of 1e-6
(`LanczosSolver(dense=True, hidden_products=0)`, {krylov["vectors"]} vectors; its step is
{krylov["apart"]:.0e} of the exact one's length away). The published way: the Hessian row by row, a
Cholesky factorisation for every damping that a bisection to 1e-6 tries; both timed on a part and
multiplied.

{_table(["", "ours", "published", "published ÷ ours"], rows)}
The eigendecomposition takes 24 d² bytes: with the default limit of 4 GiB
(`EigenSolver(memory_budget=)`) d may be 13,377; beyond, `LanczosSolver` is the only one, and to
the residual it reports it loses nothing.
"""


def _erasing(found: list[dict[str, Any]]) -> str:
    parts = next(row["parts"] for row in found if "left_out" not in row)
    rows = [
        [
            row["task"],
            row["erasure"],
            f"{row['parameters']:,}",
            f"{row['erasing_seconds']:.3g} s",
            f"{row['retraining_seconds']:.3g} s",
            _ratio(row["ratio"]),
            _ratio(row["ratio_in_bfloat16"]),
            f"{row['examples_ratio']:.2f}",
            " / ".join(f"{row['parts'][part]:.2f}" for part in parts),
        ]
        for row in found
        if "left_out" not in row
    ]
    head = ["task", "erasure", "d", "erasing", "retraining", "time ÷"]
    head += ["time ÷, bfloat16", "examples ÷", "parts"]
    return f"""## An erasure against a retraining

`StoCuReNU()`, nothing set, against training anew on what is left, one after the other on one
thread. How close each comes is on [its own page](results.md); a step of training costs as much as
three of the forward passes that *examples* counts. *bfloat16* is with
`product_dtype=torch.bfloat16`, training unchanged. *Parts* are shares of the erasing time:
{", ".join(parts)}.

{_table(head, rows)}"""


def _ranks(found: dict[str, Any]) -> str:
    return f"""## Two processes

One step (gradient and {found["products"]} Gauss–Newton products) of the CNN on
{found["examples"]:,} images, by {found["ranks"]} processes with one thread each over one process
with one thread: {_ratio(found["ratio"])} of the time on {found["cores"]} cores,
{found["processor_time_ratio"]:.2f} of the processor time of the busiest. One process on half of
the examples, the other waiting, takes {_ratio(found["half_alone_ratio"])}; both
at once on halves of their own, without a message, {_ratio(found["halves_at_once_ratio"])}:
what that is above a half is what the cores take from each other. The points reached
differ by {found["relative_difference"]:.0e} of their length; the processes
{"hold the same bits" if found["same_bits_on_all_ranks"] else "DO NOT HOLD THE SAME BITS"}.
"""


if __name__ == "__main__":
    PAGE.write_text(text())
