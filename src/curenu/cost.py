"""What a computation used, counted the same way everywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from curenu.distributed import added, count
from curenu.memory import peak_device_memory, peak_memory, wait_for_devices

__all__ = ["FORWARD", "GRADIENT", "PRODUCT", "Cost", "Meter", "clock"]

FORWARD, GRADIENT = 1, 3
"""What a pass of one example multiplies, in forward passes; the backward pass is twice that."""

PRODUCT = {"gauss_newton": 5, "hessian": 8}
"""The same of a product with a curvature: forward-mode through the model, and one pull back."""


@dataclass(frozen=True)
class Cost:
    """Gradients, Hessian-vector products, examples, seconds and peak bytes.

    `gradients` and `hvps` count calls on an objective of any size; `examples` counts
    examples passed through the model for a value, a gradient or a product, each pass once,
    so that calls on small samples and on all the data can be compared. `weighted` adds them up in
    forward passes (1 for a value, 3 a gradient, 5 or 8 a product). `peak_bytes` is the
    largest resident memory of the whole process so far, `device_peak_bytes` the most that its
    tensors took on a CUDA device at once, apart from that; 0 if not measured.
    """

    gradients: int = 0
    hvps: int = 0
    examples: int = 0
    weighted: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0
    device_peak_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.gradients + other.gradients,
            self.hvps + other.hvps,
            self.examples + other.examples,
            self.weighted + other.weighted,
            self.seconds + other.seconds,
            max(self.peak_bytes, other.peak_bytes),
            max(self.device_peak_bytes, other.device_peak_bytes),
        )


def clock() -> float:
    """Seconds since some moment, read once graphics cards have done what they were given."""
    wait_for_devices()
    return time.perf_counter()


@dataclass
class Meter:
    """Counts the work of an objective and of every subset and sample drawn from it.

    `listener`, if set, is called with the number of examples of each pass: progress bars
    hang on it, nothing else does. A meter that is `shared` counts one process's share of the
    examples; a cost is then measured in all processes at once and tells their sum.
    """

    gradients: int = 0
    hvps: int = 0
    examples: int = 0
    weighted: int = 0
    shared: bool = False
    listener: Callable[[int], None] | None = field(default=None, repr=False)

    def passed(self, examples: int, each: int = GRADIENT) -> None:
        """Record one pass of `examples` examples, `each` as long as so many forward passes."""
        self.examples += examples
        self.weighted += each * examples
        if self.listener is not None:
            self.listener(examples * count() if self.shared else examples)

    def weighted_by_all(self) -> int:
        """Weighted examples that all processes have passed: the same number in each of them."""
        return int(added(self.weighted)) if self.shared else self.weighted

    @contextmanager
    def measure(self) -> Iterator[Callable[[], Cost]]:
        """Yield a function that gives the cost since the block was entered."""
        gradients, hvps = self.gradients, self.hvps
        examples, weighted = self.examples, self.weighted
        start = clock()

        def spent() -> Cost:
            passed, work = self.examples - examples, self.weighted - weighted
            return Cost(
                self.gradients - gradients,
                self.hvps - hvps,
                int(added(passed)) if self.shared else passed,
                int(added(work)) if self.shared else work,
                clock() - start,
                peak_memory(),
                peak_device_memory(),
            )

        yield spent
