"""Build source distribution and wheel, and use them as a stranger would: where nothing else is.

On the interpreter that runs this: the wheel with all that it asks for and the `llm` extra
(transformers, peft), `pip check`, an erasure, the command line, and how long the import takes
beside torch's. On newer interpreters found on this machine: the wheel alone, every file of it
compiled with warnings as errors; with `--full` all of it there too, torch for that interpreter
included, which may be gigabytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINS = ROOT / "requirements" / "constraints.txt"
SHIPPED = ("README.md", "LICENSE", "examples/own_method.py", "tests/test_structure.py", "Makefile")
NEWER = [f"3.{minor}" for minor in range(12, 20)]

ERASES = """
import curenu, torch
from torch import nn
from torch.utils.data import TensorDataset
data = TensorDataset(torch.randn(40, 3), torch.arange(40) % 2)
made = curenu.unlearn(nn.Linear(3, 2), data, "cross_entropy", forget=[0, 1], method="curenu")
assert "site-packages" in curenu.__file__, curenu.__file__
print("erased with curenu", curenu.__version__, "and torch", torch.__version__)
"""
IMPORTS = """
import time
start = time.perf_counter()
import torch
then = time.perf_counter()
import curenu
print(f"import torch {then - start:.2f} s, then curenu {time.perf_counter() - then:.2f} s")
"""


def main() -> None:
    """Build once, use on every interpreter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="newer interpreters with torch too")
    full = parser.parse_args().full
    with tempfile.TemporaryDirectory() as folder:
        wheel = built(Path(folder))
        print(f"wheel: {wheel.name}, {wheel.stat().st_size / 2**20:.2f} MiB", flush=True)
        used(Path(sys.executable), wheel, Path(folder) / "own")
        for interpreter in newer_interpreters():
            place = Path(folder) / interpreter.name
            (used if full else compiled)(interpreter, wheel, place)


def built(folder: Path) -> Path:
    """The wheel, made from a source distribution of the source tree as it is."""
    run(sys.executable, "-m", "build", "--sdist", "-o", folder, ROOT, cwd=folder, quiet=True)
    source = next(folder.glob("curenu-*.tar.gz"))
    with tarfile.open(source) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    lost = [name for name in SHIPPED if name not in names]
    if lost:
        raise SystemExit(f"{source.name} lacks {', '.join(lost)}")
    print(f"source: {source.name}, {source.stat().st_size / 2**20:.2f} MiB", flush=True)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source, cwd=folder)
    return next(folder.glob("curenu-*.whl"))


def used(interpreter: Path, wheel: Path, place: Path) -> None:
    """A full installation beside transformers and peft: checked, timed, and run."""
    start = time.perf_counter()
    python = fresh(interpreter, place)
    run(python, "-m", "pip", "install", "-q", "--constraint", PINS, f"{wheel}[llm]", cwd=place)
    print(f"{version(python)}: installed in {time.perf_counter() - start:.0f} s", flush=True)
    run(python, "-m", "pip", "check", cwd=place)
    run(python, "-c", ERASES, cwd=place)
    run(python.with_name("curenu"), "--help", cwd=place, quiet=True)
    run(python, "-c", IMPORTS, cwd=place)


def compiled(interpreter: Path, wheel: Path, place: Path) -> None:
    """The wheel without what it asks for: it installs there and every file of it compiles."""
    python = fresh(interpreter, place)
    run(python, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", wheel, cwd=place)
    files = next(place.glob("lib/python*/site-packages/curenu"))
    run(python, "-W", "error", "-m", "compileall", "-q", files, cwd=place)
    print(f"{version(python)}: installs and compiles; not run, for want of torch", flush=True)


def newer_interpreters() -> list[Path]:
    """One of each later version that is on the path or among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = []
    for wanted in NEWER:
        own = sorted(pyenv.glob(f"versions/{wanted}.*/bin/python{wanted}"))
        on_path = shutil.which(f"python{wanted}")
        places = [*own, *([Path(on_path)] if on_path else [])]
        found += [p for p in places if works(p)][:1]
    return found


def works(python: Path) -> bool:
    """Whether it starts: a shim of pyenv may have nothing behind it."""
    return subprocess.run([python, "-c", "import venv"], capture_output=True).returncode == 0


def fresh(interpreter: Path, place: Path) -> Path:
    """The interpreter of a new environment with nothing but pip in it."""
    run(interpreter, "-m", "venv", place)
    return place / ("Scripts" if os.name == "nt" else "bin") / "python"


def version(python: Path) -> str:
    return subprocess.run([python, "--version"], capture_output=True, text=True).stdout.strip()


def run(*command: object, cwd: Path | None = None, quiet: bool = False) -> None:
    """The command, which must succeed; without the variables that point at other sources."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.DEVNULL if quiet else None,
    )
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}")


if __name__ == "__main__":
    main()
