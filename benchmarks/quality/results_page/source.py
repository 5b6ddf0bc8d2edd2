"""A file of results with its remarks: what it holds, and by which code and defaults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from curenu.bench.config import MethodConfig
from curenu.bench.origin import settings_of
from curenu.errors import CurenuError

__all__ = ["Source", "present_settings", "sources"]

BOUNDED = "e57435700535d4c4"
"""Digest of StoCuReNU's settings where results count weighted examples and name no settings."""
_OWN_PAGES = {"claims": "claims.md", "single": "attack_success.md"}
_TITLES = {
    "sweep": "Around the defaults",
    "sequences": "Several requests one after the other",
    "claims": "The paper's claims, measured",
    "single": "Attack success, with and without the screen",
}


@dataclass(frozen=True)
class Source:
    """`NAME.json` of the results, and the remarks in `NAME.md` beside it."""

    path: Path

    @property
    def name(self) -> str:
        """The name of the benchmark."""
        return self.path.stem

    @cached_property
    def results(self) -> dict[str, Any]:
        """What the file holds."""
        return json.loads(self.path.read_text())

    @cached_property
    def remarks(self) -> str:
        """What is said about it; empty for nothing."""
        remarks = self.path.with_suffix(".md")
        return remarks.read_text().strip() if remarks.is_file() else ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def kind(self) -> str | None:
        """Which part makes it what it is: cells of a benchmark, a sweep, sequences, another."""
        return next((k for k in ("cells", *_TITLES) if k in self.results), None)

    @property
    def title(self) -> str:
        """The title of its page."""
        return _TITLES.get(self.kind or "") or self.results["config"]["title"]

    @property
    def page(self) -> str:
        """Its page, from `docs`."""
        return _OWN_PAGES.get(self.kind or "", f"results/{self.name}.md")

    @property
    def made(self) -> str:
        """When, and by which commit."""
        if self.results.get("date") is None:
            return "made before results named their commit"
        return f"made on {self.results['date']} at commit {self.results['commit'] or 'unknown'}"

    @cached_property
    def older(self) -> str:
        """Why it is older than the present defaults; empty where it is not."""
        if "settings" in self.results:
            methods = {MethodConfig.model_validate(m).title: m for m in self._methods()}
            changed = [
                title
                for title, known in self.results["settings"].items()
                if present_settings(methods.get(title, {"method": title})) != known
            ]
            return f"settings of {', '.join(changed)} are others now" if changed else ""
        if not any(cell.get("cost", {}).get("weighted") for cell in self.results.get("cells", [])):
            return "made before the cost of an erasure was bounded in weighted examples"
        if _digest(present_settings({"method": "stocurenu"})) != BOUNDED:
            return "the settings of stocurenu are others now"
        return ""

    def _methods(self) -> list[dict[str, Any]]:
        return self.results.get("config", {}).get("methods", [])


def sources(folder: Path) -> list[Source]:
    """Every file of results there, by name."""
    return [Source(path) for path in sorted(folder.glob("*.json"))]


def present_settings(method: Mapping[str, Any]) -> dict[str, str] | None:
    """The method's settings in this code; None where it does not have it any more."""
    try:
        return settings_of(MethodConfig.model_validate(method))
    except (CurenuError, ValueError):
        return None


def _digest(settings: Mapping[str, str] | None) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
