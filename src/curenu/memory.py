"""How much memory there is to use and how much was used, on any system and device."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

__all__ = [
    "available_memory",
    "container_room",
    "peak_device_memory",
    "peak_memory",
    "wait_for_devices",
]

_CPU = torch.device("cpu")
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_FILES = {  # of a group's folder, by version: its limit, what it uses, what of that can be dropped
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def available_memory(device: torch.device = _CPU) -> int:
    """Bytes that a program can still take on `device` without swapping or being ended.

    A CUDA device: what it has free, and what this process holds there in reserve and does not
    use. MPS: what the system recommends, less what is taken. The host: what the system can
    give, caches that it would drop among it, or the room left in a container where less.
    """
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reserved
    host = int(psutil.virtual_memory().available)
    room = container_room()
    host = host if room is None else min(host, room)
    if device.type == "mps" and hasattr(torch.mps, "recommended_max_memory"):
        return min(
            host,
            max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()),
        )
    return host


def container_room(groups: Path = _OWN_GROUPS, root: Path = _CGROUPS) -> int | None:
    """Bytes left under the limits of this process's control groups; None without a limit.

    A limit holds for a group and all below it, so every folder on the way up is asked. File
    pages that the kernel drops first count as room. `groups` lists the process's own groups as
    Linux writes it, `root` is where groups are folders.
    """
    rooms = [
        room
        for version, top, own in _hierarchies(groups, root)
        for folder in (own, *own.parents)
        if folder == top or top in folder.parents
        if (room := _room(folder, version)) is not None
    ]
    return min(rooms, default=None)


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes.

    From the kernel's own line where there is one: what other interfaces of Linux say of a
    process begins with the memory of the one that started it. Otherwise what the system keeps:
    the largest working set on Windows, the largest resident size elsewhere.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return _peak_elsewhere()
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else _peak_elsewhere()


def peak_device_memory() -> int:
    """Most bytes that this process's tensors took on any one CUDA device so far; 0 without."""
    if not torch.cuda.is_initialized():
        return 0
    return max(map(torch.cuda.max_memory_allocated, range(torch.cuda.device_count())))


def wait_for_devices() -> None:
    """Return when the graphics cards that hold tensors have done all they were given.

    They work behind the program: a clock read before they are done measures the asking.
    """
    if torch.cuda.is_initialized():
        for card in range(torch.cuda.device_count()):
            if torch.cuda.max_memory_allocated(card):  # an idle card would be opened by asking
                torch.cuda.synchronize(card)
    if torch.backends.mps.is_available():
        torch.mps.synchronize()


def _peak_elsewhere() -> int:
    taken = psutil.Process().memory_info()
    windows = getattr(taken, "peak_wset", None)
    if windows is not None:
        return int(windows)
    try:
        import resource
    except ImportError:  # neither: what is taken now is the most that is known
        return int(taken.rss)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if psutil.MACOS else peak * 1024


def _hierarchies(groups: Path, root: Path) -> list[tuple[int, Path, Path]]:
    """(version, top folder, the process's own folder) of each that limits memory."""
    found = []
    for line in _lines(groups):
        _, kinds, path = line.split(":", 2)
        version = 2 if kinds == "" else 1
        if version == 2 or "memory" in kinds.split(","):
            top = root if version == 2 else root / "memory"
            found.append((version, top, top / path.lstrip("/")))
    return found


def _room(folder: Path, version: int) -> int | None:
    limit, used, droppable = _FILES[version]
    most = _lines(folder / limit)  # inside a container the own path may not be there: no lines
    if not most or not most[0].isdigit():
        return None  # "max"
    counted = dict(line.split() for line in _lines(folder / "memory.stat"))
    taken = int(_lines(folder / used)[0]) - int(counted.get(droppable, 0))
    return max(0, int(most[0]) - max(0, taken))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
