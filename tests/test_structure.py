"""Rules of docs/decisions/0001 that no checker holds: sizes, who may name a module, who writes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import curenu

SOURCE = Path(curenu.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MODULE_ALLOWED = (
    "parameters", "own_model", "checkpoints", "recorder", "losses", "data", "risks", "autodiff",
    "operators", "checks", "tasks", "runs", "facade", "compare", "networks", "bench", "continual",
    "recollections",
)  # fmt: skip
FILES_ALLOWED = (
    "atomic",
    "checkpoints",
    "recorder",
    "recollections",
    "user_file",
    "tasks",
    "bench",
    "cli",
    "networks",
    "runs",
    "desk",
)
SYSTEM_ALLOWED = ("memory",)  # asks the kernel what there is and what the process takes


def place(path: Path) -> str:
    """The top-level module or folder that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 330
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 60, node.name


def test_only_few_places_know_what_a_module_is() -> None:
    using = {place(path) for path in FILES if "nn" in names_in(path)}
    assert using <= set(MODULE_ALLOWED)


def test_only_few_places_touch_files() -> None:
    words = {"write_text", "write_bytes", "read_text", "read_bytes", "Path", "open"}
    using = {place(path) for path in FILES if words & names_in(path)}
    assert using <= {*FILES_ALLOWED, *SYSTEM_ALLOWED}


def test_only_tasks_seed_and_they_fork_the_generator_first() -> None:
    for path in FILES:
        text = path.read_text()
        if "torch.manual_seed" in text or "random.seed" in text:
            assert place(path) == "tasks"
            assert text.index("fork_rng") < text.index("torch.manual_seed")


def test_the_public_names_are_there() -> None:
    for name in curenu.__all__:
        assert getattr(curenu, name).__doc__
    assert (SOURCE / "py.typed").is_file()
