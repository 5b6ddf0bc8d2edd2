"""The cost model of one StoCuReNU step on several processes, as the tables of docs/scaling.md.

Formulae only, nothing is measured. Usage: python benchmarks/speed/scaling.py
"""

from __future__ import annotations

from dataclasses import dataclass

MODELS = {
    "Fashion-MNIST CNN": 20_490,
    "ResNet-18": 11_200_000,
    "SmolLM2-135M": 135_000_000,
    "1 billion": 10**9,
    "7 billion": 7 * 10**9,
    "70 billion": 70 * 10**9,
    "100 billion": 100 * 10**9,
}
KEPT = 7
"""theta0, theta, gradient, step, mean of the iterates; decay and pull of the anchored objective."""

LANCZOS = 5
"""The basis of three products, which is always kept, the vector after it, and a product."""


@dataclass(frozen=True)
class Step:
    """One step of a model of `dimension` parameters over `ranks` processes."""

    dimension: int
    ranks: int
    products: int = 3
    vector_bytes: int = 4
    weight_bytes: int = 2
    tokens: int = 1280 * 1024

    @property
    def share(self) -> float:
        """(W − 1)/W: what a ring moves through each process, relative to the vector."""
        return (self.ranks - 1) / self.ranks

    @property
    def replicated_bytes(self) -> float:
        """Vectors held by each process when each holds all of them."""
        return (KEPT + LANCZOS) * self.vector_bytes * self.dimension

    @property
    def sharded_bytes(self) -> float:
        """The same in pieces."""
        return self.replicated_bytes / self.ranks

    @property
    def replicated_moved(self) -> float:
        """One all-reduce, twice a ring's share, for the gradient and for each product."""
        return 2 * self.share * self.vector_bytes * self.dimension * (1 + self.products)

    @property
    def sharded_moved(self) -> float:
        """Weights gathered forward and backward, a product's vector once, the result scattered."""
        gradient = 2 * self.weight_bytes + self.vector_bytes
        product = 3 * self.weight_bytes + self.vector_bytes
        return self.share * self.dimension * (gradient + self.products * product)

    @property
    def operations(self) -> float:
        """6dT for the gradient of T tokens; 8dT for a Gauss-Newton product (forward mode 4dT)."""
        return (6 + 8 * self.products) * float(self.dimension) * self.tokens


def amount(bytes_: float) -> str:
    """Bytes for a person to read."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if bytes_ < 1000 or unit == "TB":
            return f"{bytes_:.3g} {unit}" if bytes_ < 1000 else f"{bytes_:.0f} {unit}"
        bytes_ /= 1000
    raise AssertionError


def tables() -> str:
    """Both tables in Markdown."""
    lines = ["| model | d | vectors per process | moved per step, W = 2 | moved per step, W = 8 |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name, dimension in MODELS.items():
        two, eight = Step(dimension, 2), Step(dimension, 8)
        cells = (amount(two.replicated_bytes), *(amount(s.replicated_moved) for s in (two, eight)))
        lines.append(f"| {name} | {dimension:,} | {' | '.join(cells)} |")
    lines += ["", "| model | W | vectors per process | moved per step | operations per step |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name, dimension in MODELS.items():
        if dimension < 10**9:
            continue
        for ranks in (8, 64, 512):
            step = Step(dimension, ranks)
            cells = (amount(step.sharded_bytes), amount(step.sharded_moved))
            lines.append(f"| {name} | {ranks} | {' | '.join(cells)} | {step.operations:.2g} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables())
