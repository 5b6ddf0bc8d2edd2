"""One computation on several processes: examples dealt, sums reduced, one writer, split vectors.

Every process runs the same program on the same arguments. What is a sum over examples is dealt
out and reduced; everything else every process does for itself, from the same bits, so that all
take the same steps. `docs/scaling.md` says what is moved when.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from curenu.errors import BadRequest, CurenuError, RunBroken

__all__ = [
    "TIMEOUT",
    "added",
    "alone",
    "by_first",
    "count",
    "dealt",
    "held_by_first",
    "joined",
    "least",
    "own",
    "own_stream",
    "pieces",
    "rank",
    "reduced",
    "require_one_process",
    "require_same",
    "split_vectors",
    "summed",
]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", int, float, Tensor)

TIMEOUT = 600.0
"""Seconds after which a process that does not answer counts as failed."""

_ALONE: ContextVar[bool] = ContextVar("alone", default=False)
_SPLIT: ContextVar[bool] = ContextVar("split", default=False)


# The group ----------------------------------------------------------------------------------


@contextmanager
def joined(timeout: float = TIMEOUT) -> Iterator[None]:
    """Be one of the processes that `torchrun` started, inside the block; else do nothing.

    gloo between processors and nccl between graphics cards. Raises `RunBroken` when the others
    do not come, or later when one does not answer for `timeout` seconds.
    """
    launched = "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not launched or not dist.is_available() or dist.is_initialized():
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _answered():
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """Inside the block this process works by itself, whatever group it is in."""
    before = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(before)


def count() -> int:
    """How many processes share the work; 1 without `torch.distributed`."""
    return dist.get_world_size() if _together() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if _together() else 0


# Sums over examples -------------------------------------------------------------------------


def own() -> slice:
    """Which of any sequence of examples are this process's: every `count()`-th."""
    return slice(rank(), None, count())


def dealt(ids: Tensor, size: int) -> list[Tensor]:
    """The own share of `ids` `[n]` in micro-batches of `size`; empty if there is none.

    Shares differ by one example at most, and each example is in exactly one of them.
    """
    share = ids[own()]
    return list(share.split(size)) if len(share) else []


def reduced(total: Tensor) -> Tensor:
    """Sum of `total` over the processes, in place; the same bits in every one of them."""
    if _together():
        with _answered():
            dist.all_reduce(total)
    return total


def added(number: float) -> float:
    """Sum of a float64 number, or an exact count, over the processes."""
    return reduced(_scalar(number)).item() if _together() else number


def least(number: int) -> int:
    """Smallest of the processes' numbers: what all of them can do."""
    if not _together():
        return number
    smallest = _scalar(number)
    with _answered():
        dist.all_reduce(smallest, op=dist.ReduceOp.MIN)
    return int(smallest)


def require_same(error: type[CurenuError] = BadRequest, **parts: Tensor | str) -> None:
    """Raise `error`, in every process, unless each of `parts` is the same in all of them.

    Compares 128-bit hashes, so a process learns nothing else of what the others hold.
    """
    if not _together():
        return
    digests = torch.stack([_digest(part) for part in parts.values()]).to(_device())
    gathered = [torch.empty_like(digests) for _ in range(count())]
    with _answered():
        dist.all_gather(gathered, digests)
    differing = [
        f"{name} (process {other})"
        for place, name in enumerate(parts)
        for other, theirs in enumerate(gathered)
        if not torch.equal(theirs[place], gathered[0][place])
    ]
    if differing:
        raise error(
            f"Not the same as in process 0: {', '.join(differing).replace('_', ' ')}.",
            "the same data, weights, request and seed in every process, on one kind of machine.",
        )


def require_one_process(what: str) -> None:
    """Raise `BadRequest` for what would be done once too often by several processes."""
    if _together():
        raise BadRequest(f"{what} is for one process.", "the same command without torchrun.")


# One writer ---------------------------------------------------------------------------------


def by_first(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run by process 0 alone; the others wait for what it returns or raises.

    What it returns must be picklable. Errors of `curenu.errors` are raised in every process.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return _told(lambda: function(*args, **kwargs))

    return call


def held_by_first(
    function: Callable[P, AbstractContextManager[None]],
) -> Callable[P, AbstractContextManager[None]]:
    """The context, entered and left by process 0 alone; the others wait until it is entered."""

    @wraps(function)
    @contextmanager
    def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[None]:
        with ExitStack() as stack:
            _told(lambda: stack.enter_context(function(*args, **kwargs)))
            yield

    return call


# Vectors in pieces --------------------------------------------------------------------------


@contextmanager
def split_vectors() -> Iterator[None]:
    """Inside the block a vector is this process's piece `[d_r]` of one of length Σ d_r.

    Inner products, lengths and coefficients in a basis are then summed over the processes;
    sums of vectors and multiples need no word from the others. An operator must take pieces to
    pieces. Pieces may differ in length.
    """
    before = _SPLIT.set(True)
    try:
        yield
    finally:
        _SPLIT.reset(before)


def pieces() -> bool:
    """Whether a vector is one process's piece, and some other has the rest."""
    return _SPLIT.get() and _together()


def summed(part: T) -> T:
    """What a piece contributes to a sum over coordinates -> the sum; a tensor's in place."""
    if not pieces():
        return part
    return reduced(part) if isinstance(part, Tensor) else cast(T, added(part))


def own_stream(generator: torch.Generator) -> torch.Generator:
    """A generator for this process's piece of a random vector, independent of the others'."""
    if not pieces():
        return generator
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    mixed = hashlib.blake2b(f"{seed}/{rank()}".encode(), digest_size=8).digest()
    own = torch.Generator(device=generator.device)
    return own.manual_seed(int.from_bytes(mixed, "big") >> 1)


# Within -------------------------------------------------------------------------------------


def _together() -> bool:
    return (
        not _ALONE.get()
        and dist.is_available()
        and dist.is_initialized()
        and dist.get_world_size() > 1
    )


@contextmanager
def _answered() -> Iterator[None]:
    """A process that is gone or silent is an error of the run, whatever the engine calls it."""
    try:
        yield
    except RuntimeError as error:
        raise RunBroken(
            "Another process of the group failed or did not answer in time "
            f"({str(error).splitlines()[0]}).",
            "reading that process's error, then the same again: what was granted before is kept.",
        ) from error


def _told(action: Callable[[], R]) -> R:
    """Process 0 acts, all hear what came of it."""
    if not _together():
        return action()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            with alone():  # what it calls in turn is for it alone as well
                outcome = [action(), None]
        except CurenuError as error:
            outcome = [None, error]
    with _answered():
        dist.broadcast_object_list(outcome, src=0, device=_device())
    if outcome[1] is not None:
        raise outcome[1]
    return cast(R, outcome[0])


def _device() -> torch.device:
    """Where a message of a few numbers must be for the group's engine to carry it."""
    only_cards = dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if only_cards else torch.device("cpu")


def _scalar(number: float) -> Tensor:
    kind = torch.int64 if isinstance(number, int) else torch.float64
    return torch.tensor(number, dtype=kind, device=_device())


def _digest(part: Tensor | str) -> Tensor:
    if isinstance(part, str):
        content: Any = part.encode()
    else:
        flat = part.detach().cpu().contiguous().reshape(-1)
        content = flat.view(torch.uint8).numpy()
    found = hashlib.blake2b(content, digest_size=16).digest()
    return torch.frombuffer(bytearray(found), dtype=torch.uint8)
