"""One finished run of the small benchmark for all tests that look at it or go on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bench.small import made


@pytest.fixture(scope="package")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("bench")
    return folder, made(folder)
