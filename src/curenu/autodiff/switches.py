"""Process-wide settings of torch that products need, safe for several threads at once."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import cache
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["forward_mode", "one_arithmetic", "twice_differentiable"]


class _Shared:
    """A setting that is on while any thread is inside, and restored by the last that leaves."""

    def __init__(self, enter: Callable[[], AbstractContextManager[None]]) -> None:
        self._enter, self._lock, self._count = enter, threading.Lock(), 0
        self._stack = ExitStack()

    def __enter__(self) -> None:
        with self._lock:  # entered and left under the lock: no thread sees it half set
            if self._count == 0:
                self._stack.enter_context(self._enter())
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                self._stack.close()


@contextmanager
def _without_fast_path() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _plain_attention() -> Iterator[None]:
    with sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def _set(**wanted: Any) -> Iterator[None]:
    """Settings of `torch.backends`, by their dotted names with two underscores for a dot."""
    places = []
    for name, value in wanted.items():
        *path, last = name.split("__")
        owner: Any = torch.backends
        for part in path:
            owner = getattr(owner, part)
        places.append((owner, last, getattr(owner, last), value))
    try:
        for owner, last, _, value in places:
            setattr(owner, last, value)
        yield
    finally:
        for owner, last, before, _ in places:
            setattr(owner, last, before)


@contextmanager
def _steady_kernels() -> Iterator[None]:
    """On graphics cards: float32 in full (no TF32, 11 bits), the same kernels at every call."""
    _told_of_newer_names()
    with ExitStack() as stack:
        stack.enter_context(_set(cudnn__deterministic=True, cudnn__benchmark=False))
        try:
            stack.enter_context(_set(cuda__matmul__allow_tf32=False, cudnn__allow_tf32=False))
        except RuntimeError:  # the caller has set it by torch's newer names: these refuse to mix
            newer = ("cuda__matmul", "cudnn__conv", "cudnn__rnn")
            stack.enter_context(_set(**{f"{part}__fp32_precision": "ieee" for part in newer}))
        yield


def _without_cudnn() -> AbstractContextManager[None]:
    return _set(cudnn__enabled=False)


def _without_mkldnn() -> AbstractContextManager[None]:
    return _set(mkldnn__enabled=False)


_FAST_PATH = _Shared(_without_fast_path)
_ATTENTION = _Shared(_plain_attention)
_KERNELS = _Shared(_steady_kernels)
_CUDNN = _Shared(_without_cudnn)
_MKLDNN = _Shared(_without_mkldnn)
_FORWARD_MODE = threading.RLock()


@contextmanager
def one_arithmetic(device: torch.device, *, recurrent: bool = False) -> Iterator[None]:
    """The same arithmetic in every pass, whatever the caller has switched on.

    No autocast, no inference mode, no inference-only attention path; on graphics cards no TF32,
    whose roundings would be taken for decreases, and kernels that repeat to the bit. Gradients can
    be taken, those of `recurrent` networks too, whose own kernels have none in eval mode on cards
    and no second ones, nor forward mode, in float32 on processors.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.amp.is_autocast_available(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        stack.enter_context(_FAST_PATH)
        if device.type == "cuda":
            stack.enter_context(_KERNELS)
            if recurrent:
                stack.enter_context(_CUDNN)
        elif device.type == "cpu" and recurrent:
            stack.enter_context(_MKLDNN)
        yield


@contextmanager
def twice_differentiable(device: torch.device, *, recurrent: bool = False) -> Iterator[None]:
    """As `one_arithmetic`, with attention by plain products: its fused kernels bend only once."""
    with one_arithmetic(device, recurrent=recurrent), _ATTENTION:
        yield


@contextmanager
def forward_mode() -> Iterator[None]:
    """Torch has one level of dual numbers for all threads: one at a time."""
    with _FORWARD_MODE:
        _warm()
        yield


@cache
def _warm() -> None:
    """Torch warns of its own deprecated parts at the first dual number; nobody can mend it."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", DeprecationWarning)
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))


@cache
def _told_of_newer_names() -> None:
    """Some versions of torch warn, once, that TF32 has newer names; both are known here."""
    with warnings.catch_warnings(), suppress(RuntimeError):
        warnings.simplefilter("ignore")
        with _set(cuda__matmul__allow_tf32=False, cudnn__allow_tf32=False):
            pass
