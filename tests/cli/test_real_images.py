"""The main job on Fashion-MNIST: what the demo shows, as assertions on its results."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from curenu.cli import app
from curenu.errors import MissingData
from curenu.status import Status
from curenu.tasks import find_fashion_mnist

pytestmark = pytest.mark.slow


def demo(folder: Path, *words: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Cells of a run of the demo on few images, by erasure and method."""
    try:
        find_fashion_mnist()
    except MissingData as missing:
        pytest.skip(str(missing))
    asked = ["demo", *words, "--out", str(folder), "--examples", "2500", "--jobs", "1", "--json"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    cells = json.loads(result.stdout)["cells"]
    assert not [cell["failed"] for cell in cells if "failed" in cell]
    return {(cell["erasure"], cell["method"]): cell for cell in cells}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    cells = demo(tmp_path_factory.mktemp("all"), "--all")
    return {method: cell for (_, method), cell in cells.items()}


def jsd(cell: dict[str, Any]) -> tuple[float, float]:
    """Divergence from the oracles on the forget set, and the oracles' own."""
    (found,) = (f for f in cell["findings"] if f["name"] == "JSD f")
    return found["value"], found["reference"]


@pytest.mark.parametrize(("method", "share"), [("curenu", 0.1), ("stocurenu", 0.3)])
def test_cubic_updates_are_small_and_halve_the_excess_divergence(
    classes: dict[str, dict[str, Any]], method: str, share: float
) -> None:
    nothing, floor = jsd(classes["do nothing"])
    reached, _ = jsd(classes[method])
    assert reached - floor <= 0.5 * (nothing - floor)
    assert 0 < classes[method]["update_norm"] < share * classes["oracle (retrained)"]["update_norm"]
    assert all(step["damping"] > 0 for step in classes[method]["trace"])


@pytest.mark.parametrize("method", ["pseudo-inverse-newton", "damped-newton"])
def test_newton_steps_are_shown_as_long_as_they_are(
    classes: dict[str, dict[str, Any]], method: str
) -> None:
    long = float(classes[method]["update_norm"])
    assert math.isfinite(long)
    assert long > 3 * classes["curenu"]["update_norm"]


def test_the_undamped_newton_step_is_worse_than_doing_nothing(
    classes: dict[str, dict[str, Any]],
) -> None:
    """The damped one is too on some processors' networks, and not on others'."""
    assert jsd(classes["pseudo-inverse-newton"])[0] > jsd(classes["do nothing"])[0]


def test_one_image_and_a_hundredth_move_the_network(tmp_path: Path) -> None:
    cells = demo(tmp_path)
    for erasure in ("one example", "random 1 %"):
        assert cells[erasure, "stocurenu"]["update_norm"] > 0
        assert Status[cells[erasure, "stocurenu"]["status"]].ok
