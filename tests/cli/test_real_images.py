"""The main job on Fashion-MNIST: what the demo shows, as assertions on its results."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from typer.testing import CliRunner

from curenu.cli import app
from curenu.errors import MissingData
from curenu.tasks import find_fashion_mnist

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    try:
        find_fashion_mnist()
    except MissingData as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("demo")
    result = CliRunner().invoke(app, ["demo", "--out", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    return {row["name"]: row for row in json.loads(result.stdout)["rows"]}


def jsd(row: dict[str, Any]) -> tuple[float, float]:
    """Divergence from the oracles on the forget set, and the oracles' own."""
    (found,) = (f for f in row["findings"] if f["name"] == "JSD f")
    return found["value"], found["reference"]


@pytest.mark.parametrize(("method", "share"), [("CuReNU", 0.1), ("StoCuReNU", 0.3)])
def test_cubic_updates_are_small_and_halve_the_excess_divergence(
    rows: dict[str, Any], method: str, share: float
) -> None:
    nothing, floor = jsd(rows["do nothing"])
    reached, _ = jsd(rows[method])
    assert reached - floor <= 0.5 * (nothing - floor)
    assert 0 < rows[method]["update_norm"] < share * rows["oracle (retrained)"]["update_norm"]
    assert all(step["damping"] > 0 for step in rows[method]["trace"])


@pytest.mark.parametrize("method", ["pseudo-inverse Newton", "damped Newton"])
def test_newton_steps_are_shown_as_long_as_they_are(rows: dict[str, Any], method: str) -> None:
    long = float(rows[method]["update_norm"])
    assert math.isfinite(long)
    assert long > 3 * rows["CuReNU"]["update_norm"]
    assert jsd(rows[method])[0] > jsd(rows["do nothing"])[0]  # worse than doing nothing
