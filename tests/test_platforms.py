"""The package on systems that are not Linux, in containers, and beside what it need not import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from curenu import memory
from curenu.autodiff import check_dense
from curenu.errors import UnsupportedModel
from curenu.memory import available_memory, container_room, peak_memory
from curenu.risks import EmpiricalRisk

GIB = 2**30


def run(program: str) -> str:
    """What the program prints in a process of its own; its error as an assertion."""
    environment = {**os.environ, "PYTHONPATH": str(Path(memory.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# What a system may lack: modules of POSIX, `sysconf`, the kernel's file of this process.
POOR = """
import os, pathlib, sys
import psutil  # has code of its own for each system
import torch
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
del os.sysconf
reading = pathlib.Path.read_text
def read_text(self, *args, **options):
    if str(self).startswith(("/proc", "/sys")):
        raise FileNotFoundError(self)
    return reading(self, *args, **options)
pathlib.Path.read_text = read_text
"""

ERASES = """
import curenu
from torch import nn
from torch.utils.data import TensorDataset
generator = torch.Generator().manual_seed(0)
data = TensorDataset(torch.randn(40, 3, generator=generator), torch.arange(40) % 2)
net = nn.Linear(3, 2)
made = curenu.unlearn(net, data, "cross_entropy", forget=[0, 1], method="curenu")
print(made.cost.peak_bytes > 0, bool(made.theta.isfinite().all()))
"""


def test_without_the_modules_of_posix_it_imports_and_erases() -> None:
    assert run(POOR + ERASES) == "True True"


def test_without_the_modules_of_posix_the_command_line_imports() -> None:
    asks = "import curenu.cli\nsys.argv = ['curenu', '--help']\ncurenu.cli.main()"
    assert "Usage" in run(POOR + asks)


def test_a_plain_import_leaves_out_what_only_some_calls_need() -> None:
    heavy = ("matplotlib", "sklearn", "curvlinops", "transformers", "peft", "scipy", "pydantic")
    found = run(f"import curenu, sys\nprint([name for name in {heavy} if name in sys.modules])")
    assert found == "[]"


def test_available_memory_counts_what_the_system_would_drop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Counted:
        available, free = 7 * GIB, 1 * GIB

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Counted)
    monkeypatch.setattr(memory, "container_room", lambda: None)
    assert available_memory() == 7 * GIB
    monkeypatch.setattr(memory, "container_room", lambda: 2 * GIB)
    assert available_memory() == 2 * GIB


def test_memory_of_a_gpu_is_asked_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def free(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return 5 * GIB, 8 * GIB

    monkeypatch.setattr(torch.cuda, "mem_get_info", free)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1 * GIB)
    device = torch.device("cuda", 1)
    assert available_memory(device) == 7 * GIB  # free, and reserved but not used
    assert asked == [device]


def test_a_dense_matrix_is_held_against_the_memory_of_its_own_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rooms = {"cpu": 1 * GIB, "cuda": 100 * GIB}
    monkeypatch.setattr(
        "curenu.autodiff.linearisation.available_memory", lambda device: rooms[device.type]
    )
    check_dense(10_000, None, torch.device("cuda"))  # 2.2 GiB
    with pytest.raises(UnsupportedModel, match=r"2\.24 GiB, more than the 1 GiB"):
        check_dense(10_000, None, torch.device("cpu"))


def group(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


def test_the_smallest_room_of_nested_groups_counts(tmp_path: Path, listed: Path) -> None:
    """Version 2: 6 GiB above, of which 5 taken, 1 of those cached; 4 GiB below, 1 taken."""
    listed.write_text("0::/outer/inner\n")
    outer = {
        "memory.max": f"{6 * GIB}\n",
        "memory.current": f"{5 * GIB}\n",
        "memory.stat": f"anon {4 * GIB}\ninactive_file {GIB}\n",
    }
    inner = {"memory.max": f"{4 * GIB}\n", "memory.current": f"{GIB}\n", "memory.stat": "anon 1\n"}
    group(tmp_path / "outer", outer)
    group(tmp_path / "outer" / "inner", inner)
    assert container_room(listed, tmp_path) == 2 * GIB


def test_a_group_of_the_first_version_counts(tmp_path: Path, listed: Path) -> None:
    listed.write_text("5:devices:/\n4:memory:/docker/abc\n0::/\n")
    # inside a container its own group is the top folder: the path that is listed is not there
    files = {
        "memory.limit_in_bytes": f"{3 * GIB}\n",
        "memory.usage_in_bytes": f"{2 * GIB}\n",
        "memory.stat": f"cache {GIB}\ntotal_inactive_file {GIB}\n",
    }
    group(tmp_path / "memory", files)
    assert container_room(listed, tmp_path) == 2 * GIB


def test_without_a_limit_or_a_group_there_is_no_room_to_tell(tmp_path: Path, listed: Path) -> None:
    assert container_room(listed, tmp_path) is None
    listed.write_text("0::/\n")
    assert container_room(listed, tmp_path) is None
    group(tmp_path, {"memory.max": "max\n", "memory.current": "10\n", "memory.stat": ""})
    assert container_room(listed, tmp_path) is None


def test_peak_memory_does_not_fall_and_holds_what_was_taken() -> None:
    before = peak_memory()
    size = max(0, before - psutil.Process().memory_info().rss) + 64 * 2**20
    held = bytearray(os.urandom(2**20) * (size // 2**20 + 1))
    assert peak_memory() >= before + 32 * 2**20
    del held
    assert peak_memory() >= before + 32 * 2**20


def test_a_cost_on_the_host_has_no_peak_of_a_device() -> None:
    net = nn.Linear(2, 2)
    data: TensorDataset = TensorDataset(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long))
    risk = EmpiricalRisk(net, data, "cross_entropy")
    with risk.meter.measure() as spent:
        found: Tensor = risk.gradient(risk.start)
    assert found.isfinite().all()
    assert spent().peak_bytes > 0
    assert spent().device_peak_bytes == 0


def test_modules_that_documentation_names_are_there_at_once() -> None:
    """In a process that imported nothing else of the package."""
    names = ("methods", "tasks", "errors", "risks", "losses", "audits")
    asked = "; ".join(f"curenu.{name}.__name__" for name in names)
    command = [sys.executable, "-c", f"import curenu; {asked}"]
    subprocess.run(command, check=True, timeout=120)
