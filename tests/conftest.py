"""What every test shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A list of code vouched for that is no person's; processes that tests start have it too."""
    place = tmp_path_factory.mktemp("trusted") / "list"
    before = os.environ.get("CURENU_TRUSTED")
    os.environ["CURENU_TRUSTED"] = str(place)
    yield place
    del os.environ["CURENU_TRUSTED"]
    if before is not None:
        os.environ["CURENU_TRUSTED"] = before
